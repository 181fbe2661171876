/** What programs print, passed on to our own streams; and colour, where somebody watches. */
import { readSync } from 'node:fs';
import { styleText } from 'node:util';
import type { Input, Output } from '#user/lib/streams.ts';

type Style = Parameters<typeof styleText>[0];

/** Paints text for a stream: on terminals only, and not where NO_COLOR says otherwise. */
export function painter(stream: NodeJS.WriteStream): (style: Style, text: string) => string {
  const coloured = stream.isTTY === true && stream.hasColors();
  return (style, text) => (coloured ? styleText(style, text) : text);
}

/** Passes bytes to one of our own streams as they are. */
export function passTo(stream: NodeJS.WriteStream): Output {
  return {
    write: (bytes) => {
      // Programs may reuse their buffers, and a stream may take its time.
      stream.write(bytes.slice());
      return true;
    },
    ready: () => null,
    close: () => {},
  };
}

const NEWLINE = 10;

/** Passes whole lines to a stream, each behind a label that says which machine speaks. */
export class LabelledOutput implements Output {
  private readonly stream: { write(bytes: Uint8Array | string): unknown };
  private readonly label: string;
  private rest: Uint8Array[];

  constructor(stream: { write(bytes: Uint8Array | string): unknown }, label: string) {
    this.stream = stream;
    this.label = label;
    this.rest = [];
  }

  write(bytes: Uint8Array): boolean {
    let from = 0;
    for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, from)) {
      this.rest.push(bytes.slice(from, at + 1));
      this.flush();
      from = at + 1;
    }
    if (from < bytes.length) this.rest.push(bytes.slice(from));
    return true;
  }

  ready(): Promise<void> | null {
    return null;
  }

  /** A last line without an end gets one. */
  close(): void {
    if (this.rest.length === 0) return;
    this.rest.push(Uint8Array.of(NEWLINE));
    this.flush();
  }

  private flush(): void {
    this.stream.write(this.label);
    for (const part of this.rest) this.stream.write(part);
    this.rest = [];
  }
}

/**
 * Our own standard input, for one program. Virtual time stands still while somebody types, so that
 * what they type, and not when, decides the run. Nothing is read before the program asks.
 */
export function standardInput(): Input {
  let open = true;
  const buffer = new Uint8Array(65536);
  return {
    read: () => {
      if (!open) return Promise.resolve(null);
      const length = readBlocking(buffer);
      if (length === 0) open = false;
      return Promise.resolve(length === 0 ? null : buffer.slice(0, length));
    },
    close: () => {
      open = false;
    },
  };
}

function readBlocking(buffer: Uint8Array): number {
  for (;;) {
    try {
      return readSync(0, buffer);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A closed standard input has nothing to say; one that does not block is asked again.
      if (code === 'EOF' || code === 'EBADF' || code === 'EISDIR') return 0;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}
