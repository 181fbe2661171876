/** Answers to what the views ask of a recording. */
import type { Machine } from '#kernel/machine.ts';
import { type Advice, adviceFor, adviceForLoss } from '#trace/advice.ts';
import {
  ICMP_MIB_INMSGS,
  ICMP_MIB_OUTMSGS,
  IPSTATS_MIB_FRAGCREATES,
  IPSTATS_MIB_INADDRERRORS,
  IPSTATS_MIB_INDELIVERS,
  IPSTATS_MIB_INPKTS,
  IPSTATS_MIB_OUTFORWDATAGRAMS,
  IPSTATS_MIB_OUTREQUESTS,
  TCP_MIB_INSEGS,
  TCP_MIB_OUTSEGS,
  UDP_MIB_INDATAGRAMS,
  UDP_MIB_NOPORTS,
  UDP_MIB_OUTDATAGRAMS,
} from '#uapi/snmp.ts';
import type {
  Calls,
  CpuView,
  DropLine,
  Journey,
  PacketInfo,
  StackCounts,
  StepDetail,
  StepInfo,
} from '../protocol.ts';
import type { Engine } from './engine.ts';
import { readSetting } from './facts.ts';
import { decodeHeaders } from './headers.ts';
import type { DropRecord } from './recording.ts';

const EXAMPLES = 8;

export function packetsOf(engine: Engine, query: Calls['packets']['params']): PacketInfo[] {
  const { fromNs = 0, toNs = Number.POSITIVE_INFINITY, text = '', fate = 'any', limit } = query;
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const list: PacketInfo[] = [];
  const { packets } = engine.recording;
  const latest = query.latest === true;
  for (let i = 0; i < packets.length && list.length < limit; i++) {
    const packet = packets[latest ? packets.length - 1 - i : i];
    if (packet === undefined || packet.endNs < fromNs || packet.bornNs > toNs) continue;
    if (fate !== 'any' && packet.fate !== fate) continue;
    if (words.length > 0) {
      const hay = `${packet.kind} ${packet.flow} ${packet.words} ${packet.reason}`.toLowerCase();
      if (!words.every((word) => hay.includes(word))) continue;
    }
    list.push(packet.info());
  }
  return latest ? list.reverse() : list;
}

export function journeyOf(engine: Engine, id: number): Journey | null {
  const { recording } = engine;
  const packet = recording.packetOf(id);
  if (packet === null) return null;
  return {
    packet: packet.info(),
    steps: recording.stepsOf(packet).map((n) => recording.stepInfo(n)),
    hops: packet.frames.map((frame) => {
      const { cable, ...rest } = recording.frameInfo(frame);
      return { cable: engine.lab.cables[cable]?.name ?? '', ...rest };
    }),
  };
}

export function stepDetailOf(engine: Engine, n: number): StepDetail | null {
  const { recording } = engine;
  if (n < 0 || n >= recording.steps) return null;
  const step = recording.stepInfo(n);
  const snapshot = recording.snapshotOf(n);
  const from = snapshot?.bytesAt ?? 0;
  const bytes = snapshot?.bytes ?? new Uint8Array(0);
  const relative = (offset: number): number => (offset < from ? -1 : offset - from);
  const { mac, network, transport } = step.pointers;
  const headers = decodeHeaders(bytes, {
    mac: mac < 0 ? -1 : relative(mac),
    network: network < 0 ? -1 : relative(network),
    transport: transport < 0 ? -1 : relative(transport),
    protocol: snapshot?.protocol ?? 0,
  });
  const fragmentSizes = snapshot?.fragSizes ?? [];
  const listSizes = snapshot?.fragListSizes ?? [];
  return { step, from, bytes, headers, fragmentSizes, listSizes };
}

export function stepsOf(engine: Engine, from: number, count: number, machine: string): StepInfo[] {
  const { recording } = engine;
  const index = machine === '' ? -1 : recording.machineIndex(machine);
  const list: StepInfo[] = [];
  for (let n = Math.max(0, from); n < recording.steps && list.length < count; n++) {
    if (index >= 0 && recording.machineOf(n) !== index) continue;
    list.push(recording.stepInfo(n));
  }
  return list;
}

function adviceOf({ code, wire, fn, machine, facts }: DropRecord): Advice {
  if (wire) return adviceForLoss(code, code === 0);
  return adviceFor(code, fn, { ...facts, machine });
}

