/**
 * Guards the guards: plants a violation of each house rule in a copy of the repository's frame and proves
 * that the tool which is meant to find it does, and that the same place without the violation is left alone.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { generatedDocs, staleDocs } from '../scripts/kernel-map.ts';
import { LAYERS, mayImport } from '../scripts/tidy/layers.ts';
import { FILE_LINES_MAX, FUNCTION_LINES_MAX } from '../scripts/tidy/rules.ts';
import { functionsOf, importsOf, scan, topLevelStatements } from '../scripts/tidy/scan.ts';
import { tidy } from '../scripts/tidy.ts';

const repository = fileURLToPath(new URL('..', import.meta.url));
const FRAME = [
  'package.json',
  'biome.json',
  'tsconfig.base.json',
  'tsconfig.json',
  'tsconfig.kernel.json',
  'tsconfig.host.json',
  'tsconfig.web.json',
];
const README = '# A folder\n\nWhat lives here.\n\nWhat does not.\n';

let root = '';

/** Writes a file into the planted tree, with a README in each folder of src on the way. */
function plant(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  const folders = path.split('/').slice(0, -1);
  for (let length = 1; folders[0] === 'src' && length <= folders.length; length++) {
    writeFileSync(join(root, ...folders.slice(0, length), 'README.md'), README);
  }
}

/** What tidy says about the planted tree, as `path rule`. */
function found(): string[] {
  return tidy(root).map(({ path, rule }) => `${path} ${rule}`);
}

function npmTool(script: string, ...args: string[]): string {
  const { stdout, stderr } = spawnSync(
    execPath,
    [join(repository, 'node_modules', script), ...args],
    {
      cwd: root,
      encoding: 'utf8',
    },
  );
  return stdout + stderr;
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'softnet-tidy-'));
  for (const file of FRAME) cpSync(join(repository, file), join(root, file));
  plant('src/uapi/errno.ts', 'export const EINVAL = 22;\n');
  plant(
    'src/lib/list.ts',
    "import { EINVAL } from '#uapi/errno.ts';\n\nexport const a: number = EINVAL;\n",
  );
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

test('the planted tree is clean before anything is planted', () => {
  expect(tidy(root)).toEqual([]);
});

