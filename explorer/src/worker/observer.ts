/**
 * The one place where the explorer listens to a running world: tracepoints of each machine, and what
 * becomes of each frame on the cables. It only looks; a run is the same with and without.
 */
import type { WireFrame } from '#hardware/wire.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  DERIVE_FRAGMENT,
  DERIVE_SEGMENT,
  MERGE_COALESCE,
  MERGE_COLLAPSE,
  MERGE_GRO,
  MERGE_REASSEMBLE,
  MERGE_SHIFT,
  SOCKET_BOUND,
  SOCKET_EARLY_DEMUX,
  SOCKET_ESTABLISHED,
  SOCKET_LISTENER,
  SOCKET_NONE,
  WIRE_BAD_CRC,
  WIRE_FILTERED,
  WIRE_LOST,
  WIRE_NO_DESCRIPTOR,
  WIRE_OVERFLOW,
} from '#include/trace/events/packet.ts';
import type { Machine } from '#kernel/machine.ts';
import { SOFTIRQ_NAMES } from '#kernel/softirq.ts';
import { hostView as view } from '#mm/memory.ts';
import type { World } from '#sim/world.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { dropReasonName, SKB_CONSUMED } from '#uapi/net_dropreason.ts';
import type { FrameFateName } from '../protocol.ts';
import { CpuRecorder } from './cpu_recorder.ts';
import { factsOf } from './facts.ts';
import type { FunctionPath } from './function_path.ts';
import { type Look, lookAt, lookAtFrame } from './look.ts';
import type { PacketRecord, Recording } from './recording.ts';
import { TcpRecorder } from './tcp_recorder.ts';

const FATE_WORDS: Readonly<Record<FrameFateName, string>> = {
  arrives: '',
  lost: 'lost on the cable',
  overflowed: "the cable's queue is full",
  unplugged: 'nothing is plugged in',
  cut: 'the cable was cut',
};

/** Why a card did not take a frame, by WIRE_*. */
const CARD_WORDS: Readonly<Record<number, string>> = {
  [WIRE_BAD_CRC]: 'BAD_CHECK_SEQUENCE',
  [WIRE_FILTERED]: 'NOT_FOR_THIS_CARD',
  [WIRE_NO_DESCRIPTOR]: 'RING_FULL',
};

/** Ends that are housekeeping: the packet has done its work and its owner goes. */
const QUIET_REASONS: ReadonlySet<string> = new Set(['SOCKET_CLOSE', 'QUEUE_PURGE']);

const SOCKET_WORDS: Readonly<Record<number, string>> = {
  [SOCKET_ESTABLISHED]: 'found the connection',
  [SOCKET_LISTENER]: 'found a listener',
  [SOCKET_BOUND]: 'found a bound socket',
  [SOCKET_EARLY_DEMUX]: 'found the connection early',
  [SOCKET_NONE]: 'found no socket',
};

/** The hooks of netfilter, by number. */
const HOOK_WORDS: readonly string[] = [
  'PRE_ROUTING',
  'LOCAL_IN',
  'FORWARD',
  'LOCAL_OUT',
  'POST_ROUTING',
];

/** What puts a packet onto a socket's receive queue, by protocol: of the others, ping and raw sockets. */
const QUEUEING: Readonly<Record<number, string>> = {
  [IPPROTO_TCP]: 'tcp_queue_rcv',
  [IPPROTO_UDP]: '__udp_enqueue_schedule_skb',
};
const QUEUEING_OTHER = '__sock_queue_rcv_skb';

const MERGE_WORDS: Readonly<Record<number, string>> = {
  [MERGE_GRO]: 'merged by GRO',
  [MERGE_COALESCE]: 'its bytes went into the queue’s last packet',
  [MERGE_REASSEMBLE]: 'put together with the other fragments',
  [MERGE_COLLAPSE]: 'its bytes were moved to save memory',
  [MERGE_SHIFT]: 'its bytes were moved into another',
};

/** Keys of frames remembered, to know the packet again where it arrives. */
const MAX_KEYS = 50_000;

const GRO_MERGED = 0;
const GRO_MERGED_FREE = 1;

/** A cable as the recording knows it. */
export interface CableEnds {
  readonly index: number;
  /** Machines at its ends, by number. */
  readonly machines: readonly [number, number];
  delayNs(): number;
}

