/**
 * Checks the rules of scripts/tidy/rules.ts over the repository and prints what breaks them, one line each:
 * `path:line rule: message`. Exit code 1 when there is any.
 */
import { execFileSync } from 'node:child_process';
import { argv, stderr, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import {
  cycleRules,
  exceptionRules,
  type Finding,
  importRules,
  lengthRules,
  readmeRules,
  stateRules,
  syncRules,
  tagRules,
} from './tidy/rules.ts';
import { readText, readTree } from './tidy/tree.ts';

const EXCEPTIONS = 'scripts/tidy/exceptions.json';

type Lengths = Readonly<Record<string, number>>;

/**
 * The list of exceptions as it was when it first came into the repository: what it may never exceed. Without
 * a history to ask (a tarball), the list is its own baseline.
 */
function baselineOf(root: string, current: Lengths): Lengths {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', args, {
        cwd: root,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    const added = git('log', '-1', '--diff-filter=A', '--format=%H', '--', EXCEPTIONS).trim();
    return added === '' ? current : (JSON.parse(git('show', `${added}:${EXCEPTIONS}`)) as Lengths);
  } catch {
    return current;
  }
}

/** Everything that is wrong in the tree at `root`. */
export function tidy(root: string): Finding[] {
  const { sources, folders } = readTree(root);
  const exceptions = JSON.parse(readText(root, EXCEPTIONS) ?? '{}') as Lengths;
  return [
    ...sources.flatMap((source) => [
      ...importRules(source),
      ...stateRules(source),
      ...syncRules(source),
      ...lengthRules(source, exceptions),
      ...tagRules(source),
    ]),
    ...cycleRules(sources),
    ...exceptionRules(sources, exceptions, baselineOf(root, exceptions)),
    ...readmeRules(folders, (folder) => readText(root, `${folder}/README.md`)),
  ];
}

function main(): void {
  const findings = tidy(fileURLToPath(new URL('..', import.meta.url)));
  for (const { rule, path, line, message } of findings) {
    stderr.write(`${path}:${line} ${rule}: ${message}\n`);
  }
  stdout.write(
    findings.length === 0 ? 'tidy: nothing to say\n' : `tidy: ${findings.length} findings\n`,
  );
  process.exitCode = findings.length === 0 ? 0 : 1;
}

if (argv[1] === fileURLToPath(import.meta.url)) main();
