/**
 * What the documents and helps tell people to type, works: every command line in a block of `sh` or
 * `console` is run. Lines that are for a machine of softnet's are run on one.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT, Softnet } from './support/softnet.ts';

interface Block {
  readonly file: string;
  readonly language: string;
  readonly lines: readonly string[];
}

/** The documents of the clone, tracked or about to be. */
function documents(): string[] {
  const { stdout } = spawnSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return stdout.split('\n').filter((path) => path !== '' && existsSync(join(ROOT, path)));
}

function blocksOf(file: string): Block[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...text.matchAll(/^```(sh|console)\n([\s\S]*?)^```/gm)].map(
    ([, language = '', body = '']) => ({
      file,
      language,
      lines: body.split('\n').filter((line) => line !== ''),
    }),
  );
}

const blocks = documents().flatMap(blocksOf);

/** What a block has people type, without prompts and remarks. */
function commandsOf({ language, lines }: Block): string[] {
  const typed =
    language === 'sh'
      ? lines
      : lines.filter((line) => /^[$#] /.test(line)).map((line) => line.slice(2));
  return typed
    .map((line) => line.replace(/\s+# .*$/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** Words of a line, with the quotes that a shell would take off. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
}

const SOFTNET = /^(?:sudo )?(?:npx )?softnet /;
const NPM = /^npm (?:ci|start|test|run [\w:-]+)\b/;

/** A machine with a neighbour, for the lines that are meant for machines. */
const BENCH = `topology:
  nodes:
    a:
      exec: [ip addr add 10.0.1.2/24 dev eth0, ip link set eth0 up, ip link add eth1 type dummy, ip link set eth1 up]
    b:
      exec: [ip addr add 10.0.1.1/24 dev eth0, ip link set eth0 up]
  links:
    - endpoints: ["a:eth0", "b:eth0"]
`;

describe('every command line of the documents works', () => {
  let softnet: Softnet;
  let folder: string;

  beforeAll(async () => {
    softnet = await Softnet.build();
    folder = mkdtempSync(join(tmpdir(), 'softnet-docs-'));
    for (const name of ['examples', 'test']) symlinkSync(join(ROOT, name), join(folder, name));
    writeFileSync(join(folder, 'bench.yaml'), BENCH);
  }, 60_000);

  afterAll(() => {
    softnet.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const run = (line: string): ReturnType<Softnet['run']> =>
    softnet.run(wordsOf(line.replace(SOFTNET, '')), { cwd: folder });

  const lines = blocks.flatMap((block) =>
    commandsOf(block).map((line): [string, string] => [line, block.file]),
  );
  // The doors to the real kernel have tests of their own.
  const own = lines.filter(
    ([line]) => SOFTNET.test(line) && !/softnet (tap|attach)|--against kernel/.test(line),
  );
  const npm = lines.filter(([line]) => NPM.test(line));
  const others = lines.filter(([line]) => !SOFTNET.test(line) && !NPM.test(line));

  it('finds them', () => {
    expect(own.map(([line]) => line)).toContain('npx softnet demo');
    expect(npm.map(([line]) => line)).toContain('npm ci && npm start');
    expect(own.length).toBeGreaterThan(5);
  });

  it.each(own)('%s (%s)', { timeout: 180_000 }, async (line) => {
    const { status, stderr } = await run(line);
    expect(status, stderr).toBe(0);
  });

  it.each(npm)('%s (%s): the scripts are there', (line) => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    for (const command of line.split(' && ')) {
      const name = /^npm (?:run )?([\w:-]+)/.exec(command)?.[1] ?? '';
      if (name !== 'ci') expect(Object.keys(scripts)).toContain(name);
    }
  });

  it.each(others)('on a machine: %s (%s)', async (line) => {
    const script = ['exec', 'bench.yaml', 'a', '--', 'sh', '-c', line];
    const { status, stderr } = await softnet.run(script, { cwd: folder });
    expect(status, stderr).toBe(0);
  });

  it('the terminal session in the README is one', { timeout: 180_000 }, async () => {
    const session = blocks.find(
      ({ file, lines: [first] }) => file === 'README.md' && first === '$ npx softnet demo',
    );
    expect(session).toBeDefined();
    const { stdout } = await softnet.run(['demo'], { cwd: folder, source: true });
    // Numbers and the functions between change with the stack; the rest, and its order, must be right.
    const shape = (line: string): string =>
      line
        .replace(/\b[0-9a-f]{16,64}\b/g, 'H')
        .replace(/[0-9]+(\.[0-9]+)?/g, 'N')
        .replace(/timeouts?/g, 'timeouts')
        .replace(/\s+/g, ' ')
        .trim();
    const real = stdout.split('\n').map(shape);
    let from = 0;
    for (const line of session?.lines.slice(1) ?? []) {
      if (/^[\s.…]*$/.test(line) || /^[┌└]/.test(line) || /^ {16}\w/.test(line)) continue;
      const at = real.indexOf(shape(line), from);
      expect(at, `'${line}' comes, in its place`).toBeGreaterThanOrEqual(0);
      from = at + 1;
    }
  });

  it.each(['demo', 'run', 'exec', 'packetdrill', 'trace'])(
    'the examples in the help of %s',
    {
      timeout: 180_000,
    },
    async (name) => {
      const { stdout } = await softnet.run([name, '--help'], { cwd: folder });
      const examples = stdout.split('\n').filter((line) => line.startsWith(`  softnet ${name} `));
      expect(examples.length).toBeGreaterThan(1);
      for (const line of examples) {
        const { status, stderr } = await run(line.trim());
        expect(status, `${line}\n${stderr}`).toBe(0);
      }
    },
  );
});
