/**
 * An assembler for the part of the WebAssembly text format that src/lib/wasm uses: one module, an imported
 * memory, functions with named parameters and locals, folded instructions. What it does not know it refuses
 * by name and line. WebAssembly 2.0 core specification, chapters 5 (binary format) and 6 (text format).
 */

/** An atom with the line that it stands on, or a list. */
type Node = Atom | List;
interface Atom {
  readonly text: string;
  readonly line: number;
}
interface List {
  readonly items: Node[];
  readonly line: number;
}

const isList = (n: Node | undefined): n is List => n !== undefined && 'items' in n;

class WatError extends Error {
  constructor(line: number, what: string) {
    super(`line ${line}: ${what}`);
    this.name = 'WatError';
  }
}

/** Reads the one top-level list of a source text. */
function parse(source: string): List {
  const stack: List[] = [{ items: [], line: 1 }];
  source.split('\n').forEach((text, i) => {
    const line = i + 1;
    const tokens = text.replace(/;;.*$/, '').match(/\(|\)|"[^"]*"|[^\s()"]+/g) ?? [];
    for (const token of tokens) {
      const top = stack[stack.length - 1] as List;
      if (token === '(') {
        const list: List = { items: [], line };
        top.items.push(list);
        stack.push(list);
      } else if (token === ')') {
        stack.pop();
        if (stack.length === 0) throw new WatError(line, 'one ) too many');
      } else {
        top.items.push({ text: token, line });
      }
    }
  });
  const root = stack[0]?.items[0];
  if (stack.length !== 1 || !isList(root)) throw new WatError(1, 'unbalanced parentheses');
  return root;
}

const VALUE_TYPES: Readonly<Record<string, number>> = { i32: 0x7f, i64: 0x7e, v128: 0x7b };

/** Instructions without immediates. Three-byte ones are SIMD (0xfd), behind a prefix. */
const PLAIN: Readonly<Record<string, readonly number[]>> = {
  select: [0x1b],
  'i32.eqz': [0x45],
  'i32.lt_u': [0x49],
  'i32.ge_u': [0x4f],
  'i32.add': [0x6a],
  'i32.sub': [0x6b],
  'i32.and': [0x71],
  'i32.or': [0x72],
  'i32.shl': [0x74],
  'i32.shr_u': [0x76],
  'i64.add': [0x7c],
  'i64.and': [0x83],
  'i64.shr_u': [0x88],
  'i32.wrap_i64': [0xa7],
  'i64.extend_i32_u': [0xad],
  'memory.copy': [0xfc, 10, 0, 0],
  'i32x4.extadd_pairwise_i16x8_u': [0xfd, 0x7f],
  'i32x4.add': [0xfd, 0xae, 0x01],
};

/** Loads and stores, each with the logarithm of its natural alignment. */
const MEMORY: Readonly<Record<string, readonly [opcode: readonly number[], align: number]>> = {
  'i32.load': [[0x28], 2],
  'i32.load8_u': [[0x2d], 0],
  'i32.load16_u': [[0x2f], 1],
  'i64.load8_u': [[0x31], 0],
  'i64.load16_u': [[0x33], 1],
  'i64.load32_u': [[0x35], 2],
  'i32.store': [[0x36], 2],
  'i32.store8': [[0x3a], 0],
  'i32.store16': [[0x3b], 1],
  'v128.load': [[0xfd, 0], 4],
  'v128.store': [[0xfd, 11], 4],
};

function unsignedLeb(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest = Math.floor(rest / 128);
    out.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return out;
}

function signedLeb(value: bigint): number[] {
  const out: number[] = [];
  for (let rest = value; ; ) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
    out.push(done ? low : low | 0x80);
    if (done) return out;
  }
}

const vector = (items: readonly number[][]): number[] => [
  ...unsignedLeb(items.length),
  ...items.flat(),
];
const name = (text: string): number[] =>
  vector([...new TextEncoder().encode(text)].map((b) => [b]));
