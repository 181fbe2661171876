/**
 * One machine behind a tun device, and a peer that the test plays segment by segment.
 *
 * Sequence numbers are relative to both sides' initial numbers, times are virtual milliseconds.
 * Sent segments are read as text, in the manner of packetdrill:
 *
 *   'S. 0:0(0) ack 1 win 64240 <mss 1460,sackOK,nop,wscale 10>'
 */

import { tunCreate } from '#drivers/net/tun.ts';
import { type TunFile, tunDoRead, tunGetUser } from '#drivers/net/tun_io.ts';
import type { Socket } from '#include/linux/net.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { defconfig } from '#init/defconfig.ts';
import { bootMachine, haltMachine } from '#init/main.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { liveReport } from '#kernel/live.ts';
import { type Machine, type MachineHost, runPending, runTimers } from '#kernel/machine.ts';
import { createTask, type Task } from '#kernel/sched/task.ts';
import { csumFold, csumPartial, csumTcpudpMagic } from '#lib/checksum.ts';
import { IFF_UP } from '#uapi/if.ts';
import { IFF_NO_PI, IFF_TUN } from '#uapi/if_tun.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { RTF_HOST, RTF_UP, rtentry } from '#uapi/route.ts';
import { AF_INET, SOCK_STREAM } from '#uapi/socket.ts';
import { SIOCADDRT, SIOCSIFADDR, SIOCSIFFLAGS, SIOCSIFNETMASK } from '#uapi/sockios.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

export const LOCAL = 0xc0000201;
export const REMOTE = 0xc0000202;
const MASK = 0xffffff00;
const MS = 1e6;

/** A segment as the test writes it; what is left out is zero or empty. */
export interface SegmentSpec {
  /** Of S F R P . U E W, as packetdrill writes them. */
  readonly flags: string;
  /** Relative to the peer's initial number. */
  readonly seq?: number;
  /** Relative to the machine's initial number. */
  readonly ack?: number;
  readonly win?: number;
  readonly data?: number | Uint8Array;
  readonly urg?: number;
  /** `mss 1460,sackOK,TS 100:0,nop,wscale 7,sack 1:10 20:30,FO 0102`; sack blocks are relative. */
  readonly options?: string;
  readonly tos?: number;
  readonly ttl?: number;
  /** Spoils the checksum. */
  readonly badChecksum?: boolean;
}

/** A segment that the machine sent. */
export interface SentSegment {
  readonly text: string;
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  readonly win: number;
  readonly len: number;
  readonly data: Uint8Array;
  readonly options: string;
  readonly tsval: number;
  readonly tsecr: number;
  readonly timeMs: number;
  readonly tos: number;
}

const FLAG_CHARS: readonly (readonly [string, number])[] = [
  ['F', 0x01],
  ['S', 0x02],
  ['R', 0x04],
  ['P', 0x08],
  ['.', 0x10],
  ['U', 0x20],
  ['E', 0x40],
  ['W', 0x80],
];
const FLAG_ORDER = 'SFRPUEW.';

class RigHost implements MachineHost {
  clock = 0;
  kicked = false;
  readClock(): number {
    return this.clock;
  }
  kick(): void {
    this.kicked = true;
  }
  timerChanged(): void {}
}

export interface TcpRigOptions {
  readonly seed?: number;
  readonly mtu?: number;
  /** The peer's initial sequence number. */
  readonly peerIsn?: number;
  /** The machine's own address; LOCAL by default. */
  readonly address?: number;
  /** The peer's address; REMOTE by default. */
  readonly peer?: number;
}

export class TcpRig {
  readonly host: RigHost = new RigHost();
  readonly machine: Machine;
  readonly task: Task;
  readonly sys: SyscallTable;
  readonly tun: TunFile;
  localPort = 8080;
  remotePort = 40000;
  /** Absolute initial numbers; the machine's is learned from its SYN. */
  peerIsn: number;
  isn = 0;
  readonly address: number;
  readonly peer: number;

