/**
 * Descriptions of worlds in YAML: the text into a checked {@link TopologySpec}, and where it is wrong,
 * with the line. Reading files is the command's business, so that a browser can use this as well.
 */
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { parseTopology, TopologyError, type TopologySpec } from '#sim/topology.ts';

/** Aliases may not blow a small file up to a large object. */
const MAX_ALIASES = 100;

/** A text that is no description of a world. */
export class TopologyTextError extends Error {
  override readonly name = 'TopologyTextError';
  /** Line, counted from 1; null: not in one line. */
  readonly line: number | null;

  constructor(line: number | null, problem: string) {
    super(problem);
    this.line = line;
  }
}

interface Yaml {
  readonly value: unknown;
  /** Line of what a path of keys like `topology.links[2]` names; null: not in the text. */
  readonly lineOf: (where: string) => number | null;
}

/** The description in a text. Throws TopologyTextError. */
export function readTopologyYaml(text: string): TopologySpec {
  const { value, lineOf } = readYaml(text);
  try {
    return parseTopology(value);
  } catch (error) {
    if (!(error instanceof TopologyError)) throw error;
    throw new TopologyTextError(lineOf(error.where), error.message);
  }
}

function readYaml(text: string): Yaml {
  const lines = new LineCounter();
  let document: Document;
  try {
    document = parseDocument(text, { prettyErrors: true, lineCounter: lines });
  } catch (error) {
    // Brackets within brackets, deeper than the parser's stack.
    if (error instanceof RangeError) throw new TopologyTextError(null, 'is nested too deeply');
    throw error;
  }
  const [error] = document.errors;
  if (error !== undefined) {
    throw new TopologyTextError(error.linePos?.[0].line ?? null, error.message);
  }
  try {
    return {
      value: document.toJS({ maxAliasCount: MAX_ALIASES }),
      lineOf: (where) => lineOf(document, lines, where),
    };
  } catch (problem) {
    throw new TopologyTextError(null, problem instanceof Error ? problem.message : String(problem));
  }
}

/** Follows a path of keys as far as the text goes. */
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
