/** Columns of numbers that grow: what a recording is made of. A million steps must fit and be quick to scan. */

type NumberArray = Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

export class Column<T extends NumberArray> {
  private array: T;
  private readonly make: (length: number) => T;
  length: number;

  constructor(make: (length: number) => T, first: number) {
    this.make = make;
    this.array = make(first);
    this.length = 0;
  }

  push(value: number): void {
    if (this.length === this.array.length) {
      const larger = this.make(this.array.length * 2);
      larger.set(this.array);
      this.array = larger;
    }
    this.array[this.length++] = value;
  }

  get(index: number): number {
    return this.array[index] ?? 0;
  }

  set(index: number, value: number): void {
    this.array[index] = value;
  }

  /** A copy of the values from `from` on. */
  copy(from: number, to: number = this.length): T {
    return this.array.slice(from, to) as T;
  }
}

/** Numbers that a column has room for at first, unless told otherwise. */
const FIRST = 1024;

export const float64 = (first: number = FIRST): Column<Float64Array> =>
  new Column((n) => new Float64Array(n), first);
export const int32 = (first: number = FIRST): Column<Int32Array> =>
  new Column((n) => new Int32Array(n), first);
export const uint16 = (first: number = FIRST): Column<Uint16Array> =>
  new Column((n) => new Uint16Array(n), first);
export const uint8 = (first: number = FIRST): Column<Uint8Array> =>
  new Column((n) => new Uint8Array(n), first);
