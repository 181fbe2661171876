/**
 * Captures of one device of a machine in pcapng: what tcpdump would show there, and what became of
 * packets that were dropped. Counterpart in spirit of libpcap over AF_PACKET, but made of tracepoints
 * alone, so that the packets themselves (their clones, their references) are as without a capture and
 * the run is the same.
 *
 * Outbound packets are seen when the core hands them to the driver, inbound ones when they enter the
 * protocols. A drop is written as a packet of its own, with function and reason as its comment.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { type SkBuff, skbMacHeaderWasSet } from '#include/linux/skbuff.ts';
import type { Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import type { Tracepoint } from '#kernel/tracepoint.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import {
  DIRECTION_INBOUND,
  DIRECTION_OUTBOUND,
  LINKTYPE_ETHERNET,
  LINKTYPE_RAW,
  PcapngWriter,
} from '#sim/pcapng.ts';
import { IFF_LOOPBACK } from '#uapi/if.ts';
import { ARPHRD_ETHER, ARPHRD_LOOPBACK } from '#uapi/if_arp.ts';
import { ETH_ALEN, vlanhdr } from '#uapi/if_ether.ts';
import { dropReasonName } from '#uapi/net_dropreason.ts';

export interface DeviceCaptureOptions {
  /** Most bytes of a packet that are kept; 0, the default: all. */
  readonly snaplen?: number;
}

/** The largest packet a device can carry, with room for link headers. */
const MAX_PACKET = 0x20000;

export class DeviceCapture {
  /** Packets that passed the device so far. */
  packets: number;
  /** Packets of the device that were dropped so far. */
  drops: number;
  /** The device, once it exists; the one of that name that was seen last. */
  device: NetDevice | null;
  private readonly machine: Machine;
  private readonly ifname: string;
  private readonly snaplen: number;
  private readonly writer: PcapngWriter;
  private readonly scratch: Uint8Array;
  private readonly undo: (() => void)[];
  /** Interface blocks of the present device: its own link type, and bare network headers; -1: none yet. */
  private linkId: number;
  private bareId: number;

  constructor(
    machine: Machine,
    ifname: string,
    sink: (bytes: Uint8Array) => void,
    options: DeviceCaptureOptions,
  ) {
    this.packets = 0;
    this.drops = 0;
    this.device = null;
    this.machine = machine;
    this.ifname = ifname;
    this.snaplen = options.snaplen ?? 0;
    this.writer = new PcapngWriter(sink);
    this.scratch = new Uint8Array(MAX_PACKET);
    this.undo = [];
    this.linkId = -1;
    this.bareId = -1;
    this.findDevice();
    const { net, skb } = machine.trace;
    this.watch(net.netDevStartXmit, (packet, dev) => this.outbound(packet, dev));
    this.watch(net.netifReceiveSkb, (packet) => this.inbound(packet));
    this.watch(skb.kfreeSkb, (packet, location, reason, rxSk) =>
      this.dropped(packet, location, reason, rxSk),
    );
  }

  /** Stops looking. The capture is complete then. */
  stop(): void {
    if (this.device === null) this.findDevice();
    for (const undo of this.undo.splice(0)) undo();
  }

  private findDevice(): void {
    const present = this.machine.initNet.devBaseHead.find((dev) => dev.name === this.ifname);
    if (present !== undefined) this.adopt(present);
  }

  private watch<Args extends unknown[]>(
    tp: Tracepoint<Args>,
    probe: (...args: Args) => void,
  ): void {
    tp.register(probe);
    this.undo.push(() => tp.unregister(probe));
  }

  /** Is this the device? Devices come and go, so the name decides, and each gets a block of its own. */
  private is(dev: NetDevice | null): dev is NetDevice {
    if (dev === null || dev.name !== this.ifname || dev.net !== this.machine.initNet) return false;
    if (dev !== this.device) this.adopt(dev);
    return true;
  }

  private adopt(dev: NetDevice): void {
    this.device = dev;
    this.bareId = -1;
    const hasAddress = dev.addrLen === ETH_ALEN && (dev.flags & IFF_LOOPBACK) === 0;
    this.linkId = this.writer.addInterface({
      name: dev.name,
      description: `${this.machine.name}:${dev.name}`,
      linktype: hasEthernetHeader(dev) ? LINKTYPE_ETHERNET : LINKTYPE_RAW,
      snaplen: this.snaplen,
      ...(hasAddress ? { macAddress: dev.devAddr.slice(0, ETH_ALEN) } : {}),
    });
  }

  private outbound(skb: SkBuff, dev: NetDevice): void {
    // What loopback sends it receives: one look is enough, as libpcap does it.
    if (!this.is(dev) || (dev.flags & IFF_LOOPBACK) !== 0) return;
    this.packets++;
    this.write(skb, skb.data, this.linkId, DIRECTION_OUTBOUND, null);
  }

