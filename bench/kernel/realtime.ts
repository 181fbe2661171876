/**
 * A world whose clock follows the real one, so that cables and machines of softnet meet the real
 * kernel. Events happen in order at their times, or as soon after as this process gets to run.
 */
import { performance } from 'node:perf_hooks';
import { turn } from '#cli/turn.ts';
import {
  allocFrame,
  freeFrame,
  type WireEnd,
  type WireFrame,
  type WirePort,
} from '#hardware/wire.ts';
import type { DoorQueue } from '#host/node/door.ts';
import { Tap, VNET_HDR_SIZE } from '#host/node/tap.ts';
import { mem } from '#mm/memory.ts';
import type { Cable } from '#sim/cable.ts';
import { EVENT_FRAME, World } from '#sim/world.ts';
import { FineTimer, inNetns } from './libc.ts';
import type { Clocked } from './peers.ts';

/** Shortest frame, without the check sequence. */
const ETH_ZLEN = 60;

/** A wait of less is not worth the timer: the turn of the event loop takes as long. */
const SPIN_NS = 20e3;

/** A world of a case. */
export interface CaseWorld extends Clocked {
  /** Furthest that an event was behind its time, ns. */
  latestNs: number;
  /** Something has been scheduled from outside. */
  wake(): void;
  /** Runs the world until `done`, which is asked now and then. */
  run(done: () => boolean): Promise<void>;
  /** Halts the machines; what is left alive by machine, nothing when all is well. */
  halt(): Record<string, Record<string, number>>;
}

/** A world that goes from event to event: its programs take no time. */
export class VirtualWorld implements CaseWorld {
  readonly world: World;
  latestNs: number;

  constructor(seed: string) {
    this.world = new World({ seed, turn, bootEpochSec: 0 });
    this.latestNs = 0;
  }

  clock(): number {
    return this.world.nowNs;
  }

  wake(): void {}

  async run(done: () => boolean): Promise<void> {
    while (!done()) await this.world.runPrograms({ untilNs: this.world.nowNs + 1e9 });
  }

  halt(): Record<string, Record<string, number>> {
    return this.world.halt();
  }
}

export class RealtimeWorld implements CaseWorld {
  readonly world: World;
  private readonly startMs: number;
  private readonly timer: FineTimer;
  private wakeUp: (() => void) | null;
  latestNs: number;

  constructor(seed: string) {
    this.world = new World({ seed, turn, bootEpochSec: Date.now() / 1000 });
    this.startMs = performance.now();
    this.wakeUp = null;
    this.timer = new FineTimer(() => this.wake());
    this.latestNs = 0;
  }

  clock(): number {
    return Math.round((performance.now() - this.startMs) * 1e6);
  }

  wake(): void {
    const { wakeUp } = this;
    this.wakeUp = null;
    wakeUp?.();
  }

  async run(done: () => boolean): Promise<void> {
    const { world } = this;
    while (!done()) {
      const nowNs = this.clock();
      if (nowNs > world.nextEventNs) {
        this.latestNs = Math.max(this.latestNs, nowNs - world.nextEventNs);
      }
      await world.runPrograms({ untilNs: nowNs });
      const waitNs = world.nextEventNs - this.clock();
      if (waitNs < SPIN_NS) continue;
      await new Promise<void>((resolve) => {
        this.wakeUp = resolve;
        // At least now and then, for those who wait for `done`.
        this.timer.set(Math.min(waitNs, 50e6));
      });
    }
  }

  halt(): Record<string, Record<string, number>> {
    this.timer.close();
    return this.world.halt();
  }
}

/** A TAP device of a namespace as the port at one end of a cable: whole frames, no offloads. */
export class TapPort implements WirePort {
  private readonly realtime: CaseWorld;
  private readonly tap: Tap;
  private readonly queue: DoorQueue;
  private readonly wire: WireEnd;

  constructor(
    realtime: CaseWorld,
    cable: Cable,
    end: 0 | 1,
    netns: string,
    hostAddress: { readonly address: readonly number[]; readonly prefix: number },
  ) {
    this.realtime = realtime;
    this.tap = inNetns(netns, () => new Tap({ name: 'wire0', hostAddress, offload: false }));
    this.wire = cable.plug(end, this);
    this.queue = this.tap.queues[0] as DoorQueue;
    this.queue.start({
      frame: (bytes) => this.fromKernel(bytes),
      ready: () => true,
      idle: () => realtime.wake(),
      drain: () => {},
      gone: (reason) => {
        throw new Error(`the TAP device of ${netns} is gone: ${reason}`);
      },
    });
  }

  /** The frame takes its place among the world's events: other code may be in the middle of one. */
  private fromKernel(bytes: Uint8Array): void {
    const length = bytes.length - VNET_HDR_SIZE;
    const frame = allocFrame(Math.max(length, ETH_ZLEN));
    if (frame === null) return;
    mem.set(bytes.subarray(VNET_HDR_SIZE), frame.addr);
    // A TAP device does not pad; a cable knows no shorter frames.
    mem.fill(0, frame.addr + length, frame.addr + frame.len);
    const { world } = this.realtime;
    world.at(this.realtime.clock(), EVENT_FRAME, sendFrame, this.wire, frame);
  }

  receive(frame: WireFrame): void {
    const room = this.queue.room();
    if (room === null) throw new Error('a TAP device always has room');
    // Nothing is offloaded: the header stays empty.
    room.set(mem.subarray(frame.addr, frame.addr + frame.len), VNET_HDR_SIZE);
    this.queue.send(VNET_HDR_SIZE + frame.len);
    this.queue.flush();
    freeFrame(frame);
  }

  linkChanged(_up: boolean): void {}

  close(): void {
    this.tap.close();
  }
}

function sendFrame(subject: unknown, detail: unknown): void {
  (subject as WireEnd).send(detail as WireFrame);
}