describe('layers', () => {
  test.each([
    ['lib/x.ts', 'kernel/machine.ts'],
    ['uapi/ip.ts', 'lib/list.ts'],
    ['kernel/machine.ts', 'net/core/dev.ts'],
    ['net/core/dev.ts', 'net/ipv4/ip_input.ts'],
    ['net/ipv4/tcp.ts', 'net/ipv6/tcp_ipv6.ts'],
    ['net/socket.ts', 'net/ipv4/af_inet.ts'],
    ['hardware/e1000.ts', 'net/core/skbuff.ts'],
    ['drivers/net/veth.ts', 'net/ipv4/arp.ts'],
    ['net/core/dev.ts', 'init/main.ts'],
    ['init/main.ts', 'sim/world.ts'],
    ['sim/world.ts', 'host/node/tap.ts'],
    ['user/ip/ip.ts', 'net/core/dev.ts'],
    ['user/ip/ip.ts', 'user/ping/ping.ts'],
    ['include/trace/events/net.ts', 'net/core/dev.ts'],
    ['kernel/softirq.ts', 'include/net/sock.ts'],
    ['hardware/e1000.ts', 'include/linux/skbuff.ts'],
  ])('%s may not import %s', (from, target) => {
    plant(`src/${target}`, 'export const b = 1;\n');
    plant(`src/${from}`, `import { b } from '#${target}';\n\nexport const c: number = b;\n`);
    expect(found()).toEqual([`src/${from} layer`]);
  });

  test.each([
    ['include/trace/events/irq.ts', 'kernel/tracepoint.ts'],
    ['net/core/dev.ts', 'include/linux/netdevice.ts'],
    ['mm/slab.ts', 'kernel/machine.ts'],
    ['net/ipv6/tcp_ipv6.ts', 'net/ipv4/tcp.ts'],
    ['net/ipv4/af_inet.ts', 'net/socket.ts'],
    ['net/ipv4/arp.ts', 'net/core/neighbour.ts'],
    ['drivers/net/ethernet/intel/e1000/main.ts', 'hardware/e1000_regs.ts'],
    ['init/main.ts', 'net/ipv4/af_inet.ts'],
    ['sim/world.ts', 'init/main.ts'],
    ['user/ip/ip.ts', 'user/lib/socket.ts'],
    ['cli/demo.ts', 'user/ip/ip.ts'],
  ])('%s may import %s', (from, target) => {
    plant(`src/${target}`, 'export const b = 1;\n');
    plant(`src/${from}`, `import { b } from '#${target}';\n\nexport const c: number = b;\n`);
    expect(found()).toEqual([]);
  });

  test('upwards a type may be imported where a value may not', () => {
    plant('src/net/ipv4/tcp.ts', 'export interface TcpSock {\n  a: number;\n}\n');
    plant(
      'src/net/core/sock.ts',
      "import type { TcpSock } from '#net/ipv4/tcp.ts';\n\nexport type A = TcpSock;\n",
    );
    expect(found()).toEqual([]);
    plant(
      'src/net/core/sock.ts',
      "import { type TcpSock } from '#net/ipv4/tcp.ts';\n\nexport type A = TcpSock;\n",
    );
    expect(found()).toEqual(['src/net/core/sock.ts layer']);
  });

  test('a dynamic import counts', () => {
    plant(
      'src/net/core/dev.ts',
      "export const f = (): Promise<unknown> => import('#init/main.ts');\n",
    );
    plant('src/init/main.ts', 'export const b = 1;\n');
    expect(found()).toEqual(['src/net/core/dev.ts layer']);
  });

  test('a folder that is not in the table', () => {
    plant('src/net/sctp/sctp.ts', 'export const a = 1;\n');
    expect(found()).toEqual(['src/net/sctp/sctp.ts layer-row']);
  });

  test('a relative import, and one without its extension', () => {
    plant('src/lib/b.ts', "import { a } from './list.ts';\n\nexport const b: number = a;\n");
    expect(found()).toEqual(['src/lib/b.ts absolute-import']);
    plant('src/lib/b.ts', "import { a } from '#lib/list';\n\nexport const b: number = a;\n");
    expect(found()).toContain('src/lib/b.ts absolute-import');
  });

  test('a package in the kernel', () => {
    plant(
      'src/lib/b.ts',
      "import { parse } from 'yaml';\n\nexport const b: unknown = parse('');\n",
    );
    expect(found()).toEqual(['src/lib/b.ts package']);
  });

  test('a barrel', () => {
    plant('src/lib/b.ts', "export { a } from '#lib/list.ts';\n");
    expect(found()).toEqual(['src/lib/b.ts barrel']);
  });

  test('a cycle of values, not one that a type closes', () => {
    plant(
      'src/lib/b.ts',
      "import { c } from '#lib/c.ts';\n\nexport const b = (): number => c();\n",
    );
    plant(
      'src/lib/c.ts',
      "import { b } from '#lib/b.ts';\n\nexport const c = (): number => b();\n",
    );
    expect(found()).toEqual(['src/lib/b.ts cycle']);
    plant('src/lib/c.ts', "import type { b } from '#lib/b.ts';\n\nexport type C = typeof b;\n");
    expect(found()).toEqual([]);
  });

  test('every row names folders that have a row', () => {
    const names = Object.values(LAYERS).flatMap(({ values, types = [] }) => [...values, ...types]);
    for (const name of names) {
      const probe =
        name === 'kernel/tracepoint' ? 'kernel/x.ts' : `${name.replace(/\/\.$/, '')}/x.ts`;
      const known =
        name === 'net' || name === 'host' || mayImport(probe, 'nowhere/x.ts') !== 'no-row';
      expect(known, name).toBe(true);
    }
  });
});

