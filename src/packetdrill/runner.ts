/*
 * Runs a script against a machine in virtual time, event by event.
 *
 * Times of events count from the script's beginning, or from the moment the event before was over.
 * What the machine does by itself at a moment comes before what the script does to it then.
 * Outbound packets wait in a queue until the script asks for them; those of connections that are no
 * longer tested are passed over, and so is what comes after the last packet that the script names.
 */

import {
  type CodeEvent,
  type CommandEvent,
  type PacketEvent,
  type Place,
  type Script,
  ScriptError,
  type ScriptEvent,
  type SyscallEvent,
  type TcpSpec,
} from '#packetdrill/ast.ts';
import type { Backend, MakeBackend } from '#packetdrill/backend.ts';
import { type Config, withScriptOptions } from '#packetdrill/config.ts';
import { Connection, type TimestampRules } from '#packetdrill/connection.ts';
import { evaluate } from '#packetdrill/expr.ts';
import { formatPacket } from '#packetdrill/packet_format.ts';
import { codeLine, PythonError, PythonSyntaxError, runPython } from '#packetdrill/python.ts';
import { CONSTANTS, errnoName, errnoNumber } from '#packetdrill/symbols.ts';
import { makeCall, type SyscallHost } from '#packetdrill/syscalls.ts';
import { tcpInfoNames } from '#packetdrill/tcp_info.ts';
import { buildIcmp, buildTcp, buildUdp, type LivePacket, quotePacket } from '#packetdrill/wire.ts';
import { ICMP_DEST_UNREACH } from '#uapi/icmp.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { TCPHDR_ACK, TCPHDR_FIN, TCPHDR_PSH, TCPHDR_SYN, tcphdr } from '#uapi/tcp.ts';
import { udphdr } from '#uapi/udp.ts';
import { decodeSockaddr4 } from '#user/lib/sockaddr.ts';

/** Something did not happen as the script says. */
export class ScriptFailure extends Error {
  override readonly name = 'ScriptFailure';
  readonly line: number;
  /** The packet that the script expects, and the one that came; empty when it is not about one. */
  readonly expected: string;
  readonly actual: string;
  /** The way of the packet that came, or of the last that went in when none came. */
  readonly journey: readonly string[];

  constructor(
    line: number,
    problem: string,
    expected = '',
    actual = '',
    journey: readonly string[] = [],
  ) {
    super(problem);
    this.line = line;
    this.expected = expected;
    this.actual = actual;
    this.journey = journey;
  }
}

export interface RunnerHost {
  readonly makeBackend: MakeBackend;
  /** As `makeBackend`, recording the ways of packets: a script that fails runs again with it. */
  readonly makeRecording?: MakeBackend;
  /** Told of each event and packet as it happens. */
  readonly log: ((line: string) => void) | null;
  /** Sees each packet: ns since the script began, the bytes from the IP header on. */
  readonly capture: ((timeNs: number, bytes: Uint8Array, inbound: boolean) => void) | null;
}

/** Ports of the remote side's connections begin here. */
const FIRST_REMOTE_PORT = 49152;
const DEFAULT_TTL = 64;

interface Queued {
  readonly packet: LivePacket;
  readonly connection: Connection | null;
}

/** A call that sleeps, or has returned and has not been looked at. */
interface Pending {
  readonly event: SyscallEvent;
  /** When it shall return, in ns since the script began. */
  readonly endNs: number;
  returned: { readonly result: number; readonly problem: string; readonly timeNs: number } | null;
}

export class Runner {
  readonly backend: Backend;
  private readonly script: Script;
  private readonly config: Config;
  private readonly host: RunnerHost;
  private readonly rules: TimestampRules;
  private readonly syscalls: SyscallHost;
  private readonly queue: Queued[];
  private readonly connections: Connection[];
  /** The connection under test; null before there is one. */
  private current: Connection | null;
  /** Index of the first connection that may be tested: those before belong to older sockets. */
  private firstTested: number;
  /** A socket began to listen: the next SYN is a new connection. */
  private listening: boolean;
  private nextRemotePort: number;
  private nextIpId: number;
  private pending: Pending | null;
  private lastFd: number;
  private readonly variables: Map<string, number | string | boolean | null>;
  /** The backend's time of the script's beginning. */
  private origin: number;

