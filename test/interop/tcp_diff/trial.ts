/*
 * One scenario on one machine: makes the calls, builds the packets, and writes down what the
 * machine did.
 */

import type { TcpOption } from '#packetdrill/ast.ts';
import { DEFAULT_CONFIG } from '#packetdrill/config.ts';
import {
  buildIcmp,
  buildTcp,
  type IpFields,
  type LivePacket,
  type LiveTcp,
  quotePacket,
} from '#packetdrill/wire.ts';
import { EBADF } from '#uapi/errno.ts';
import { IPPROTO_TCP, sockaddrIn } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { POLLIN, POLLOUT, POLLPRI, POLLRDHUP } from '#uapi/poll.ts';
import {
  AF_INET,
  SO_MEMINFO,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_TCP,
} from '#uapi/socket.ts';
import { SIOCINQ, SIOCOUTQ } from '#uapi/sockios.ts';
import { TCP_INFO, TCPHDR_ACK, TCPHDR_SYN, tcphdr } from '#uapi/tcp.ts';
import { getTcpInfo, TCP_INFO_LEN, type TcpInfo } from '#uapi/tcp_info.ts';
import type { Call, Event, Icmp, Scenario, Segment, Which } from './events.ts';
import type { Host } from './host.ts';
import type { Outcome, Recording, Sent } from './record.ts';

/** The port of whoever listens, and of whoever connects. */
const SERVER_PORT = 8080;
const CLIENT_PORT = 49152;
const TTL = 64;
const { localIp, remoteIp } = DEFAULT_CONFIG;
const POLLED = POLLIN | POLLPRI | POLLOUT | POLLRDHUP;
const SK_MEMINFO_VARS = 9;
const MS = 1e6;

/** struct sockaddr_in. */
function address(addr: number, port: number): Uint8Array {
  const out = new Uint8Array(sockaddrIn.LEN);
  const v = new DataView(out.buffer);
  sockaddrIn.setFamily(v, 0, AF_INET);
  sockaddrIn.setPort(v, 0, port);
  sockaddrIn.setAddr(v, 0, addr);
  return out;
}

/** A value of an option as the kernel reads it. */
function optionBytes(value: readonly number[] | string): Uint8Array {
  if (typeof value === 'string') return new TextEncoder().encode(value);
  const out = new Uint8Array(4 * value.length);
  const v = new DataView(out.buffer);
  for (const [i, word] of value.entries()) v.setInt32(4 * i, word, true);
  return out;
}

/** What was read, short: every octet counts. */
function digest(bytes: Uint8Array): string {
  let h = 0x811c9dc5;
  for (const byte of bytes) h = Math.imul(h ^ byte, 0x01000193);
  return (h >>> 0).toString(16);
}

export class Trial {
  readonly host: Host;
  readonly scenario: Scenario;
  readonly sent: Sent[];
  readonly outcomes: Outcome[];
  /** The host's time of the beginning. */
  private origin: number;
  private readonly fds: Map<Which, number>;
  private localIsn: number | null;
  /** The first time stamp that the machine sent, and its last. */
  private firstStamp: number | null;
  private lastStamp: number;
  private nextId: number;
  private lateMs: number;

  constructor(scenario: Scenario, makeHost: (sent: (packet: LivePacket) => void) => Host) {
    this.scenario = scenario;
    this.sent = [];
    this.outcomes = [];
    this.fds = new Map();
    this.localIsn = null;
    this.firstStamp = null;
    this.lastStamp = 0;
    this.nextId = 1;
    this.lateMs = 0;
    this.origin = 0;
    this.host = makeHost((packet) => this.left(packet));
    this.origin = this.host.nowNs;
  }

  async prepare(): Promise<void> {
    await this.host.prepare(this.scenario.sysctls);
    this.begin();
  }

  /** The scenario begins: by default now. */
  begin(originNs: number = this.host.nowNs): void {
    this.host.drain();
    this.sent.length = 0;
    this.origin = originNs;
  }

  /** ms since the beginning. */
  get nowMs(): number {
    return (this.host.nowNs - this.origin) / MS;
  }

  get originNs(): number {
    return this.origin;
  }

  /** @param dueMs when the event should be */
  perform(event: Event, dueMs: number): void {
    const { host } = this;
    host.enter();
    host.drain();
    const timeMs = this.nowMs;
    this.lateMs = Math.max(this.lateMs, timeMs - dueMs);
    const { action } = event;
    let result = 0;
    let data = '';
    if (action.kind === 'call') [result, data] = this.call(action.call);
    else if (action.kind === 'segment') result = host.inject(this.segment(action.segment));
    else if (action.kind === 'icmp') result = host.inject(this.icmp(action.icmp));
    this.outcomes.push({ timeMs, result, data, ...this.look() });
    // What is sent from here on comes after this event: a packet that left meanwhile is seen now.
    host.drain();
  }

