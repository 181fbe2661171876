/** What programs print, passed on to our own streams; and colour, where somebody watches. */
import { readSync, writeSync } from 'node:fs';
import { styleText } from 'node:util';
import { concatBytes, encodeText, type Input, type Output } from '#user/lib/streams.ts';

type Style = Parameters<typeof styleText>[0];

/** Paints text for a stream: on terminals only, and not where NO_COLOR says otherwise. */
export function painter(stream: NodeJS.WriteStream): (style: Style, text: string) => string {
  const coloured = stream.isTTY === true && stream.hasColors();
  return (style, text) => (coloured ? styleText(style, text) : text);
}

const sleeper = (): Int32Array => new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes to a descriptor as programs of the real kernel do: at the reader's pace, and false when
 * nobody reads any more. Virtual time stands still meanwhile.
 */
function writeBlocking(fd: number, bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') return false;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(sleeper(), 0, 0, 1);
    }
  }
  return true;
}

/** Our own standard output (1) or standard error (2), for programs. */
export function passTo(fd: 1 | 2): Output {
  return {
    write: (bytes) => writeBlocking(fd, bytes),
    ready: () => null,
    close: () => {},
  };
}

const NEWLINE = 10;

/** Passes whole lines on, each behind a label that says which machine speaks. */
export class LabelledOutput implements Output {
  private readonly fd: 1 | 2;
  private readonly label: Uint8Array;
  private rest: Uint8Array[];

  constructor(fd: 1 | 2, label: string) {
    this.fd = fd;
    this.label = encodeText(label);
    this.rest = [];
  }

  write(bytes: Uint8Array): boolean {
    const lines: Uint8Array[] = [];
    let from = 0;
    for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, from)) {
      lines.push(this.label, ...this.rest, bytes.subarray(from, at + 1));
      this.rest = [];
      from = at + 1;
    }
    // Programs may reuse their buffers.
    if (from < bytes.length) this.rest.push(bytes.slice(from));
    return writeBlocking(this.fd, concatBytes(lines));
  }

  ready(): Promise<void> | null {
    return null;
  }

  /** A last line without an end gets one. */
  close(): void {
    if (this.rest.length > 0) this.write(Uint8Array.of(NEWLINE));
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
      Atomics.wait(sleeper(), 0, 0, 10);
    }
  }
}
