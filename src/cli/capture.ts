/** Captures of worlds, written to files. */
import { closeSync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileProblem, UsageError, UserError } from '#cli/errors.ts';
import type { Machine } from '#kernel/machine.ts';
import type { Cable } from '#sim/cable.ts';
import { captureCable } from '#sim/capture.ts';
import { captureDevice } from '#sim/device_capture.ts';
import type { World } from '#sim/world.ts';

export interface Capture {
  /** Packets written so far. */
  readonly packets: number;
  /** Completes the file. Throws UserError when it could not be written, or nothing could be captured. */
  close(): void;
  /** Ends the capture and takes its file away. */
  discard(): void;
}

/** Buffers the bytes of a capture, so that each packet is not a system call. */
export class FileSink {
  readonly path: string;
  private readonly fd: number;
  private readonly buffer: Uint8Array;
  private used: number;
  private problem: string | null;

  constructor(path: string) {
    this.path = path;
    try {
      this.fd = openSync(path, 'w');
    } catch (error) {
      throw new UsageError(`cannot write the capture ${path}: ${fileProblem(error)}`);
    }
    this.buffer = new Uint8Array(1 << 20);
    this.used = 0;
    this.problem = null;
  }

  /** Never throws: it is called from inside of machines. What goes wrong is told at the end. */
  readonly write = (bytes: Uint8Array): void => {
    if (this.used + bytes.length > this.buffer.length) this.flush();
    if (bytes.length > this.buffer.length) {
      this.writeAll(bytes);
      return;
    }
    this.buffer.set(bytes, this.used);
    this.used += bytes.length;
  };

  close(): void {
    this.flush();
    closeSync(this.fd);
    if (this.problem !== null) {
      throw new UserError(`cannot write the capture ${this.path}: ${this.problem}`);
    }
  }

  /** Takes the file away. */
  remove(): void {
    closeSync(this.fd);
    unlinkSync(this.path);
  }

  private flush(): void {
    this.writeAll(this.buffer.subarray(0, this.used));
    this.used = 0;
  }

  private writeAll(bytes: Uint8Array): void {
    if (this.problem !== null) return;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at);
    } catch (error) {
      this.problem = fileProblem(error);
    }
  }
}

/** Captures a cable into a file. */
export function captureCableToFile(world: World, cable: Cable, path: string): Capture {
  const file = new FileSink(path);
  const capture = captureCable(world, cable, file.write);
  return {
    get packets(): number {
      return capture.packets;
    },
    close: () => {
      capture.stop();
      file.close();
    },
    discard: () => {
      capture.stop();
      file.remove();
    },
  };
}

/** Makes a folder for captures where it is missing. Throws UsageError. */
export function captureFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new UsageError(`cannot make the folder ${folder}: ${fileProblem(error)}`);
  }
}

/** The file of a cable's capture. */
export function cableFile(folder: string, cable: string): string {
  return join(folder, `${cable.replaceAll(/[^A-Za-z0-9_.-]+/g, '_')}.pcapng`);
}

/** How to begin the capture of each cable, into files of their own in a folder, made where it is missing. */
export function cableCaptures(
  world: World,
  cables: readonly Cable[],
  folder: string,
): (() => Capture)[] {
  captureFolder(folder);
  return cables.map(
    (cable) => () => captureCableToFile(world, cable, cableFile(folder, cable.name)),
  );
}

/** Begins all captures, or none: when one cannot begin, the files of the others go again. */
export function beginCaptures(begin: readonly (() => Capture)[]): Capture[] {
  const captures: Capture[] = [];
  try {
    for (const one of begin) captures.push(one());
  } catch (error) {
    discardCaptures(captures);
    throw error;
  }
  return captures;
}

/** Takes all captures back, with their files. */
export function discardCaptures(captures: readonly Capture[]): void {
  for (const capture of captures) capture.discard();
}

/** Captures a device into a file; one that never appears is told at the end, and leaves no file. */
export function captureDeviceToFile(machine: Machine, ifname: string, path: string): Capture {
  const file = new FileSink(path);
  const capture = captureDevice(machine, ifname, file.write);
  return {
    get packets(): number {
      return capture.packets;
    },
    close: () => {
      capture.stop();
      if (capture.device === null) {
        file.remove();
        throw new UserError(`${machine.name} never had an interface ${ifname} to capture`);
      }
      file.close();
    },
    discard: () => {
      capture.stop();
      file.remove();
    },
  };
}

/** Completes all captures, whatever becomes of each, and throws the first thing that went wrong. */
export function closeCaptures(captures: readonly Capture[]): void {
  const problems: unknown[] = [];
  for (const capture of captures) {
    try {
      capture.close();
    } catch (error) {
      problems.push(error);
    }
  }
  if (problems.length > 0) throw problems[0];
}

/** What `--capture node:interface=file` asks for. */
export interface CaptureRequest {
  readonly node: string;
  readonly ifname: string;
  readonly path: string;
}

/** Reads `node:interface=file`. Throws RangeError. */
export function parseCaptureRequest(text: string): CaptureRequest {
  const match = /^([^:=]+):([^:=]+)=(.+)$/.exec(text);
  if (match === null) {
    throw new RangeError(`'${text}' is not understood; write it like client:eth0=client.pcapng`);
  }
  const [, node = '', ifname = '', path = ''] = match;
  return { node, ifname, path };
}