  constructor(options: TcpRigOptions = {}) {
    this.peerIsn = options.peerIsn ?? 0;
    this.address = options.address ?? LOCAL;
    this.peer = options.peer ?? REMOTE;
    this.machine = bootMachine({
      name: 'rig',
      host: this.host,
      seed: options.seed ?? 1,
      bootEpochSec: 1_700_000_000,
      modules: defconfig,
    });
    this.task = createTask(this.machine, 'test', this.machine.initNet);
    this.sys = makeSyscalls(this.task);
    const tun = tunCreate(this.machine.initNet, { name: 'tun0', flags: IFF_TUN | IFF_NO_PI });
    if (typeof tun === 'number') throw new Error(`tunCreate: ${tun}`);
    this.tun = tun;
    this.configure(options.mtu ?? 1500, this.address);
    // Past the first seconds, so that no clock is zero.
    this.advance(10_000);
  }

  private configure(mtu: number, address: number): void {
    const { dev } = this.tun;
    if (dev === null) throw new Error('no tun device');
    dev.mtu = mtu;
    const fd = this.sys.socket(AF_INET, SOCK_STREAM, 0);
    this.ioctl(fd, SIOCSIFADDR, address);
    this.ioctl(fd, SIOCSIFNETMASK, MASK);
    const ifr = this.ifreq();
    new DataView(ifr.buffer).setInt16(16, IFF_UP, true);
    const err = this.sys.ioctl(fd, SIOCSIFFLAGS, ifr);
    if (err !== 0) throw new Error(`SIOCSIFFLAGS: ${err}`);
    if ((this.peer & MASK) !== (address & MASK)) this.hostRoute(fd, this.peer);
    this.sys.close(fd);
    this.settle();
  }

  /** A peer of another network is on the link all the same. */
  private hostRoute(fd: number, to: number): void {
    const rt = new Uint8Array(rtentry.LEN);
    rt.set(this.sockaddr(to, 0), rtentry.DST);
    rt.set([0x74, 0x75, 0x6e, 0x30], rtentry.DEV);
    rtentry.setFlags(new DataView(rt.buffer), 0, RTF_UP | RTF_HOST);
    const err = this.sys.ioctl(fd, SIOCADDRT, rt);
    if (err !== 0) throw new Error(`SIOCADDRT: ${err}`);
  }

  private ifreq(): Uint8Array {
    const ifr = new Uint8Array(40);
    ifr.set([0x74, 0x75, 0x6e, 0x30]);
    return ifr;
  }

  private ioctl(fd: number, cmd: number, addr: number): void {
    const ifr = this.ifreq();
    ifr.set(this.sockaddr(addr, 0), 16);
    const err = this.sys.ioctl(fd, cmd, ifr);
    if (err !== 0) throw new Error(`ioctl ${cmd.toString(16)}: ${err}`);
  }

  sockaddr(addr: number, port: number): Uint8Array {
    const sa = new Uint8Array(16);
    const v = new DataView(sa.buffer);
    v.setUint16(0, AF_INET, true);
    v.setUint16(2, port);
    v.setUint32(4, addr);
    return sa;
  }

  // ---- Time ------------------------------------------------------------------------------------

  get nowMs(): number {
    return this.host.clock / MS;
  }

  /** Lets everything happen that is due now. */
  settle(): void {
    for (let i = 0; i < 100; i++) {
      this.host.kicked = false;
      runPending(this.machine);
      if (!this.host.kicked) return;
    }
    throw new Error('the machine does not come to rest');
  }

  /** Moves the clock by `ms`, stopping at each timer. */
  advance(ms: number): void {
    this.advanceTo(this.host.clock + ms * MS);
  }

  /** Moves the clock to `end`, in ns. */
  advanceTo(end: number): void {
    for (;;) {
      const next = this.machine.nextExpiry();
      if (next > end) break;
      this.host.clock = Math.max(next, this.host.clock);
      this.machine.enter(this.host.clock);
      runTimers(this.machine);
      this.settle();
    }
    this.host.clock = end;
    this.machine.enter(end);
  }