export function dropsOf(engine: Engine, untilNs: number): DropLine[] {
  const lines: DropLine[] = [];
  for (const group of engine.recording.dropGroups.all()) {
    const count = group.countAt(untilNs);
    const latest = group.latest(count, EXAMPLES);
    const last = latest.at(-1);
    const { id, first } = group;
    if (first === undefined || last === undefined) continue;
    const { meaning, text, command } = adviceOf(last);
    const onCable = last.fn === 'cable';
    lines.push({
      id,
      reason: first.reason,
      meaning,
      machine: first.machine,
      fn: first.fn,
      count,
      firstNs: first.timeNs,
      lastNs: last.timeNs,
      examples: latest.map(({ packet }) => packet),
      advice: { text, command: onCable ? '' : command, machine: onCable ? '' : last.machine },
      expected: first.expected,
    });
  }
  // What is news comes first: real drops before the cables' losses, the latest before older ones.
  return lines.sort((a, b) => Number(a.expected) - Number(b.expected) || b.lastNs - a.lastNs);
}

const SETTINGS = [
  'net.core.netdev_budget',
  'net.core.netdev_budget_usecs',
  'net.core.dev_weight',
  'net.core.netdev_max_backlog',
] as const;

export function cpuViewOf(
  engine: Engine,
  { machine: name, fromNs, toNs, limit }: Calls['cpu']['params'],
): CpuView | null {
  const found = engine.machineOf(name);
  if (found === null) return null;
  const settings: Record<string, string> = {};
  for (const setting of SETTINGS) settings[setting] = readSetting(found.machine, setting);
  return engine.observer.cpus.view(found.machine, found.index, fromNs, toNs, limit, settings);
}

/** Counters that the map of the stack shows, by the names that nstat gives them. */
function countersOf(machine: Machine): Record<string, number> {
  const { ipStatistics, tcpStatistics, udpStatistics, icmpStatistics } = machine.initNet.mib;
  return {
    IpInReceives: ipStatistics[IPSTATS_MIB_INPKTS] ?? 0,
    IpInDelivers: ipStatistics[IPSTATS_MIB_INDELIVERS] ?? 0,
    IpInAddrErrors: ipStatistics[IPSTATS_MIB_INADDRERRORS] ?? 0,
    IpForwDatagrams: ipStatistics[IPSTATS_MIB_OUTFORWDATAGRAMS] ?? 0,
    IpOutRequests: ipStatistics[IPSTATS_MIB_OUTREQUESTS] ?? 0,
    IpFragCreates: ipStatistics[IPSTATS_MIB_FRAGCREATES] ?? 0,
    TcpInSegs: tcpStatistics[TCP_MIB_INSEGS] ?? 0,
    TcpOutSegs: tcpStatistics[TCP_MIB_OUTSEGS] ?? 0,
    UdpInDatagrams: udpStatistics[UDP_MIB_INDATAGRAMS] ?? 0,
    UdpNoPorts: udpStatistics[UDP_MIB_NOPORTS] ?? 0,
    UdpOutDatagrams: udpStatistics[UDP_MIB_OUTDATAGRAMS] ?? 0,
    IcmpInMsgs: icmpStatistics[ICMP_MIB_INMSGS] ?? 0,
    IcmpOutMsgs: icmpStatistics[ICMP_MIB_OUTMSGS] ?? 0,
  };
}

export function stackOf(
  engine: Engine,
  { machine: name, atNs, packet: id }: Calls['stack']['params'],
): StackCounts | null {
  const found = engine.machineOf(name);
  if (found === null) return null;
  const { recording } = engine;
  const last = recording.stepAt(atNs);
  const { passed, dropped } = recording.countFunctions(found.index, last);
  const levels = engine.observer.cpus.measure(found.machine, found.index);
  const record = id === 0 ? null : recording.packetOf(id);
  const trail: string[] = [];
  let present = '';
  for (const n of record === null ? [] : recording.stepsOf(record)) {
    if (n > last) break;
    present = '';
    if (recording.machineOf(n) !== found.index) continue;
    present = recording.fnOf(n);
    for (const fn of [...recording.pathOf(n), present]) if (trail.at(-1) !== fn) trail.push(fn);
  }
  return {
    passed,
    dropped,
    queued: { ring: levels.ring, backlog: levels.backlog, qdisc: levels.qdisc },
    counters: countersOf(found.machine),
    trail,
    present,
  };
}
