/*
 * The connection under test, in two numberings: the script's, in which each side counts from 1
 * after its SYN, and that of the wire.
 *
 * A packet with SYN carries whole sequence numbers: the remote side's are those of the script, the
 * local side's initial one is what the machine chose, and the script's number for it is the one
 * that the first `> S` line shows. All other packets count from the SYN.
 */

import type { EchoedSpec, TcpOption, TcpSpec } from '#packetdrill/ast.ts';
import { formatFlags, formatOption, formatOptions } from '#packetdrill/packet_format.ts';
import type { LivePacket, LiveTcp, TcpFields } from '#packetdrill/wire.ts';
import { INET_ECN_MASK } from '#uapi/ip.ts';
import { TCPHDR_ACK, TCPHDR_SYN } from '#uapi/tcp.ts';

/** How time stamps of TCP are treated. */
export interface TimestampRules {
  /** us of one tick of the machine's time stamps; 0: outbound values are not compared. */
  readonly tickUs: number;
  /** Inbound echoes count from the first outbound time stamp, instead of being looked up. */
  readonly scaled: boolean;
  /** How far an outbound time stamp may be off, in ns. */
  readonly toleranceNs: number;
}

export class Connection {
  readonly localPort: number;
  readonly remotePort: number;
  /** The machine opened it. */
  readonly active: boolean;
  /** The script's descriptor; -1: not known yet. */
  fd: number;
  /** Initial sequence number of the machine: on the wire, and in the script. */
  private localIsn: number | null;
  private scriptIsn: number | null;
  /** Initial sequence number of the remote side, the same in both. */
  private remoteIsn: number | null;
  /** The machine has answered a SYN of the remote side: from now on its number stands. */
  private answered: boolean;
  /** Time stamps of the machine by those of the script. */
  private readonly stamps: Map<number, number>;
  private firstStamp: { readonly script: number; readonly live: number } | null;

  constructor(localPort: number, remotePort: number, active: boolean) {
    this.localPort = localPort;
    this.remotePort = remotePort;
    this.active = active;
    this.fd = -1;
    this.localIsn = null;
    this.scriptIsn = null;
    this.remoteIsn = null;
    this.answered = false;
    this.stamps = new Map();
    this.firstStamp = null;
  }

  /** Takes note of a packet that left the machine, when it leaves. */
  sent({ flags, seq }: LiveTcp): void {
    if ((flags & TCPHDR_SYN) !== 0) this.localIsn ??= seq;
    if ((flags & TCPHDR_ACK) !== 0 && this.remoteIsn !== null) this.answered = true;
  }

  // Script to wire.

  /** The fields of an inbound packet. */
  inbound(spec: TcpSpec, gsoSize: number, rules: TimestampRules): TcpFields {
    const syn = (spec.flags & TCPHDR_SYN) !== 0;
    if (syn && !this.answered) this.remoteIsn = spec.seq;
    const seq = syn ? spec.seq : ((this.remoteIsn ?? 0) + spec.seq) >>> 0;
    const withAck = (spec.flags & TCPHDR_ACK) !== 0;
    return {
      source: this.remotePort,
      dest: this.localPort,
      seq,
      ack: withAck ? this.toLocal(spec.ack ?? 0, syn) : 0,
      flags: spec.flags,
      window: spec.window ?? 0,
      urgent: spec.urgent,
      options: (spec.options ?? []).map((option) => this.inboundOption(option, syn, rules)),
      length: spec.length,
      gsoSize,
    };
  }

  /** A number of the machine's sequence space on the wire. */
  private toLocal(script: number, syn: boolean): number {
    const offset = syn ? script - (this.scriptIsn ?? 0) : script;
    return ((this.localIsn ?? 0) + offset) >>> 0;
  }

  private inboundOption(option: TcpOption, syn: boolean, rules: TimestampRules): TcpOption {
    if (option.kind === 'sack') {
      const blocks = option.blocks.map(
        ([start, end]) => [this.toLocal(start, syn), this.toLocal(end, syn)] as const,
      );
      return { kind: 'sack', blocks };
    }
    if (option.kind !== 'TS') return option;
    return { ...option, ecr: this.echo(option.ecr, rules) };
  }

  private echo(script: number, rules: TimestampRules): number {
    const { firstStamp } = this;
    if (rules.scaled && firstStamp !== null) {
      return (firstStamp.live + script - firstStamp.script) >>> 0;
    }
    return this.stamps.get(script) ?? script;
  }

  /** Sequence number on the wire of a packet that an ICMP error quotes. */
  quoted(echoed: EchoedSpec): number {
    return echoed.kind === 'tcp' ? this.toLocal(echoed.seq, false) : 0;
  }

  // Wire to script.