  constructor(script: Script, config: Config, host: RunnerHost) {
    this.script = script;
    this.config = withScriptOptions(config, script.options);
    this.host = host;
    this.queue = [];
    this.connections = [];
    this.current = null;
    this.firstTested = 0;
    this.listening = false;
    this.nextRemotePort = FIRST_REMOTE_PORT;
    this.nextIpId = 1;
    this.pending = null;
    this.lastFd = -1;
    this.variables = new Map();
    const { tcpTsTickUs, tcpTsEcrScaled, toleranceNs } = this.config;
    this.rules = { tickUs: tcpTsTickUs, scaled: tcpTsEcrScaled, toleranceNs };
    this.backend = host.makeBackend({ sent: (packet) => this.sent(packet) });
    this.origin = this.backend.nowNs;
    this.syscalls = this.makeHost();
  }

  private makeHost(): SyscallHost {
    const { config, backend } = this;
    return {
      libc: backend.calls,
      defines: config.defines,
      clock: {
        fromWall: (sec, nsec) => backend.fromWall(sec, nsec) - this.origin,
        toleranceNs: config.toleranceNs,
      },
      local: { addr: config.localIp, port: config.port },
      remote: { addr: config.remoteIp, port: config.port },
      fds: new Map(),
      accepted: (fd, addr) => this.accepted(fd, addr),
    };
  }

  // The run.

  /** Runs the whole script. Throws ScriptError, ScriptFailure, UnsupportedCall. */
  async run(): Promise<void> {
    await this.backend.setUp(this.config);
    const { init, events, cleanup } = this.script;
    try {
      if (init !== null) await this.shell(init.command, init.place);
      // Commands have taken no time, but for those that slept: the script begins now.
      this.queue.length = 0;
      this.origin = this.backend.nowNs;
      for (const event of events) await this.runEvent(event);
      this.settlePending();
    } finally {
      if (cleanup !== null) await this.shell(cleanup.command, cleanup.place);
    }
  }

  /** Time since the script began. */
  get seconds(): number {
    return this.nowNs / 1e9;
  }

  private get nowNs(): number {
    return this.backend.nowNs - this.origin;
  }

  private async shell(command: string, place: Place): Promise<void> {
    this.say(() => `\`${command}\``);
    const { status, output } = await this.backend.command(command);
    if (output !== '') this.say(() => output.trimEnd());
    if (status === 0) return;
    const said = output.trim() === '' ? '' : `: ${output.trim()}`;
    throw new ScriptFailure(
      place.line,
      status === null
        ? `the command did not end${said}`
        : `the command ended with ${status}${said}`,
    );
  }

  private async runEvent(event: ScriptEvent): Promise<void> {
    const base = this.nowNs;
    const offset = event.time.kind === 'relative' ? base : 0;
    const fromNs = offset + event.time.fromNs;
    if (event.kind === 'packet' && !event.inbound) {
      this.outbound(event, fromNs, offset + event.time.toNs, base);
      return;
    }
    if (event.kind === 'syscall') this.settlePending();
    if (event.time.kind !== 'any') this.advance(fromNs, event.place, base);
    switch (event.kind) {
      case 'packet':
        this.inbound(event);
        break;
      case 'syscall':
        this.call(event, event.endNs === null ? -1 : offset + event.endNs);
        break;
      case 'command':
        await this.command(event);
        break;
      case 'code':
        this.code(event);
        break;
    }
  }

  /** Lets time pass up to an event's. */
  private advance(timeNs: number, place: Place, base: number): void {
    this.runWorld(timeNs, () => false);
    const late = this.nowNs - timeNs;
    if (late > this.tolerance(timeNs - base)) {
      throw new ScriptFailure(
        place.line,
        `the event should be at ${seconds(timeNs)}, and it is ${seconds(this.nowNs)} already`,
      );
    }
  }

  private runWorld(timeNs: number, until: () => boolean): void {
    this.backend.runUntil(this.origin + timeNs, until);
  }

