/** The linked package is the modules of src/ in another form: it exports the same, and does the same. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { turn } from '#cli/turn.ts';
import { link, modulesOf } from '../scripts/link.ts';
import { runScenario } from './support/scenario.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = join(ROOT, 'out', `link-${process.pid}`);

/** What a plain Node says about the linked files. */
const ASK = `
  import { runScenario } from './test/scenario.js';
  import { turn } from './test/turn.js';
  const names = JSON.parse(process.argv[2]);
  const exported = {};
  for (const name of names) exported[name] = Object.keys(await import('./' + name + '.js'));
  const { fingerprint } = await runScenario({ seed: 7, turn });
  process.stdout.write(JSON.stringify({ exported, fingerprint }));
`;

/** Values that a source exports, by its text. */
function exportsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/^export (?:const|class|(?:async )?function\*?) (\w+)/gm)].map(
    ([, name]) => name as string,
  );
}

describe('the linked package', () => {
  const modules = modulesOf(ROOT);
  let answer: { exported: Record<string, string[]>; fingerprint: string };

  beforeAll(async () => {
    const own = {
      'test/scenario': join(ROOT, 'test/support/scenario.ts'),
      'test/turn': join(ROOT, 'src/cli/turn.ts'),
    };
    await link(ROOT, { ...modules, ...own }, FOLDER);
    writeFileSync(join(FOLDER, 'ask.mjs'), ASK);
    const args = [join(FOLDER, 'ask.mjs'), JSON.stringify(Object.keys(modules))];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    answer = JSON.parse(stdout) as typeof answer;
  }, 60_000);

  afterAll(() => {
    rmSync(FOLDER, { recursive: true, force: true });
  });

  it('exports from each file what the module exports', () => {
    expect(Object.keys(modules).length).toBeGreaterThan(400);
    for (const [name, file] of Object.entries(modules)) {
      const missing = exportsOf(file).filter(
        (one) => answer.exported[name]?.includes(one) !== true,
      );
      expect([name, missing]).toEqual([name, []]);
    }
  });

  it('holds its code once, with the constants of other files as numbers in it', () => {
    const facade = readFileSync(join(FOLDER, 'net/ipv4/tcp_input.js'), 'utf8');
    expect(facade).not.toContain('function');
    const code = readFileSync(join(FOLDER, 'softnet-linked.js'), 'utf8');
    expect(code).toContain('function tcpRcvEstablished(');
    expect(code).not.toMatch(/=== TCP_LISTEN\b/);
  });

  it('is of the same modules wherever the clone lies', () => {
    const clone = join(FOLDER, 'src/net/clone');
    for (const name of ['src/host/door.ts', 'src/net/socket.ts']) {
      mkdirSync(join(clone, name, '..'), { recursive: true });
      writeFileSync(join(clone, name), '');
    }
    expect(Object.keys(modulesOf(clone))).toEqual(['net/socket']);
  });

  it('leaves it to constructors to make the fields of objects', () => {
    const code = readFileSync(join(FOLDER, 'softnet-linked.js'), 'utf8');
    expect(code).toMatch(/^\t\tthis\.sndUna = 0;$/m);
    expect(code).not.toMatch(/^\t(static )?#?\w+;$/m);
  });

  it('runs a world to the same fingerprint', async () => {
    const { fingerprint } = await runScenario({ seed: 7, turn });
    expect(answer.fingerprint).toBe(fingerprint);
  });
});
