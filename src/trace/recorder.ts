/**
 * The recorder: writes down what tracepoints and woven functions tell of one or more machines, in a
 * bounded memory. It only looks: a run is the same with it and without.
 *
 *     const recorder = new Recorder({ bytes: 64 << 20 });
 *     recorder.attach(machine);
 *     ...
 *     for (const step of journey(recorder, packet)) ...
 *
 * A packet's number in the recording is its own for life; what is made from it (clones, segments,
 * fragments, the frame's packet on the next machine) gets its own number and knows its parent, so that
 * all of them are one journey. Questions are asked in query.ts, drops.ts and flow.ts.
 */

import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_KIND_FULL, type SockCommon } from '#include/net/sock_common.ts';
import { inHardirq } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import type { Tracepoint } from '#kernel/tracepoint.ts';
import { Names } from '#trace/names.ts';
import { PacketIds, PacketTable } from '#trace/packets.ts';
import { watchDevices } from '#trace/probes_device.ts';
import { watchPackets } from '#trace/probes_packet.ts';
import { watchSockets } from '#trace/probes_socket.ts';
import {
  CONTEXT_HARDIRQ,
  CONTEXT_SOFTIRQ,
  CONTEXT_TASK,
  KIND_END,
  KIND_FUNCTION_ENTRY,
  KIND_TRACEPOINT,
  type PacketInfo,
  type SockInfo,
  type Step,
} from '#trace/record.ts';
import { TraceRing } from '#trace/ring.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';

export interface RecorderOptions {
  /** Memory for records, snapshots and bytes; 64 MiB by default. What is oldest is overwritten. */
  readonly bytes?: number;
  /** Most bytes that are kept of a packet, from its first header on; 96 by default. */
  readonly headerBytes?: number;
  /** Memory to begin with; it doubles when it is full, up to `bytes`. All of `bytes` by default. */
  readonly firstBytes?: number;
  /**
   * Also what comes with every packet and says little: entries and exits of receive functions, soft
   * interrupts being raised, tcp_probe, the reader's space; false by default.
   */
  readonly verbose?: boolean;
}

const DEFAULT_BYTES = 64 * 1024 * 1024;
const DEFAULT_HEADER_BYTES = 96;
/** Sockets whose addresses are kept, the latest; a power of two. About 10 MB when all are in use. */
export const MAX_SOCKS: number = 1 << 16;

/** A machine that is being followed. */
export class MachineTrack {
  readonly machine: Machine | null;
  readonly name: string;
  readonly index: number;
  readonly ids: PacketIds;
  /** The packet that the receive path handles now; 0: none. */
  current: number;
  /** Packets that were handed to drivers which have not answered yet, innermost last. */
  readonly sending: number[];
  /** Packet whose first byte is at an address that a card may fetch. */
  readonly toCard: Map<number, number>;
  /** Packet, at its sender, that a card put at an address. */
  readonly fromCard: Map<number, number>;
  /** Depth of traced functions. */
  depth: number;
  readonly undo: (() => void)[];

  constructor(machine: Machine | null, name: string, index: number) {
    this.machine = machine;
    this.name = name;
    this.index = index;
    this.ids = new PacketIds();
    this.current = 0;
    this.sending = [];
    this.toCard = new Map();
    this.fromCard = new Map();
    this.depth = 0;
    this.undo = [];
  }

  /** Registers a probe for as long as the machine is followed. */
  watch<Args extends unknown[]>(tp: Tracepoint<Args>, probe: (...args: Args) => void): void {
    tp.register(probe);
    this.undo.push(() => tp.unregister(probe));
  }
}

/** Drops of one kind: one reason, in one function, on one machine. */
export interface DropCount {
  readonly machine: string;
  readonly reason: number;
  readonly location: string;
  count: number;
  /** The latest packet of the kind. */
  packet: number;
  /** Where in the recording it ended. */
  seq: number;
}

/** Frames of one kind that did not arrive: lost on a cable, or refused by a card. */
export interface LossCount {
  /** The cable, or the machine whose card refused them. */
  readonly where: string;
  /** WIRE_* */
  readonly why: number;
  count: number;
  /** The latest packet of the kind; 0: not known. */
  packet: number;
  seq: number;
}

/**
 * Gets the number of a record that has just been written, of which packet it is (0: none), and the packet
 * itself when it is at hand.
 */
export type RecordListener = (
  seq: number,
  track: MachineTrack,
  kind: number,
  name: number,
  packet: number,
  skb: SkBuff | null,
  other: number,
) => void;