export class Observer {
  readonly recording: Recording;
  readonly tcp: TcpRecorder;
  readonly cpus: CpuRecorder;
  private readonly world: World;
  /** Packets by the numbers of their structures, for each machine. */
  private readonly byId: Map<number, PacketRecord>[];
  private readonly byOrigin: Map<number, PacketRecord>[];
  private readonly byKey: Map<string, PacketRecord>;
  private readonly sent: Map<string, number>;
  /** Large packets handed to cards, which cut them: the latest of each machine. */
  private readonly large: (PacketRecord | null)[];
  /** Segments and fragments that have just been cut, and from what. */
  private readonly wholes: Map<number, PacketRecord>[];
  /** The packet that entered GRO last, of each machine. */
  private readonly entered: (PacketRecord | null)[];
  /** Frames on cables, and whose they are. */
  private readonly underWay: Map<WireFrame, PacketRecord | null>;
  private readonly functions: FunctionPath;

  constructor(world: World, recording: Recording, functions: FunctionPath) {
    this.functions = functions;
    this.underWay = new Map();
    this.world = world;
    this.recording = recording;
    this.tcp = new TcpRecorder(recording);
    this.cpus = new CpuRecorder(recording);
    this.byId = [];
    this.byOrigin = [];
    this.byKey = new Map();
    this.sent = new Map();
    this.large = [];
    this.entered = [];
    this.wholes = [];
  }

  /** Follows the cables; `ends` gives the two machines of each, by the cable's name. */
  followCables(cables: ReadonlyMap<string, CableEnds>): void {
    const { cableSend, cableArrive, cableDrop } = this.world.trace;
    cableSend.register((frame, name, end, arrivalNs) => {
      const cable = cables.get(name);
      if (cable === undefined) return;
      const record = this.seeFrame(cable, frame, end, 'arrives', arrivalNs);
      this.underWay.set(frame, record);
    });
    cableArrive.register((frame) => {
      this.underWay.delete(frame);
    });
    cableDrop.register((frame, name, end, why) => {
      const cable = cables.get(name);
      if (cable === undefined) return;
      const before = this.underWay.get(frame);
      this.underWay.delete(frame);
      const { nowNs } = this.world;
      if (before !== undefined) {
        this.lostOnCable(before, name, 'cut');
        return;
      }
      const fate = why === WIRE_LOST ? 'lost' : why === WIRE_OVERFLOW ? 'overflowed' : 'unplugged';
      const lostNs = fate === 'lost' ? nowNs + cable.delayNs() : nowNs;
      this.lostOnCable(this.seeFrame(cable, frame, end, fate, lostNs), name, fate);
    });
  }

  private seeFrame(
    cable: CableEnds,
    frame: WireFrame,
    end: 0 | 1,
    fate: FrameFateName,
    arrivalNs: number,
  ): PacketRecord | null {
    const look = lookAtFrame(view, frame.addr, frame.len);
    const record = look === null ? null : this.frameOwner(look, cable.machines[end], frame.len);
    const { nowNs } = this.world;
    const until = Math.max(arrivalNs, nowNs);
    this.recording.frame(cable.index, end, nowNs, until, record, fate, frame.len);
    if (record !== null) {
      record.holder = -1;
      record.endNs = Math.max(record.endNs, nowNs);
    }
    return record;
  }

  private lostOnCable(record: PacketRecord | null, cable: string, fate: FrameFateName): void {
    if (record === null) return;
    const { nowNs } = this.world;
    record.fate = 'lost';
    record.reason = FATE_WORDS[fate];
    record.where = 'cable';
    record.endMachine = cable;
    this.recording.drop({
      timeNs: nowNs,
      machine: cable,
      fn: 'cable',
      reason: FATE_WORDS[fate],
      packet: record.id,
      expected: fate === 'lost',
      facts: {},
    });
  }