  private tolerance(gapNs: number): number {
    const { toleranceNs, tolerancePercent } = this.config;
    return Math.max(toleranceNs, (Math.max(0, gapNs) * tolerancePercent) / 100);
  }

  private say(text: () => string): void {
    this.host.log?.(`${seconds(this.nowNs)} ${text()}`);
  }

  // Packets.

  /** A packet has left the machine. */
  private sent(packet: LivePacket): void {
    const connection = packet.tcp === null ? null : this.connectionOf(packet);
    if (packet.tcp !== null) connection?.sent(packet.tcp);
    this.host.capture?.(packet.timeNs - this.origin, packet.bytes, false);
    this.queue.push({ packet, connection });
  }

  /** The connection of an outbound packet; a SYN makes a new one. */
  private connectionOf(packet: LivePacket): Connection | null {
    const { tcp } = packet;
    if (tcp === null) return null;
    const known = this.connections.findLast(
      ({ localPort, remotePort }) => localPort === tcp.source && remotePort === tcp.dest,
    );
    if (known !== undefined) return known;
    if ((tcp.flags & (TCPHDR_SYN | TCPHDR_ACK)) !== TCPHDR_SYN) return null;
    const connection = new Connection(tcp.source, tcp.dest, true);
    this.connections.push(connection);
    return connection;
  }

  /** The script's descriptor of the socket with a local port; -1: none. */
  private fdOfLocalPort(port: number): number {
    const { sys } = this.backend.calls;
    const addr = new Uint8Array(128);
    for (const [fd, live] of [...this.syscalls.fds].reverse()) {
      const length = sys.getsockname(live, addr);
      if (length > 0 && decodeSockaddr4(addr)?.port === port) return fd;
    }
    return -1;
  }

  private accepted(fd: number, addr: Uint8Array): void {
    const peer = decodeSockaddr4(addr);
    const connection = this.connections.findLast(
      ({ active, remotePort }) => !active && remotePort === peer?.port,
    );
    if (connection !== undefined) connection.fd = fd;
  }

  private ipFields(tos: number, ttl: number): Parameters<typeof buildTcp>[0] {
    return {
      saddr: this.config.remoteIp,
      daddr: this.config.localIp,
      tos,
      ttl,
      id: this.nextIpId++ & 0xffff,
    };
  }

  private inbound(event: PacketEvent): void {
    const { packet } = event;
    this.say(() => `< ${formatPacket(packet)}`);
    const frame = this.buildInbound(event);
    this.host.capture?.(this.nowNs, frame.subarray(12), true);
    const err = this.backend.inject(frame);
    if (err !== 0) {
      throw new ScriptFailure(
        event.place.line,
        `the machine does not take the packet: ${errnoName(-err)}`,
      );
    }
  }

  private buildInbound({ packet }: PacketEvent): Uint8Array {
    const tos = packet.ip.tos ?? packet.ip.ecn ?? 0;
    const ip = this.ipFields(tos, packet.ip.ttl ?? DEFAULT_TTL);
    if (packet.kind === 'tcp') {
      const connection = this.inboundConnection(packet);
      return buildTcp(ip, connection.inbound(packet, this.config.mss, this.rules));
    }
    if (packet.kind === 'udp') {
      const { source, destination } = packet.ports ?? this.udpPorts();
      return buildUdp(ip, source, destination, packet.length);
    }
    return buildIcmp(ip, {
      type: packet.type,
      code: packet.code,
      rest: Math.max(0, packet.mtu),
      payload: packet.type < 32 ? this.quote(packet.echoed) : new Uint8Array(0),
    });
  }

  private udpPorts(): { source: number; destination: number } {
    const [port] = [...this.syscalls.fds.values()].map((live) => {
      const addr = new Uint8Array(128);
      return this.backend.calls.sys.getsockname(live, addr) > 0
        ? (decodeSockaddr4(addr)?.port ?? 0)
        : 0;
    });
    return { source: this.config.port, destination: port ?? this.config.port };
  }

