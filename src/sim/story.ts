/**
 * The story of a run: the first packet of each stage on its way through the functions of every
 * machine, told from the tracepoints. It only looks; a run is the same with and without.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { inHardirq } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import type { Tracepoint } from '#kernel/tracepoint.ts';
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

export interface StoryLine {
  readonly timeNs: number;
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

function look(skb: SkBuff): Sight | null {
  const nh = skb.networkHeader;
  if (nh < skb.head || nh + 20 > skb.tail) return null;
  if (skb.protocol === ETH_P_ARP) {
    const request = arphdr.op(bytes, nh) === 1;
    return {
      stage: request ? 'ARP asks who has an address' : 'ARP answers',
      key: `arp${request ? 1 : 2}/${skb.dev?.net.machine.name ?? ''}`,
      words: request ? 'ARP request' : 'ARP reply',
    };
  }
  if (skb.protocol !== ETH_P_IP || iphdr.version(bytes, nh) !== 4) return null;
  const protocol = iphdr.protocol(bytes, nh);
  if (protocol === IPPROTO_TCP) return lookTcp(nh, skb);
  if (protocol === IPPROTO_UDP)
    return { stage: 'a datagram', key: `udp/${iphdr.id(bytes, nh)}`, words: 'UDP' };
  if (protocol === IPPROTO_ICMP)
    return { stage: 'an ICMP message', key: `icmp/${iphdr.id(bytes, nh)}`, words: 'ICMP' };
  return null;
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
    const see =
      (where: string, opens: boolean) =>
      (skb: SkBuff): void =>
        this.see(machine, skb, where, skb.dev?.name ?? '', opens);
    this.watch(net.netDevQueue, see('__dev_queue_xmit', true));
    const start = see('dev_hard_start_xmit', false);
    this.watch(net.netDevStartXmit, (skb, _dev) => start(skb));
    this.watch(net.napiGroReceiveEntry, see('napi_gro_receive', false));
    this.watch(net.netifRx, see('netif_rx', false));
    this.watch(net.netifReceiveSkb, see('__netif_receive_skb_core', false));
    this.watch(ends.consumeSkb, (skb, location) =>
      this.see(machine, skb, location === '' ? 'consume_skb' : location, 'consumed', false),
    );
    this.watch(ends.kfreeSkb, (skb, location, reason, _rxSk) =>
      this.see(machine, skb, location, `dropped: ${dropReasonName(reason)}`, false),
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

  private see(machine: Machine, skb: SkBuff, where: string, what: string, opens: boolean): void {
    const sight = look(skb);
    if (sight === null) return;
    let stage = this.byStage.get(sight.stage);
    if (stage === undefined) {
      if (!opens) return;
      stage = { title: `${sight.stage} (${sight.words})`, key: sight.key, lines: [], done: false };
      this.byStage.set(sight.stage, stage);
      this.stages.push(stage);
    }
    if (stage.done || stage.key !== sight.key) return;
    stage.lines.push({
      timeNs: this.world.nowNs,
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

/** The story as text. */
export function tellStory(stages: readonly Stage[]): string {
  const text: string[] = [];
  for (const stage of stages) {
    text.push(`\n${stage.title}`);
    for (const line of stage.lines) {
      text.push(
        `  ${formatTimeNs(line.timeNs).padStart(12)}  ${line.machine.padEnd(8)} ${line.context.padEnd(13)} ` +
          `${line.where.padEnd(28)} ${line.what}`,
      );
    }
  }
  return text.join('\n');
}