/** Packets for which a tenth of the memory is enough, at about 90 bytes each. */
function packetsFor(bytes: number): number {
  let capacity = 512;
  while (capacity * 2 * 90 <= bytes * 0.1) capacity *= 2;
  return capacity;
}

export class Recorder {
  readonly ring: TraceRing;
  readonly packets: PacketTable;
  readonly names: Names;
  readonly verbose: boolean;
  readonly tracks: MachineTrack[];
  /** Counted as they happen, so that overwriting loses none. */
  readonly dropCounts: Map<string, DropCount>;
  /** The same for frames that did not arrive. */
  readonly lossCounts: Map<string, LossCount>;
  /** Packets that ended with neither consume_skb nor a drop reason. */
  unexplained: number;
  /** Told of each record as it is written, for whoever keeps an index of its own. It only looks, too. */
  listener: RecordListener | null;
  /** Number of `packet:packet_free`: what Linux frees without a word is not looked at once more. */
  private readonly freeName: number;
  private lastDev: string;
  private lastDevNumber: number;
  private otherDev: string;
  private otherDevNumber: number;
  private readonly byMachine: Map<Machine, MachineTrack>;
  private readonly sockNumbers: WeakMap<SockCommon, number>;
  /** By number, modulo MAX_SOCKS. */
  private readonly socks: SockInfo[];
  private nextSock: number;

  constructor(options: RecorderOptions = {}) {
    const { bytes = DEFAULT_BYTES, headerBytes = DEFAULT_HEADER_BYTES, verbose = false } = options;
    const { firstBytes = bytes } = options;
    if (!(bytes >= 64 * 1024)) throw new RangeError(`a recording needs 64 KiB, not ${bytes} bytes`);
    this.ring = new TraceRing(bytes * 0.9, headerBytes, firstBytes * 0.9);
    this.packets = new PacketTable(packetsFor(Math.min(bytes, firstBytes)), packetsFor(bytes));
    this.listener = null;
    this.names = new Names();
    this.verbose = verbose;
    this.tracks = [];
    this.dropCounts = new Map();
    this.lossCounts = new Map();
    this.unexplained = 0;
    this.freeName = this.names.number('packet:packet_free');
    this.lastDev = '';
    this.lastDevNumber = 0;
    this.otherDev = '';
    this.otherDevNumber = 0;
    this.byMachine = new Map();
    this.sockNumbers = new WeakMap();
    this.socks = [];
    this.nextSock = 1;
  }

  // Machines.

  /** Follows a machine from now on, under its own name or another. */
  attach(machine: Machine, name: string = machine.name): void {
    if (this.byMachine.has(machine)) return;
    const track = this.track(machine, name);
    this.byMachine.set(machine, track);
    // Sockets are numbered by identity: none may come back as another.
    machine.netGlobals.tcpSlab.reuse = false;
    machine.netGlobals.reqskSlab.reuse = false;
    watchPackets(this, track);
    watchDevices(this, track);
    watchSockets(this, track);
  }

  /** A track of its own for what is not a machine: the cables. */
  track(machine: Machine | null, name: string): MachineTrack {
    const track = new MachineTrack(machine, name, this.tracks.length);
    this.tracks.push(track);
    return track;
  }

  /** Stops following a machine, or all. What was recorded stays. */
  detach(machine?: Machine): void {
    for (const track of this.tracks) {
      if (machine !== undefined && track.machine !== machine) continue;
      for (const undo of track.undo.splice(0)) undo();
      if (track.machine !== null) this.byMachine.delete(track.machine);
    }
  }

  trackOf(machine: Machine): MachineTrack | null {
    return this.byMachine.get(machine) ?? null;
  }

  // Writing: what probes call.

  /**
   * The packet's number. One that was not seen before gets one, and is taken as just born; so is one so
   * old that younger ones have taken its place in the table.
   */
  packetOf(track: MachineTrack, skb: SkBuff): number {
    const known = track.ids.find(skb.id);
    return this.packets.has(known) ? known : this.addPacket(track, skb, 0, 0, 0);
  }

  addPacket(track: MachineTrack, skb: SkBuff, parent: number, how: number, cause: number): number {
    const { packets, ring } = this;
    const { nowNs } = skb.machine;
    const packet = packets.add(skb, track.index, parent, how, cause, ring.next, nowNs);
    track.ids.set(skb.id, packet);
    return packet;
  }

