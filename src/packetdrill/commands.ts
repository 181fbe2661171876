/*
 * Commands between backticks. They run in the machine's shell; beyond its programs they find shell
 * scripts that lie beside the packet script, and two helpers that packet scripts share by custom:
 * `set_sysctls.py PATH=VALUE ...`, which remembers what it overwrites, and
 * `sysctl_restore_PID.sh`, which puts that back.
 */

import { readText, writeText } from '#user/lib/files.ts';
import type { Main } from '#user/lib/process.ts';
import { findProgram, main as sh } from '#user/sh/sh.ts';

/** Reads a file of the host, relative to the script; null when there is none. */
export type ReadFile = (path: string) => string | null;

/** Finds programs for the commands of one run. */
export class Commands {
  private readonly readFile: ReadFile;
  /** What set_sysctls.py has overwritten: paths and values, latest first. */
  private readonly saved: (readonly [path: string, value: string])[];

  constructor(readFile: ReadFile) {
    this.readFile = readFile;
    this.saved = [];
  }

  /** The environment of commands: the interpreter is their parent, with a number of its own. */
  get env(): Readonly<Record<string, string>> {
    return { PPID: '1', PACKETDRILL_PID: '1' };
  }

  readonly find = (name: string): Main | null => {
    const base = name.replace(/^.*\//, '');
    if (base === 'set_sysctls.py') return this.setSysctls;
    if (/^sysctl_restore_[0-9]*\.sh$/.test(base)) return this.restoreSysctls;
    const program = findProgram(name) ?? findProgram(base);
    if (program !== null) return program;
    if (!name.endsWith('.sh')) return null;
    const text = this.readFile(name);
    return text === null ? null : scriptProgram(text);
  };

  private readonly setSysctls: Main = async (p) => {
    for (const argument of p.args) {
      const equals = argument.indexOf('=');
      if (equals < 0) {
        p.warn(`${p.name}: '${argument}' is not written PATH=VALUE\n`);
        return 2;
      }
      const path = argument.slice(0, equals);
      this.saved.unshift([path, (await readText(p.libc, path)).trim()]);
      await writeText(p.libc, path, `${argument.slice(equals + 1)}\n`);
    }
    return 0;
  };

  private readonly restoreSysctls: Main = async (p) => {
    for (const [path, value] of this.saved.splice(0)) await writeText(p.libc, path, `${value}\n`);
    return 0;
  };
}

/** A shell script as a program. */
function scriptProgram(text: string): Main {
  return (p) => p.spawn(sh, ['sh', '-c', text, p.argv[0] ?? 'sh', ...p.args]);
}
