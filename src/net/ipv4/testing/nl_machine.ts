/**
 * A whole machine for tests of addresses, routes and neighbours: Ethernet devices that keep what is
 * sent by them, configured over netlink as `ip` does it, and a clock that the test moves.
 */
import { expect } from 'vitest';
import { NETDEV_TX_OK, type NetDevice, netDeviceOps } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { defconfig } from '#init/defconfig.ts';
import { bootMachine, haltMachine } from '#init/main.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { liveReport } from '#kernel/live.ts';
import { type Machine, type MachineHost, runPending, runTimers } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { createTask, type Task } from '#kernel/sched/task.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { inPton4 } from '#lib/parse_addr.ts';
import { mem } from '#mm/memory.ts';
import { devChangeFlags } from '#net/core/dev.ts';
import { registerNetdev, unregisterNetdev } from '#net/core/dev_register.ts';
import { netifReceiveSkb } from '#net/core/dev_rx.ts';
import { consumeSkb, netdevAllocSkb, skbPut } from '#net/core/skbuff.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { allocEtherdev, ethHwAddrSet, ethTypeTrans } from '#net/ethernet/eth.ts';
import { IFF_UP } from '#uapi/if.ts';
import { AF_NETLINK, SOCK_RAW } from '#uapi/socket.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

/** Nanoseconds of a millisecond and of a second. */
export const MS = 1e6;
export const SEC = 1e9;

/** An address as a number. */
export function ip(text: string): number {
  const addr = inPton4(text);
  if (addr === null) throw new Error(`${text} is no address`);
  return addr;
}

class Host implements MachineHost {
  clock = 0;
  readClock(): number {
    return this.clock;
  }
  kick(): void {}
  timerChanged(): void {}
}

/** One netlink message of an answer. */
export interface NlMessage {
  readonly type: number;
  readonly flags: number;
  /** What follows the message header. */
  readonly body: Uint8Array;
}

/** Acknowledgement of a request. */
export interface NlAck {
  /** 0 or a negative errno. */
  readonly err: number;
  /** Text of the extended acknowledgement, or ''. */
  readonly msg: string;
}

/** An attribute to send: type and octets, a u32, a string, or attributes within. */
export type Attr = readonly [type: number, value: Uint8Array | number | string | readonly Attr[]];

/** Octets of an address in network order. */
export function addrBytes(text: string): Uint8Array {
  const addr = ip(text);
  return new Uint8Array([addr >>> 24, (addr >>> 16) & 0xff, (addr >>> 8) & 0xff, addr & 0xff]);
}

function attrPayload(value: Attr[1]): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'number') {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
    return bytes;
  }
  if (typeof value === 'string') return new TextEncoder().encode(`${value}\0`);
  return encodeAttrs(value);
}

/** Attributes as octets. */
export function encodeAttrs(attrs: readonly Attr[]): Uint8Array {
  const out: number[] = [];
  for (const [type, value] of attrs) {
    const payload = attrPayload(value);
    const len = payload.length + 4;
    out.push(len & 0xff, len >> 8, type & 0xff, type >> 8, ...payload);
    while (out.length % 4 !== 0) out.push(0);
  }
  return Uint8Array.from(out);
}

/** Attributes of an answer by type. */
export function decodeAttrs(bytes: Uint8Array): Map<number, Uint8Array> {
  const attrs = new Map<number, Uint8Array>();
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 4 <= bytes.length; ) {
    const len = v.getUint16(at, true);
    if (len < 4) break;
    attrs.set(v.getUint16(at + 2, true) & 0x3fff, bytes.subarray(at + 4, at + len));
    at += (len + 3) & ~3;
  }
  return attrs;
}

/** An Ethernet device whose other end is the test. */
export class WireDevice {
  readonly dev: NetDevice;
  /** Frames that the machine has sent. */
  readonly sent: Uint8Array[] = [];
  private readonly owner: NlMachine;

  constructor(owner: NlMachine, name: string, mac: readonly number[]) {
    this.owner = owner;
    const ops = netDeviceOps({ ndoStartXmit: (skb) => this.xmit(skb) });
    this.dev = allocEtherdev(owner.net, ops, this);
    this.dev.name = name;
    ethHwAddrSet(this.dev, Uint8Array.from(mac));
    expect(registerNetdev(this.dev)).toBe(0);
  }

  private xmit(skb: SkBuff): number {
    const len = skb.len;
    const frame = new Uint8Array(len);
    const at = skb.data;
    if (skb.dataLen === 0) frame.set(mem.subarray(at, at + len));
    else skbCopyBits(skb, 0, frame, 0, len);
    this.sent.push(frame);
    consumeSkb(skb);
    return NETDEV_TX_OK;
  }

  /** A frame arrives, link header included. */
  receive(frame: Uint8Array): void {
    const { machine } = this.owner;
    const skb = netdevAllocSkb(this.dev, frame.length);
    if (skb === null) throw new Error('out of packet memory');
    mem.set(frame, skbPut(skb, frame.length));
    skb.protocol = ethTypeTrans(skb, this.dev);
    localBhDisable(machine);
    netifReceiveSkb(skb);
    localBhEnable(machine);
    runPending(machine);
  }

  /** Frames sent since the last call. */
  take(): Uint8Array[] {
    return this.sent.splice(0);
  }

  remove(): void {
    unregisterNetdev(this.dev);
    runPending(this.owner.machine);
  }
}

export class NlMachine {
  readonly host: Host = new Host();
  readonly machine: Machine;
  readonly net: Net;
  readonly task: Task;
  readonly sys: SyscallTable;
  private seq = 1;
  private readonly wires: WireDevice[] = [];