  /** The packet of the machine that an ICMP error is about. */
  private quote(echoed: Extract<PacketEvent['packet'], { kind: 'icmp' }>['echoed']): Uint8Array {
    const { localIp, remoteIp } = this.config;
    const ip = { saddr: localIp, daddr: remoteIp, tos: 0, ttl: DEFAULT_TTL, id: 0 };
    if (echoed?.kind === 'udp') {
      const { source, destination } = this.udpPorts();
      const length = udphdr.LEN + echoed.length;
      const total = iphdr.LEN + length;
      return quotePacket(ip, IPPROTO_UDP, total, destination, source, length << 16);
    }
    const connection = this.current;
    const given = echoed ?? { kind: 'tcp', seq: 0, length: 0 };
    return quotePacket(
      ip,
      IPPROTO_TCP,
      iphdr.LEN + tcphdr.LEN + given.length,
      connection?.localPort ?? this.config.port,
      connection?.remotePort ?? this.config.port,
      connection?.quoted(given) ?? 0,
    );
  }

  /** The connection that an inbound packet belongs to. */
  private inboundConnection({ flags, ports }: TcpSpec): Connection {
    const syn = (flags & (TCPHDR_SYN | TCPHDR_ACK)) === TCPHDR_SYN;
    if (ports !== null) {
      const known = this.connections.findLast(
        ({ localPort, remotePort }) =>
          localPort === ports.destination && remotePort === ports.source,
      );
      this.current = known ?? this.newPassive(ports.destination, ports.source);
    } else if ((syn && this.listening) || this.current === null) {
      this.current = this.newPassive(this.config.port, this.nextRemotePort++);
    }
    if (syn) this.listening = false;
    return this.current;
  }

  private newPassive(localPort: number, remotePort: number): Connection {
    const connection = new Connection(localPort, remotePort, false);
    this.connections.push(connection);
    return connection;
  }

  private outbound(event: PacketEvent, fromNs: number, toNs: number, base: number): void {
    const { packet: spec } = event;
    const any = event.time.kind === 'any';
    const limit = (any ? base : toNs) + this.backend.patienceNs;
    let rest = spec;
    for (;;) {
      const { packet, connection } = this.nextOutbound(event, limit);
      const piece = this.compareOutbound(event, rest, packet, connection);
      if (!any) this.checkTime(event, packet, connection, fromNs, toNs, base);
      if (piece === null) return;
      rest = piece;
    }
  }

  /** The next packet of what is tested; waits for it. */
  private nextOutbound(event: PacketEvent, limitNs: number): Queued {
    const { packet: spec, place } = event;
    for (;;) {
      const next = this.queue.shift();
      if (next === undefined) {
        this.runWorld(limitNs, () => this.queue.length > 0);
        if (this.queue.length > 0) continue;
        throw new ScriptFailure(
          place.line,
          'the packet was not sent',
          formatPacket(spec),
          '',
          this.journeyOf(null),
        );
      }
      if (this.isTested(spec.kind, next)) return next;
      this.say(() => `> ${this.describe(next)} (not of what is tested)`);
    }
  }

  private isTested(kind: PacketEvent['packet']['kind'], { packet, connection }: Queued): boolean {
    if (kind === 'udp') return packet.udp !== null;
    if (kind === 'icmp') return packet.icmp !== null;
    if (connection === null) return false;
    if (connection === this.current) return true;
    // A SYN of a socket that nobody has heard of yet: from now on it is the one.
    const index = this.connections.indexOf(connection);
    const after = this.current === null ? -1 : this.connections.indexOf(this.current);
    if (!connection.active || index < this.firstTested || index <= after) return false;
    this.current = connection;
    return true;
  }

