/**
 * Joins two machines in real time, each in any thread, by a pair of rings in shared memory. One thread
 * makes the cable and hands it to the other; each plugs its machine into an end of it.
 *
 * Where a device has nothing to do, its thread goes on with its event loop, and the other thread wakes
 * it by the ring's own word (Atomics.waitAsync): no message is made for a packet.
 */
import { type ShmemDoor, shmemCreate, shmemInterrupt } from '#drivers/net/shmem.ts';
import type { RealHost } from '#host/node/real_host.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { type RingSignal, SpscConsumer, SpscProducer, spscRingMemory } from '#lib/spsc_ring.ts';
import { errnoName } from '#uapi/errno.ts';

/** Bytes of each ring by default: a dozen super-packets. */
const RING_BYTES = 1 << 20;

/** What two machines share: can be sent to a thread. */
export interface ShmemCable {
  /** The rings, by the end that writes. */
  readonly rings: readonly [SharedArrayBuffer, SharedArrayBuffer];
}

/** A cable that is plugged in nowhere yet. Throws RangeError for a size out of range. */
export function shmemCable(bytes: number = RING_BYTES): ShmemCable {
  return { rings: [spscRingMemory(bytes), spscRingMemory(bytes)] };
}

/** ES2024's; Node has had it since 16. */
interface AsyncAtomics {
  waitAsync(
    words: Int32Array,
    index: number,
    value: number,
  ): { readonly async: false } | { readonly async: true; readonly value: Promise<string> };
}

const atomics = Atomics as unknown as AsyncAtomics;

/** Sleeps on words of shared memory for somebody, without blocking the thread. */
export class ShmemSleeper {
  private readonly wake: () => void;
  private readonly sleeping: Set<number>;
  /** A promise of waitAsync() alone does not keep Node's event loop going. */
  private readonly keepAlive: NodeJS.Timeout;
  private closed: boolean;

  /** `wake` is called from the event loop when a word has changed, or may have. */
  constructor(wake: () => void) {
    this.wake = wake;
    this.sleeping = new Set();
    this.keepAlive = setInterval(() => {}, 0x7fffffff);
    this.closed = false;
  }

  /** Has `wake` called when the word is no longer what it was. One sleeper a word is enough. */
  sleep({ words, index, value }: RingSignal, slot: number): void {
    if (this.closed || this.sleeping.has(slot)) return;
    this.sleeping.add(slot);
    const result = atomics.waitAsync(words, index, value);
    const up = (): void => {
      this.sleeping.delete(slot);
      if (!this.closed) this.wake();
    };
    if (result.async) void result.value.then(up);
    else setImmediate(up);
  }

  close(): void {
    this.closed = true;
    clearInterval(this.keepAlive);
  }
}

const FOR_RECORDS = 0;
const FOR_ROOM = 1;

export interface ShmemLinkOptions {
  /** Name of the machine's interface. */
  readonly ifname: string;
  readonly mac?: Uint8Array;
  readonly mtu?: number;
}

/** One end of a cable in a machine. */
export class ShmemLink {
  readonly dev: NetDevice;
  private readonly sleeper: ShmemSleeper;

  /** Throws Error when the machine refuses the interface. */
  constructor(host: RealHost, net: Net, cable: ShmemCable, end: 0 | 1, options: ShmemLinkOptions) {
    const { machine } = net;
    const tx = new SpscProducer(cable.rings[end]);
    const rx = new SpscConsumer(cable.rings[(1 - end) as 0 | 1]);
    const { ifname: name, ...rest } = options;
    const door: ShmemDoor = {
      waitForRecords: () => this.sleeper.sleep(rx.recordSignal, FOR_RECORDS),
      waitForRoom: () => this.sleeper.sleep(tx.roomSignal, FOR_ROOM),
    };
    rtnlLock(machine);
    const dev = shmemCreate(net, { ...rest, name, tx, rx, door });
    rtnlUnlock(machine);
    if (typeof dev === 'number') {
      throw new Error(`the machine refuses the interface ${name}: ${errnoName(-dev)}`);
    }
    this.dev = dev;
    this.sleeper = new ShmemSleeper(() => host.enter(machine, () => shmemInterrupt(dev)));
  }

  /** Stops listening. The device goes with its machine. */
  close(): void {
    this.sleeper.close();
  }
}