  // ---- Segments --------------------------------------------------------------------------------

  /** The peer sends a segment. */
  inject(spec: SegmentSpec): void {
    const options = this.encodeOptions(spec.options ?? '');
    const data =
      typeof spec.data === 'number'
        ? new Uint8Array(spec.data).fill(0x61)
        : (spec.data ?? new Uint8Array(0));
    const tcpLen = 20 + options.length + data.length;
    const packet = new Uint8Array(20 + tcpLen);
    const v = new DataView(packet.buffer);
    v.setUint8(0, 0x45);
    v.setUint8(1, spec.tos ?? 0);
    v.setUint16(2, packet.length);
    v.setUint8(8, spec.ttl ?? 64);
    v.setUint8(9, IPPROTO_TCP);
    v.setUint32(12, this.peer);
    v.setUint32(16, this.address);
    v.setUint16(10, csumFold(csumPartial(packet, 0, 20, 0)));
    let flags = 0;
    for (const [char, bit] of FLAG_CHARS) if (spec.flags.includes(char)) flags |= bit;
    v.setUint16(20, this.remotePort);
    v.setUint16(22, this.localPort);
    v.setInt32(24, (this.peerIsn + (spec.seq ?? 0)) | 0);
    v.setInt32(28, (flags & 0x10) !== 0 ? (this.isn + (spec.ack ?? 0)) | 0 : 0);
    v.setUint8(32, ((20 + options.length) >> 2) << 4);
    v.setUint8(33, flags);
    v.setUint16(34, spec.win ?? 65535);
    v.setUint16(38, spec.urg ?? 0);
    packet.set(options, 40);
    packet.set(data, 40 + options.length);
    const sum = csumPartial(packet, 20, tcpLen, 0);
    const check = csumTcpudpMagic(this.peer, this.address, tcpLen, IPPROTO_TCP, sum);
    v.setUint16(36, spec.badChecksum === true ? check ^ 0x5555 : check);
    this.raw(packet);
  }

  /** The peer, or a router, sends an IP packet. */
  raw(packet: Uint8Array): void {
    this.machine.enter(this.host.clock);
    const ret = tunGetUser(this.tun, packet);
    if (ret < 0) throw new Error(`tunGetUser: ${ret}`);
    this.settle();
  }

  private encodeOptions(text: string): Uint8Array {
    const out: number[] = [];
    const u32 = (x: number): void => {
      out.push((x >>> 24) & 255, (x >>> 16) & 255, (x >>> 8) & 255, x & 255);
    };
    for (const item of text.split(',').filter((s) => s !== '')) {
      const [name, ...args] = item.trim().split(' ');
      if (name === 'mss') out.push(2, 4, Number(args[0]) >> 8, Number(args[0]) & 255);
      else if (name === 'wscale') out.push(3, 3, Number(args[0]));
      else if (name === 'sackOK') out.push(4, 2);
      else if (name === 'nop') out.push(1);
      else if (name === 'eol') out.push(0);
      else if (name === 'TS') {
        const [val, ecr] = (args[0] ?? '').split(':');
        out.push(8, 10);
        u32(Number(val));
        u32(Number(ecr));
      } else if (name === 'sack') {
        out.push(5, 2 + 8 * args.length);
        for (const block of args) {
          const [left, right] = block.split(':');
          u32(this.isn + Number(left));
          u32(this.isn + Number(right));
        }
      } else if (name === 'FO' || name === 'FOEXP') {
        const cookie = (args[0] ?? '').match(/../g) ?? [];
        if (name === 'FO') out.push(34, 2 + cookie.length);
        else out.push(254, 4 + cookie.length, 0xf9, 0x89);
        out.push(...cookie.map((hex) => Number.parseInt(hex, 16)));
      } else if (name === 'hex') {
        const octets = (args[0] ?? '').match(/../g) ?? [];
        out.push(...octets.map((hex) => Number.parseInt(hex, 16)));
      } else throw new Error(`option ${item}`);
    }
    while (out.length % 4 !== 0) out.push(1);
    return Uint8Array.from(out);
  }