  /** The end: all that was seen. */
  async collect(): Promise<Recording> {
    const { host } = this;
    host.enter();
    host.drain();
    const counters = new Map<string, number>();
    for (const name of ['netstat', 'snmp']) readCounters(await host.proc(name), counters);
    const { outcomes, sent, lateMs } = this;
    return { outcomes, sent: [...sent], counters, lateMs };
  }

  /** Closes everything. */
  release(): void {
    const { host } = this;
    host.enter();
    for (const fd of this.fds.values()) host.calls.close(fd);
    host.halt();
  }

  // Packets out.

  private left(packet: LivePacket): void {
    const { tcp } = packet;
    if (tcp === null || this.host === undefined) return;
    if ((tcp.flags & TCPHDR_SYN) !== 0) this.localIsn ??= tcp.seq;
    for (const option of tcp.options) {
      if (option.kind !== 'TS') continue;
      this.firstStamp ??= option.val;
      this.lastStamp = option.val;
    }
    for (const piece of segmentsOf(tcp, packet.gsoSize)) {
      this.sent.push(this.inNumbers(packet, piece));
    }
  }

  private inNumbers(packet: LivePacket, tcp: LiveTcp): Sent {
    const { remoteIsn } = this.scenario;
    const hasAck = (tcp.flags & TCPHDR_ACK) !== 0;
    return {
      timeMs: (packet.timeNs - this.origin) / MS,
      flags: tcp.flags,
      seq: (tcp.seq - (this.localIsn ?? 0)) >>> 0,
      length: tcp.length,
      ack: hasAck ? (tcp.ack - remoteIsn) >>> 0 : 0,
      window: tcp.window,
      urgent: tcp.urgent,
      tos: packet.tos,
      ttl: packet.ttl,
      options: tcp.options.map((option) => this.optionInNumbers(option)),
      fault: packet.fault,
    };
  }

  private optionInNumbers(option: TcpOption): TcpOption {
    const { remoteIsn } = this.scenario;
    if (option.kind === 'TS') return { ...option, val: (option.val - (this.firstStamp ?? 0)) | 0 };
    if (option.kind !== 'sack') return option;
    const blocks = option.blocks.map(
      ([start, end]) => [(start - remoteIsn) >>> 0, (end - remoteIsn) >>> 0] as const,
    );
    return { kind: 'sack', blocks };
  }

  // Packets in.

  private ip(tos: number): IpFields {
    return { saddr: remoteIp, daddr: localIp, tos, ttl: TTL, id: this.nextId++ & 0xffff };
  }

  private get ports(): { readonly local: number; readonly remote: number } {
    return this.scenario.passive
      ? { local: SERVER_PORT, remote: CLIENT_PORT }
      : { local: CLIENT_PORT, remote: SERVER_PORT };
  }

  private toLocal(seq: number): number {
    return ((this.localIsn ?? 0) + seq) >>> 0;
  }

  private segment(segment: Segment): Uint8Array {
    const { flags, length, window, urgent } = segment;
    const options = segment.options.map((option): TcpOption => {
      if (option.kind === 'TS') return { ...option, ecr: (this.lastStamp + option.ecr) >>> 0 };
      if (option.kind !== 'sack') return option;
      const blocks = option.blocks.map(
        ([start, end]) => [this.toLocal(start), this.toLocal(end)] as const,
      );
      return { kind: 'sack', blocks };
    });
    return buildTcp(this.ip(segment.ecn), {
      source: this.ports.remote,
      dest: this.ports.local,
      seq: (this.scenario.remoteIsn + segment.seq) >>> 0,
      ack: (flags & TCPHDR_ACK) !== 0 ? this.toLocal(segment.ack) : 0,
      flags,
      window,
      urgent,
      options,
      length,
      gsoSize: 0,
    });
  }

  private icmp({ type, code, mtu, seq }: Icmp): Uint8Array {
    const { local, remote } = this.ports;
    const about = { saddr: localIp, daddr: remoteIp, tos: 0, ttl: TTL, id: 0 };
    const total = iphdr.LEN + tcphdr.LEN;
    const payload = quotePacket(about, IPPROTO_TCP, total, local, remote, this.toLocal(seq));
    return buildIcmp(this.ip(0), { type, code, rest: mtu, payload });
  }

