/**
 * The rules of the house that neither the type-checker nor Biome can state. Each takes one scanned file, or
 * the whole tree, and returns what is wrong; test/tidy.test.ts plants a violation of each.
 */
import { KERNEL_FOLDERS, layerOf, mayImport } from './layers.ts';
import {
  functionsOf,
  importsOf,
  matching,
  type Source,
  type Statement,
  type Token,
  topLevelStatements,
} from './scan.ts';

export interface Finding {
  readonly rule: string;
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

export const FILE_LINES_MAX = 800;
export const FUNCTION_LINES_MAX = 100;

/** Packages that a folder may import; `node:*` is left to the type-checker's projects. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  sim: ['yaml'],
  cli: ['commander', 'cli-progress', 'cli-table3', 'yaml'],
  'host/node': ['koffi'],
};

/** Files that hold a module's only state: packet memory and the switch set before boot. */
const STATEFUL = /^src\/mm\/|^src\/lib\/wasm\//;
/** Entry points, of which the import is the run. */
const ENTRY_POINTS =
  /^src\/(?:cli\/main|cli\/split_worker|cli\/stack_worker|packetdrill\/kernel\/child)\.ts$/;

const isTest = (path: string): boolean => /\.test\.ts$|\/testing\//.test(path);
const inSrc = (path: string): boolean => path.startsWith('src/');
const inKernel = (path: string): boolean =>
  KERNEL_FOLDERS.some((folder) => path.startsWith(`src/${folder}/`));

/** Every import of src/ by the layer table, absolute, and with its extension. */
export function importRules(source: Source): Finding[] {
  const { path } = source;
  if (!inSrc(path)) return [];
  const from = path.slice('src/'.length);
  const findings: Finding[] = [];
  const report = (rule: string, line: number, message: string): void => {
    findings.push({ rule, path, line, message });
  };
  if (from.includes('/') && layerOf(from) === undefined) {
    report('layer-row', 1, `no row for this folder in scripts/tidy/layers.ts`);
  }
  for (const { specifier, typeOnly, reExport, line } of importsOf(source)) {
    if (reExport)
      report('barrel', line, 're-exports hide where a thing lives; import it from there');
    if (specifier.startsWith('.')) {
      report('absolute-import', line, `write '#…' from src/ instead of '${specifier}'`);
    } else if (specifier.startsWith('#')) {
      if (!specifier.endsWith('.ts')) report('absolute-import', line, `'${specifier}' lacks .ts`);
      const verdict = isTest(path) ? 'allowed' : mayImport(from, specifier.slice(1));
      if (verdict === 'type-only' && !typeOnly) {
        report('layer', line, `'${specifier}' may be imported from here as \`import type\` only`);
      } else if (verdict === 'forbidden') {
        report('layer', line, `${layerOf(from)} may not import '${specifier}'`);
      }
    } else if (!isTest(path) && !specifier.startsWith('node:')) {
      const allowed = PACKAGES[layerOf(from) ?? ''] ?? [];
      if (!allowed.includes(specifier)) {
        report('package', line, `${layerOf(from)} may not depend on the package '${specifier}'`);
      }
    }
  }
  return findings;
}

const COLLECTIONS = new Set(['Map', 'Set', 'WeakMap', 'WeakSet', 'Array']);
const STATIC_KEY = 'src/kernel/tracepoint.ts';
const CONSTANT_CLASSES = new Set(['RegExp', 'TextEncoder', 'TextDecoder', 'URL']);
const TYPED_ARRAY = /^(?:Big)?(?:Ui|I)nt(?:8|16|32|64)(?:Clamped)?Array$|^Float(?:32|64)Array$/;
const STATEMENT_KEYWORDS = new Set(
  'import export const function class abstract interface type declare async'.split(' '),
);

/** No module-level mutable state and no work done by an import. */
export function stateRules(source: Source): Finding[] {
  const { path, tokens } = source;
  if (!inSrc(path) || isTest(path) || STATEFUL.test(path)) return [];
  const findings: Finding[] = [];
  const report = (line: number, message: string): void => {
    findings.push({ rule: 'module-state', path, line, message });
  };
  for (const { tokens: statement, line } of topLevelStatements(source)) {
    const body = statement[0]?.text === 'export' ? statement.slice(1) : statement;
    const message = stateOf({ tokens: body, line }, ENTRY_POINTS.test(path), path);
    if (message !== null) report(line, message);
  }
  for (const [i, { kind, text, line }] of tokens.entries()) {
    const isField = ['=', ':', ';'].includes(tokens[i + 2]?.text ?? '');
    if (kind === 'name' && text === 'static' && isField && tokens[i + 1]?.kind === 'name') {
      report(
        line,
        'a static field is a variable at the top of a module; make it `static readonly`',
      );
    }
  }
  return findings;
}

function stateOf({ tokens }: Statement, mayRun: boolean, path: string): string | null {
  const head = tokens[0]?.text ?? '';
  if (head === 'let' || head === 'var') return 'no variable at the top of a module';
  if (head === ';') return null;
  if (head !== 'const') {
    if (STATEMENT_KEYWORDS.has(head) || ['{', '*', '@'].includes(head) || mayRun) return null;
    return 'importing a module must not run anything';
  }
  const equals = tokens.findIndex(({ text }) => text === '=');
  const value = tokens.slice(equals + 1);
  return stateOfValue(tokens.slice(2, equals), value, path);
}

function stateOfValue(
  type: readonly Token[],
  value: readonly Token[],
  path: string,
): string | null {
  if (value[0]?.text === 'new') {
    const name = value[1]?.text ?? '';
    const typeName = type[1]?.text ?? '';
    if (['ReadonlySet', 'ReadonlyMap'].includes(typeName)) return null;
    if (COLLECTIONS.has(name))
      return `a ${name} at the top of a module; declare it Readonly${name}`;
    // Tables of numbers are the one kind of array that cannot be declared read-only.
    if (TYPED_ARRAY.test(name) && (value[3]?.text === '[' || /^src\/(?:lib|uapi)\//.test(path)))
      return null;
    // The code belongs to all machines, and so does what patches it; a second key would cost the first its
    // constancy (docs/decisions/0023).
    if (name === 'StaticKey' && typeName === name && path === STATIC_KEY) return null;
    if (!CONSTANT_CLASSES.has(name)) return `an instance of ${name} at the top of a module`;
  }
  if (value[0]?.text === '[') {
    const after = value.slice(matching(value, 0) + 1).map(({ text }) => text);
    const readonly =
      type.some(({ text }) => text === 'readonly' || text === 'ReadonlyArray') ||
      (after[0] === 'as' && after[1] === 'const');
    if (!readonly) return 'a mutable array at the top of a module; declare it readonly';
  }
  return null;
}

/** The kernel is synchronous: nothing in it awaits. */
export function syncRules({ path, tokens }: Source): Finding[] {
  if (!inKernel(path) || isTest(path)) return [];
  return tokens.flatMap(({ kind, text, line }, i) => {
    const isKeyword = text === 'await' || (text === 'async' && tokens[i + 1]?.text !== ':');
    if (kind !== 'name' || !isKeyword || tokens[i - 1]?.text === '.') return [];
    return [{ rule: 'sync-kernel', path, line, message: `\`${text}\` inside the kernel` }];
  });
}

/** File and function lengths; `exceptions` maps `path` and `path#function` to the length they may have. */
export function lengthRules(
  source: Source,
  exceptions: Readonly<Record<string, number>>,
): Finding[] {
  const { path, lineCount } = source;
  const findings: Finding[] = [];
  if (!/^(?:src|test|bench|scripts|examples)\//.test(path)) return [];
  if (lineCount > (exceptions[path] ?? FILE_LINES_MAX)) {
    const message = `${lineCount} lines, ${FILE_LINES_MAX} is the limit: split it by suffix`;
    findings.push({ rule: 'file-length', path, line: 1, message });
  }
  if (isTest(path)) return findings;
  for (const { name, line, lineCount: lines } of functionsOf(source)) {
    if (lines <= (exceptions[`${path}#${name}`] ?? FUNCTION_LINES_MAX)) continue;
    const message = `${name} has ${lines} lines, ${FUNCTION_LINES_MAX} is the limit`;
    findings.push({ rule: 'function-length', path, line, message });
  }
  return findings;
}

/** An exception that is not needed any more, or not at that size, must go or shrink. */
export function exceptionRules(
  sources: readonly Source[],
  exceptions: Readonly<Record<string, number>>,
  baseline: Readonly<Record<string, number>>,
): Finding[] {
  const actual = new Map<string, number>();
  for (const source of sources) {
    actual.set(source.path, source.lineCount);
    for (const { name, lineCount } of functionsOf(source)) {
      const key = `${source.path}#${name}`;
      actual.set(key, Math.max(lineCount, actual.get(key) ?? 0));
    }
  }
  return Object.entries(exceptions).flatMap(([key, listed]) => {
    const report = (message: string): Finding[] => [
      { rule: 'ratchet', path: 'scripts/tidy/exceptions.json', line: 1, message },
    ];
    if (listed > (baseline[key] ?? 0)) return report(`${key}: the list may only shrink`);
    const now = actual.get(key) ?? 0;
    const limit = key.includes('#') ? FUNCTION_LINES_MAX : FILE_LINES_MAX;
    if (now <= limit) return report(`${key}: not needed any more, drop it`);
    return now < listed ? report(`${key}: has ${now} lines now, lower it from ${listed}`) : [];
  });
}

const KERNEL_PATH =
  /^(?:arch|block|drivers|fs|include|init|kernel|lib|mm|net|security|tools|virt)\/[\w./-]+\.[chS]$/;
// On a line of their own, or behind the words of one: `/** What it does. @kernel symbol path @rfc 768 */`.
const TAGS =
  /(?<=\s)@(kernel|rfc|deviation)\b[ \t]*(.*?)\s*(?=\*\/|$|\s@(?:kernel|rfc|deviation)\b)/g;

export interface Tag {
  readonly kind: 'kernel' | 'rfc' | 'deviation';
  readonly text: string;
  readonly line: number;
  readonly endLine: number;
}

/** The `@kernel`, `@rfc` and `@deviation` lines of the comments; a deviation may run over several lines. */
export function tagsOf(source: Source): Tag[] {
  const tags: Tag[] = [];
  for (const comment of source.comments) {
    if (!comment.text.startsWith('/**')) continue;
    const lines = comment.text.split('\n');
    for (let i = 0; i < lines.length; i++) {
      for (const match of (lines[i] as string).matchAll(TAGS)) {
        const text = [match[2] as string];
        while (match[1] === 'deviation' && /^\s*\* +[^@\s/]/.test(lines[i + text.length] ?? '')) {
          text.push((lines[i + text.length] as string).replace(/^\s*\*\s*|\s*\*\/$/g, ''));
        }
        tags.push({
          kind: match[1] as Tag['kind'],
          text: text.join(' '),
          line: comment.line + i,
          endLine: comment.endLine,
        });
      }
    }
  }
  return tags;
}

/** Tags have the shape that the generated documents need. */
export function tagRules(source: Source): Finding[] {
  const { path } = source;
  if (!inSrc(path)) return [];
  return tagsOf(source).flatMap(({ kind, text, line }) => {
    const report = (message: string): Finding[] => [{ rule: 'tag', path, line, message }];
    if (kind === 'kernel') {
      const [symbol = '', file = '', ...more] = text.split(/\s+/);
      const ok = /^\w+$/.test(symbol) && KERNEL_PATH.test(file) && more.length === 0;
      return ok ? [] : report(`'@kernel ${text}' is not '@kernel symbol path/in/linux.c'`);
    }
    if (kind === 'rfc') {
      return /^\d+(?:#[\w.]+)?$/.test(text) ? [] : report(`'@rfc ${text}' is not '@rfc 5681#3.2'`);
    }
    return text.length >= 10 ? [] : report('a @deviation says what differs, in words');
  });
}

/** Every folder of src/ has a README of 5 to 20 lines. `folders` are relative to the repository. */
export function readmeRules(
  folders: readonly string[],
  readme: (folder: string) => string | null,
): Finding[] {
  return folders.flatMap((folder) => {
    const path = `${folder}/README.md`;
    const text = readme(folder);
    if (text === null) return [{ rule: 'readme', path, line: 1, message: 'is missing' }];
    const lines = text.trimEnd().split('\n').length;
    if (lines >= 5 && lines <= 20) return [];
    return [{ rule: 'readme', path, line: 1, message: `has ${lines} lines, not 5 to 20` }];
  });
}

/** Cycles of value imports, each reported once at its first file. */
export function cycleRules(sources: readonly Source[]): Finding[] {
  const edges = new Map<string, string[]>();
  for (const source of sources) {
    if (!inSrc(source.path) || isTest(source.path)) continue;
    const targets = importsOf(source)
      .filter(({ typeOnly, specifier }) => !typeOnly && specifier.startsWith('#'))
      .map(({ specifier }) => `src/${specifier.slice(1)}`);
    edges.set(source.path, targets);
  }
  const state = new Map<string, 'open' | 'done'>();
  const findings: Finding[] = [];
  const trail: string[] = [];
  const visit = (path: string): void => {
    state.set(path, 'open');
    trail.push(path);
    for (const target of edges.get(path) ?? []) {
      if (state.get(target) === 'open') {
        const cycle = [...trail.slice(trail.indexOf(target)), target];
        findings.push({ rule: 'cycle', path: target, line: 1, message: cycle.join(' -> ') });
      } else if (!state.has(target) && edges.has(target)) {
        visit(target);
      }
    }
    trail.pop();
    state.set(path, 'done');
  };
  for (const path of edges.keys()) if (!state.has(path)) visit(path);
  return findings;
}
