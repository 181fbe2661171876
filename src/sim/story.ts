/**
 * The story of a run: the first packet of each stage on its way through the functions of every
 * machine, told from the tracepoints. It only looks; a run is the same with and without.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { inHardirq } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import type { Tracepoint } from '#kernel/tracepoint.ts';
import { inNtop4 } from '#lib/parse_addr.ts';
// The plain view: sights are taken of packets of every age.
import { hostView as bytes } from '#mm/memory.ts';
import { formatTimeNs } from '#sim/units.ts';
import type { World } from '#sim/world.ts';
import { arphdr } from '#uapi/if_arp.ts';
import { ETH_P_ARP, ETH_P_IP } from '#uapi/if_ether.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { dropReasonName } from '#uapi/net_dropreason.ts';
import { tcphdr } from '#uapi/tcp.ts';

const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const ACK = 0x10;

/** Lines of one stage; a stage that goes on longer is cut. */
const MAX_LINES = 40;

/** What comes after such a pause is another packet of the same looks. */
const PAUSE_NS = 500e6;

export interface StoryLine {
  readonly timeNs: number;
  /** Functions on the way there, outermost first; empty where the engine does not tell. */
  readonly path: readonly string[];
  readonly machine: string;
  readonly context: string;
  readonly where: string;
  readonly what: string;
}

export interface Stage {
  readonly title: string;
  /** What tells this packet from all others. */
  readonly key: string;
  readonly lines: StoryLine[];
  done: boolean;
}

/** What a packet is: to whom it belongs in the story, and in a few words. */
interface Sight {
  readonly stage: string;
  readonly key: string;
  readonly words: string;
}

function look(skb: SkBuff, nh: number): Sight | null {
  if (nh < skb.head || nh + 20 > skb.tail) return null;
  if (skb.protocol === ETH_P_ARP) return lookArp(nh);
  if (skb.protocol !== ETH_P_IP || iphdr.version(bytes, nh) !== 4) return null;
  const protocol = iphdr.protocol(bytes, nh);
  if (protocol === IPPROTO_TCP) return lookTcp(nh, skb);
  if (protocol === IPPROTO_UDP)
    return { stage: 'a datagram', key: `udp/${iphdr.id(bytes, nh)}`, words: 'UDP' };
  if (protocol === IPPROTO_ICMP)
    return { stage: 'an ICMP message', key: `icmp/${iphdr.id(bytes, nh)}`, words: 'ICMP' };
  return null;
}

function lookArp(nh: number): Sight {
  const request = arphdr.op(bytes, nh) === 1;
  const addresses = arphdr.LEN + nh;
  // Sender's and target's protocol addresses, of Ethernet's hardware addresses.
  const from = bytes.getUint32(addresses + 6);
  const to = bytes.getUint32(addresses + 16);
  return {
    stage: request ? 'ARP asks who has an address' : 'ARP answers',
    key: `arp/${request}/${from}/${to}`,
    words: request
      ? `who has ${inNtop4(to)}? tell ${inNtop4(from)}`
      : `${inNtop4(from)} is here, ${inNtop4(to)}`,
  };
}

function lookTcp(nh: number, skb: SkBuff): Sight | null {
  const th = nh + iphdr.ihl(bytes, nh) * 4;
  if (th + 20 > skb.tail) return null;
  const flags = tcphdr.flags(bytes, th);
  const length = iphdr.totLen(bytes, nh) - iphdr.ihl(bytes, nh) * 4 - tcphdr.doff(bytes, th) * 4;
  const seq = tcphdr.seq(bytes, th) >>> 0;
  const ack = tcphdr.ackSeq(bytes, th) >>> 0;
  const key = `tcp/${iphdr.saddr(bytes, nh)}/${seq}/${ack}/${flags}/${length}`;
  const words = `seq ${seq} ack ${ack} len ${length}`;
  if ((flags & RST) !== 0) return { stage: 'a reset', key, words: `RST ${words}` };
  if ((flags & SYN) !== 0) {
    return (flags & ACK) !== 0
      ? { stage: 'the server agrees: SYN, ACK', key, words: `SYN,ACK ${words}` }
      : { stage: 'the client wants a connection: SYN', key, words: `SYN ${words}` };
  }
  if ((flags & FIN) !== 0)
    return { stage: 'an end says it is done: FIN', key, words: `FIN ${words}` };
  if (length > 0) return { stage: 'data', key, words: `data ${words}` };
  return { stage: 'an acknowledgement', key, words: `ACK ${words}` };
}

/** Follows the first packet of each stage, until each has had its say. */
export class Story {
  readonly stages: Stage[];
  private readonly world: World;
  private readonly byStage: Map<string, Stage>;
  private readonly undo: (() => void)[];

  constructor(world: World) {
    this.world = world;
    this.stages = [];
    this.byStage = new Map();
    this.undo = [];
  }

  /** Watches a machine. */
  follow(machine: Machine): void {
    const { net, skb: ends } = machine.trace;
    const see = (skb: SkBuff, where: string, what: string, opens = false): void =>
      this.see(machine, look(skb, skb.networkHeader), where, what, opens);
    // On its way in, a packet begins with its network header, wherever the field still points.
    const receive = (skb: SkBuff, where: string): void =>
      this.see(machine, look(skb, skb.data), where, skb.dev?.name ?? '', false);
    this.watch(net.netDevQueue, (skb) => see(skb, '__dev_queue_xmit', skb.dev?.name ?? '', true));
    this.watch(net.netDevStartXmit, (skb, dev) => see(skb, 'dev_hard_start_xmit', dev.name));
    this.watch(net.napiGroReceiveEntry, (skb) => receive(skb, 'napi_gro_receive'));
    this.watch(net.netifRx, (skb) => receive(skb, 'netif_rx'));
    this.watch(net.netifReceiveSkb, (skb) => receive(skb, '__netif_receive_skb_core'));
    this.watch(ends.consumeSkb, (skb, location) =>
      see(skb, location === '' ? 'consume_skb' : location, 'consumed'),
    );
    this.watch(ends.kfreeSkb, (skb, location, reason, _rxSk) =>
      see(skb, location, `dropped: ${dropReasonName(reason)}`),
    );
  }

