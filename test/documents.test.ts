/**
 * What the documents show beside commands: their TypeScript compiles against what the package exports, their
 * links lead to files, and each folder's table of contents has all of its pages.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { COMMANDS } from '#user/sh/commands.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = join(ROOT, 'out', `documents-${process.pid}`);

/** The documents of the clone, tracked or about to be: path and text. */
function documents(): [string, string][] {
  const { stdout } = spawnSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return stdout
    .split('\n')
    .filter((path) => path !== '' && existsSync(join(ROOT, path)))
    .map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]);
}

const texts = documents();

/** A document's TypeScript. A later block may use what an earlier one declares; excerpts import nothing and are left out. */
function programOf(text: string): string {
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)]
    .map(([, body = '']) => body)
    .filter((body) => body.includes("from 'softnet/"))
    .join('\n');
}

/** The source behind a name of the package: where `exports` of package.json leads to, before it is built. */
function sourceOf(specifier: string): string {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    exports: Record<string, { readonly node: string }>;
  };
  const name = specifier.replace(/^softnet/, '.');
  const target = exports[name]?.node ?? exports['./*']?.node.replace('*', name.slice(2)) ?? '';
  return join(ROOT, target.replace(/^\.\/dist\//, 'src/').replace(/\.js$/, '.ts'));
}

describe('TypeScript in documents', () => {
  const programs = texts
    .map(([file, text]): [string, string] => [file, programOf(text)])
    .filter(([, program]) => program !== '');

  afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

  it('is in those that a user of the package reads', () => {
    const wanted = [
      'README.md',
      'docs/embedding.md',
      'docs/programs.md',
      'docs/networking/doors.md',
    ];
    expect(programs.map(([file]) => file)).toEqual(expect.arrayContaining(wanted));
  });

  it('compiles', { timeout: 60_000 }, () => {
    mkdirSync(FOLDER, { recursive: true });
    const paths: Record<string, string[]> = {};
    for (const [file, program] of programs) {
      writeFileSync(join(FOLDER, file.replaceAll('/', '-').replace(/md$/, 'ts')), program);
      for (const [, from = ''] of program.matchAll(/from '(softnet\/.+)';/g)) {
        paths[from] = [sourceOf(from)];
      }
    }
    const config = {
      extends: '../../tsconfig.json',
      compilerOptions: {
        paths,
        noUnusedLocals: false,
        declaration: false,
        isolatedDeclarations: false,
      },
      include: ['*.ts'],
    };
    writeFileSync(join(FOLDER, 'tsconfig.json'), JSON.stringify(config));
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const { stdout } = spawnSync(process.execPath, [tsc, '-p', FOLDER], { encoding: 'utf8' });
    expect(stdout).toBe('');
  });
});

it('docs/programs.md names every tool of the machines', () => {
  const text = readFileSync(join(ROOT, 'docs/programs.md'), 'utf8');
  const list = /^The tools that [\s\S]*?\.\s/m.exec(text)?.[0] ?? '';
  const named = [...list.matchAll(/`(\w+)`/g)].map(([, name]) => name);
  const tools = [...Object.keys(COMMANDS), 'sh'].sort();
  expect(named.filter((name) => name !== 'exec')).toEqual(tools);
});

describe('links', () => {
  /** Targets of a document's links into the clone that are not there. */
  function broken(file: string, text: string): string[] {
    const prose = text.replace(/^```[\s\S]*?^```/gm, '');
    return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target.replace(/#.*/, ''))
      .filter((target) => target !== '' && !/^https?:/.test(target))
      .filter((target) => !existsSync(join(ROOT, dirname(file), target)));
  }

  it('lead to files', () => {
    expect(broken('docs/x.md', '[a](ARCHITECTURE.md) [b](b.md#part)')).toEqual(['b.md']);
    expect(
      texts
        .map(([file, text]): [string, string[]] => [file, broken(file, text)])
        .filter(([, targets]) => targets.length > 0),
    ).toEqual([]);
  });

  it.each(['decisions', 'networking', 'lessons'])('%s/README.md has every page', (folder) => {
    const contents = readFileSync(join(ROOT, 'docs', folder, 'README.md'), 'utf8');
    const named = [...contents.matchAll(/\]\((\w[\w-]*\.md)\)/g)].map(([, name]) => name);
    const pages = readdirSync(join(ROOT, 'docs', folder)).filter(
      (name) => name.endsWith('.md') && name !== 'README.md',
    );
    expect([...new Set(named)].sort()).toEqual(pages.sort());
  });
});