  /**
   * Writes a record. `skb` is looked at when given, and must be alive; without it the record shows the
   * packet as it was seen last.
   */
  write(
    track: MachineTrack,
    kind: number,
    name: number,
    packet: number,
    skb: SkBuff | null,
    other: number,
    sock: number,
    dev: number,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
  ): number {
    const { ring, packets } = this;
    const machine = track.machine as Machine;
    let journey = 0;
    let snap = 0;
    if (packets.has(packet)) {
      const slot = packets.slot(packet);
      journey = packets.journey[slot] as number;
      snap = packets.lastSnap[slot] as number;
      if (skb !== null) {
        snap = ring.snapshot(skb, snap);
        packets.lastSnap[slot] = snap;
      }
    }
    const seq = ring.push(
      machine.nowNs,
      (track.index << 16) | (machine.cpu.id << 8) | contextOf(machine),
      kind | (dev << 16),
      name,
      packet,
      journey,
      other,
      sock,
      a0,
      a1,
      a2,
      a3,
      snap,
      track.depth,
    );
    if (this.listener !== null) this.listener(seq, track, kind, name, packet, skb, other);
    return seq;
  }

  /**
   * True when what is recorded next may take the place of what is oldest. Whoever wants to keep all
   * looks after each event, and stops.
   */
  get full(): boolean {
    return this.ring.full || this.packets.full;
  }

  /** The number of a device's name; 0 for none. */
  devOf(dev: NetDevice | null): number {
    if (dev === null) return 0;
    // As a rule it is one of the last two.
    const { name } = dev;
    if (name === this.lastDev) return this.lastDevNumber;
    if (name === this.otherDev) return this.otherDevNumber;
    this.otherDev = this.lastDev;
    this.otherDevNumber = this.lastDevNumber;
    this.lastDev = name;
    this.lastDevNumber = this.names.number(name);
    return this.lastDevNumber;
  }

  /** Writes that a packet passed a tracepoint; its device is noted. */
  seen(
    track: MachineTrack,
    name: number,
    skb: SkBuff,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
  ): number {
    const packet = this.packetOf(track, skb);
    const dev = this.devOf(skb.dev);
    this.write(track, KIND_TRACEPOINT, name, packet, skb, 0, 0, dev, a0, a1, a2, a3);
    return packet;
  }

  /**
   * Writes that a packet came to a function, if its pointers have moved since it was seen last. `name` is
   * the number of the function's name.
   */
  moved(skb: SkBuff, name: number): void {
    const track = this.trackOf(skb.machine);
    if (track === null) return;
    const { packets, ring } = this;
    const packet = track.ids.find(skb.id);
    if (!packets.has(packet)) return;
    const slot = packets.slot(packet);
    if ((packets.endSeq[slot] as number) >= 0) return;
    const last = packets.lastSnap[slot] as number;
    if (last !== 0 && !ring.moved(skb, last)) return;
    this.write(
      track,
      KIND_FUNCTION_ENTRY,
      name,
      packet,
      skb,
      0,
      0,
      this.devOf(skb.dev),
      0,
      0,
      0,
      0,
    );
  }

  /** Writes a packet's end, once. */
  end(
    track: MachineTrack,
    skb: SkBuff,
    name: number,
    reason: number,
    location: string,
    sock: number,
  ): void {
    const packet = this.packetOf(track, skb);
    const { packets, names } = this;
    const slot = packets.slot(packet);
    if ((packets.endSeq[slot] as number) >= 0) return;
    const place = names.number(location);
    const dev = this.devOf(skb.dev);
    const look = name === this.freeName ? null : skb;
    const seq = this.write(track, KIND_END, name, packet, look, 0, sock, dev, reason, place, 0, 0);
    packets.endSeq[slot] = seq;
    packets.endNs[slot] = skb.machine.nowNs;
    packets.reason[slot] = reason;
    packets.location[slot] = place;
    if (track.current === packet) track.current = 0;
  }

  /** Counts a frame that did not arrive. */
  countLoss(where: string, why: number, packet: number, seq: number): void {
    const key = `${where}/${why}`;
    const there = this.lossCounts.get(key);
    if (there === undefined) this.lossCounts.set(key, { where, why, count: 1, packet, seq });
    else {
      there.count++;
      there.packet = packet;
      there.seq = seq;
    }
  }

  /** The socket's number; 0 for null. As with packets, one so old that it is not known any more gets a new one. */
  sockOf(track: MachineTrack, sk: SockCommon | null): number {
    if (sk === null) return 0;
    const known = this.sockNumbers.get(sk);
    if (known !== undefined && known > this.nextSock - 1 - MAX_SOCKS) return known;
    const number = this.nextSock++;
    this.socks[number & (MAX_SOCKS - 1)] = sockInfo(track, sk, number);
    this.sockNumbers.set(sk, number);
    return number;
  }