  /** An outbound packet in the script's numbers. */
  outbound(live: LiveTcp): TcpSpec {
    const syn = (live.flags & TCPHDR_SYN) !== 0;
    const isn = this.localIsn ?? 0;
    const relative = (live.seq - isn) >>> 0;
    return {
      kind: 'tcp',
      ip: { ecn: null, tos: null, ttl: null },
      ports: null,
      flags: live.flags,
      seq: syn ? (relative + (this.scriptIsn ?? 0)) >>> 0 : relative,
      length: live.length,
      ack: (live.flags & TCPHDR_ACK) !== 0 ? this.fromRemote(live.ack, syn) : null,
      window: live.window,
      urgent: live.urgent,
      options: live.options.map((option) => this.outboundOption(option, syn)),
      place: { file: '', line: 0, column: 0 },
    };
  }

  private fromRemote(live: number, syn: boolean): number {
    return syn ? live : (live - (this.remoteIsn ?? 0)) >>> 0;
  }

  private outboundOption(option: TcpOption, syn: boolean): TcpOption {
    if (option.kind === 'sack') {
      const blocks = option.blocks.map(
        ([start, end]) => [this.fromRemote(start, syn), this.fromRemote(end, syn)] as const,
      );
      return { kind: 'sack', blocks };
    }
    if (option.kind !== 'TS' || this.firstStamp === null) return option;
    const { script, live } = this.firstStamp;
    return { ...option, val: (option.val - live + script) >>> 0 };
  }

  /** The first `> S` line tells the script's number for what the machine chose. */
  private learnIsn(spec: TcpSpec, live: LiveTcp): void {
    if ((spec.flags & live.flags & TCPHDR_SYN) !== 0) this.scriptIsn ??= spec.seq;
  }

  /** Compares an outbound packet with the script's; what differs. */
  compare(spec: TcpSpec, packet: LivePacket, rules: TimestampRules): string[] {
    const { tcp } = packet;
    if (tcp === null) return ['the packet is not TCP'];
    this.learnIsn(spec, tcp);
    const live = this.outbound(tcp);
    const problems = packet.fault === '' ? [] : [packet.fault];
    const differ = (what: string, wanted: unknown, got: unknown): void => {
      if (wanted !== got) problems.push(`${what}: expected ${wanted}, got ${got}`);
    };
    const { ip } = spec;
    if (ip.ecn !== null) differ('ECN', ip.ecn, packet.tos & INET_ECN_MASK);
    if (ip.tos !== null) differ('TOS', ip.tos, packet.tos);
    if (ip.ttl !== null) differ('TTL', ip.ttl, packet.ttl);
    differ('flags', formatFlags(spec.flags), formatFlags(live.flags));
    differ('sequence number', spec.seq, live.seq);
    differ('payload length', spec.length, live.length);
    if ((spec.flags & live.flags & TCPHDR_ACK) !== 0) {
      differ('acknowledgement', spec.ack ?? 0, live.ack ?? 0);
    }
    if (spec.window !== null) differ('window', spec.window, live.window);
    differ('urgent pointer', spec.urgent, live.urgent);
    if (spec.options !== null) {
      problems.push(...this.compareOptions(spec.options, live.options ?? [], tcp, rules));
    }
    return problems;
  }

  private compareOptions(
    wanted: readonly TcpOption[],
    live: readonly TcpOption[],
    tcp: LiveTcp,
    rules: TimestampRules,
  ): string[] {
    const kinds = (options: readonly TcpOption[]): string =>
      options.map(({ kind }) => kind).join(',');
    if (kinds(wanted) !== kinds(live)) {
      return [`options: expected ${formatOptions(wanted)}, got ${formatOptions(live)}`];
    }
    const problems: string[] = [];
    wanted.forEach((want, i) => {
      const got = live[i] as TcpOption;
      if (want.kind === 'TS' && got.kind === 'TS') {
        const problem = this.compareStamp(want, tcp.options[i] as typeof want, rules);
        if (problem !== '') problems.push(problem);
      } else if (formatOption(want) !== formatOption(got)) {
        problems.push(`option: expected ${formatOption(want)}, got ${formatOption(got)}`);
      }
    });
    return problems;
  }

  /** @param got the option as it is on the wire */
  private compareStamp(
    want: Extract<TcpOption, { kind: 'TS' }>,
    got: Extract<TcpOption, { kind: 'TS' }>,
    rules: TimestampRules,
  ): string {
    this.firstStamp ??= { script: want.val, live: got.val };
    this.stamps.set(want.val, got.val);
    const echo =
      want.ecr === got.ecr ? '' : `time stamp echo: expected ${want.ecr}, got ${got.ecr}`;
    if (rules.tickUs === 0) return echo;
    const { script, live } = this.firstStamp;
    const val = (got.val - live + script) >>> 0;
    const offNs = Math.abs((val - want.val) | 0) * rules.tickUs * 1000;
    if (offNs > rules.toleranceNs) return `time stamp: expected ${want.val}, got ${val}`;
    return echo;
  }
}
