/**
 * One door, many stacks: spreads what comes in over machines in other threads that share an address and
 * nothing else, and takes out what they send. Each machine has a shmem device to it and runs the same
 * listeners; which flow is whose, lib/flow_steering.ts says.
 *
 * A record of the rings is what a TAP device gives and takes too, a virtio header and a frame, so that
 * nothing is looked at but the addresses and nothing is copied but once. What one machine is too slow to
 * take is lost, as a card loses it, so that the others do not wait for it; what goes out waits.
 */
import {
  SHMEM_DOWN,
  SHMEM_HEADER,
  SHMEM_MAX_RECORD,
  SHMEM_RECORD_FRAME,
  SHMEM_UP,
} from '#drivers/net/shmem.ts';
import { type Door, DoorError, type DoorQueue } from '#host/node/door.ts';
import { type ShmemCable, ShmemSleeper } from '#host/node/shmem_link.ts';
import { FlowSteering, STEER_TO_ALL } from '#lib/flow_steering.ts';
import { SpscConsumer, SpscProducer } from '#lib/spsc_ring.ts';

/** Records taken from a ring before the others have their turn. */
const BUDGET = 64;

/** What leads outside. */
export interface Uplink {
  /** Begins: `receive` takes each frame with its header, `ready` is called when there is room to send again. */
  start(receive: (bytes: Uint8Array, at: number, length: number) => void, ready: () => void): void;
  /** Takes up to a budget of received frames; false: that was all. */
  poll(): boolean;
  /** Sends a frame with its header; false: no room, try again when ready. */
  send(bytes: Uint8Array, at: number, length: number): boolean;
  /** No more comes in this batch. */
  flush(): void;
  close(): void;
}

/** Throws RangeError where a ring cannot take every record: the first that is too long would wait for ever. */
function checkRings({ rings }: ShmemCable): void {
  for (const ring of rings) {
    const { maxPayload, capacity } = new SpscConsumer(ring);
    if (maxPayload >= SHMEM_MAX_RECORD) continue;
    throw new RangeError(
      `a ring of ${capacity} bytes takes records of ${maxPayload}; the longest has ${SHMEM_MAX_RECORD}`,
    );
  }
}

/** One end of a pair of rings, with somebody who sleeps on them. */
class Port {
  readonly tx: SpscProducer;
  readonly rx: SpscConsumer;
  private readonly sleeper: ShmemSleeper;

  constructor(cable: ShmemCable, end: 0 | 1, wake: () => void) {
    this.tx = new SpscProducer(cable.rings[end]);
    this.rx = new SpscConsumer(cable.rings[(1 - end) as 0 | 1]);
    this.sleeper = new ShmemSleeper(wake);
    this.tx.setState(SHMEM_UP);
  }

  /** Copies a record in; false: no room. */
  put(bytes: Uint8Array, at: number, length: number): boolean {
    const { tx } = this;
    const to = tx.reserve(length);
    if (to < 0) return false;
    tx.bytes.set(bytes.subarray(at, at + length), to);
    tx.commit(length, SHMEM_RECORD_FRAME);
    return true;
  }

  sleep(): boolean {
    if (!this.rx.arm()) return false;
    this.sleeper.sleep(this.rx.recordSignal, 0);
    return true;
  }

  sleepForRoom(length: number): boolean {
    if (!this.tx.armRoom(length)) return false;
    this.sleeper.sleep(this.tx.roomSignal, 1);
    return true;
  }

  close(): void {
    this.tx.setState(SHMEM_DOWN);
    this.sleeper.close();
  }
}

/** The way outside is a machine in this or another thread, with a shmem device. */
export class ShmemUplink implements Uplink {
  private readonly cable: ShmemCable;
  private readonly end: 0 | 1;
  private port: Port | null;
  private receive: (bytes: Uint8Array, at: number, length: number) => void;
  private ready: () => void;

  /** Throws RangeError for a cable whose rings are too small for the longest record. */
  constructor(cable: ShmemCable, end: 0 | 1) {
    checkRings(cable);
    this.cable = cable;
    this.end = end;
    this.port = null;
    this.receive = () => {};
    this.ready = () => {};
  }

  start(receive: (bytes: Uint8Array, at: number, length: number) => void, ready: () => void): void {
    this.receive = receive;
    this.ready = ready;
    this.port = new Port(this.cable, this.end, ready);
  }

  poll(): boolean {
    const { port } = this;
    if (port === null) return false;
    const { rx } = port;
    for (let n = 0; n < BUDGET; n++) {
      const at = rx.peek();
      if (at < 0) {
        rx.release();
        return !port.sleep();
      }
      this.receive(rx.bytes, at, rx.length);
      rx.next();
    }
    rx.release();
    return true;
  }

  send(bytes: Uint8Array, at: number, length: number): boolean {
    const { port } = this;
    if (port === null || port.put(bytes, at, length)) return true;
    port.tx.publish();
    // Room has come meanwhile: no need to be woken.
    if (!port.sleepForRoom(length)) setImmediate(this.ready);
    return false;
  }

  flush(): void {
    this.port?.tx.publish();
  }

  close(): void {
    this.port?.close();
    this.port = null;
  }
}

