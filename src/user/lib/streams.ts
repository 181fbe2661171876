/*
 * The standard streams of a program: where its bytes come from and go to. Whoever starts the program gives
 * them: a terminal, a test that collects text, a pipe between two programs of a shell.
 */

/** Bytes to read. */
export interface Input {
  /** The next bytes; null at the end. */
  read(): Promise<Uint8Array | null>;
  /** Nobody will read on: the writer should stop. */
  close(): void;
}

/** Bytes to write. */
export interface Output {
  /** Takes the bytes; false when nobody reads them any more (EPIPE). The bytes must not change later. */
  write(bytes: Uint8Array): boolean;
  /** Resolves when more should be written; null: at once. */
  ready(): Promise<void> | null;
  /** No more will be written. */
  close(): void;
}

/** What collects bytes refuses more than this, unless told otherwise. */
const COLLECT_BYTES = 256 * 1024 * 1024;

const encoder = new TextEncoder();

/** UTF-8 octets of a text. */
export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Text of UTF-8 octets; what is none becomes U+FFFD. */
export function decodeText(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** All bytes of a list, one after the other. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** An input without bytes, like /dev/null. */
export const NO_INPUT: Input = {
  read: () => Promise.resolve(null),
  close: () => {},
};

/** An output that forgets, like /dev/null. */
export const NO_OUTPUT: Output = {
  write: () => true,
  ready: () => null,
  close: () => {},
};

/** An input of bytes that are known. */
export function inputFrom(bytes: Uint8Array): Input {
  let rest: Uint8Array | null = bytes.length > 0 ? bytes : null;
  return {
    read: () => {
      const now = rest;
      rest = null;
      return Promise.resolve(now);
    },
    close: () => {
      rest = null;
    },
  };
}

/** An output that keeps what it was given. */
export class Collector implements Output {
  private readonly parts: Uint8Array[];
  private readonly limit: number;
  private held: number;

  /** @param limit bytes kept; what comes after them is refused, as a closed pipe would */
  constructor(limit: number = COLLECT_BYTES) {
    this.parts = [];
    this.limit = limit;
    this.held = 0;
  }

  write(bytes: Uint8Array): boolean {
    if (this.held + bytes.length > this.limit) return false;
    this.held += bytes.length;
    this.parts.push(bytes);
    return true;
  }

  ready(): Promise<void> | null {
    return null;
  }

  close(): void {}

  bytes(): Uint8Array {
    return concatBytes(this.parts);
  }

  text(): string {
    return decodeText(this.bytes());
  }
}

/** Bytes that a pipe holds before its writer should wait. */
const PIPE_BYTES = 64 * 1024;

/** A pipe in memory between two programs. */
export class Pipe {
  private readonly queue: Uint8Array[];
  private held: number;
  private writerGone: boolean;
  private readerGone: boolean;
  private wakeReader: (() => void) | null;
  private readonly writers: (() => void)[];

  constructor() {
    this.queue = [];
    this.held = 0;
    this.writerGone = false;
    this.readerGone = false;
    this.wakeReader = null;
    this.writers = [];
  }

  /** The end that is read from. */
  get input(): Input {
    return { read: () => this.read(), close: () => this.closeReader() };
  }

  /** The end that is written to. */
  get output(): Output {
    return {
      write: (bytes) => this.write(bytes),
      ready: () => this.ready(),
      close: () => this.closeWriter(),
    };
  }

  private write(bytes: Uint8Array): boolean {
    if (this.readerGone) return false;
    if (bytes.length > 0) {
      this.queue.push(bytes);
      this.held += bytes.length;
      this.wake();
    }
    return true;
  }

  private ready(): Promise<void> | null {
    if (this.readerGone || this.held < PIPE_BYTES) return null;
    return new Promise((resolve) => this.writers.push(resolve));
  }

  private async read(): Promise<Uint8Array | null> {
    while (this.queue.length === 0) {
      if (this.writerGone || this.readerGone) return null;
      await new Promise<void>((resolve) => {
        this.wakeReader = resolve;
      });
    }
    const bytes = this.queue.shift() as Uint8Array;
    this.held -= bytes.length;
    if (this.held < PIPE_BYTES) this.wakeWriters();
    return bytes;
  }

  private closeWriter(): void {
    this.writerGone = true;
    this.wake();
  }

  private closeReader(): void {
    this.readerGone = true;
    this.queue.length = 0;
    this.held = 0;
    this.wake();
    this.wakeWriters();
  }

  private wake(): void {
    const wake = this.wakeReader;
    this.wakeReader = null;
    wake?.();
  }

  private wakeWriters(): void {
    for (const wake of this.writers.splice(0)) wake();
  }
}

/** Everything an input has. */
export async function readAll(input: Input, limit: number = COLLECT_BYTES): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const bytes = await input.read();
    if (bytes === null) return concatBytes(parts);
    length += bytes.length;
    if (length > limit) throw new RangeError(`more than ${limit} bytes of input`);
    parts.push(bytes);
  }
}