  // Calls.

  private fd(which: Which): number {
    return this.fds.get(which) ?? -1;
  }

  private call(call: Call): [result: number, data: string] {
    const { calls } = this.host;
    const fd = this.fd('which' in call ? call.which : 'socket');
    const remote = address(remoteIp, SERVER_PORT);
    switch (call.name) {
      case 'socket': {
        const made = calls.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP);
        if (made >= 0) this.fds.set(call.which, made);
        return [Math.min(made, 0), ''];
      }
      case 'bind':
        return [calls.bind(fd, address(localIp, call.port)), ''];
      case 'listen':
        return [calls.listen(this.fd('listener'), call.backlog), ''];
      case 'accept': {
        const made = calls.accept4(this.fd('listener'), null, SOCK_NONBLOCK);
        if (made >= 0) this.fds.set('socket', made);
        return [Math.min(made, 0), ''];
      }
      case 'connect':
        return [calls.connect(fd, remote), ''];
      case 'send': {
        const to = call.addressed ? remote : null;
        return [calls.sendto(fd, new Uint8Array(call.length), call.flags, to), ''];
      }
      case 'recv': {
        const buf = new Uint8Array(call.length);
        const got = calls.recvfrom(fd, buf, call.flags, null);
        return [got, got > 0 ? digest(buf.subarray(0, Math.min(got, buf.length))) : ''];
      }
      case 'shutdown':
        return [calls.shutdown(fd, call.how), ''];
      case 'close':
        this.fds.delete(call.which);
        return [fd < 0 ? -EBADF : calls.close(fd), ''];
      case 'setsockopt':
        return [calls.setsockopt(fd, call.level, call.optname, optionBytes(call.value)), ''];
      case 'getsockopt': {
        const value = new Uint8Array(16);
        const length = calls.getsockopt(fd, call.level, call.optname, value);
        return [length, [...value.subarray(0, Math.max(0, length))].join('.')];
      }
    }
  }

  /** What can be seen of the socket. */
  private look(): Pick<Outcome, 'poll' | 'inq' | 'outq' | 'memory' | 'info' | 'infoLength'> {
    const { calls } = this.host;
    const fd = this.fd('socket');
    if (fd < 0) return { poll: 0, inq: 0, outq: 0, memory: [], info: null, infoLength: 0 };
    const revents = new Int16Array(1);
    calls.poll(Int32Array.of(fd), Int16Array.of(POLLED), revents);
    const info = new Uint8Array(TCP_INFO_LEN);
    const infoLength = calls.getsockopt(fd, SOL_TCP, TCP_INFO, info);
    const known: TcpInfo | null =
      infoLength < 0 ? null : getTcpInfo(new DataView(info.buffer), 0, infoLength);
    const memory = new Uint32Array(SK_MEMINFO_VARS);
    calls.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, new Uint8Array(memory.buffer));
    return {
      memory: [...memory],
      poll: revents[0] ?? 0,
      inq: this.askInt(fd, SIOCINQ),
      outq: this.askInt(fd, SIOCOUTQ),
      info: known,
      infoLength,
    };
  }

  private askInt(fd: number, request: number): number {
    const word = new Uint8Array(4);
    const result = this.host.calls.ioctl(fd, request, word);
    return result < 0 ? result : new DataView(word.buffer).getInt32(0, true);
  }
}

/** A super-packet as the segments that a card makes of it. */
function segmentsOf(tcp: LiveTcp, gsoSize: number): LiveTcp[] {
  if (gsoSize === 0 || tcp.length <= gsoSize) return [tcp];
  const pieces: LiveTcp[] = [];
  for (let at = 0; at < tcp.length; at += gsoSize) {
    const length = Math.min(gsoSize, tcp.length - at);
    const last = at + length === tcp.length;
    // FIN and PSH belong to the last, CWR to the first.
    const flags = tcp.flags & ~((last ? 0 : 0x9) | (at === 0 ? 0 : 0x80));
    pieces.push({ ...tcp, seq: (tcp.seq + at) >>> 0, length, flags });
  }
  return pieces;
}

/** Pairs of lines: names, then numbers, both behind the group's name. */
function readCounters(text: string, into: Map<string, number>): void {
  const lines = text.split('\n');
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [group, ...names] = (lines[i] ?? '').split(' ');
    const [, ...values] = (lines[i + 1] ?? '').split(' ');
    for (const [j, name] of names.entries()) into.set(`${group}${name}`, Number(values[j]));
  }
}