  /** Stops watching. */
  stop(): void {
    for (const undo of this.undo.splice(0)) undo();
  }

  private watch<Args extends unknown[]>(
    tp: Tracepoint<Args>,
    probe: (...args: Args) => void,
  ): void {
    tp.register(probe);
    this.undo.push(() => tp.unregister(probe));
  }

  private see(
    machine: Machine,
    sight: Sight | null,
    where: string,
    what: string,
    opens: boolean,
  ): void {
    if (sight === null) return;
    let stage = this.byStage.get(sight.stage);
    if (stage === undefined) {
      if (!opens) return;
      stage = { title: `${sight.stage} (${sight.words})`, key: sight.key, lines: [], done: false };
      this.byStage.set(sight.stage, stage);
      this.stages.push(stage);
    }
    if (stage.done || stage.key !== sight.key) return;
    const { nowNs } = this.world;
    const last = stage.lines.at(-1);
    if (last !== undefined && nowNs - last.timeNs > PAUSE_NS) {
      stage.done = true;
      return;
    }
    stage.lines.push({
      timeNs: nowNs,
      path: callPath(),
      machine: machine.name,
      context: contextOf(machine),
      where,
      what,
    });
    if (stage.lines.length >= MAX_LINES) stage.done = true;
  }
}

function contextOf(machine: Machine): string {
  const { cpu } = machine;
  if (inHardirq(cpu)) return `cpu${cpu.id} irq`;
  return cpu.servingSoftirq > 0 ? `cpu${cpu.id} softirq` : `cpu${cpu.id} task`;
}

/** How many frames of a stack are of interest. */
const MAX_FRAMES = 60;

/**
 * A frame of a function of the kernel, in the ways engines write it: `at name (file)`, `at Type.name
 * (file)` for one that was called through a table of operations, and `name@file`.
 */
const FRAME =
  /^\s*(?:at )?(?:\w+\.)?([A-Za-z_$][\w$]*)(?: \[as \w+\])?(?: \(|@).*\/(?:src|dist)\/(?:net|drivers|fs|kernel)\/(?!tracepoint)/;

/** The functions of the kernel that called us, outermost first, as the engine's stack tells them. */
function callPath(): string[] {
  // Not in the language, but in all engines: how deep a stack is told (V8), and the stack itself.
  const engine = Error as { stackTraceLimit?: number };
  const limit = engine.stackTraceLimit;
  engine.stackTraceLimit = MAX_FRAMES;
  const { stack = '' } = new Error('where');
  if (limit !== undefined) engine.stackTraceLimit = limit;
  const path: string[] = [];
  for (const frame of stack.split('\n')) {
    const name = FRAME.exec(frame)?.[1];
    if (name !== undefined) path.unshift(name);
  }
  return path;
}

/** `tcpV4Rcv` as `tcp_v4_rcv`: the rule by which the functions here are named. */
function kernelName(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
}

/** How a story is told. */
export interface StoryStyle {
  /** Paints parts of the text. */
  readonly paint?: (part: 'title' | 'path' | 'drop', text: string) => string;
  /** What Linux calls a function; null for one that Linux does not have, which is left out. */
  readonly kernelName?: (name: string) => string | null;
}

/** What is new in a path: the functions behind those that the line before went through as well. */
function newIn(line: StoryLine, before: StoryLine | undefined, style: StoryStyle): string[] {
  let common = 0;
  if (before?.timeNs === line.timeNs && before.machine === line.machine) {
    while (common < line.path.length && line.path[common] === before.path[common]) common++;
  }
  const names: string[] = [];
  for (const own of line.path.slice(common)) {
    const name = style.kernelName === undefined ? kernelName(own) : style.kernelName(own);
    if (name !== null && name !== line.where && name !== names.at(-1)) names.push(name);
  }
  return names;
}

const PATH_INDENT = 16;
const PATH_WIDTH = 100;

/** Functions in rows, with arrows between. */
function pathRows(names: readonly string[]): string[] {
  const rows: string[] = [];
  let row = '';
  for (const name of names) {
    const step = row === '' ? name : `${row} > ${name}`;
    if (step.length + PATH_INDENT <= PATH_WIDTH) row = step;
    else {
      rows.push(`${row} >`);
      row = name;
    }
  }
  if (row !== '') rows.push(row);
  return rows;
}

/** The story as text: under each sight of the packet the functions that led there. */
export function tellStory(stages: readonly Stage[], style: StoryStyle = {}): string {
  const { paint = (_part, text) => text } = style;
  const text: string[] = [];
  for (const stage of stages) {
    text.push('', paint('title', stage.title));
    let before: StoryLine | undefined;
    for (const line of stage.lines) {
      const sight =
        `  ${formatTimeNs(line.timeNs).padStart(12)}  ${line.machine.padEnd(8)} ${line.context.padEnd(13)} ` +
        `${line.where.padEnd(28)} ${line.what}`;
      text.push(line.what.startsWith('dropped') ? paint('drop', sight) : sight);
      for (const row of pathRows(newIn(line, before, style))) {
        text.push(paint('path', `${' '.repeat(PATH_INDENT)}${row}`));
      }
      before = line;
    }
  }
  return text.join('\n');
}
