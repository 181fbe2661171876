/*
 * `$((...))`: whole numbers as C computes them. A subset of POSIX.1, section 2.6.4: no assignments.
 */

export class ArithmeticError extends Error {}

/** Binary operators by how tightly they bind, loosest first. */
const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<=', '>=', '<', '>'],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
];

const TOKEN = /\s*(0[xX][0-9a-fA-F]+|[0-9]+|[A-Za-z_][A-Za-z0-9_]*|\|\||&&|==|!=|<=|>=|<<|>>|.)/y;

class Evaluator {
  private readonly tokens: readonly string[];
  private readonly lookUp: (name: string) => string;
  private at: number;

  constructor(text: string, lookUp: (name: string) => string) {
    const tokens: string[] = [];
    TOKEN.lastIndex = 0;
    for (let m = TOKEN.exec(text.trim()); m !== null; m = TOKEN.exec(text.trim())) {
      tokens.push(m[1] as string);
    }
    this.tokens = tokens;
    this.lookUp = lookUp;
    this.at = 0;
  }

  run(): number {
    if (this.tokens.length === 0) return 0;
    const value = this.conditional();
    const rest = this.tokens[this.at];
    if (rest !== undefined)
      throw new ArithmeticError(`arithmetic expression: unexpected '${rest}'`);
    return value;
  }

  private accept(text: string): boolean {
    if (this.tokens[this.at] !== text) return false;
    this.at++;
    return true;
  }

  private expect(text: string): void {
    if (!this.accept(text)) throw new ArithmeticError(`arithmetic expression: expecting '${text}'`);
  }

  private conditional(): number {
    const condition = this.level(0);
    if (!this.accept('?')) return condition;
    const yes = this.conditional();
    this.expect(':');
    const no = this.conditional();
    return condition !== 0 ? yes : no;
  }

  private level(depth: number): number {
    const operators = LEVELS[depth];
    if (operators === undefined) return this.unary();
    let left = this.level(depth + 1);
    for (;;) {
      const op = this.tokens[this.at];
      if (op === undefined || !operators.includes(op)) return left;
      this.at++;
      left = compute(op, left, this.level(depth + 1));
    }
  }

  private unary(): number {
    if (this.accept('-')) return -this.unary();
    if (this.accept('+')) return this.unary();
    if (this.accept('~')) return -this.unary() - 1;
    if (this.accept('!')) return this.unary() === 0 ? 1 : 0;
    if (this.accept('(')) {
      const value = this.conditional();
      this.expect(')');
      return value;
    }
    const token = this.tokens[this.at++] ?? '';
    const text = /^[A-Za-z_]/.test(token) ? this.lookUp(token) || '0' : token;
    return parseNumber(text);
  }
}

/** Decimal, hexadecimal with 0x, octal with 0. */
function parseNumber(text: string): number {
  if (/^(?:0[xX][0-9a-fA-F]+|[1-9][0-9]*|0)$/.test(text)) return Number(text);
  if (/^0[0-7]+$/.test(text)) return Number.parseInt(text, 8);
  throw new ArithmeticError(`arithmetic expression: expecting primary: '${text}'`);
}

function compute(op: string, a: number, b: number): number {
  switch (op) {
    case '||':
      return a !== 0 || b !== 0 ? 1 : 0;
    case '&&':
      return a !== 0 && b !== 0 ? 1 : 0;
    case '==':
      return a === b ? 1 : 0;
    case '!=':
      return a !== b ? 1 : 0;
    case '<':
      return a < b ? 1 : 0;
    case '>':
      return a > b ? 1 : 0;
    case '<=':
      return a <= b ? 1 : 0;
    case '>=':
      return a >= b ? 1 : 0;
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '<<':
      return a * 2 ** b;
    case '>>':
      return Math.floor(a / 2 ** b);
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    default:
      if (b === 0) throw new ArithmeticError('arithmetic expression: division by zero');
      return op === '/' ? Math.trunc(a / b) : a % b;
  }
}

/** The value of an expression; `lookUp` gives those of variables. @throws ArithmeticError */
export function evaluateArithmetic(text: string, lookUp: (name: string) => string): number {
  return new Evaluator(text, lookUp).run();
}