  /** Compares a packet with what is left of the script's; what is left then, null: nothing. */
  private compareOutbound(
    event: PacketEvent,
    spec: PacketEvent['packet'],
    packet: LivePacket,
    connection: Connection | null,
  ): PacketEvent['packet'] | null {
    if (spec.kind === 'udp') {
      if (packet.udp?.length === spec.length && packet.fault === '') return null;
      throw this.mismatch(event, [packet.fault || 'the length differs'], packet, connection);
    }
    if (spec.kind === 'icmp') {
      const { icmp } = packet;
      const same =
        icmp?.type === spec.type &&
        icmp.code === spec.code &&
        (spec.mtu < 0 || spec.type !== ICMP_DEST_UNREACH || (icmp.rest & 0xffff) === spec.mtu);
      if (same) return null;
      throw this.mismatch(event, ['the message differs'], packet, connection);
    }
    const { tcp } = packet;
    if (tcp === null || connection === null) {
      throw this.mismatch(event, ['the packet is not TCP'], packet, connection);
    }
    const partial = !this.config.strictSegments && tcp.length > 0 && tcp.length < spec.length;
    const wanted = partial
      ? {
          ...spec,
          length: tcp.length,
          flags: (spec.flags & ~(TCPHDR_PSH | TCPHDR_FIN)) | (tcp.flags & TCPHDR_PSH),
        }
      : spec;
    const problems = connection.compare(wanted, packet, this.rules);
    if (problems.length > 0) {
      const full = partial ? connection.compare(spec, packet, this.rules) : problems;
      throw this.mismatch(event, full, packet, connection);
    }
    this.say(() => `> ${this.describe({ packet, connection })}`);
    if (!partial) return null;
    return { ...spec, seq: (spec.seq + tcp.length) >>> 0, length: spec.length - tcp.length };
  }

  private checkTime(
    event: PacketEvent,
    packet: LivePacket,
    connection: Connection | null,
    fromNs: number,
    toNs: number,
    base: number,
  ): void {
    const at = packet.timeNs - this.origin;
    const slack = this.tolerance(toNs - base);
    const late = slack + this.backend.lateNs(toNs - base);
    if (at >= fromNs - slack && at <= toNs + late) return;
    const wanted = fromNs === toNs ? seconds(fromNs) : `${seconds(fromNs)}~${seconds(toNs)}`;
    throw this.mismatch(
      event,
      [`time: expected ${wanted} s, sent at ${seconds(at)} s`],
      packet,
      connection,
    );
  }

  private mismatch(
    event: PacketEvent,
    problems: readonly string[],
    packet: LivePacket,
    connection: Connection | null,
  ): ScriptFailure {
    return new ScriptFailure(
      event.place.line,
      problems.join('; '),
      formatPacket(event.packet),
      this.describe({ packet, connection }),
      this.journeyOf(packet),
    );
  }

  private journeyOf(packet: LivePacket | null): string[] {
    const steps = this.backend.journeyOf(packet);
    return steps.map(({ timeNs, text }) => `${seconds(timeNs - this.origin)} ${text}`);
  }

  /** A packet of the machine in the script's words. */
  private describe({ packet, connection }: Queued): string {
    const { tcp, udp, icmp } = packet;
    if (tcp !== null) {
      const tested = connection ?? new Connection(tcp.source, tcp.dest, false);
      return formatPacket(tested.outbound(tcp));
    }
    if (udp !== null) return `udp (${udp.length})`;
    if (icmp !== null) return `icmp type ${icmp.type} code ${icmp.code}`;
    return `IP protocol ${packet.protocol}`;
  }

  // System calls.

  private call(event: SyscallEvent, endNs: number): void {
    const pending: Pending = { event, endNs, returned: null };
    makeCall(this.syscalls, event, (result, problem) => {
      pending.returned ??= { result, problem, timeNs: this.nowNs };
    });
    this.noteCall(event);
    if (endNs < 0 || pending.returned !== null) {
      this.finish(pending);
      return;
    }
    this.say(() => `${event.text} sleeps`);
    this.pending = pending;
  }

  /** What the interpreter has to know of a call. */
  private noteCall({ name }: SyscallEvent): void {
    if (name === 'listen') this.listening = true;
    if (name !== 'socket') return;
    // A new socket is tested from now on; the connections of others are over.
    this.lastFd = [...this.syscalls.fds.keys()].at(-1) ?? -1;
    this.current = null;
    this.firstTested = this.connections.length;
  }

  /** Waits for a call that sleeps, if there is one. */
  private settlePending(): void {
    const { pending } = this;
    if (pending === null) return;
    this.pending = null;
    this.finish(pending);
  }

