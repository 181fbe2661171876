/** Queue fill levels over time, and the CPU timeline built from recorded interrupts and polls. */
import type { IgbRxRing } from '#drivers/net/ethernet/intel/igb/igb.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { Virtqueue } from '#include/linux/virtio.ts';
import type { Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { SOFTIRQ_NAMES } from '#kernel/softirq.ts';
import { hostView as view } from '#mm/memory.ts';
import { vringUsed } from '#uapi/virtio_ring.ts';
import type { CpuSpan, CpuView, QueueLevels } from '../protocol.ts';
import type { Recording } from './recording.ts';
import { thin } from './thin.ts';

/** Levels kept of one machine; older ones are thinned out. */
const MAX_LEVELS = 60_000;
/** Levels that a view gets: more than a chart has columns of pixels. */
const DRAWN_LEVELS = 2000;
/** Sockets remembered for their queues; those with empty ones are forgotten first. */
const MAX_READERS = 256;
const DESCRIPTOR_BYTES = 16;

// Where a driver sees that the card is done with a receive descriptor: e1000 by a bit of its status, igb
// by a length that is not zero any more. Both lie at the same byte.
const DONE_AT = 12;
const E1000_DONE = 0x0001;
const IGB_LENGTH = 0xffff;

/** Descriptors that a card shares with its driver; desc 0: none at the moment. */
type DescriptorRing = Pick<IgbRxRing, 'desc' | 'count' | 'nextToClean'>;

/** What the drivers of cards keep of reception in their devices; others keep none of it. */
interface RxQueues {
  /** e1000 has one ring, igb one for each queue. */
  readonly rxRing?: DescriptorRing | readonly DescriptorRing[];
  /** virtio_net's queues; veth has some of this name that have no ring in memory. */
  readonly rq?: readonly { readonly vq?: Virtqueue }[];
  readonly currQueuePairs?: number;
}

interface Level {
  filled: number;
  size: number;
}

/** Descriptors that the card has filled and the driver has not taken. */
function filled(ring: DescriptorRing, done: number): number {
  let n = 0;
  let at = ring.nextToClean;
  while (n < ring.count) {
    const word = view.getUint16(ring.desc + at * DESCRIPTOR_BYTES + DONE_AT, true);
    if ((word & done) === 0) break;
    n++;
    at = at + 1 === ring.count ? 0 : at + 1;
  }
  return n;
}

function addRing(level: Level, ring: DescriptorRing, done: number): void {
  if (ring.desc === 0 || ring.count === 0) return;
  level.filled += filled(ring, done);
  level.size += ring.count;
}

/** Adds the receive rings of a card, whichever driver it has. */
function addRings(level: Level, dev: NetDevice): void {
  const { rxRing, rq, currQueuePairs = 0 } = (dev.priv ?? {}) as RxQueues;
  if (Array.isArray(rxRing)) {
    for (const ring of rxRing as readonly DescriptorRing[]) addRing(level, ring, IGB_LENGTH);
  } else if (rxRing !== undefined) {
    addRing(level, rxRing as DescriptorRing, E1000_DONE);
  }
  for (let i = 0; i < currQueuePairs; i++) {
    const vq = rq?.[i]?.vq;
    if (vq === undefined || vq.used === 0) continue;
    level.filled += (vringUsed.idx(view, vq.used) - vq.lastUsedIdx) & 0xffff;
    level.size += vq.num;
  }
}

export class CpuRecorder {
  private readonly recording: Recording;
  private readonly byMachine: QueueLevels[][];
  private readonly readers: Set<Sock>[];

  constructor(recording: Recording) {
    this.recording = recording;
    this.byMachine = [];
    this.readers = [];
  }

  /** Notes how full the machine's queues are, when that has changed. */
  levels(machine: Machine, index: number): void {
    let list = this.byMachine[index];
    if (list === undefined) {
      list = [];
      this.byMachine[index] = list;
    }
    const now = this.measure(machine, index);
    const last = list.at(-1);
    if (
      last !== undefined &&
      last.ring === now.ring &&
      last.backlog === now.backlog &&
      last.qdisc === now.qdisc &&
      last.sockets === now.sockets
    ) {
      return;
    }
    list.push(now);
    if (list.length > MAX_LEVELS) {
      this.byMachine[index] = list.filter((_, i) => i % 2 === 0);
    }
  }

  /** A socket got something to read. */
  reader(index: number, sk: Sock): void {
    let readers = this.readers[index];
    if (readers === undefined) {
      readers = new Set();
      this.readers[index] = readers;
    }
    readers.add(sk);
    if (readers.size <= MAX_READERS) return;
    for (const old of readers) if (old.skReceiveQueue.qlen === 0) readers.delete(old);
  }

  /** Packets that wait in sockets for their programs. */
  private unread(index: number): number {
    let sum = 0;
    for (const sk of this.readers[index] ?? []) sum += sk.skReceiveQueue.qlen;
    return sum;
  }

  measure(machine: Machine, index: number): QueueLevels {
    const rings: Level = { filled: 0, size: 0 };
    let qdisc = 0;
    for (const dev of machine.initNet.devBaseHead) {
      addRings(rings, dev);
      for (const txq of dev.tx) qdisc += txq.qdisc?.qlen ?? 0;
    }
    let backlog = 0;
    for (const sd of machine.netGlobals.softnetData) {
      backlog += sd.inputPktQueue.qlen + sd.processQueue.qlen;
    }
    return {
      timeNs: machine.nowNs,
      step: this.recording.steps,
      ring: rings.filled,
      ringSize: rings.size,
      backlog,
      qdisc,
      sockets: this.unread(index),
    };
  }

  /** What the queues held in a time, from its beginning on: a level holds until the next. */
  private levelsBetween(index: number, fromNs: number, toNs: number): readonly QueueLevels[] {
    const all = this.byMachine[index] ?? [];
    const within = all.filter(({ timeNs }) => timeNs >= fromNs && timeNs <= toNs);
    const before = all.findLast(({ timeNs }) => timeNs < fromNs);
    return before === undefined ? within : [{ ...before, timeNs: fromNs }, ...within];
  }

  view(
    machine: Machine,
    index: number,
    fromNs: number,
    toNs: number,
    limit: number,
    settings: Readonly<Record<string, string>>,
  ): CpuView {
    const { recording } = this;
    const last = recording.stepAt(toNs);
    const first = Math.max(recording.stepAt(fromNs - 1) + 1, 0);
    const spans = buildSpans(recording, index, first, last, limit);
    const card = machine.initNet.devBaseHead.find(({ name }) => name !== 'lo');
    return {
      cpus: machine.cpus.length,
      priced: machine.costs !== null,
      spans,
      levels: thin(this.levelsBetween(index, fromNs, toNs), DRAWN_LEVELS),
      softnet: machine.netGlobals.softnetData.map((sd, cpu) => ({
        cpu,
        processed: sd.processed,
        dropped: sd.dropped,
        timeSqueeze: sd.timeSqueeze,
      })),
      settings,
      card: card?.name ?? '',
      rxUsecs: card?.ethtoolOps?.getCoalesce?.(card).rxUsecs ?? 0,
      firstStep: spans[0]?.firstStep ?? first,
      lastStep: last,
    };
  }
}

/** One step of the machine whose spans are built. */
interface Place {
  readonly n: number;
  readonly cpu: number;
  readonly machine: number;
  /** Among the machine's own steps. */
  readonly order: number;
}

interface Open {
  readonly lane: CpuSpan['lane'];
  readonly name: string;
  readonly step: number;
  readonly beginNs: number;
  readonly order: number;
  /** Up to where spans within it have been told. */
  toldNs: number;
}

/** Steps whose last argument is how far the CPU was ahead of the world's clock, where work has a price. */
const LEADING: ReadonlySet<string> = new Set([
  'irq:irq_handler_entry',
  'irq:irq_handler_exit',
  'irq:softirq_entry',
  'irq:softirq_exit',
  'napi:napi_poll',
  'sock:sock_send_length',
  'sock:sock_recv_length',
]);

/** Spans of one machine between two steps: what was entered and left, newest `limit` of them. */
function buildSpans(
  recording: Recording,
  machine: number,
  first: number,
  last: number,
  limit: number,
): CpuSpan[] {
  const spans: CpuSpan[] = [];
  const stacks = new Map<number, Open[]>();
  let from = first;
  // A window that holds far too many steps is cut to its end: that is where people look.
  if (last - from > limit * 30) from = last - limit * 30;
  let order = 0;
  for (let n = from; n <= last; n++) {
    if (recording.machineOf(n) !== machine) continue;
    order++;
    const cpu = (recording.recorder.ring.where(n) >>> 8) & 0xff;
    let stack = stacks.get(cpu);
    if (stack === undefined) {
      stack = [];
      stacks.set(cpu, stack);
    }
    const span = event(recording, { n, cpu, machine, order }, stack);
    if (span !== null) spans.push(span);
  }
  // What holds others comes before them.
  spans.sort((a, b) => a.firstStep - b.firstStep || b.lastStep - a.lastStep);
  return spans.length > limit ? spans.slice(-limit) : spans;
}

function event(
  recording: Recording,
  { n, cpu, machine, order }: Place,
  stack: Open[],
): CpuSpan | null {
  const name = recording.eventOf(n);
  if (!LEADING.has(name)) return null;
  const { ring, names, tracks } = recording.recorder;
  const timeNs = recording.timeOf(n) + ring.arg(n, 3);
  const dev = names.text(ring.dev(n));
  const base = { cpu, lastStep: n, endNs: timeNs, endOrder: order, work: -1, budget: -1 };
  if (name === 'irq:irq_handler_entry') {
    stack.push({ lane: 'hardirq', name: dev, step: n, beginNs: timeNs, order, toldNs: timeNs });
    return null;
  }
  if (name === 'irq:softirq_entry') {
    const lane = ring.arg(n, 1) === 1 ? 'ksoftirqd' : 'softirq';
    stack.push({
      lane,
      name: SOFTIRQ_NAMES[ring.arg(n, 0)] ?? '',
      step: n,
      beginNs: timeNs,
      order,
      toldNs: timeNs,
    });
    return null;
  }
  if (name === 'irq:irq_handler_exit' || name === 'irq:softirq_exit') {
    const open = stack.pop();
    if (open === undefined) return null;
    return {
      ...base,
      lane: open.lane,
      name: open.name,
      firstStep: open.step,
      beginNs: open.beginNs,
      beginOrder: open.order,
      depth: stack.length,
    };
  }
  if (name === 'napi:napi_poll') {
    const open = stack.at(-1);
    const beginNs = open?.toldNs ?? timeNs;
    if (open !== undefined) open.toldNs = timeNs;
    return {
      ...base,
      lane: open?.lane ?? 'softirq',
      name: `poll ${dev}`,
      firstStep: open?.step ?? n,
      beginNs,
      beginOrder: (open?.order ?? order - 1) + 1,
      depth: stack.length,
      work: ring.arg(n, 0),
      budget: ring.arg(n, 1),
    };
  }
  if (name === 'sock:sock_send_length' || name === 'sock:sock_recv_length') {
    const what = name === 'sock:sock_send_length' ? 'write' : 'read';
    return {
      ...base,
      lane: 'task',
      name: what,
      firstStep: n,
      beginNs: timeNs - (tracks[machine]?.machine?.costs?.syscallNs ?? 0),
      beginOrder: order,
      depth: stack.length,
    };
  }
  return null;
}