  constructor() {
    this.machine = bootMachine({
      name: 'm',
      host: this.host,
      seed: 7,
      bootEpochSec: 1e9,
      modules: defconfig,
    });
    this.net = this.machine.initNet;
    this.task = createTask(this.machine, 'test', this.net);
    this.sys = makeSyscalls(this.task);
  }

  /** Lets `ns` pass, with everything that falls due. */
  run(ns: number): void {
    const until = this.host.clock + ns;
    for (;;) {
      runPending(this.machine);
      const next = this.machine.nextExpiry();
      if (next > until) break;
      this.host.clock = Math.max(this.host.clock, next);
      this.machine.enter(this.host.clock);
      runTimers(this.machine);
    }
    this.host.clock = until;
    this.machine.enter(until);
    runPending(this.machine);
  }

  /** A registered Ethernet device, up unless told otherwise. */
  device(name: string, lastOctet: number, up = true): WireDevice {
    const wire = new WireDevice(this, name, [2, 0, 0, 0, 0, lastOctet]);
    this.wires.push(wire);
    if (up) this.setUp(wire.dev, true);
    wire.take();
    return wire;
  }

  setUp(dev: NetDevice, up: boolean): void {
    rtnlLock(this.machine);
    expect(devChangeFlags(dev, up ? dev.flags | IFF_UP : dev.flags & ~IFF_UP)).toBe(0);
    rtnlUnlock(this.machine);
    runPending(this.machine);
  }

  /** Brings the loopback device up. */
  loopbackUp(): void {
    this.setUp(this.net.loopbackDev as NetDevice, true);
  }

  /** A netlink socket of protocol ROUTE that wants explanations. */
  socket(groups = 0): number {
    const fd = this.sys.socket(AF_NETLINK, SOCK_RAW, 0);
    expect(fd).toBeGreaterThanOrEqual(0);
    expect(this.sys.setsockopt(fd, 270, 11, Uint8Array.of(1, 0, 0, 0))).toBe(0);
    const addr = new Uint8Array(12);
    addr[0] = AF_NETLINK;
    new DataView(addr.buffer).setUint32(8, groups, true);
    expect(this.sys.bind(fd, addr)).toBe(0);
    return fd;
  }

  /** Every message that waits on the socket. */
  read(fd: number): NlMessage[] {
    const messages: NlMessage[] = [];
    const buf = new Uint8Array(65536);
    for (;;) {
      const n = this.sys.recvfrom(fd, buf, 0x40, null);
      if (n <= 0) return messages;
      const v = new DataView(buf.buffer);
      for (let at = 0; at + 16 <= n; ) {
        const len = v.getUint32(at, true);
        messages.push({
          type: v.getUint16(at + 4, true),
          flags: v.getUint16(at + 6, true),
          body: buf.slice(at + 16, at + len),
        });
        at += (len + 3) & ~3;
      }
    }
  }

  private send(
    fd: number,
    type: number,
    flags: number,
    header: Uint8Array,
    attrs: readonly Attr[],
  ): void {
    const tail = encodeAttrs(attrs);
    const msg = new Uint8Array(16 + header.length + tail.length);
    const v = new DataView(msg.buffer);
    v.setUint32(0, msg.length, true);
    v.setUint16(4, type, true);
    v.setUint16(6, flags | 1, true);
    v.setUint32(8, this.seq++, true);
    msg.set(header, 16);
    msg.set(tail, 16 + header.length);
    expect(this.sys.sendto(fd, msg, 0, null)).toBe(msg.length);
  }

  /** Sends a request and reads its acknowledgement. */
  request(type: number, flags: number, header: Uint8Array, attrs: readonly Attr[]): NlAck {
    const fd = this.socket();
    this.send(fd, type, flags | 4, header, attrs);
    const [ack] = this.read(fd).filter((m) => m.type === 2);
    this.sys.close(fd);
    if (ack === undefined) throw new Error('no acknowledgement');
    const v = new DataView(ack.body.buffer, ack.body.byteOffset, ack.body.byteLength);
    const err = v.getInt32(0, true);
    const capped = (ack.flags & 0x100) !== 0;
    const requestLen = capped || err === 0 ? 16 : v.getUint32(4, true);
    const tlvs = (ack.flags & 0x200) !== 0 ? decodeAttrs(ack.body.subarray(4 + requestLen)) : null;
    const text = tlvs?.get(1);
    return { err, msg: text === undefined ? '' : new TextDecoder().decode(text.slice(0, -1)) };
  }

  /** Sends a request for one object and returns the answer, or the errno. */
  get(type: number, header: Uint8Array, attrs: readonly Attr[]): NlMessage | number {
    const fd = this.socket();
    this.send(fd, type, 0, header, attrs);
    const [answer] = this.read(fd);
    this.sys.close(fd);
    if (answer === undefined) throw new Error('no answer');
    if (answer.type !== 2) return answer;
    return new DataView(answer.body.buffer, answer.body.byteOffset).getInt32(0, true);
  }

  /** All objects of a dump. */
  dump(type: number, header: Uint8Array, attrs: readonly Attr[] = []): NlMessage[] {
    const fd = this.socket();
    this.send(fd, type, 0x300, header, attrs);
    const messages = this.read(fd);
    this.sys.close(fd);
    expect(messages.at(-1)?.type).toBe(3);
    return messages.slice(0, -1);
  }

  /** Halts the machine; nothing may be alive then. */
  end(): void {
    for (const wire of this.wires) if (wire.dev.regState === 1) wire.remove();
    haltMachine(this.machine);
    expect(liveReport(this.machine)).toEqual({});
  }
}