  private inbound(skb: SkBuff): void {
    if (!this.is(skb.dev)) return;
    this.packets++;
    this.write(skb, linkHeaderOf(skb), this.linkId, DIRECTION_INBOUND, null);
  }

  private dropped(skb: SkBuff, location: string, reason: number, rxSk: Sock | null): void {
    if (!this.concerns(skb, rxSk)) return;
    this.drops++;
    const comment = `dropped in ${location}: ${dropReasonName(reason)}`;
    const dev = this.device as NetDevice;
    const start = linkHeaderOf(skb);
    if (cameIn(skb, dev)) {
      this.write(skb, start, this.linkId, DIRECTION_INBOUND, comment);
    } else if (!hasEthernetHeader(dev) || start === skb.macHeader) {
      this.write(skb, skb.data, this.linkId, DIRECTION_OUTBOUND, comment);
    } else {
      // Dropped on its way down, before it had a link header.
      this.write(skb, skb.data, this.bareInterface(dev), DIRECTION_OUTBOUND, comment);
    }
  }

  /** Is a freed packet one of the device's? On a socket's queue only the number of its way in is left. */
  private concerns(skb: SkBuff, rxSk: Sock | null): boolean {
    if (skb.dev !== null) return this.is(skb.dev);
    const sk = skb.sk ?? rxSk;
    const { device } = this;
    return (
      device !== null && skb.skbIif === device.ifindex && (sk === null || sk.net === device.net)
    );
  }

  /** The interface block for packets of the device that have no link header. */
  private bareInterface(dev: NetDevice): number {
    if (this.bareId === -1) {
      this.bareId = this.writer.addInterface({
        name: dev.name,
        description: `${this.machine.name}:${dev.name}, before the link header`,
        linktype: LINKTYPE_RAW,
        snaplen: this.snaplen,
      });
    }
    return this.bareId;
  }

  /** Writes the packet from address `start` on, which lies in its linear part or the headroom. */
  private write(
    skb: SkBuff,
    start: number,
    interfaceId: number,
    direction: number,
    comment: string | null,
  ): void {
    const tagged = skb.vlanPresent && interfaceId === this.linkId;
    const tag = tagged && start === skb.macHeader ? vlanhdr.LEN : 0;
    const length = skb.len + skb.data - start + tag;
    const bytes = this.scratch.subarray(0, Math.min(length, this.scratch.length));
    // A tag that the device took off, or has yet to put on, goes back between addresses and type.
    const before = tag === 0 ? 0 : 2 * ETH_ALEN;
    if (tag !== 0) {
      skbCopyBits(skb, start - skb.data, bytes, 0, before);
      const v = new DataView(bytes.buffer);
      v.setUint16(before, skb.vlanProto);
      v.setUint16(before + 2, skb.vlanTci);
    }
    const at = before + tag;
    skbCopyBits(skb, start - skb.data + before, bytes, at, bytes.length - at);
    const { bootEpochSec, nowNs } = this.machine;
    const bootSec = Math.floor(bootEpochSec);
    const ns = Math.round((bootEpochSec - bootSec) * 1e9) + Math.floor(nowNs);
    this.writer.packet({
      interfaceId,
      sec: bootSec + Math.floor(ns / 1e9),
      nsec: ns % 1e9,
      bytes,
      originalLength: length,
      direction,
      ...(comment === null ? {} : { comment }),
    });
  }
}

function hasEthernetHeader(dev: NetDevice): boolean {
  return dev.type === ARPHRD_ETHER || dev.type === ARPHRD_LOOPBACK;
}

/** Where the link header begins, when the packet has one that still lies before the data. */
function linkHeaderOf(skb: SkBuff): number {
  const there = skbMacHeaderWasSet(skb) && skb.macHeader >= skb.head && skb.macHeader <= skb.data;
  return there ? skb.macHeader : skb.data;
}

/** Did a freed packet come in by the device? Otherwise it was on its way out. */
function cameIn(skb: SkBuff, dev: NetDevice): boolean {
  if (skb.skbIif !== 0) return skb.skbIif === dev.ifindex;
  return linkHeaderOf(skb) < skb.data;
}

/**
 * Captures a device of a machine's first namespace; one that does not exist yet is captured from the
 * moment it does. `sink` gets the bytes of the file, block by block.
 */
export function captureDevice(
  machine: Machine,
  ifname: string,
  sink: (bytes: Uint8Array) => void,
  options: DeviceCaptureOptions = {},
): DeviceCapture {
  return new DeviceCapture(machine, ifname, sink, options);
}