const section = (id: number, body: readonly number[]): number[] => [
  id,
  ...unsignedLeb(body.length),
  ...body,
];
const unquote = (text: string): string => text.slice(1, -1);

interface Func {
  readonly id: string;
  readonly exported: string | null;
  readonly params: readonly string[];
  readonly result: readonly string[];
  readonly locals: readonly string[];
  /** Parameters first, as the indices run. */
  readonly names: readonly string[];
  readonly body: readonly Node[];
}

function head(list: List): string {
  const first = list.items[0];
  if (first === undefined || isList(first)) throw new WatError(list.line, 'a keyword is due');
  return first.text;
}

function atom(list: List, index: number): string {
  const item = list.items[index];
  if (item === undefined || isList(item)) throw new WatError(list.line, `word ${index} is missing`);
  return item.text;
}

function readFunc(list: List): Func {
  const params: string[] = [];
  const locals: string[] = [];
  const paramNames: string[] = [];
  const localNames: string[] = [];
  const result: string[] = [];
  let exported: string | null = null;
  let at = 2;
  for (; at < list.items.length; at++) {
    const item = list.items[at];
    if (!isList(item)) break;
    const kind = head(item);
    if (kind === 'export') exported = unquote(atom(item, 1));
    else if (kind === 'result') result.push(atom(item, 1));
    else if (kind === 'param') {
      paramNames.push(atom(item, 1));
      params.push(atom(item, 2));
    } else if (kind === 'local') {
      localNames.push(atom(item, 1));
      locals.push(atom(item, 2));
    } else break;
  }
  const names = [...paramNames, ...localNames];
  return { id: atom(list, 1), exported, params, result, locals, names, body: list.items.slice(at) };
}

/** Writes the instructions of one function; `labels` is innermost first, null for an if. */
class Body {
  private readonly func: Func;
  private readonly functions: readonly Func[];
  private readonly out: number[] = [];

  constructor(func: Func, functions: readonly Func[]) {
    this.func = func;
    this.functions = functions;
  }

  assemble(): number[] {
    for (const node of this.func.body) this.emit(node, []);
    const locals = vector(this.func.locals.map((type) => [1, valueType(type)]));
    const code = [...locals, ...this.out, 0x0b];
    return [...unsignedLeb(code.length), ...code];
  }

  private operands(list: List, from: number, labels: readonly (string | null)[]): void {
    for (const node of list.items.slice(from)) this.emit(node, labels);
  }

  private emit(node: Node, labels: readonly (string | null)[]): void {
    if (!isList(node)) throw new WatError(node.line, `${node.text}: only folded instructions`);
    const op = head(node);
    const plain = PLAIN[op];
    const memory = MEMORY[op];
    if (plain !== undefined) {
      this.operands(node, 1, labels);
      this.out.push(...plain);
    } else if (memory !== undefined) {
      this.emitMemory(node, memory[0], memory[1], labels);
    } else if (op === 'block' || op === 'loop') {
      this.out.push(op === 'block' ? 0x02 : 0x03, 0x40);
      this.operands(node, 2, [atom(node, 1), ...labels]);
      this.out.push(0x0b);
    } else if (op === 'if') {
      this.emitIf(node, labels);
    } else {
      this.emitWithImmediate(node, op, labels);
    }
  }

  private emitIf(node: List, labels: readonly (string | null)[]): void {
    const then = node.items[2];
    if (!isList(then) || head(then) !== 'then' || node.items.length !== 3) {
      throw new WatError(node.line, 'if: a condition and (then ...), nothing else');
    }
    this.emit(node.items[1] as Node, labels);
    this.out.push(0x04, 0x40);
    this.operands(then, 1, [null, ...labels]);
    this.out.push(0x0b);
  }

  private emitMemory(
    node: List,
    opcode: readonly number[],
    align: number,
    labels: readonly (string | null)[],
  ): void {
    const first = node.items[1];
    const offset = isList(first) ? null : (/^offset=(\d+)$/.exec(first?.text ?? '')?.[1] ?? null);
    this.operands(node, offset === null ? 1 : 2, labels);
    this.out.push(...opcode, align, ...unsignedLeb(Number(offset ?? 0)));
  }