  /** The packet that a frame is of. */
  private frameOwner(look: Look, machine: number, length: number): PacketRecord {
    const known = this.byKey.get(look.key);
    if (known !== undefined && (known.holder === machine || known.holder === -1)) {
      known.length = Math.max(known.length, length);
      return known;
    }
    const parent = this.large[machine] ?? null;
    const record = this.birth(look, machine, length);
    if (parent !== null && parent.flow === look.flow) {
      this.recording.step({
        timeNs: this.world.nowNs,
        machine,
        cpu: 0,
        context: 0,
        fn: 'e1000_tso',
        event: 'hardware',
        note: `the card cut it from packet ${parent.id}`,
        path: '',
        packet: record.id,
        skb: null,
      });
      cutFrom(record, parent);
      deliver(parent, parent.machine, 'e1000_tso');
    }
    return record;
  }

  private birth(look: Look, machine: number, length: number): PacketRecord {
    const record = this.recording.newPacket(this.world.nowNs, machine);
    record.kind = look.kind;
    record.flow = look.flow;
    record.words = look.words;
    record.key = look.key;
    record.length = length;
    if (look.again !== '') {
      record.again = this.sent.has(look.again);
      this.sent.set(look.again, record.id);
    }
    this.remember(look.key, record);
    return record;
  }

  private remember(key: string, record: PacketRecord): void {
    if (this.byKey.size > MAX_KEYS) forgetOldest(this.byKey);
    this.byKey.delete(key);
    this.byKey.set(key, record);
  }

  followMachine(machine: Machine): void {
    const index = this.recording.machines.push(machine.name) - 1;
    this.byId.push(new Map());
    this.byOrigin.push(new Map());
    this.large.push(null);
    this.entered.push(null);
    this.wholes.push(new Map());
    this.followPackets(machine, index);
    this.followEnds(machine, index);
    this.followInterrupts(machine, index);
    this.followSockets(machine, index);
    this.followDecisions(machine, index);
    this.tcp.follow(machine, (fn, event, note) => this.plain(machine, index, fn, event, note));
  }

  private followPackets(machine: Machine, index: number): void {
    const { net, qdisc } = machine.trace;
    net.netDevQueue.register((skb) => {
      const record = this.outgoing(index, skb);
      if (record === null) return;
      this.see(machine, index, record, skb, '__dev_queue_xmit', 'net:net_dev_queue', deviceOf(skb));
      this.tcp.sent(machine, skb, record);
    });
    qdisc.qdiscEnqueue.register((q, _txq, skb) => {
      this.passing(
        machine,
        index,
        skb,
        'dev_qdisc_enqueue',
        'qdisc:qdisc_enqueue',
        `${q.ops.id}, ${q.qlen} wait`,
      );
      this.cpus.levels(machine, index);
    });
    qdisc.qdiscDequeue.register((q, _txq, _packets, skb) => {
      if (skb === null) return;
      this.passing(
        machine,
        index,
        skb,
        'dequeue_skb',
        'qdisc:qdisc_dequeue',
        `${q.ops.id}, ${q.qlen} wait`,
      );
      this.cpus.levels(machine, index);
    });
    net.netDevStartXmit.register((skb, dev) => {
      const record = this.outgoing(index, skb);
      if (record === null) return;
      this.large[index] = skb.shinfo.gsoSize > 0 ? record : null;
      this.see(machine, index, record, skb, 'xmit_one', 'net:net_dev_start_xmit', dev.name);
    });
    net.napiGroReceiveEntry.register((skb) => {
      const record = this.incoming(index, skb);
      this.entered[index] = record;
      if (record === null) return;
      this.see(
        machine,
        index,
        record,
        skb,
        'napi_gro_receive',
        'net:napi_gro_receive_entry',
        deviceOf(skb),
      );
    });
    net.napiGroReceiveExit.register((ret) => {
      const record = this.entered[index] ?? null;
      if (record === null || (ret !== GRO_MERGED && ret !== GRO_MERGED_FREE)) return;
      deliver(record, machine.name, 'skb_gro_receive');
      this.see(
        machine,
        index,
        record,
        null,
        'skb_gro_receive',
        'net:napi_gro_receive_exit',
        'merged into the packet before it',
      );
    });
    net.netifRx.register((skb) => {
      const record = this.incoming(index, skb);
      if (record === null) return;
      this.see(machine, index, record, skb, 'netif_rx_internal', 'net:netif_rx', deviceOf(skb));
      this.cpus.levels(machine, index);
    });
    net.netifReceiveSkb.register((skb) => {
      const record = this.incoming(index, skb);
      if (record === null) return;
      this.see(
        machine,
        index,
        record,
        skb,
        '__netif_receive_skb_core',
        'net:netif_receive_skb',
        deviceOf(skb),
      );
    });
  }

