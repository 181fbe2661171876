/**
 * Joins a machine to the outside: the machine's own tap device on one side, a door on the other,
 * frames with virtio headers between them.
 */
import { tunAttach, tunCreate, tunDetach } from '#drivers/net/tun.ts';
import { type TunFile, tunDoRead, tunGetUser } from '#drivers/net/tun_io.ts';
import type { Door } from '#host/node/door.ts';
import type { RealHost } from '#host/node/real_host.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { EAGAIN, errnoName } from '#uapi/errno.ts';
import { IFF_TAP, IFF_VNET_HDR } from '#uapi/if_tun.ts';

/** Packets passed to the door in one go; more wait for the next turn of the event loop. */
const WRITE_BUDGET = 256;

export interface DoorLinkOptions {
  /** Name of the machine's interface. */
  readonly ifname: string;
  /** Called once when the other side goes away. */
  readonly onGone: (reason: string) => void;
}

export class DoorLink {
  readonly door: Door;
  private readonly host: RealHost;
  private readonly tfile: TunFile;
  private pending: boolean;
  private again: NodeJS.Immediate | null;
  private readonly afterEntry: () => void;
  private closed: boolean;

  /** Takes over the door. Throws Error, with the door closed, when the machine refuses the interface. */
  constructor(host: RealHost, net: Net, door: Door, options: DoorLinkOptions) {
    this.host = host;
    this.door = door;
    const { vnetHdrSize, offloads } = door;
    const tfile = tunCreate(net, {
      name: options.ifname,
      flags: vnetHdrSize > 0 ? IFF_TAP | IFF_VNET_HDR : IFF_TAP,
      vnetHdrSz: vnetHdrSize,
      offload: offloads,
    });
    if (typeof tfile === 'number') {
      door.close();
      throw new Error(`the machine refuses the interface ${options.ifname}: ${errnoName(-tfile)}`);
    }
    this.tfile = tfile;
    this.pending = false;
    this.again = null;
    this.closed = false;
    tunAttach(tfile, {
      readable: () => {
        this.pending = true;
      },
    });
    this.afterEntry = () => {
      if (this.pending) this.flush();
    };
    host.afterEntry.push(this.afterEntry);
    door.start({
      frame: (bytes) => {
        host.enter(net.machine, () => tunGetUser(tfile, bytes));
      },
      idle: () => {},
      drain: () => this.flush(),
      gone: (reason) => {
        if (!this.closed) options.onGone(reason);
      },
    });
  }

  /** Takes both ends away. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.pending = false;
    if (this.again !== null) clearImmediate(this.again);
    this.again = null;
    const { afterEntry } = this.host;
    afterEntry.splice(afterEntry.indexOf(this.afterEntry), 1);
    this.door.close();
    tunDetach(this.tfile);
  }

  /** Hands over the packets that wait. */
  private flush(): void {
    if (this.closed) return;
    this.pending = this.pass() === WRITE_BUDGET;
    this.door.flush();
    if (!this.pending) return;
    this.again ??= setImmediate(() => {
      this.again = null;
      this.host.enter(this.tfile.machine, () => {});
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