  private hex(v: DataView, from: number, to: number): string {
    let text = '';
    for (let i = from; i < to; i++) text += v.getUint8(i).toString(16).padStart(2, '0');
    return text;
  }

  private decodeOptions(v: DataView, from: number, to: number): [string, number, number] {
    const out: string[] = [];
    let tsval = 0;
    let tsecr = 0;
    for (let i = from; i < to; ) {
      const kind = v.getUint8(i);
      if (kind === 1) {
        out.push('nop');
        i++;
        continue;
      }
      if (kind === 0) break;
      const len = v.getUint8(i + 1);
      if (kind === 2) out.push(`mss ${v.getUint16(i + 2)}`);
      else if (kind === 3) out.push(`wscale ${v.getUint8(i + 2)}`);
      else if (kind === 4) out.push('sackOK');
      else if (kind === 8) {
        tsval = v.getUint32(i + 2);
        tsecr = v.getUint32(i + 6);
        out.push('TS');
      } else if (kind === 5) {
        const blocks: string[] = [];
        for (let j = i + 2; j < i + len; j += 8) {
          const left = (v.getInt32(j) - this.peerIsn) >>> 0;
          const right = (v.getInt32(j + 4) - this.peerIsn) >>> 0;
          blocks.push(`${left}:${right}`);
        }
        out.push(`sack ${blocks.join(' ')}`);
      } else if (kind === 34) {
        out.push(`FO ${this.hex(v, i + 2, i + len)}`.trim());
      } else if (kind === 254 && v.getUint16(i + 2) === 0xf989) {
        out.push(`FOEXP ${this.hex(v, i + 4, i + len)}`.trim());
      } else out.push(`kind ${kind}`);
      i += len;
    }
    return [out.join(','), tsval, tsecr];
  }

  private decode(packet: Uint8Array): SentSegment {
    const v = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
    const ihl = (v.getUint8(0) & 15) * 4;
    if (v.getUint8(9) !== IPPROTO_TCP) throw new Error(`protocol ${v.getUint8(9)}`);
    const tcpLen = v.getUint16(2) - ihl;
    const sum = csumPartial(packet, ihl, tcpLen, 0);
    if (csumTcpudpMagic(v.getUint32(12), v.getUint32(16), tcpLen, IPPROTO_TCP, sum) !== 0) {
      throw new Error('a segment with a wrong checksum was sent');
    }
    const bits = v.getUint8(ihl + 13);
    if ((bits & 2) !== 0) this.isn = v.getInt32(ihl + 4);
    const hdr = (v.getUint8(ihl + 12) >> 4) * 4;
    const len = tcpLen - hdr;
    const seq = (v.getInt32(ihl + 4) - this.isn) >>> 0;
    const ack = (v.getInt32(ihl + 8) - this.peerIsn) >>> 0;
    const win = v.getUint16(ihl + 14);
    const [options, tsval, tsecr] = this.decodeOptions(v, ihl + 20, ihl + hdr);
    let flags = '';
    for (const char of FLAG_ORDER) {
      const bit = FLAG_CHARS.find(([c]) => c === char)?.[1] ?? 0;
      if ((bits & bit) !== 0) flags += char;
    }
    const parts = [flags, `${seq}:${seq + len}(${len})`];
    if ((bits & 0x10) !== 0) parts.push(`ack ${ack}`);
    parts.push(`win ${win}`);
    if (options !== '') parts.push(`<${options}>`);
    return {
      text: parts.join(' '),
      flags,
      seq,
      ack,
      win,
      len,
      data: packet.slice(ihl + hdr),
      options,
      tsval,
      tsecr,
      timeMs: this.nowMs,
      tos: v.getUint8(1),
    };
  }

