/**
 * What the page and the worker say to each other. The worker owns the world and its recording; the page
 * asks, and is told of progress. Every message is plain data, so that it can be cloned across.
 */

/** Where code runs: the three contexts of a CPU. */
export type Context = 'task' | 'softirq' | 'hardirq';

/** What a packet is, coarsely: its colour everywhere. */
export type PacketKind =
  | 'arp'
  | 'icmp'
  | 'icmp-error'
  | 'udp'
  | 'tcp-syn'
  | 'tcp-data'
  | 'tcp-ack'
  | 'tcp-fin'
  | 'tcp-rst'
  | 'fragment'
  | 'other';

export const PACKET_KINDS: readonly PacketKind[] = [
  'arp',
  'icmp',
  'icmp-error',
  'udp',
  'tcp-syn',
  'tcp-data',
  'tcp-ack',
  'tcp-fin',
  'tcp-rst',
  'fragment',
  'other',
];

/** What became of a frame on a cable; the order is that of {@link FrameBatch.fate}. */
export const FRAME_FATES = ['arrives', 'lost', 'overflowed', 'unplugged', 'cut'] as const;
export type FrameFateName = (typeof FRAME_FATES)[number];

export interface LinkImpairments {
  readonly rateBps: number;
  readonly delayNs: number;
  readonly jitterNs: number;
  readonly loss: number;
  readonly duplicate: number;
  readonly reorder: number;
  readonly corrupt: number;
  readonly queueBytes: number;
}

export interface InterfaceInfo {
  readonly name: string;
  readonly mac: string;
  readonly addresses: readonly string[];
  readonly up: boolean;
}

export interface MachineInfo {
  readonly name: string;
  readonly cpus: number;
  readonly forwards: boolean;
  readonly interfaces: readonly InterfaceInfo[];
}

export interface CableInfo {
  readonly index: number;
  readonly name: string;
  readonly ends: readonly [
    { readonly node: string; readonly ifname: string },
    { readonly node: string; readonly ifname: string },
  ];
  readonly impairments: LinkImpairments;
  readonly connected: boolean;
}

/** A world that has been loaded. */
export interface WorldInfo {
  readonly name: string;
  readonly seed: string;
  readonly machines: readonly MachineInfo[];
  readonly cables: readonly CableInfo[];
  /** When the machines were set up and the programs began, in ns. */
  readonly startNs: number;
  readonly yaml: string;
}

/** Something a person did to the world. With the seed, these decide a run. */
export type ActionBody =
  | {
      readonly kind: 'input';
      readonly terminal: number;
      readonly machine: string;
      readonly text: string;
    }
  | { readonly kind: 'interrupt'; readonly terminal: number; readonly machine: string }
  | { readonly kind: 'command'; readonly machine: string; readonly text: string }
  | { readonly kind: 'impair'; readonly cable: number; readonly change: Partial<LinkImpairments> }
  | { readonly kind: 'connect'; readonly cable: number; readonly connected: boolean };

/** An action and its exact place: after so many events, at this time. */
export interface Action {
  readonly event: number;
  readonly atNs: number;
  readonly body: ActionBody;
}

export interface PacketInfo {
  readonly id: number;
  readonly kind: PacketKind;
  /** `10.0.1.2 > 10.0.2.2`, with ports where there are any. */
  readonly flow: string;
  /** The protocol's own words: `SYN seq 0 win 64240`. */
  readonly words: string;
  readonly length: number;
  readonly bornNs: number;
  readonly endNs: number;
  readonly machine: string;
  /** A retransmission of a segment seen before. */
  readonly again: boolean;
  readonly fate: 'alive' | 'delivered' | 'dropped' | 'lost';
  readonly reason: string;
  /** Function and machine of the end. */
  readonly where: string;
  readonly endMachine: string;
  readonly steps: number;
  /** The packet it was cut from; 0: none. */
  readonly parent: number;
  /** Packets that were cut from it. */
  readonly parts: readonly number[];
}

/** Pointers of a packet at one step, as offsets from `head`; -1: not set. */
export interface Pointers {
  readonly head: 0;
  readonly data: number;
  readonly tail: number;
  readonly end: number;
  readonly mac: number;
  readonly network: number;
  readonly transport: number;
}