describe('module state and imports that run', () => {
  test.each([
    ['let', 'export let count = 0;'],
    ['a Map', 'const seen = new Map<string, number>();'],
    ['a WeakMap', 'export const seen: WeakMap<object, number> = new WeakMap();'],
    ['a mutable array', 'const list: number[] = [];'],
    ['an array literal', 'const list = [1, 2];'],
    ['an instance', 'export const init_net = new Net();'],
    ['a second static key', 'export const key: StaticKey = new StaticKey();'],
    ['a buffer', 'const scratch = new Uint8Array(64);'],
    ['a call', 'register(1);'],
    ['a method call', 'table.add(1);'],
    ['a loop', 'for (const a of b) c(a);'],
    ['a static field', 'export class A {\n  static count = 0;\n}'],
  ])('%s at the top of a module', (_, line) => {
    plant('src/kernel/x.ts', `${line}\n\nexport function f(): void {}\n`);
    expect(found()).toEqual(['src/kernel/x.ts module-state']);
  });

  test.each([
    'export const ops: Ops = {\n  open: tcpOpen,\n};',
    'export const names: readonly string[] = [];',
    "const words = ['a', 'b'] as const;",
    "const known: ReadonlySet<string> = new Set(['a']);",
    'const K = new Uint32Array([1, 2, 3]);',
    'const name = /^[a-z]+$/;',
    'function f(): void {\n  let a = 0;\n  const m = new Map();\n}',
    'export class A {\n  b = new Map();\n}',
    'export class A {\n  static readonly LEN = 4;\n  static of(): A {\n    return new A();\n  }\n}',
    'interface A {\n  b: number;\n}\n\nexport type B = { c: A };',
  ])('not %j', (line) => {
    plant('src/kernel/x.ts', `${line}\n`);
    expect(found()).toEqual([]);
  });

  test('not the static key of tracepoints', () => {
    plant('src/kernel/tracepoint.ts', 'export const key: StaticKey = new StaticKey();\n');
    expect(found()).toEqual([]);
  });
});

test('async code in the kernel, but not in worlds and programs', () => {
  const text = 'export async function f(): Promise<void> {\n  await g();\n}\n';
  plant('src/net/core/dev.ts', text);
  plant('src/sim/world.ts', text);
  expect(found()).toEqual(['src/net/core/dev.ts sync-kernel', 'src/net/core/dev.ts sync-kernel']);
});

describe('lengths', () => {
  const lines = (count: number): string => '  a();\n'.repeat(count);

  test('a file that is too long', () => {
    plant('src/lib/x.ts', '// a\n'.repeat(FILE_LINES_MAX));
    expect(found()).toEqual([]);
    plant('src/lib/x.ts', '// a\n'.repeat(FILE_LINES_MAX + 1));
    expect(found()).toEqual(['src/lib/x.ts file-length']);
  });

  test.each([
    ['function', (body: string) => `export function f(): { a: number } {\n${body}}\n`],
    ['generic function', (body: string) => `function f<T>(a: T, b = { c: 1 }): T {\n${body}}\n`],
    ['arrow function', (body: string) => `export const f = (a: number): void => {\n${body}};\n`],
    ['method', (body: string) => `export class A {\n  f(a: number): void {\n${body}  }\n}\n`],
    [
      'method in an object',
      (body: string) => `export const ops = {\n  f(a: number) {\n${body}  },\n};\n`,
    ],
  ])('a %s that is too long', (_, around) => {
    plant('src/lib/x.ts', around(lines(FUNCTION_LINES_MAX - 2)));
    expect(found()).toEqual([]);
    plant('src/lib/x.ts', around(lines(FUNCTION_LINES_MAX - 1)));
    expect(found()).toEqual(['src/lib/x.ts function-length']);
  });

  test('an exception holds as long as it is needed, and only at its size', () => {
    const list = (exceptions: Record<string, number>): void =>
      plant('scripts/tidy/exceptions.json', JSON.stringify(exceptions));
    plant('src/lib/x.ts', '// a\n'.repeat(900));
    list({ 'src/lib/x.ts': 900 });
    expect(found()).toEqual([]);
    list({ 'src/lib/x.ts': 899 });
    expect(found()).toEqual(['src/lib/x.ts file-length']);
    list({ 'src/lib/x.ts': 901 });
    expect(found()).toEqual(['scripts/tidy/exceptions.json ratchet']);
    list({ 'src/lib/list.ts': 900, 'src/lib/x.ts': 900 });
    expect(found()).toEqual(['scripts/tidy/exceptions.json ratchet']);
  });

  test('the list of exceptions may only shrink from what was committed first', () => {
    const git = (...args: string[]): void => {
      const name = ['-c', 'user.name=a', '-c', 'user.email=a@example.org'];
      execFileSync('git', [...name, ...args], { cwd: root, stdio: 'ignore' });
    };
    plant('src/lib/x.ts', '// a\n'.repeat(900));
    plant('scripts/tidy/exceptions.json', '{}');
    git('init');
    git('add', '.');
    git('commit', '-m', 'a');
    plant('scripts/tidy/exceptions.json', '{ "src/lib/x.ts": 900 }');
    git('commit', '-am', 'b');
    expect(found()).toEqual(['scripts/tidy/exceptions.json ratchet']);
  });
});