  /** What the machine has sent since the last call. */
  sent(): SentSegment[] {
    const out: SentSegment[] = [];
    const buf = new Uint8Array(70_000);
    for (;;) {
      const n = tunDoRead(this.tun, buf);
      if (n < 0) return out;
      out.push(this.decode(buf.slice(0, n)));
    }
  }

  /** The same, packets of any protocol as octets. */
  sentRaw(): Uint8Array[] {
    const out: Uint8Array[] = [];
    const buf = new Uint8Array(70_000);
    for (;;) {
      const n = tunDoRead(this.tun, buf);
      if (n < 0) return out;
      out.push(buf.slice(0, n));
    }
  }

  texts(): string[] {
    return this.sent().map((s) => s.text);
  }

  // ---- Sockets ---------------------------------------------------------------------------------

  private check(what: string, ret: number): number {
    this.settle();
    if (ret < 0) throw new Error(`${what}: ${ret}`);
    return ret;
  }

  setInt(fd: number, level: number, name: number, value: number): void {
    const val = new Uint8Array(4);
    new DataView(val.buffer).setInt32(0, value, true);
    this.check('setsockopt', this.sys.setsockopt(fd, level, name, val));
  }

  listen(backlog = 5): number {
    const fd = this.check('socket', this.sys.socket(AF_INET, SOCK_STREAM, 0));
    this.check('bind', this.sys.bind(fd, this.sockaddr(0, this.localPort)));
    this.check('listen', this.sys.listen(fd, backlog));
    return fd;
  }

  accept(fd: number): number {
    return this.check('accept', this.sys.accept4(fd, null, 0));
  }

  /** A socket that is not connected. */
  open(): number {
    return this.check('socket', this.sys.socket(AF_INET, SOCK_STREAM, 0));
  }

  /** Starts to connect to the peer; the SYN is in sent(). */
  connect(): number {
    const fd = this.check('socket', this.sys.socket(AF_INET, SOCK_STREAM, 0));
    this.check('bind', this.sys.bind(fd, this.sockaddr(0, this.localPort)));
    this.sys.connect(fd, this.sockaddr(REMOTE, this.remotePort));
    this.settle();
    return fd;
  }

  write(fd: number, data: number | Uint8Array): number {
    const buf = typeof data === 'number' ? new Uint8Array(data).fill(0x62) : data;
    const n = this.sys.write(fd, buf);
    this.settle();
    return n;
  }

  read(fd: number, size: number = 1 << 20): Uint8Array | number {
    const buf = new Uint8Array(size);
    const n = this.sys.read(fd, buf);
    this.settle();
    return n < 0 ? n : buf.slice(0, n);
  }

  close(fd: number): void {
    this.sys.close(fd);
    this.settle();
  }

  /** What a file of /proc/net says. */
  proc(name: string): string {
    const net = this.machine.initNet;
    return net.procNet.get(name)?.(net) ?? '';
  }

  /** The sock behind a descriptor. */
  sock(fd: number): TcpSock {
    const socket = this.task.files.get(fd)?.privateData as Socket;
    return socket.sk as TcpSock;
  }

  /** A listener and one accepted connection, by a handshake with these options. */
  accepted(options = 'mss 1460,sackOK,nop,wscale 7'): { fd: number; lfd: number } {
    const lfd = this.listen();
    this.inject({ flags: 'S', options });
    this.sent();
    const ts = options.includes('TS') ? 'nop,nop,TS 101:0' : '';
    this.inject({ flags: '.', seq: 1, ack: 1, win: 1000, options: ts });
    return { fd: this.accept(lfd), lfd };
  }

  /** The counter of TcpExt or Tcp by its number. */
  mib(field: number): number {
    return this.machine.initNet.mib.netStatistics[field] ?? 0;
  }

  /** Halts the machine; what is left alive, by kind. */
  end(): Record<string, number> {
    this.sentRaw();
    haltMachine(this.machine);
    return liveReport(this.machine);
  }
}
