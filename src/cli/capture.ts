/** Captures of worlds, written to files. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Cable } from '#sim/cable.ts';
import { captureCable } from '#sim/capture.ts';
import type { World } from '#sim/world.ts';

export interface Capture {
  /** Packets written so far. */
  readonly packets: number;
  close(): void;
}

/** Buffers the bytes of a capture, so that each packet is not a system call. */
class FileSink {
  private readonly fd: number;
  private readonly buffer: Uint8Array;
  private used: number;

  constructor(path: string) {
    this.fd = openSync(path, 'w');
    this.buffer = new Uint8Array(1 << 20);
    this.used = 0;
  }

  write(bytes: Uint8Array): void {
    if (this.used + bytes.length > this.buffer.length) this.flush();
    if (bytes.length > this.buffer.length) {
      writeSync(this.fd, bytes);
      return;
    }
    this.buffer.set(bytes, this.used);
    this.used += bytes.length;
  }

  close(): void {
    this.flush();
    closeSync(this.fd);
  }

  private flush(): void {
    let at = 0;
    while (at < this.used) at += writeSync(this.fd, this.buffer, at, this.used - at);
    this.used = 0;
  }
}

/** Captures a cable into a file. */
export function captureToFile(world: World, cable: Cable, path: string): Capture {
  const file = new FileSink(path);
  const capture = captureCable(world, cable, (bytes) => file.write(bytes));
  return {
    get packets(): number {
      return capture.packets;
    },
    close: () => {
      capture.stop();
      file.close();
    },
  };
}