describe('folders', () => {
  test('without a README', () => {
    mkdirSync(join(root, 'src/net/core'), { recursive: true });
    expect(found()).toEqual(['src/net/README.md readme', 'src/net/core/README.md readme']);
  });

  test('with a README that says nothing, or too much', () => {
    writeFileSync(join(root, 'src/lib/README.md'), '# lib\n');
    expect(found()).toEqual(['src/lib/README.md readme']);
    writeFileSync(join(root, 'src/lib/README.md'), 'a\n'.repeat(21));
    expect(found()).toEqual(['src/lib/README.md readme']);
  });
});

describe('tags', () => {
  const tagged = (tags: string): string => `/**\n${tags} */\nexport function tcpAck(): void {}\n`;

  test.each([
    ' * @kernel tcp_ack\n',
    ' * @kernel tcp_ack in tcp_input.c\n',
    ' * @kernel tcpAck() net/ipv4/tcp_input.c\n',
    ' * @rfc RFC 5681\n',
    ' * @deviation yes\n',
  ])('%j is malformed', (tags) => {
    plant('src/net/ipv4/tcp_input.ts', tagged(tags));
    expect(found()).toEqual(['src/net/ipv4/tcp_input.ts tag']);
  });

  test('they become the kernel map, which is stale when one is dropped', () => {
    const tags = ' * @kernel tcp_ack net/ipv4/tcp_input.c\n * @rfc 5681#3.2\n';
    plant('src/net/ipv4/tcp_input.ts', tagged(tags));
    expect(found()).toEqual([]);
    for (const [path, text] of generatedDocs(root)) plant(path, text);
    const map = readFileSync(join(root, 'docs/kernel-map.md'), 'utf8');
    expect(map).toContain(
      '| `tcp_ack` | `tcpAck` | [net/ipv4/tcp_input.ts](../src/net/ipv4/tcp_input.ts) ' +
        '| [5681 3.2](https://www.rfc-editor.org/rfc/rfc5681#section-3.2) |',
    );
    expect(staleDocs(root)).toEqual([]);
    plant('src/net/ipv4/tcp_input.ts', tagged(' * Handles an acknowledgement.\n'));
    expect(staleDocs(root)).toEqual(['docs/kernel-map.md']);
  });

  test('a deviation may run over several lines', () => {
    const tags = ' * @deviation Linux counts in jiffies,\n *   we in milliseconds.\n * @rfc 793\n';
    plant('src/net/ipv4/tcp_input.ts', tagged(tags));
    const text = generatedDocs(root).get('docs/deviations.md');
    expect(text).toContain('- `tcpAck`: Linux counts in jiffies, we in milliseconds.\n');
  });
});

describe('Biome', () => {
  test('finds what is planted in the kernel, and lets it be elsewhere', () => {
    const lines = [
      'export enum Colour {',
      '  RED,',
      '}',
      'export const now: number = Date.now();',
      'export const chance: number = Math.random();',
      'export const root: number = Math.cbrt(chance);',
      'export const none: any = null;',
      'console.log(none);',
      "export * from '#lib/list.ts';",
      'export default now;',
    ];
    plant('src/net/core/BadName.ts', `${lines.join('\n')}\n`);
    plant('scripts/good_name.ts', 'console.log(Date.now(), Math.random());\n');
    const output = npmTool('@biomejs/biome/bin/biome', 'lint', '--reporter=json', 'src', 'scripts');
    const { diagnostics } = JSON.parse(
      output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1),
    ) as {
      diagnostics: { category: string; location: { path: string | { file: string } } }[];
    };
    const rules = diagnostics.map(({ category, location: { path } }) => {
      const file = typeof path === 'string' ? path : path.file;
      return `${file} ${category.split('/').at(-1)}`;
    });
    for (const rule of [
      'noEnum',
      'noRestrictedGlobals',
      'noJsRestrictedProperties',
      'noExplicitAny',
      'noConsole',
      'noReExportAll',
      'noDefaultExport',
      'useFilenamingConvention',
    ]) {
      expect(rules).toContain(`src/net/core/BadName.ts ${rule}`);
    }
    expect(rules.filter((rule) => rule.includes('Restricted'))).toHaveLength(3);
    expect(rules.filter((rule) => rule.startsWith('scripts'))).toEqual([]);
  });

  test('finds a line that is not formatted', () => {
    plant('src/lib/x.ts', 'export const a = "b"\n');
    expect(npmTool('@biomejs/biome/bin/biome', 'format', 'src')).toContain('x.ts format');
  });
});

