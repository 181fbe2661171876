/**
 * A machine in real time in a page or a worker, and the ends of its cables there: functions and
 * message ports. Uses nothing but what pages, workers and Node all have.
 *
 * The clock is `performance.now()`. A kick runs as a task of its own, not as a microtask, so that a
 * machine under load lets the page paint and take input. Timers of pages in the background are
 * throttled by browsers, to one a second or less: a gateway belongs in a worker.
 */
import { bootCore, type CoreOptions, type FramePort, haltCore, plugCable } from '#init/core.ts';
import { type Machine, type MachineHost, runPending, runTimers } from '#kernel/machine.ts';
import { errnoName } from '#uapi/errno.ts';

/** What a machine in a page needs beyond its name; the rest has good defaults. */
export type PageBootOptions = Omit<CoreOptions, 'host' | 'bootEpochSec' | 'seed'> & {
  readonly seed?: number | string;
};

/** Room for the largest frame that a machine sends without a virtio header. */
const FRAME_SIZE = 65536;

/** Longest time that setTimeout takes, in ms. */
const LONGEST_MS = 0x7fffffff;

export class PageHost implements MachineHost {
  private readonly startMs: number;
  /** What is posted to the one end runs as a task at the other. */
  private readonly channel: MessageChannel;
  private kicked: Machine | null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private timerNs: number;
  private stopped: boolean;
  /** Called when the machine throws; by default the error goes to the page. */
  onError: (error: unknown) => void;

  constructor() {
    this.startMs = performance.now();
    this.channel = new MessageChannel();
    this.kicked = null;
    this.timer = undefined;
    this.timerNs = Number.POSITIVE_INFINITY;
    this.stopped = false;
    this.onError = (error) => {
      throw error;
    };
    this.channel.port1.onmessage = () => {
      const machine = this.kicked;
      this.kicked = null;
      if (machine !== null) this.enter(machine, runPending);
    };
  }

  readClock(): number {
    return Math.round((performance.now() - this.startMs) * 1e6);
  }

  kick(machine: Machine): void {
    if (this.kicked !== null || this.stopped) return;
    this.kicked = machine;
    this.channel.port2.postMessage(null);
  }

  timerChanged(machine: Machine): void {
    if (this.stopped) return;
    const expiry = machine.nextExpiry();
    if (this.timer !== undefined && this.timerNs <= expiry) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    if (expiry === Number.POSITIVE_INFINITY) return;
    this.timerNs = expiry;
    // An early call only finds nothing to do.
    const delayMs = Math.min(Math.max((expiry - this.readClock()) / 1e6, 0), LONGEST_MS);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.enter(machine, (m) => {
        if (m.nextExpiry() <= m.nowNs) runTimers(m);
      });
      if (this.timer === undefined) this.timerChanged(machine);
    }, Math.ceil(delayMs));
  }

  /** Enters the machine at the present time. Frames and system calls do so themselves. */
  enter(machine: Machine, work: (machine: Machine) => void): void {
    if (this.stopped) return;
    machine.enter(this.readClock());
    try {
      work(machine);
    } catch (error) {
      this.onError(error);
    }
  }

  /** Stops all calls into the machine. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.channel.port1.close();
  }
}

/** Boots the core in real time, with the modules named. Its seed is drawn by the browser unless given. */
export function bootPage(options: PageBootOptions): { machine: Machine; host: PageHost } {
  const host = new PageHost();
  const seed = options.seed ?? crypto.getRandomValues(new Uint32Array(4)).join('/');
  const machine = bootCore({ ...options, host, seed, bootEpochSec: Date.now() / 1000 });
  host.timerChanged(machine);
  return { machine, host };
}

/** Halts a machine and stops its host. What is still alive then, by kind: nothing. */
export function haltPage(machine: Machine, host: PageHost): Record<string, number> {
  machine.enter(host.readClock());
  const left = haltCore(machine);
  host.stop();
  return left;
}

/**
 * Plugs a cable into the machine, which makes the interface `name`, and hands each frame that comes
 * out of it to `onFrame`, outside of the machine and in memory of its own. Throws Error when the
 * machine refuses the interface.
 */
export function plugFrames(
  machine: Machine,
  name: string,
  onFrame: (frame: Uint8Array<ArrayBuffer>) => void,
): FramePort {
  const room = new Uint8Array(FRAME_SIZE);
  const drain = (port: FramePort): void => {
    let n = port.receive(room);
    try {
      for (; n > 0; n = port.receive(room)) onFrame(room.slice(0, n));
    } finally {
      // It threw. Nobody says again that the frames behind this one wait.
      if (n > 0) queueMicrotask(() => drain(port));
    }
  };
  const port = plugCable(machine, name, (from) => queueMicrotask(() => drain(from)));
  if (typeof port !== 'number') return port;
  throw new Error(`the machine refuses the interface ${name}: ${errnoName(-port)}`);
}

/**
 * The same with a port at the other end, e.g. of a worker in which a virtual machine runs: each
 * message is a frame, a Uint8Array or an ArrayBuffer. What else comes is not for us and left alone.
 */
export function plugPort(machine: Machine, name: string, port: MessagePort): FramePort {
  const plug = plugFrames(machine, name, (frame) => port.postMessage(frame, [frame.buffer]));
  const take = ({ data }: MessageEvent<unknown>): void => {
    if (data instanceof Uint8Array) plug.send(data);
    else if (data instanceof ArrayBuffer) plug.send(new Uint8Array(data));
  };
  port.addEventListener('message', take);
  port.start();
  return {
    send: (frame) => plug.send(frame),
    receive: (frame) => plug.receive(frame),
    unplug() {
      port.removeEventListener('message', take);
      plug.unplug();
    },
  };
}
