/**
 * Weaves the function tracer into the kernel's sources: each function that Linux has too, by its `@kernel`
 * tag, tells of its entry and exit. Inlines of headers are left out, as Linux's own tracer does not see them
 * either. What is inserted holds no line break, so lines stay where they are.
 *
 *     function ipRcv(skb) { BODY }
 *     function ipRcv(skb) {const __t=…enter(…);let __r;try{ BODY }finally{…leave(…)}}
 *
 * The other half is src/trace/ftrace.ts.
 */
import { parse } from '@babel/parser';

/** A function that was woven: its name in Linux, here, its line, and its file in Linux. */
export type WovenFunction = readonly [name: string, own: string, line: number, kernelFile: string];

export interface Woven {
  readonly code: string;
  readonly functions: readonly WovenFunction[];
}

/** Folders and files below src/ whose functions are traced. */
const TRACED =
  /^src\/(?:net|drivers|fs)\/|^src\/kernel\/(?:softirq|irq|machine|workqueue|rcu)\.ts$|^src\/kernel\/(?:time|sched)\//;

export function isTraced(path: string): boolean {
  return TRACED.test(path) && !path.endsWith('.test.ts') && !path.includes('/testing/');
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly loc: { readonly start: { readonly line: number } };
  readonly leadingComments?: readonly { readonly value: string }[] | null;
}

interface FunctionNode extends Node {
  readonly id: { readonly name: string } | null;
  readonly params: readonly Node[];
  readonly body: Node;
  readonly async: boolean;
  readonly generator: boolean;
}

interface Insertion {
  readonly at: number;
  readonly text: string;
}

const HOOK =
  'globalThis.softnetFtrace??={on:false,functions:[],' +
  'add(f,l){const b=this.functions.length;' +
  'for(const[name,own,line,kernelFile]of l)this.functions.push({name,own,file:f,line,kernelFile});' +
  'return b},enter(){return -1},leave(){}}';

export interface WeaveOptions {
  /** Names in Linux of the functions to weave; all by default. */
  readonly only?: ReadonlySet<string>;
  /** Tells of entries with three parameters, and of exits without results: a smaller and quicker script. */
  readonly bare?: boolean;
}

/** The text of a module with its functions woven, or null when it has none. `path` is relative to the repository. */
export function weave(path: string, text: string, options: WeaveOptions = {}): Woven | null {
  const { only, bare = false } = options;
  const program = parse(text, { sourceType: 'module', plugins: ['typescript'] })
    .program as unknown as { readonly body: readonly Node[] };
  const functions: WovenFunction[] = [];
  const insertions: Insertion[] = [];
  for (const { found, tag } of wholeFunctions(program.body)) {
    if (only !== undefined && !only.has(tag.name)) continue;
    if (bare) weaveBarely(found, functions.length, insertions);
    else weaveFunction(found, functions.length, insertions);
    functions.push([tag.name, found.id?.name ?? '', found.loc.start.line, tag.file]);
  }
  if (functions.length === 0) return null;
  const head =
    `const __ft=${HOOK};` +
    `const __fb=__ft.add(${JSON.stringify(path)},${JSON.stringify(functions)});`;
  insertions.push({ at: text.startsWith('#!') ? text.indexOf('\n') + 1 : 0, text: head });
  return { code: insert(text, insertions), functions };
}

interface Tagged {
  readonly found: FunctionNode;
  readonly tag: { readonly name: string; readonly file: string };
}

/**
 * Functions with a tag. Where several share the work of one of Linux's, the one that has its name, or the
 * only one.
 */
function wholeFunctions(body: readonly Node[]): Tagged[] {
  const all: Tagged[] = [];
  const shares = new Map<string, number>();
  for (const statement of body) {
    const found = functionOf(statement);
    const tag = found === null ? null : kernelTag(statement, found);
    if (found === null || tag === null) continue;
    all.push({ found, tag });
    shares.set(tag.name, (shares.get(tag.name) ?? 0) + 1);
  }
  const bare = (name: string): string => name.replaceAll('_', '').toLowerCase();
  return all.filter(
    ({ found, tag }) => bare(found.id?.name ?? '') === bare(tag.name) || shares.get(tag.name) === 1,
  );
}