  /** Checks the end of a call; one that sleeps is waited for. */
  private finish(pending: Pending): void {
    const { event, endNs } = pending;
    const { line } = event.place;
    const began = this.nowNs;
    if (pending.returned === null) {
      const limit = Math.max(endNs, this.nowNs) + this.backend.patienceNs;
      this.runWorld(limit, () => pending.returned !== null);
    }
    const { returned } = pending;
    if (returned === null) {
      throw new ScriptFailure(line, `${event.text} does not return`);
    }
    this.checkResult(event, returned.result, returned.problem);
    const wanted = endNs < 0 ? began : endNs;
    const gap = endNs < 0 ? 0 : endNs - began;
    const slack = this.tolerance(gap);
    const off = returned.timeNs - wanted;
    if (off < -slack || off > slack + this.backend.lateNs(gap)) {
      throw new ScriptFailure(
        line,
        `${event.text} returned at ${seconds(returned.timeNs)} s, expected ${seconds(wanted)} s`,
      );
    }
  }

  private checkResult(event: SyscallEvent, result: number, problem: string): void {
    const { result: wanted, text, place } = event;
    const got = result < 0 ? `-1 ${errnoName(-result)}` : String(result);
    this.say(() => `${text} = ${got}`);
    if (wanted.value === null) return;
    const value = evaluate(wanted.value, this.config.defines);
    const shown = wanted.errno === '' ? String(value) : `${value} ${wanted.errno}`;
    let same = result < 0 ? value === -1 : value === result;
    if (same && wanted.errno !== '') {
      const errno = errnoNumber(wanted.errno);
      if (errno === undefined) {
        throw new ScriptError(place, `there is no errno '${wanted.errno}'`);
      }
      same = result === -errno;
    }
    if (!same) throw new ScriptFailure(place.line, `${text}: expected ${shown}, got ${got}`);
    if (problem !== '') throw new ScriptFailure(place.line, `${text}: ${problem}`);
  }

  // Commands and code.

  private async command(event: CommandEvent): Promise<void> {
    await this.shell(event.command, event.place);
  }

  private code(event: CodeEvent): void {
    let info: ReadonlyMap<string, number> | null = null;
    const names = (): ReadonlyMap<string, number> => {
      info ??= this.tcpInfo(event);
      return info;
    };
    try {
      runPython(event.code, {
        lookup: (name) => {
          if (this.variables.has(name)) return this.variables.get(name) ?? null;
          if (name.startsWith('tcpi_')) return names().get(name);
          return CONSTANTS.get(name) ?? EXTRA_CONSTANTS[name];
        },
        assign: (name, value) => this.variables.set(name, value as number),
        print: (text) => this.host.log?.(text),
      });
    } catch (error) {
      if (error instanceof PythonError) {
        throw new ScriptFailure(codeLine(event.place, error.line), error.message);
      }
      if (error instanceof PythonSyntaxError) {
        throw new ScriptError(
          { ...event.place, line: codeLine(event.place, error.line), column: 1 },
          error.message,
        );
      }
      throw error;
    }
  }

  /** The script's descriptor of what is tested; -1: there is none. */
  private testedFd(): number {
    const { current } = this;
    if (current === null) return this.lastFd;
    if (current.fd < 0 && current.active) current.fd = this.fdOfLocalPort(current.localPort);
    return current.fd < 0 ? this.lastFd : current.fd;
  }

  /** The fields of the tested socket's struct tcp_info, by their names in C. */
  private tcpInfo({ place }: CodeEvent): ReadonlyMap<string, number> {
    const fd = this.testedFd();
    const live = this.syscalls.fds.get(fd);
    if (live === undefined) {
      throw new ScriptFailure(place.line, 'no descriptor of the tested connection is open');
    }
    const names = tcpInfoNames(this.backend.calls, live);
    if (names === null) throw new ScriptFailure(place.line, 'the socket has no TCP_INFO');
    return names;
  }
}

/** Constants of the kernel's inside that scripts use. */
const EXTRA_CONSTANTS: Readonly<Record<string, number>> = {
  TCP_INFINITE_SSTHRESH: 0x7fffffff,
};

/** ns as seconds with microseconds. */
function seconds(ns: number): string {
  return (ns / 1e9).toFixed(6);
}
