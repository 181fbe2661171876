/**
 * Joins a machine to the real kernel: the machine's own tap device on one side, a TAP device of the
 * kernel on the other, frames with virtio headers between them.
 */
import { tunAttach, tunCreate, tunDetach } from '#drivers/net/tun.ts';
import { type TunFile, tunDoRead, tunGetUser } from '#drivers/net/tun_io.ts';
import type { RealHost } from '#host/node/real_host.ts';
import { TAP_FRAME_SIZE, Tap, type TapOptions, VNET_HDR_SIZE } from '#host/node/tap.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { EAGAIN, errnoName } from '#uapi/errno.ts';
import { IFF_TAP, IFF_VNET_HDR, TUN_F_CSUM, TUN_F_TSO_ECN, TUN_F_TSO4 } from '#uapi/if_tun.ts';

/** Packets passed to the kernel in one go; more wait for the next turn of the event loop. */
const WRITE_BUDGET = 256;

export interface TapLinkOptions extends TapOptions {
  /** Name of the machine's interface. */
  readonly ifname: string;
  /** Called when the kernel takes the device away. */
  readonly onGone: (reason: string) => void;
}

export class TapLink {
  readonly tap: Tap;
  private readonly host: RealHost;
  private readonly tfile: TunFile;
  private readonly tx: Uint8Array;
  private readonly txAddress: number;
  private pending: boolean;
  private again: NodeJS.Immediate | null;

  /** Throws what {@link Tap} throws, and Error when the machine refuses the interface. */
  constructor(host: RealHost, net: Net, options: TapLinkOptions) {
    this.host = host;
    this.tap = new Tap(options);
    const tfile = tunCreate(net, {
      name: options.ifname,
      flags: IFF_TAP | IFF_VNET_HDR,
      vnetHdrSz: VNET_HDR_SIZE,
      offload: TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN,
    });
    if (typeof tfile === 'number') {
      this.tap.close();
      throw new Error(`the machine refuses the interface ${options.ifname}: ${errnoName(-tfile)}`);
    }
    this.tfile = tfile;
    this.tx = new Uint8Array(TAP_FRAME_SIZE);
    this.txAddress = this.tap.pin(this.tx);
    this.pending = false;
    this.again = null;
    tunAttach(tfile, {
      readable: () => {
        this.pending = true;
      },
    });
    host.afterEntry.push(() => {
      if (this.pending) this.flush();
    });
    this.tap.start(
      (bytes) => {
        host.enter(net.machine, () => tunGetUser(tfile, bytes));
      },
      () => {},
      options.onGone,
    );
  }

  /** Takes both ends away. */
  close(): void {
    if (this.again !== null) clearImmediate(this.again);
    this.again = null;
    this.tap.close();
    tunDetach(this.tfile);
  }

  /** Writes the packets that wait; the kernel handles each within the call. */
  private flush(): void {
    this.pending = false;
    for (let i = 0; i < WRITE_BUDGET; i++) {
      const length = tunDoRead(this.tfile, this.tx);
      if (length === -EAGAIN) return;
      if (length > 0) this.tap.write(this.txAddress, length);
    }
    this.pending = true;
    this.again ??= setImmediate(() => {
      this.again = null;
      this.host.enter(this.tfile.machine, () => {});
    });
  }
}