describe('the type-checker', () => {
  const errorsIn = (project: string): string[] =>
    npmTool('typescript/bin/tsc', '-p', project, '--pretty', 'false')
      .split('\n')
      .flatMap((line) => /Cannot find (?:name|module) '(.*?)'/.exec(line)?.[1] ?? []);

  test('knows no host in the kernel and in sim/', () => {
    const names = [
      'setTimeout',
      'performance',
      'console',
      'process',
      'WebAssembly',
      'Buffer',
      'fetch',
    ];
    const text = `${names.map((name, i) => `export const x${i}: unknown = ${name};`).join('\n')}\n`;
    const imports = "import { readFileSync } from 'node:fs';\n\nexport const x = readFileSync;\n";
    plant('src/net/core/x.ts', text);
    expect(errorsIn('tsconfig.kernel.json')).toEqual(names);
    rmSync(join(root, 'src/net'), { recursive: true });
    plant('src/sim/x.ts', text + imports.replace('export const x =', 'export const y ='));
    expect(errorsIn('tsconfig.kernel.json').toSorted()).toEqual([...names, 'node:fs'].toSorted());
  });

  test('knows no Node behind the doors of the browser', () => {
    plant('src/host/web/x.ts', 'export const a: unknown = [document, process];\n');
    expect(errorsIn('tsconfig.web.json')).toEqual(['process']);
  });

  test('takes no syntax that is more than types', () => {
    plant('src/lib/x.ts', 'export class A {\n  constructor(private a: number) {}\n}\n');
    const output = npmTool('typescript/bin/tsc', '-p', 'tsconfig.kernel.json', '--pretty', 'false');
    expect(output).toContain("not allowed when 'erasableSyntaxOnly'");
  });
});

describe('the scanner', () => {
  test('tells code from strings, templates, comments and regular expressions', () => {
    const text =
      "const a = /[/'`]/g; // let b\nconst c = `x${`y${1}`}` + 'let d'; /* let e */ a / b / c;\n";
    const words = scan('x.ts', text).tokens.filter(({ kind }) => kind === 'name');
    expect(words.map((token) => token.text)).toEqual(['const', 'a', 'const', 'c', 'a', 'b', 'c']);
  });

  test('finds imports of every form', () => {
    const text = [
      "import a from 'a';",
      "import { b, type B } from 'b';",
      "import type { C } from 'c';",
      "import * as d from 'd';",
      "import 'e';",
      "export type { F } from 'f';",
      "const from = 'no';",
      "export const g = { from: 'no' };",
      "const h = import('h');",
    ];
    const imports = importsOf(scan('x.ts', text.join('\n')));
    expect(imports.map(({ specifier, typeOnly }) => [specifier, typeOnly])).toEqual([
      ['a', false],
      ['b', false],
      ['c', true],
      ['d', false],
      ['e', false],
      ['f', true],
      ['h', false],
    ]);
  });

  test('counts statements and the lines of functions', () => {
    const text =
      'class A {\n  b(): void {\n    if (c) {\n    }\n  }\n}\nconst d = (): E => ({\n});\nf();\n';
    const source = scan('x.ts', text);
    expect(topLevelStatements(source).map(({ line }) => line)).toEqual([1, 7, 9]);
    expect(functionsOf(source)).toEqual([{ name: 'b', line: 2, lineCount: 4 }]);
  });
});