/** The function that a statement at the top of a module declares. */
function functionOf(statement: Node): FunctionNode | null {
  let node = statement as Node & { readonly declaration?: Node | null };
  if (node.type === 'ExportNamedDeclaration' && node.declaration != null) node = node.declaration;
  if (node.type !== 'FunctionDeclaration') return null;
  const found = node as unknown as FunctionNode;
  return found.async || found.generator ? null : found;
}

function kernelTag(statement: Node, found: FunctionNode): { name: string; file: string } | null {
  const comment = (statement.leadingComments ?? found.leadingComments ?? []).at(-1);
  if (comment === undefined) return null;
  const tag = /@kernel\s+(\w+)\s+(\S+\.c)(?=\s|$)/.exec(comment.value);
  if (tag === null) return null;
  const [, name = '', file = ''] = tag;
  return { name, file };
}

function weaveFunction(found: FunctionNode, index: number, insertions: Insertion[]): void {
  const names = found.params.slice(0, 4).map(parameterName);
  const args = [0, 1, 2, 3].map((i) => names[i] ?? 'undefined').join(',');
  insertions.push({
    at: found.body.start + 1,
    text: `const __t=__ft.on?__ft.enter(__fb+${index},${args}):-1;let __r;try{`,
  });
  for (const { start, argument } of returnsIn(found.body)) {
    insertions.push({ at: argument.start, text: start < argument.start ? '__r=(' : '' });
    insertions.push({ at: argument.end, text: ')' });
  }
  insertions.push({
    at: found.body.end - 1,
    text: `}finally{if(__t>=0)__ft.leave(__fb+${index},__t,__r)}`,
  });
}

function weaveBarely(found: FunctionNode, index: number, insertions: Insertion[]): void {
  const names = found.params.slice(0, 3).map(parameterName);
  while (names.at(-1) === 'undefined') names.pop();
  const args = [`__fb+${index}`, ...names].join(',');
  insertions.push({
    at: found.body.start + 1,
    text: `const __t=__ft.on?__ft.enter(${args}):-1;try{`,
  });
  insertions.push({
    at: found.body.end - 1,
    text: `}finally{if(__t>=0)__ft.leave(__fb+${index},__t)}`,
  });
}

/** `undefined` for what is taken apart at once. */
function parameterName(param: Node): string {
  const { type, name, left } = param as Node & {
    readonly name?: string;
    readonly left?: Node & { readonly name?: string };
  };
  if (type === 'Identifier' && name !== undefined) return name;
  if (type === 'AssignmentPattern' && left?.type === 'Identifier') return left.name ?? 'undefined';
  return 'undefined';
}

interface Return extends Node {
  readonly argument: Node;
}

/** Return statements of a function that return something; not those of functions within. */
function returnsIn(body: Node): Return[] {
  const found: Return[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) {
      for (const item of value) visit(item);
      return;
    }
    if (typeof value !== 'object' || value === null || !('type' in value)) return;
    const node = value as Node & Record<string, unknown>;
    if (/Function|^ObjectMethod$|^Class/.test(node.type)) return;
    if (node.type === 'ReturnStatement' && node['argument'] != null) {
      found.push(node as unknown as Return);
    }
    for (const key of Object.keys(node)) {
      if (key !== 'loc' && !key.endsWith('Comments')) visit(node[key]);
    }
  };
  visit(body);
  return found;
}

/** Text with insertions; of those at one place, the one that was asked for first comes first. */
function insert(text: string, insertions: readonly Insertion[]): string {
  const sorted = insertions.map((item, order) => ({ ...item, order }));
  sorted.sort((a, b) => a.at - b.at || a.order - b.order);
  let out = '';
  let at = 0;
  for (const item of sorted) {
    out += text.slice(at, item.at) + item.text;
    at = item.at;
  }
  return out + text.slice(at);
}