  /** The socket's addresses have changed. */
  sockChanged(track: MachineTrack, sk: SockCommon): void {
    const number = this.sockOf(track, sk);
    // A closed socket has lost its addresses; those that it had are of more interest.
    if (sk.skcNum === 0 || sk.skcDport === 0) return;
    this.socks[number & (MAX_SOCKS - 1)] = sockInfo(track, sk, number);
  }

  // Reading.

  /** Number of the oldest step that is still there, and of the next one. */
  get firstSeq(): number {
    return this.ring.first;
  }

  get nextSeq(): number {
    return this.ring.next;
  }

  /** A step, or null when it has been overwritten or has not happened yet. */
  step(seq: number): Step | null {
    const { ring, names, packets } = this;
    if (seq < ring.first || seq >= ring.next) return null;
    const where = ring.where(seq);
    const packet = ring.packet(seq);
    return {
      seq,
      timeNs: ring.timeNs(seq),
      machine: this.tracks[where >>> 16]?.name ?? '',
      cpu: (where >>> 8) & 0xff,
      context: where & 0xff,
      kind: ring.kind(seq),
      name: names.text(ring.name(seq)),
      packet,
      journey: packets.has(packet)
        ? (packets.journey[packets.slot(packet)] as number)
        : ring.journey(seq),
      other: ring.other(seq),
      sock: ring.sock(seq),
      dev: names.text(ring.dev(seq)),
      args: [ring.arg(seq, 0), ring.arg(seq, 1), ring.arg(seq, 2), ring.arg(seq, 3)],
      depth: ring.depth(seq),
      snapshot: ring.readSnapshot(ring.snapNumber(seq)),
    };
  }

  /** What is known of a packet, or null when that has been overwritten. */
  packet(packet: number): PacketInfo | null {
    const { packets: p, names } = this;
    if (!p.has(packet)) return null;
    const i = p.slot(packet);
    const at = (column: Int32Array | Float64Array): number => column[i] as number;
    return {
      packet,
      machine: this.tracks[at(p.machine)]?.name ?? '',
      id: at(p.id),
      journey: at(p.journey),
      parent: at(p.parent),
      how: at(p.how),
      cause: at(p.cause),
      mergedInto: at(p.mergedInto),
      bornSeq: at(p.bornSeq),
      bornNs: at(p.bornNs),
      endSeq: at(p.endSeq),
      endNs: at(p.endNs),
      reason: at(p.reason),
      location: names.text(at(p.location)),
    };
  }

  /** What is known of a socket, or null when that has been overwritten. */
  sock(sock: number): SockInfo | null {
    const info = this.socks[sock & (MAX_SOCKS - 1)];
    return info !== undefined && info.sock === sock ? info : null;
  }

  /** Packets of followed machines that have not ended, by number. */
  livePackets(): number[] {
    return this.tracks.flatMap((track) => track.ids.live()).sort((a, b) => a - b);
  }

  /**
   * The invariant that no packet leaves without `consume` or a named reason: what is against it, in a
   * sentence each. For the end of a world, when nothing may live any more.
   */
  checkEnds(): string[] {
    const wrong: string[] = [];
    for (const packet of this.livePackets()) {
      const info = this.packet(packet);
      const who = info === null ? '' : ` of ${info.machine}, born at ${info.bornNs} ns`;
      wrong.push(`packet ${packet}${who} has no end`);
    }
    if (this.unexplained > 0) {
      wrong.push(`${this.unexplained} packets ended without consume and without a drop reason`);
    }
    return wrong;
  }
}

function sockInfo(track: MachineTrack, sk: SockCommon, sock: number): SockInfo {
  return {
    sock,
    machine: track.name,
    family: sk.skcFamily,
    // Requests and those in TIME_WAIT are TCP's.
    protocol: sk.kind === SOCK_KIND_FULL ? (sk as Sock).skProtocol : IPPROTO_TCP,
    saddr: sk.skcRcvSaddr,
    sport: sk.skcNum,
    daddr: sk.skcDaddr,
    dport: sk.skcDport,
  };
}

/** The context that code of a machine runs in now: CONTEXT_*. */
export function contextOf(machine: Machine): number {
  const { cpu } = machine;
  if (inHardirq(cpu)) return CONTEXT_HARDIRQ;
  return cpu.servingSoftirq > 0 ? CONTEXT_SOFTIRQ : CONTEXT_TASK;
}
