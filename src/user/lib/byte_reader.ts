/*
 * Reading lines and counted bytes from a stream, with limits on what a hostile peer may send.
 */
import type { TcpStream } from '#user/lib/tcp.ts';

/** The peer sent something that cannot be understood, or too much of it. */
export class ProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProtocolError';
  }
}

const LF = 10;
const CR = 13;

export class ByteReader {
  private readonly stream: TcpStream;
  private readonly chunk: number;
  private buffer: Uint8Array;
  private ended: boolean;

  /** @param chunk bytes asked for at once */
  constructor(stream: TcpStream, chunk = 65536) {
    this.stream = stream;
    this.chunk = chunk;
    this.buffer = new Uint8Array(0);
    this.ended = false;
  }

  /** Bytes that were read and not taken. */
  get buffered(): number {
    return this.buffer.length;
  }

  /** A line without its end, in Latin-1; null when the stream ends before the first byte. */
  async line(limit: number): Promise<string | null> {
    let from = 0;
    for (;;) {
      const at = this.buffer.indexOf(LF, from);
      if (at >= 0) {
        if (at > limit) throw new ProtocolError('a line is too long');
        const end = at > 0 && this.buffer[at - 1] === CR ? at - 1 : at;
        const text = latin1(this.buffer.subarray(0, end));
        this.buffer = this.buffer.subarray(at + 1);
        return text;
      }
      if (this.buffer.length > limit) throw new ProtocolError('a line is too long');
      from = this.buffer.length;
      if (await this.fill()) continue;
      if (this.buffer.length === 0) return null;
      throw new ProtocolError('the stream ends within a line');
    }
  }

  /** The next bytes, at most `max`; null at the end. */
  async some(max: number): Promise<Uint8Array | null> {
    if (this.buffer.length === 0 && !(await this.fill())) return null;
    const bytes = this.buffer.subarray(0, max);
    this.buffer = this.buffer.subarray(bytes.length);
    return bytes;
  }

  /** Reads once more behind what is there; false at the end. */
  private async fill(): Promise<boolean> {
    if (this.ended) return false;
    const held = this.buffer;
    const next = new Uint8Array(held.length + this.chunk);
    const length = await this.stream.readInto(next.subarray(held.length));
    if (length === 0) {
      this.ended = true;
      return false;
    }
    next.set(held);
    this.buffer = next.subarray(0, held.length + length);
    return true;
  }
}

/** Each octet as the character of its number. */
export function latin1(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 4096) {
    text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  }
  return text;
}

/** The octets of a text of Latin-1; other characters become `?`. */
export function fromLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    bytes[i] = code < 256 ? code : 63;
  }
  return bytes;
}