export interface StepInfo {
  readonly n: number;
  readonly timeNs: number;
  readonly machine: string;
  readonly cpu: number;
  readonly context: Context;
  /** What the step is to the recorder: `tracepoint`, `decision`, `queue`, `birth`, `end` and so on. */
  readonly kind: string;
  /** The packet ends here, and not well. */
  readonly bad: boolean;
  /** Linux's name of the function. */
  readonly fn: string;
  /** Functions that led here since the step before, outermost first. */
  readonly path: readonly string[];
  /** Tracepoint, e.g. `net:net_dev_queue`. */
  readonly event: string;
  readonly note: string;
  readonly packet: number;
  /** Number of the packet's structure in its machine. */
  readonly skb: number;
  readonly length: number;
  readonly dataLength: number;
  readonly fragments: number;
  readonly users: number;
  readonly dataref: number;
  readonly pointers: Pointers;
}

/** A header, and its fields, decoded from a packet's bytes. */
export interface HeaderInfo {
  readonly name: string;
  /** Which layer writes it: decides its colour. */
  readonly layer: 'link' | 'network' | 'transport' | 'payload';
  readonly writer: string;
  readonly start: number;
  readonly length: number;
  readonly fields: readonly {
    readonly name: string;
    readonly value: string;
    readonly start: number;
    readonly length: number;
    readonly hint: string;
  }[];
}

export interface StepDetail {
  readonly step: StepInfo;
  /** Offset from `head` of the first byte given. */
  readonly from: number;
  readonly bytes: Uint8Array;
  readonly headers: readonly HeaderInfo[];
  /** Sizes of the fragments, in bytes. */
  readonly fragmentSizes: readonly number[];
  /** Sizes of the packets on the frag_list, in bytes. */
  readonly listSizes: readonly number[];
}

export interface Journey {
  readonly packet: PacketInfo;
  readonly steps: readonly StepInfo[];
  readonly hops: readonly {
    readonly cable: string;
    readonly departNs: number;
    readonly arriveNs: number;
    readonly fate: FrameFateName;
  }[];
}

/** One line of the drops ledger: the drops of one reason, machine and function. */
export interface DropLine {
  /** Machine, function and reason. */
  readonly id: string;
  readonly reason: string;
  /** What the reason means, in a sentence. */
  readonly meaning: string;
  readonly machine: string;
  readonly fn: string;
  readonly count: number;
  readonly firstNs: number;
  readonly lastNs: number;
  /** Packets that went this way, the latest last; at most eight. */
  readonly examples: readonly number[];
  readonly advice: Advice;
  /** Part of life, e.g. a cable that was told to lose frames. */
  readonly expected: boolean;
}

export interface Advice {
  readonly text: string;
  /** What to type, and where; empty when no command helps. */
  readonly command: string;
  readonly machine: string;
}

export interface TcpSample {
  readonly timeNs: number;
  readonly state: number;
  readonly caState: number;
  readonly cwnd: number;
  readonly ssthresh: number;
  /** Segments in flight. */
  readonly inFlight: number;
  readonly srttUs: number;
  readonly rttvarUs: number;
  readonly rtoMs: number;
  /** Bytes since the connection began. */
  readonly sndUna: number;
  readonly sndNxt: number;
  readonly writeSeq: number;
  readonly sndWnd: number;
  readonly rcvNxt: number;
  readonly rcvWnd: number;
  readonly mss: number;
  readonly sacked: number;
  readonly lost: number;
  readonly retrans: number;
  readonly totalRetrans: number;
  /** What holds the sender back now. */
  readonly limit: TcpLimit;
  readonly timer: TcpTimer;
  readonly timerDueNs: number;
  readonly delackDueNs: number;
  readonly paceBps: number;
}

/** What holds a sender: what the recorder calls it, and what lies outside tcp_write_xmit(). */
export type TcpLimit =
  | 'application'
  | 'congestion window'
  | 'receive window'
  | 'Nagle'
  | 'pacing'
  | 'small queue'
  | 'waits for a larger burst'
  | 'device'
  | 'send buffer'
  | 'recovery'
  | 'not connected'
  | 'sending';

export type TcpTimer = 'none' | 'retransmit' | 'probe' | 'loss probe' | 'reorder' | 'pacing';

/** Segments and acknowledgements over time, for the time/sequence graph. */
export interface TcpPoints {
  readonly timeNs: Float64Array;
  /** 0 sent, 1 sent again, 2 acknowledged, 3 right edge of the window, 4 selectively acknowledged. */
  readonly kind: Uint8Array;
  readonly begin: Float64Array;
  readonly end: Float64Array;
  readonly packet: Int32Array;
}