  private followEnds(machine: Machine, index: number): void {
    const { skb: ends, icmp } = machine.trace;
    ends.consumeSkb.register((skb, location) => {
      const record = this.known(index, skb);
      if (record === null) return;
      const fn = location === '' ? 'consume_skb' : location;
      // What the card has put on the cable goes on there; only the sender's structure ends.
      const gone = record.holder !== index;
      const note = gone ? 'the sender is done with it' : 'consumed: it has done its work';
      this.see(machine, index, record, skb, fn, 'skb:consume_skb', note);
      this.byId[index]?.delete(skb.id);
      if (gone || record.fate !== 'alive') return;
      deliver(record, machine.name, fn);
    });
    ends.kfreeSkb.register((skb, location, reason) =>
      this.dropped(machine, index, skb, location, reason),
    );
    ends.skbCopyDatagramIovec.register((skb, len) => {
      this.passing(
        machine,
        index,
        skb,
        'skb_copy_datagram_iter',
        'skb:skb_copy_datagram_iovec',
        `${len} bytes to the program`,
      );
    });
    icmp.icmpSend.register((skb, type, code) => {
      this.passing(
        machine,
        index,
        skb,
        '__icmp_send',
        'icmp:icmp_send',
        `answers with ICMP type ${type} code ${code}`,
      );
    });
  }

  private dropped(
    machine: Machine,
    index: number,
    skb: SkBuff,
    location: string,
    reason: number,
  ): void {
    const record = this.known(index, skb) ?? this.outgoing(index, skb);
    if (record === null) return;
    const name = dropReasonName(reason);
    this.see(machine, index, record, skb, location, 'skb:kfree_skb', `dropped: ${name}`);
    this.byId[index]?.delete(skb.id);
    if (QUIET_REASONS.has(name) || record.holder !== index) return;
    this.endBadly(record, machine, location, name, factsOf(machine, skb));
  }

  private followInterrupts(machine: Machine, index: number): void {
    const { irq, napi } = machine.trace;
    irq.irqHandlerEntry.register((_irq, name) => {
      this.plain(machine, index, 'handle_irq_event', 'irq:irq_handler_entry', name);
      this.cpus.levels(machine, index);
    });
    irq.irqHandlerExit.register((_irq, name) =>
      this.plain(machine, index, 'handle_irq_event', 'irq:irq_handler_exit', name),
    );
    irq.softirqRaise.register((vec) =>
      this.plain(
        machine,
        index,
        '__raise_softirq_irqoff',
        'irq:softirq_raise',
        SOFTIRQ_NAMES[vec] ?? '',
      ),
    );
    irq.softirqEntry.register((vec) =>
      this.plain(machine, index, 'handle_softirqs', 'irq:softirq_entry', SOFTIRQ_NAMES[vec] ?? ''),
    );
    irq.softirqExit.register((vec) =>
      this.plain(machine, index, 'handle_softirqs', 'irq:softirq_exit', SOFTIRQ_NAMES[vec] ?? ''),
    );
    napi.napiPoll.register((n, work, budget) => {
      this.plain(
        machine,
        index,
        '__napi_poll',
        'napi:napi_poll',
        `${n.dev.name} ${work}/${budget}`,
      );
      this.cpus.levels(machine, index);
    });
  }

  private followSockets(machine: Machine, index: number): void {
    const { sock, neigh } = machine.trace;
    sock.skDataReady.register((sk) => {
      this.cpus.reader(index, sk);
      this.plain(machine, index, 'sock_def_readable', 'sock:sk_data_ready', 'wakes the reader');
      this.cpus.levels(machine, index);
    });
    sock.sockSendLength.register((_sk, ret) =>
      this.plain(
        machine,
        index,
        'sock_sendmsg',
        'sock:sock_send_length',
        `${ret} bytes from the program`,
      ),
    );
    sock.sockRecvLength.register((_sk, ret) =>
      this.plain(
        machine,
        index,
        'sock_recvmsg',
        'sock:sock_recv_length',
        `${ret} bytes to the program`,
      ),
    );
    neigh.neighUpdate.register((n, lladdr) => {
      const what = lladdr === null ? 'state changes' : 'link address learnt';
      this.plain(machine, index, '__neigh_update', 'neigh:neigh_update', `${n.dev.name}: ${what}`);
    });
  }

