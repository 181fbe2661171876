/*
 * `sh`: runs a script from its arguments or from standard input, line by line.
 */
import type { Main, Process } from '#user/lib/process.ts';
import { decodeText, readAll } from '#user/lib/streams.ts';
import { ExitShell } from '#user/sh/builtins.ts';
import { COMMANDS } from '#user/sh/commands.ts';
import { parseScript, ShellSyntaxError } from '#user/sh/parse.ts';
import { Shell } from '#user/sh/run.ts';

/** Finds any program by name, the shell itself included. */
export function findProgram(name: string): Main | null {
  if (name === 'sh') return main;
  return Object.hasOwn(COMMANDS, name) ? (COMMANDS[name] ?? null) : null;
}

/** Runs a script; null when it is not finished yet. @throws ExitShell */
async function runScript(shell: Shell, source: string, more: boolean): Promise<number | null> {
  try {
    return await shell.run(parseScript(source));
  } catch (error) {
    if (!(error instanceof ShellSyntaxError)) throw error;
    if (more && error.unfinished) return null;
    shell.complain(error.line, `Syntax error: ${error.message}`);
    return 2;
  }
}

/** Runs lines as they come, e.g. from a terminal. */
async function runLines(p: Process, shell: Shell, prompt: string): Promise<number> {
  let pending = '';
  let status = 0;
  p.print(prompt);
  for (;;) {
    const bytes = await p.stdin.read();
    if (bytes === null) break;
    pending += decodeText(bytes);
    for (;;) {
      const end = pending.lastIndexOf('\n');
      if (end < 0) break;
      const result = await runScript(shell, pending.slice(0, end + 1), true);
      if (result === null) break;
      status = result;
      pending = pending.slice(end + 1);
      p.print(prompt);
    }
  }
  return pending === '' ? status : ((await runScript(shell, pending, false)) ?? status);
}

const USAGE = 'usage: sh [-i] [-c SCRIPT [NAME [ARGUMENT ...]]]\n';

export const main: Main = async (p) => {
  p.programs ??= findProgram;
  const [option, script, ...rest] = p.args;
  try {
    if (option === '-c' && script !== undefined) {
      const shell = new Shell(p, rest.length > 0 ? rest : [p.name]);
      return (await runScript(shell, script, false)) ?? 2;
    }
    if (option === '-i') return await runLines(p, new Shell(p, [p.name]), '# ');
    if (option === undefined) {
      const shell = new Shell(p, [p.name]);
      return (await runScript(shell, decodeText(await readAll(p.stdin)), false)) ?? 2;
    }
  } catch (error) {
    if (error instanceof ExitShell) return error.status;
    throw error;
  }
  p.warn(USAGE);
  return 2;
};