  private emitWithImmediate(node: List, op: string, labels: readonly (string | null)[]): void {
    const { out } = this;
    switch (op) {
      case 'i32.const':
        out.push(0x41, ...signedLeb(BigInt.asIntN(32, BigInt(atom(node, 1)))));
        return;
      case 'i64.const':
        out.push(0x42, ...signedLeb(BigInt.asIntN(64, BigInt(atom(node, 1)))));
        return;
      case 'v128.const':
        if (node.items.slice(2).some((n) => isList(n) || n.text !== '0')) {
          throw new WatError(node.line, 'v128.const: only zero');
        }
        out.push(0xfd, 12, ...new Array<number>(16).fill(0));
        return;
      case 'local.get':
        out.push(0x20, ...this.local(node));
        return;
      case 'local.set':
      case 'local.tee': {
        this.operands(node, 2, labels);
        out.push(op === 'local.set' ? 0x21 : 0x22, ...this.local(node));
        return;
      }
      case 'i32x4.extract_lane':
        this.operands(node, 2, labels);
        out.push(0xfd, 27, Number(atom(node, 1)));
        return;
      case 'call': {
        const index = this.functions.findIndex((f) => f.id === atom(node, 1));
        if (index < 0) throw new WatError(node.line, `no function ${atom(node, 1)}`);
        this.operands(node, 2, labels);
        out.push(0x10, ...unsignedLeb(index));
        return;
      }
      case 'br':
      case 'br_if': {
        const depth = labels.indexOf(atom(node, 1));
        if (depth < 0) throw new WatError(node.line, `no label ${atom(node, 1)}`);
        this.operands(node, 2, labels);
        out.push(op === 'br' ? 0x0c : 0x0d, ...unsignedLeb(depth));
        return;
      }
      default:
        throw new WatError(node.line, `unknown instruction ${op}`);
    }
  }

  private local(node: List): number[] {
    const index = this.func.names.indexOf(atom(node, 1));
    if (index < 0) throw new WatError(node.line, `no local ${atom(node, 1)}`);
    return unsignedLeb(index);
  }
}

function valueType(type: string): number {
  const code = VALUE_TYPES[type];
  if (code === undefined) throw new WatError(0, `unknown type ${type}`);
  return code;
}

/** The binary of a module in text form. Throws an error that names line and cause. */
export function assembleWat(source: string): Uint8Array<ArrayBuffer> {
  const module = parse(source);
  if (head(module) !== 'module') throw new WatError(module.line, '(module ...) is due');
  const functions: Func[] = [];
  const imports: number[][] = [];
  for (const item of module.items.slice(1)) {
    if (!isList(item)) throw new WatError(item.line, `unexpected ${item.text}`);
    const kind = head(item);
    if (kind === 'func') {
      functions.push(readFunc(item));
    } else if (kind === 'import' && isList(item.items[3]) && head(item.items[3]) === 'memory') {
      const min = Number(atom(item.items[3], 1));
      imports.push([...name(unquote(atom(item, 1))), ...name(unquote(atom(item, 2))), 2, 0, min]);
    } else {
      throw new WatError(item.line, `unknown field ${kind}`);
    }
  }
  const types = functions.map((f) => [
    0x60,
    ...vector(f.params.map((t) => [valueType(t)])),
    ...vector(f.result.map((t) => [valueType(t)])),
  ]);
  const exports = functions.flatMap((f, i) =>
    f.exported === null ? [] : [[...name(f.exported), 0, ...unsignedLeb(i)]],
  );
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(types)),
    ...section(2, vector(imports)),
    ...section(3, vector(functions.map((_, i) => unsignedLeb(i)))),
    ...section(7, vector(exports)),
    ...section(10, vector(functions.map((f) => new Body(f, functions).assemble()))),
  ]);
}