  /** Choices on the way, and what decided them. */
  private followDecisions(machine: Machine, index: number): void {
    const { packet } = machine.trace;
    packet.routeInput.register((skb, _net, err) => {
      const note = err === 0 ? 'a route was found' : `no way on: ${dropReasonName(err)}`;
      this.passing(machine, index, skb, 'ip_route_input_noref', 'packet:route_input', note);
    });
    packet.socketLookup.register((skb, _sk, why) => {
      const note = SOCKET_WORDS[why] ?? '';
      this.passing(machine, index, skb, lookupOf(skb), 'packet:socket_lookup', note);
    });
    packet.hookVerdict.register((skb, _pf, hook, _i, verdict) => {
      const note = `${HOOK_WORDS[hook] ?? hook}: ${verdict === 1 ? 'accepted' : 'refused'}`;
      this.passing(machine, index, skb, 'nf_hook_slow', 'packet:hook_verdict', note);
    });
    packet.socketQueue.register((skb, sk, backlog) => {
      const note = backlog ? 'waits while the program holds the socket' : 'waits for the program';
      const fn = backlog ? 'sk_add_backlog' : (QUEUEING[sk.skProtocol] ?? QUEUEING_OTHER);
      this.passing(machine, index, skb, fn, 'packet:socket_queue', note);
    });
    packet.neighQueue.register((skb, qlen) => {
      const record = this.outgoing(index, skb);
      const note = `waits for the link address of the next hop, ${qlen} in the queue`;
      if (record !== null) {
        this.see(machine, index, record, skb, '__neigh_event_send', 'packet:neigh_queue', note);
      }
    });
    packet.packetMerge.register((into, from, how) => {
      const record = this.known(index, from);
      const other = this.known(index, into);
      if (record === null || record === other) return;
      const note = `${MERGE_WORDS[how] ?? 'merged'}${other === null ? '' : `: packet ${other.id}`}`;
      this.see(machine, index, record, from, 'skb_try_coalesce', 'packet:packet_merge', note);
      if (record.holder === index) deliver(record, machine.name, 'skb_try_coalesce');
    });
    packet.packetDerive.register((child, parent, how) => {
      if (how !== DERIVE_SEGMENT && how !== DERIVE_FRAGMENT) return;
      // What is fragmented before it was seen is born with its fragments.
      const whole = this.known(index, parent) ?? this.outgoing(index, parent);
      const wholes = this.wholes[index];
      if (whole === null || wholes === undefined) return;
      if (wholes.size > MAX_KEYS) forgetOldest(wholes);
      wholes.set(child.id, whole);
    });
    packet.packetFree.register((skb, reason) => {
      const record = this.known(index, skb);
      if (record === null || record.fate !== 'alive' || record.holder !== index) return;
      if (reason === SKB_CONSUMED) deliver(record, machine.name, 'kfree_skb_partial');
    });
    packet.wireDrop.register((frame, why) => {
      const look = lookAtFrame(view, frame.addr, frame.len);
      const record = look === null ? undefined : this.byKey.get(look.key);
      const reason = CARD_WORDS[why] ?? 'CARD';
      if (record === undefined || why === WIRE_FILTERED) return;
      record.holder = index;
      const note = `dropped by the card: ${reason}`;
      this.see(machine, index, record, null, 'e1000_hw_receive', 'packet:wire_drop', note);
      this.endBadly(record, machine, 'e1000_hw_receive', reason, {});
    });
  }

  private endBadly(
    record: PacketRecord,
    machine: Machine,
    fn: string,
    reason: string,
    facts: Readonly<Record<string, string>>,
  ): void {
    record.fate = 'dropped';
    record.reason = reason;
    record.where = fn;
    record.endMachine = machine.name;
    const { nowNs: timeNs } = machine;
    const { name } = machine;
    const packet = record.id;
    this.recording.drop({ timeNs, machine: name, fn, reason, packet, expected: false, facts });
  }