/** The way outside is a door: the real kernel, a virtual machine. */
export class DoorUplink implements Uplink {
  private readonly door: Door;
  private readonly queue: DoorQueue;
  private readonly onGone: (reason: string) => void;

  /**
   * Takes over the door. Throws DoorError for one without the virtio header of 12 bytes or with several
   * queues, which is closed then. `onGone`: the other side has gone.
   */
  constructor(door: Door, onGone: (reason: string) => void) {
    if (door.vnetHdrSize !== SHMEM_HEADER) {
      door.close();
      throw new DoorError('flows can only be spread behind a door with virtio headers of 12 bytes');
    }
    const [queue] = door.queues;
    if (queue === undefined || door.queues.length > 1) {
      door.close();
      throw new DoorError('flows can only be spread behind a door with one queue');
    }
    this.door = door;
    this.queue = queue;
    this.onGone = onGone;
  }

  start(receive: (bytes: Uint8Array, at: number, length: number) => void, ready: () => void): void {
    this.queue.start({
      frame: (bytes) => receive(bytes, 0, bytes.length),
      // What a machine is too slow for is lost.
      ready: () => true,
      idle: ready,
      drain: ready,
      gone: this.onGone,
    });
  }

  poll(): boolean {
    return false;
  }

  send(bytes: Uint8Array, at: number, length: number): boolean {
    const room = this.queue.room();
    if (room === null) return false;
    room.set(bytes.subarray(at, at + length));
    this.queue.send(length);
    return true;
  }

  flush(): void {
    this.queue.flush();
  }

  close(): void {
    this.door.close();
  }
}

export interface FlowSwitchOptions {
  readonly uplink: Uplink;
  /** Cables to the machines; these are at end 0. */
  readonly cables: readonly ShmemCable[];
  /** Key of the hash: 40 octets. */
  readonly key?: ArrayLike<number>;
}

export class FlowSwitch {
  readonly steering: FlowSteering;
  /** Frames that each machine was given. */
  readonly delivered: number[];
  /** Frames that were lost since a machine was too slow. */
  readonly missed: number[];
  private readonly uplink: Uplink;
  private readonly ports: readonly Port[];
  /** The machine whose turn it is to send. */
  private turn: number;
  private again: NodeJS.Immediate | null;
  private closed: boolean;

  /** Begins at once. Throws RangeError for a bad key or number of cables, or rings that are too small. */
  constructor(options: FlowSwitchOptions) {
    const { uplink, cables, key } = options;
    for (const cable of cables) checkRings(cable);
    this.steering = new FlowSteering(cables.length, key);
    this.delivered = cables.map(() => 0);
    this.missed = cables.map(() => 0);
    this.uplink = uplink;
    this.turn = 0;
    this.again = null;
    this.closed = false;
    const wake = (): void => this.run();
    this.ports = cables.map((cable) => new Port(cable, 1, wake));
    uplink.start((bytes, at, length) => this.receive(bytes, at, length), wake);
    this.run();
  }

  close(): void {
    this.closed = true;
    if (this.again !== null) clearImmediate(this.again);
    for (const port of this.ports) port.close();
    this.uplink.close();
  }

  /** A frame from outside. */
  private receive(bytes: Uint8Array, at: number, length: number): void {
    const to = this.steering.steer(bytes, at + SHMEM_HEADER, length - SHMEM_HEADER);
    if (to !== STEER_TO_ALL) {
      this.give(to, bytes, at, length);
      return;
    }
    for (let stack = 0; stack < this.ports.length; stack++) this.give(stack, bytes, at, length);
  }

  private give(stack: number, bytes: Uint8Array, at: number, length: number): void {
    const taken = (this.ports[stack] as Port).put(bytes, at, length);
    const counts = taken ? this.delivered : this.missed;
    counts[stack] = (counts[stack] as number) + 1;
  }

  /** Moves what waits, in both directions, and comes again when that was not all. */
  private run(): void {
    if (this.closed) return;
    let more = this.uplink.poll();
    for (const port of this.ports) port.tx.publish();
    // Who sends first changes, so that one that always has something does not keep the others out.
    this.turn = (this.turn + 1) % this.ports.length;
    for (let i = 0; i < this.ports.length; i++) {
      const stack = (this.turn + i) % this.ports.length;
      const state = this.takeOut(stack);
      if (state === 'full') break;
      if (state === 'more') more = true;
    }
    this.uplink.flush();
    if (!more) return;
    this.again ??= setImmediate(() => {
      this.again = null;
      this.run();
    });
  }

  /** Sends what a machine has put out. */
  private takeOut(stack: number): 'done' | 'more' | 'full' {
    const port = this.ports[stack] as Port;
    const { rx } = port;
    for (let n = 0; n < BUDGET; n++) {
      const at = rx.peek();
      if (at < 0) {
        rx.release();
        return port.sleep() ? 'done' : 'more';
      }
      this.steering.sent(stack, rx.bytes, at + SHMEM_HEADER, rx.length - SHMEM_HEADER);
      if (!this.uplink.send(rx.bytes, at, rx.length)) {
        rx.release();
        return 'full';
      }
      rx.next();
    }
    rx.release();
    return 'more';
  }
}