export interface TcpConnectionInfo {
  readonly id: number;
  readonly machine: string;
  readonly local: string;
  readonly remote: string;
  readonly congestion: string;
  readonly firstNs: number;
  readonly lastNs: number;
  readonly bytesSent: number;
  readonly samples: number;
  readonly state: number;
}

export interface ConnectionList {
  readonly list: readonly TcpConnectionInfo[];
  /** How many there are that fit. */
  readonly total: number;
  /** How many there are at all. */
  readonly all: number;
}

export interface TcpView {
  readonly connection: TcpConnectionInfo;
  readonly samples: readonly TcpSample[];
  readonly points: TcpPoints;
  readonly states: readonly {
    readonly timeNs: number;
    readonly from: number;
    readonly to: number;
  }[];
  /** Blocks beyond the acknowledged edge, at the moment asked for. */
  readonly scoreboard: readonly {
    readonly begin: number;
    readonly end: number;
    readonly state: 'in flight' | 'sacked' | 'lost' | 'retransmitted';
  }[];
}

/** Something a CPU did: for the timeline. */
export interface CpuSpan {
  readonly cpu: number;
  readonly lane: 'task' | 'hardirq' | 'softirq' | 'ksoftirqd';
  readonly name: string;
  /** Places in the recording: which steps lie inside. */
  readonly firstStep: number;
  readonly lastStep: number;
  readonly beginNs: number;
  readonly endNs: number;
  /** The same among this machine's own steps: what lies between is what it did meanwhile. */
  readonly beginOrder: number;
  readonly endOrder: number;
  readonly depth: number;
  /** Packets handled, of a poll; -1 otherwise. */
  readonly work: number;
  readonly budget: number;
}

export interface QueueLevels {
  readonly timeNs: number;
  readonly step: number;
  readonly ring: number;
  readonly ringSize: number;
  readonly backlog: number;
  readonly qdisc: number;
  readonly sockets: number;
}

export interface CpuView {
  readonly cpus: number;
  /** Work takes time on this machine: spans are as long as it took. */
  readonly priced: boolean;
  readonly spans: readonly CpuSpan[];
  readonly levels: readonly QueueLevels[];
  readonly softnet: readonly {
    readonly cpu: number;
    readonly processed: number;
    readonly dropped: number;
    readonly timeSqueeze: number;
  }[];
  readonly settings: Readonly<Record<string, string>>;
  /** The machine's first card; empty, and what it is set to is 0: it has none. */
  readonly card: string;
  /** How long that card waits before it interrupts, in µs. */
  readonly rxUsecs: number;
  readonly firstStep: number;
  readonly lastStep: number;
}

/** How often each function was passed, up to a moment, on one machine. */
export interface StackCounts {
  readonly passed: Readonly<Record<string, number>>;
  readonly dropped: Readonly<Record<string, number>>;
  /** Packets that wait now, by queue. */
  readonly queued: Readonly<Record<string, number>>;
  readonly counters: Readonly<Record<string, number>>;
  /** Functions that the selected packet has passed, in order. */
  readonly trail: readonly string[];
  /** Where the selected packet is at the moment; empty: not on this machine. */
  readonly present: string;
}

/** Frames on cables, in columns. */
export interface FrameBatch {
  readonly cable: Uint16Array;
  /** 0: from the first end to the second. */
  readonly direction: Uint8Array;
  readonly departNs: Float64Array;
  readonly arriveNs: Float64Array;
  readonly packet: Int32Array;
  /** Index into PACKET_KINDS. */
  readonly kind: Uint8Array;
  /** Index into FRAME_FATES. */
  readonly fate: Uint8Array;
  readonly length: Uint16Array;
}

/** A drop, as the map and the time line mark it. */
export interface DropMark {
  readonly timeNs: number;
  readonly machine: string;
  readonly packet: number;
  readonly reason: string;
  readonly expected: boolean;
}

export interface Progress {
  readonly headNs: number;
  readonly events: number;
  readonly steps: number;
  readonly packets: number;
  readonly fingerprint: string;
  readonly frames: FrameBatch | null;
  readonly drops: readonly DropMark[];
  /** Nothing will ever happen again by itself. */
  readonly idle: boolean;
  /** When the next thing happens, in ns; Infinity: never. */
  readonly nextNs: number;
  readonly cables: readonly CableInfo[] | null;
}

export type ForkChange = ActionBody;

export interface RunSummary {
  readonly events: number;
  readonly fingerprint: string;
  readonly packets: number;
  readonly drops: number;
  readonly lost: number;
  readonly delivered: number;
  readonly endNs: number;
}