  private lookOf(skb: SkBuff, nh: number): Look | null {
    if (nh < skb.head || nh > skb.tail) return null;
    return lookAt(view, skb.protocol, nh, skb.tail);
  }

  private bind(index: number, skb: SkBuff, record: PacketRecord): PacketRecord {
    this.byId[index]?.set(skb.id, record);
    const origins = this.byOrigin[index];
    if (origins !== undefined) {
      if (origins.size > MAX_KEYS) forgetOldest(origins);
      origins.set(skb.origin, record);
    }
    record.holder = index;
    return record;
  }

  private known(index: number, skb: SkBuff): PacketRecord | null {
    return this.byId[index]?.get(skb.id) ?? null;
  }

  /** The packet of a structure on its way out; one not seen before is born here. */
  private outgoing(index: number, skb: SkBuff): PacketRecord | null {
    const look = this.lookOf(skb, skb.networkHeader);
    if (look === null) return this.known(index, skb);
    const mine = this.known(index, skb);
    if (mine !== null && mine.key === look.key) return mine;
    const record = this.byOrigin[index]?.get(skb.origin);
    // A segment that is sent again is another packet, and so is what a fragment was cut from.
    if (record !== undefined && record.key === look.key && record.holder === index) {
      return this.bind(index, skb, record);
    }
    const fresh = this.birth(look, index, skb.len);
    const whole = this.wholes[index]?.get(skb.id);
    if (whole !== undefined) {
      cutFrom(fresh, whole);
      this.wholes[index]?.delete(skb.id);
    }
    return this.bind(index, skb, fresh);
  }

  /** The packet of a structure on its way in: the one whose frame has just arrived. */
  private incoming(index: number, skb: SkBuff): PacketRecord | null {
    const mine = this.known(index, skb);
    if (mine !== null) return mine;
    const look = this.lookOf(skb, skb.data);
    if (look === null) return null;
    const record = this.byKey.get(look.key);
    if (record !== undefined) return this.bind(index, skb, record);
    return this.bind(index, skb, this.birth(look, index, skb.len));
  }

  private passing(
    machine: Machine,
    index: number,
    skb: SkBuff,
    fn: string,
    event: string,
    note: string,
  ): void {
    const record = this.known(index, skb) ?? this.byOrigin[index]?.get(skb.origin) ?? null;
    if (record !== null) this.see(machine, index, record, skb, fn, event, note);
  }

  /** A step of a packet, and how its structure looks at that moment. */
  private see(
    machine: Machine,
    index: number,
    record: PacketRecord,
    skb: SkBuff | null,
    fn: string,
    event: string,
    note: string,
  ): void {
    const path = this.functions.take();
    this.step(machine, index, fn, event, note, path, record.id, skb);
  }

  /** A step of a CPU that concerns no packet. */
  private plain(machine: Machine, index: number, fn: string, event: string, note: string): void {
    this.step(machine, index, fn, event, note, '', 0, null);
  }

  private step(
    machine: Machine,
    index: number,
    fn: string,
    event: string,
    note: string,
    path: string,
    packet: number,
    skb: SkBuff | null,
  ): void {
    this.recording.step({
      timeNs: machine.nowNs,
      machine: index,
      cpu: machine.cpu.id,
      context: contextOf(machine),
      fn,
      event,
      note,
      path,
      packet,
      skb,
    });
  }
}

function cutFrom(part: PacketRecord, whole: PacketRecord): void {
  part.parent = whole.id;
  whole.parts.push(part.id);
}

/** The packet has done its work in a function. */
function deliver(record: PacketRecord, machine: string, fn: string): void {
  record.fate = 'delivered';
  record.where = fn;
  record.endMachine = machine;
}

function forgetOldest<K>(map: Map<K, unknown>): void {
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

function deviceOf(skb: SkBuff): string {
  return skb.dev?.name ?? '';
}

/** What looks for the socket of a packet. */
function lookupOf(skb: SkBuff): string {
  const udp = iphdr.protocol(view, skb.networkHeader) === IPPROTO_UDP;
  return udp ? '__udp4_lib_lookup' : '__inet_lookup_skb';
}

function contextOf(machine: Machine): number {
  const { cpu } = machine;
  if (cpu.hardirqCount > 0) return 2;
  return cpu.servingSoftirq > 0 ? 1 : 0;
}
