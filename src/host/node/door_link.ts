/**
 * Joins a machine to the outside: the machine's own tap device on one side, a door on the other,
 * frames with virtio headers between them.
 *
 * Each queue of the door is a queue of the device. What comes is handed over frame by frame, and at the
 * end of the batch the queue interrupts the machine, on a CPU of its own where there are several; polling
 * does the rest, as for a card. What the machine sends is taken out when it has been left.
 */
import { tunAddQueue, tunAttach, tunCreate, tunDetach, tunSetChannels } from '#drivers/net/tun.ts';
import { type TunFile, tunDoRead, tunGetUser, tunNapiSchedule } from '#drivers/net/tun_io.ts';
import { tunSetQueueLocked } from '#drivers/net/tun_queue.ts';
import type { Door, DoorQueue } from '#host/node/door.ts';
import type { RealHost } from '#host/node/real_host.ts';
import type { Net } from '#include/net/net_namespace.ts';
import {
  allocIrqVectors,
  freeIrq,
  freeIrqVectors,
  IRQ_HANDLED,
  raiseIrq,
  requestIrq,
} from '#kernel/irq.ts';
import type { Machine } from '#kernel/machine.ts';
import { EAGAIN, EOPNOTSUPP, errnoName } from '#uapi/errno.ts';
import {
  IFF_ATTACH_QUEUE,
  IFF_DETACH_QUEUE,
  IFF_MULTI_QUEUE,
  IFF_NAPI,
  IFF_TAP,
  IFF_VNET_HDR,
} from '#uapi/if_tun.ts';

/** Packets passed to a queue of the door in one go; more wait for the next turn of the event loop. */
const WRITE_BUDGET = 256;

/** Frames of a queue that may wait for the machine before the door is to keep the rest. */
const READ_BACKLOG = 256;

export interface DoorLinkOptions {
  /** Name of the machine's interface. */
  readonly ifname: string;
  /** Called once when the other side goes away. */
  readonly onGone: (reason: string) => void;
}

/** One queue of the device with one of the door. */
class LinkQueue {
  private readonly host: RealHost;
  private readonly machine: Machine;
  private readonly door: DoorQueue;
  readonly tfile: TunFile;
  private readonly irq: number;
  /** Raises the interrupt. */
  private readonly interrupt: () => void;
  /** Frames have been handed over since the last interrupt. */
  private entered: boolean;
  private pending: boolean;
  private again: NodeJS.Immediate | null;
  private closed: boolean;

  constructor(host: RealHost, door: DoorQueue, tfile: TunFile, irq: number, name: string) {
    const { machine } = tfile;
    this.host = host;
    this.machine = machine;
    this.door = door;
    this.tfile = tfile;
    this.irq = irq;
    this.interrupt = () => raiseIrq(machine, irq);
    this.entered = false;
    this.pending = false;
    this.again = null;
    this.closed = false;
    const serve = (): number => {
      tunNapiSchedule(tfile);
      return IRQ_HANDLED;
    };
    requestIrq(machine, irq, serve, name, this);
    tunAttach(tfile, {
      readable: () => {
        this.pending = true;
      },
    });
  }

  start(onGone: (reason: string) => void): void {
    const { host, tfile } = this;
    this.door.start({
      frame: (bytes) => {
        if (!this.enter()) return;
        try {
          tunGetUser(tfile, bytes, true);
        } catch (error) {
          host.onError(error);
        }
      },
      ready: () => tfile.writeQueue.qlen < READ_BACKLOG,
      idle: () => {
        if (!this.entered || this.closed) return;
        this.entered = false;
        host.enter(this.machine, this.interrupt);
      },
      drain: () => this.flush(),
      gone: onGone,
    });
  }

  /** Hands over the packets that wait, if some do. */
  flushPending(): void {
    if (this.pending) this.flush();
  }

  close(): void {
    this.closed = true;
    this.pending = false;
    if (this.again !== null) clearImmediate(this.again);
    this.again = null;
    tunDetach(this.tfile);
    freeIrq(this.machine, this.irq, this);
  }

  /** The first frame of a batch tells the machine the time; false: it runs no more. */
  private enter(): boolean {
    if (!this.entered && !this.closed) this.entered = this.host.tellTime(this.machine);
    return this.entered;
  }

  private flush(): void {
    if (this.closed) return;
    this.pending = this.pass() === WRITE_BUDGET;
    this.door.flush();
    if (!this.pending) return;
    this.again ??= setImmediate(() => {
      this.again = null;
      this.host.enter(this.machine, () => {});
    });
  }