export interface DivergentEvent {
  readonly number: number;
  readonly timeNs: number;
  readonly kind: string;
  readonly subject: string;
}

export interface ForkResult {
  readonly first: DivergentEvent | null;
  readonly second: DivergentEvent | null;
  /** Events that were compared one by one, and are the same. */
  readonly common: number;
  /**
   * The runs are the same as far as their events were compared one by one, and part later: behind the
   * event `after`, and not later than the event `by`.
   */
  readonly partLater: { readonly after: number; readonly by: number } | null;
  readonly before: RunSummary;
  readonly after: RunSummary;
  /** The actions of the changed run: loading them continues there. */
  readonly actions: readonly Action[];
  /** The packets in which they first differ, as text. */
  readonly sightings: readonly { readonly original: string; readonly changed: string }[];
}

export type WorldSource =
  | { readonly kind: 'gallery'; readonly id: string }
  | { readonly kind: 'yaml'; readonly text: string };

export interface PacketQuery {
  readonly fromNs?: number;
  readonly toNs?: number;
  readonly text?: string;
  readonly fate?: PacketInfo['fate'] | 'any';
  readonly limit: number;
  /** From the end of the list. */
  readonly latest?: boolean;
}

/** Every call: what it takes and what it gives. */
export interface Calls {
  load: {
    /** `world`: the page's number of it; news of it carry that. */
    params: { world: number; source: WorldSource; seed: string; actions: readonly Action[] };
    result: WorldInfo;
  };
  /** Lets the world go on until `untilNs`; answers when it is there. */
  run: { params: { untilNs: number }; result: Progress };
  /** Lets so many events happen, or goes on to the next packet. */
  step: { params: { unit: 'event' | 'packet'; count: number }; result: Progress };
  /** Ends the runs that were asked for before, where they are. */
  pause: { params: Record<string, never>; result: undefined };
  act: { params: { body: ActionBody }; result: readonly Action[] };
  openTerminal: { params: { machine: string }; result: { terminal: number } };
  packets: { params: PacketQuery; result: readonly PacketInfo[] };
  packet: { params: { id: number }; result: PacketInfo | null };
  journey: { params: { id: number }; result: Journey | null };
  stepDetail: { params: { n: number }; result: StepDetail | null };
  /** Steps around a place of the recording, of any packet. */
  steps: {
    params: { from: number; count: number; machine: string };
    result: readonly StepInfo[];
  };
  /** The last step at or before a time. */
  stepAt: { params: { timeNs: number }; result: number };
  drops: { params: { untilNs: number }; result: readonly DropLine[] };
  /**
   * Connections that there are at a moment: those that sent most, and of equal ones the latest; at most
   * `limit`, in the order of their beginning. `text`: words that machine and addresses have, all of them.
   * `keep`: one that is among them in any case.
   */
  connections: {
    params: { untilNs: number; text: string; limit: number; keep: number };
    result: ConnectionList;
  };
  /** `have`: points of the connection that the page has already; those behind them are sent. */
  tcp: { params: { id: number; untilNs: number; have: number }; result: TcpView | null };
  cpu: {
    params: { machine: string; fromNs: number; toNs: number; limit: number };
    result: CpuView | null;
  };
  stack: { params: { machine: string; atNs: number; packet: number }; result: StackCounts | null };
  machines: { params: Record<string, never>; result: readonly MachineInfo[] };
  fork: {
    params: { atNs: number; untilNs: number; change: ForkChange };
    result: ForkResult;
  };
}

export type CallName = keyof Calls;

export interface CallMessage<K extends CallName = CallName> {
  readonly id: number;
  readonly call: K;
  readonly params: Calls[K]['params'];
}

/** What went wrong, in words for people. */
export interface Problem {
  readonly title: string;
  readonly detail: string;
}

/** Where something was printed. */
export type PrintPlace =
  | { readonly type: 'terminal'; readonly terminal: number }
  | { readonly type: 'console'; readonly machine: string };

/** What the worker tells of a world without being asked. */
export type News =
  | { readonly type: 'progress'; readonly progress: Progress }
  | (PrintPlace & { readonly text: string })
  /** The world was stopped, e.g. since it would use too much memory. */
  | { readonly type: 'halted'; readonly problem: Problem };

export type WorkerMessage =
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | { readonly type: 'problem'; readonly id: number; readonly problem: Problem }
  | { readonly type: 'news'; readonly world: number; readonly news: News };
