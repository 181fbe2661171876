/** Reads topology files: YAML, or a module that exports `topology`. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { fileProblem, UsageError } from '#cli/errors.ts';
import { parseTopology, TopologyError, type TopologySpec } from '#sim/topology.ts';

/** Files larger than this are no topology. */
const MAX_BYTES = 1024 * 1024;

/** Aliases may not blow a small file up to a large object. */
const MAX_ALIASES = 100;

/** The description in a file. Throws UsageError that names file, line and what is wrong. */
export async function readTopology(path: string): Promise<TopologySpec> {
  if (/\.[cm]?[jt]s$/.test(path)) return checked(path, await importTopology(path), () => null);
  const { value, lineOf } = readYaml(path);
  return checked(path, value, lineOf);
}

function checked(
  path: string,
  value: unknown,
  lineOf: (where: string) => number | null,
): TopologySpec {
  try {
    return parseTopology(value);
  } catch (error) {
    if (!(error instanceof TopologyError)) throw error;
    const line = lineOf(error.where);
    throw new UsageError(`${path}${line === null ? '' : `:${line}`}: ${error.message}`);
  }
}

function readText(path: string): string {
  try {
    const stat = statSync(path);
    // Pipes are fine, e.g. <(generator).
    if (stat.isDirectory()) throw new UsageError(`${path}: is a folder`);
    const { size } = stat;
    if (size > MAX_BYTES) {
      throw new UsageError(`${path}: ${size} bytes are too many for a topology`);
    }
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${path}: ${fileProblem(error)}`);
  }
}

interface Yaml {
  readonly value: unknown;
  /** Line of what a path of keys like `topology.links[2]` names; null: not in the file. */
  readonly lineOf: (where: string) => number | null;
}

function readYaml(path: string): Yaml {
  const text = readText(path);
  const lines = new LineCounter();
  let document: Document;
  try {
    document = parseDocument(text, { prettyErrors: true, lineCounter: lines });
  } catch (error) {
    // Brackets within brackets, deeper than the parser's stack.
    if (error instanceof RangeError) throw new UsageError(`${path}: is nested too deeply`);
    throw error;
  }
  const [error] = document.errors;
  if (error !== undefined) {
    const line = error.linePos?.[0].line;
    throw new UsageError(`${path}${line === undefined ? '' : `:${line}`}: ${error.message}`);
  }
  try {
    return {
      value: document.toJS({ maxAliasCount: MAX_ALIASES }),
      lineOf: (where) => lineOf(document, lines, where),
    };
  } catch (problem) {
    throw new UsageError(
      `${path}: ${problem instanceof Error ? problem.message : String(problem)}`,
    );
  }
}

/** Follows a path of keys as far as the file goes. */
function lineOf(document: Document, lines: LineCounter, where: string): number | null {
  let node: unknown = document.contents;
  let line: number | null = null;
  let rest = where;
  for (;;) {
    const step = stepInto(node, rest);
    if (step === null) return line;
    if (step.offset !== null) line = lines.linePos(step.offset).line;
    node = step.node;
    rest = step.rest;
  }
}

interface Step {
  readonly node: unknown;
  readonly offset: number | null;
  readonly rest: string;
}

const offsetOf = (node: unknown): number | null =>
  isNode(node) ? (node.range?.[0] ?? null) : null;

/** One step of a path: a key of a mapping, which may contain dots itself, or an index. */
function stepInto(node: unknown, path: string): Step | null {
  const rest = path.replace(/^\./, '');
  if (rest === '') return null;
  if (isSeq(node)) {
    const index = /^\[([0-9]+)\]/.exec(rest);
    if (index === null) return null;
    const item = node.items[Number(index[1])];
    return { node: item, offset: offsetOf(item), rest: rest.slice(index[0].length) };
  }
  if (!isMap(node)) return null;
  for (const { key, value } of node.items) {
    const name = isScalar(key) ? String(key.value) : null;
    if (name === null || !rest.startsWith(name)) continue;
    const after = rest.slice(name.length);
    if (after === '' || after.startsWith('.') || after.startsWith('[')) {
      return { node: value, offset: offsetOf(key), rest: after };
    }
  }
  return null;
}

async function importTopology(path: string): Promise<unknown> {
  const exports = await importModule(path);
  const exported = exports['topology'] ?? exports['default'];
  if (exported === undefined) throw new UsageError(`${path}: exports no \`topology\``);
  const value: unknown =
    typeof exported === 'function' ? await (exported as () => unknown)() : exported;
  return typeof value === 'object' && value !== null && !('topology' in value)
    ? { topology: value }
    : value;
}

type Exports = Record<string, unknown>;

async function importModule(path: string): Promise<Exports> {
  readText(path);
  const url = pathToFileURL(resolve(path)).href;
  try {
    return (await import(url)) as Exports;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_UNKNOWN_FILE_EXTENSION') {
      throw new UsageError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  // Node reads TypeScript itself from 22.18 on; before that, tsx does, where it is installed.
  // It is no dependency of the package, so its name must not be resolved when that is built.
  const loader = 'tsx/esm/api';
  const tsx = (await import(loader).catch(() => null)) as {
    tsImport(specifier: string, parent: string): Promise<Exports>;
  } | null;
  if (tsx === null) {
    throw new UsageError(
      `${path}: Node ${process.versions.node} does not read TypeScript; Node 22.18 does, or install tsx`,
    );
  }
  try {
    return await tsx.tsImport(url, import.meta.url);
  } catch (error) {
    throw new UsageError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