  /** Passes packets on while there are some and the door has room; how many. */
  private pass(): number {
    const { door, tfile } = this;
    for (let count = 0; count < WRITE_BUDGET; count++) {
      const room = door.room();
      // The ring of the tap device fills, then its queue: the machine's qdisc has the say.
      if (room === null) return count;
      const length = tunDoRead(tfile, room);
      if (length === -EAGAIN) return count;
      if (length > 0) door.send(length);
    }
    return WRITE_BUDGET;
  }
}

export class DoorLink {
  readonly door: Door;
  private readonly host: RealHost;
  private readonly machine: Machine;
  private readonly irqs: readonly number[];
  private readonly queues: readonly LinkQueue[];
  /** Queues in use: the first of them. */
  private active: number;
  private readonly afterEntry: () => void;
  private closed: boolean;

  /** Takes over the door. Throws Error, with the door closed, when the machine refuses the interface. */
  constructor(host: RealHost, net: Net, door: Door, options: DoorLinkOptions) {
    const { machine } = net;
    const { ifname } = options;
    this.host = host;
    this.machine = machine;
    this.door = door;
    this.closed = false;
    const tfiles = openQueues(net, door, ifname);
    const irqs = allocIrqVectors(machine, tfiles.length, ifname);
    if (typeof irqs === 'number') {
      for (const tfile of tfiles) tunDetach(tfile);
      door.close();
      throw new Error(`the machine has no interrupts for ${ifname}: ${errnoName(-irqs)}`);
    }
    this.irqs = irqs;
    this.queues = tfiles.map(
      (tfile, i) =>
        new LinkQueue(
          host,
          door.queues[i] as DoorQueue,
          tfile,
          irqs[i] as number,
          `${ifname}-${i}`,
        ),
    );
    this.active = tfiles.length;
    if (tfiles.length > 1) {
      const channels = { max: tfiles.length, set: (count: number) => this.setQueues(count) };
      tunSetChannels(tfiles[0] as TunFile, channels);
    }
    this.afterEntry = () => {
      for (let i = 0; i < this.queues.length; i++) (this.queues[i] as LinkQueue).flushPending();
    };
    host.afterEntry.push(this.afterEntry);
    let gone = false;
    const onGone = (reason: string): void => {
      // Each queue may notice.
      if (this.closed || gone) return;
      gone = true;
      options.onGone(reason);
    };
    for (const queue of this.queues) queue.start(onGone);
  }

  /** Takes both ends away. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    const { afterEntry } = this.host;
    afterEntry.splice(afterEntry.indexOf(this.afterEntry), 1);
    this.door.close();
    for (const queue of this.queues) queue.close();
    freeIrqVectors(this.machine, this.irqs);
  }

  /** The first `count` queues are used from now on, on both sides: 0 or -EOPNOTSUPP. rtnl is held. */
  private setQueues(count: number): number {
    // The other side first gives up what is taken away, and last gets what is given.
    if (count < this.active && this.door.setQueues?.(count) !== true) return -EOPNOTSUPP;
    while (this.active > count) {
      this.active--;
      tunSetQueueLocked((this.queues[this.active] as LinkQueue).tfile, IFF_DETACH_QUEUE);
    }
    const grows = this.active < count;
    while (this.active < count) {
      tunSetQueueLocked((this.queues[this.active] as LinkQueue).tfile, IFF_ATTACH_QUEUE);
      this.active++;
    }
    return grows && this.door.setQueues?.(count) !== true ? -EOPNOTSUPP : 0;
  }
}

/** The device's side of each queue. Throws Error, with the door closed, when the machine refuses them. */
function openQueues(net: Net, door: Door, ifname: string): TunFile[] {
  const { vnetHdrSize, offloads, queues } = door;
  const tfiles: TunFile[] = [];
  while (tfiles.length < queues.length) {
    const first = tfiles[0];
    const tfile =
      first !== undefined
        ? tunAddQueue(first)
        : tunCreate(net, {
            name: ifname,
            flags:
              IFF_TAP |
              IFF_NAPI |
              (vnetHdrSize > 0 ? IFF_VNET_HDR : 0) |
              (queues.length > 1 ? IFF_MULTI_QUEUE : 0),
            vnetHdrSz: vnetHdrSize,
            offload: offloads,
          });
    if (typeof tfile === 'number') {
      for (const made of tfiles) tunDetach(made);
      door.close();
      throw new Error(`the machine refuses the interface ${ifname}: ${errnoName(-tfile)}`);
    }
    tfiles.push(tfile);
  }
  return tfiles;
}
