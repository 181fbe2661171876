/**
 * What a packet is, told from its bytes: the kind that decides its colour, the words of its protocol, and
 * a key by which the same packet is known again on the next machine.
 */
import { formatMac, inNtop4 } from '#lib/parse_addr.ts';
import { ICMP_ECHO, ICMP_ECHOREPLY, icmphdr } from '#uapi/icmp.ts';
import { arpEthIp, arphdr } from '#uapi/if_arp.ts';
import { ETH_P_ARP, ETH_P_IP, ethhdr } from '#uapi/if_ether.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { tcphdr } from '#uapi/tcp.ts';
import { udphdr } from '#uapi/udp.ts';
import type { PacketKind } from '../protocol.ts';

export interface Look {
  readonly kind: PacketKind;
  readonly flow: string;
  readonly words: string;
  /** The same on every machine that the packet passes; different for a retransmission. */
  readonly key: string;
  /** The same for a segment and its retransmission; empty: not one that may be sent again. */
  readonly again: string;
}

const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const PSH = 0x08;
const ACK = 0x10;

const ICMP_WORDS: Readonly<Record<string, string>> = {
  '3/0': 'network unreachable',
  '3/1': 'host unreachable',
  '3/2': 'protocol unreachable',
  '3/3': 'port unreachable',
  '3/4': 'fragmentation needed',
  '3/13': 'forbidden by a filter',
  '5/0': 'redirect',
  '5/1': 'redirect',
  '11/0': 'time to live exceeded',
  '11/1': 'reassembly time exceeded',
  '12/0': 'parameter problem',
};

/** Looks at a packet of `protocol` (ETH_P_*) whose network header is at `nh`; `end` is where bytes end. */
export function lookAt(v: DataView, protocol: number, nh: number, end: number): Look | null {
  if (protocol === ETH_P_ARP) return nh + arpEthIp.LEN <= end ? lookAtArp(v, nh) : null;
  if (protocol !== ETH_P_IP || nh + iphdr.LEN > end || iphdr.version(v, nh) !== 4) return null;
  const source = inNtop4(iphdr.saddr(v, nh));
  const target = inNtop4(iphdr.daddr(v, nh));
  const id = iphdr.id(v, nh);
  const fragment = iphdr.fragOff(v, nh) & 0x3fff;
  const number = iphdr.protocol(v, nh);
  const th = nh + iphdr.hdrlen(v, nh);
  const payload = iphdr.totLen(v, nh) - iphdr.hdrlen(v, nh);
  const flow = `${source} > ${target}`;
  const base = `${source}>${target}/${number}/${id}/${fragment}`;
  if (fragment !== 0) {
    const at = (fragment & 0x1fff) * 8;
    const more = (fragment & 0x2000) !== 0 ? ', more follow' : ', the last';
    const words = `fragment ${at}..${at + payload}${more}`;
    return { kind: 'fragment', flow, words, key: base, again: '' };
  }
  if (number === IPPROTO_TCP && th + tcphdr.LEN <= end) {
    return lookAtTcp(v, th, payload, source, target, base);
  }
  if (number === IPPROTO_UDP && th + udphdr.LEN <= end) {
    const [from, to] = [udphdr.source(v, th), udphdr.dest(v, th)];
    return {
      kind: 'udp',
      flow: `${source}:${from} > ${target}:${to}`,
      words: `UDP, ${payload - udphdr.LEN} bytes`,
      key: `${base}/${from}/${to}`,
      again: '',
    };
  }
  if (number === IPPROTO_ICMP && th + icmphdr.LEN <= end) {
    const type = icmphdr.type(v, th);
    const code = icmphdr.code(v, th);
    const rest = icmphdr.rest(v, th);
    const key = `${base}/${type}/${code}/${rest}`;
    if (type === ICMP_ECHO || type === ICMP_ECHOREPLY) {
      const what = type === ICMP_ECHO ? 'echo request' : 'echo reply';
      const words = `${what} ${icmphdr.echoSequence(v, th)}`;
      return { kind: 'icmp', flow, words, key, again: '' };
    }
    const said = ICMP_WORDS[`${type}/${code}`] ?? `ICMP type ${type} code ${code}`;
    const words = type === 3 && code === 4 ? `${said}, mtu ${icmphdr.fragMtu(v, th)}` : said;
    return { kind: 'icmp-error', flow, words, key, again: '' };
  }
  return { kind: 'other', flow, words: `IP protocol ${number}`, key: base, again: '' };
}

function lookAtArp(v: DataView, nh: number): Look {
  const request = arphdr.op(v, nh) === 1;
  const from = inNtop4(arpEthIp.sip(v, nh));
  const to = inNtop4(arpEthIp.tip(v, nh));
  const mac = formatMac(arpEthIp.shaHi(v, nh), arpEthIp.shaLo(v, nh));
  return {
    kind: 'arp',
    flow: `${from} > ${to}`,
    words: request ? `who has ${to}? tell ${from}` : `${from} is at ${mac}`,
    key: `arp/${request}/${from}/${to}/${mac}`,
    again: '',
  };
}

function tcpKind(flags: number, length: number): PacketKind {
  if ((flags & RST) !== 0) return 'tcp-rst';
  if ((flags & SYN) !== 0) return 'tcp-syn';
  if ((flags & FIN) !== 0) return 'tcp-fin';
  return length > 0 ? 'tcp-data' : 'tcp-ack';
}

function lookAtTcp(
  v: DataView,
  th: number,
  payload: number,
  source: string,
  target: string,
  base: string,
): Look {
  const flags = tcphdr.flags(v, th);
  const length = Math.max(0, payload - tcphdr.hdrlen(v, th));
  const seq = tcphdr.seq(v, th) >>> 0;
  const ack = tcphdr.ackSeq(v, th) >>> 0;
  const [from, to] = [tcphdr.source(v, th), tcphdr.dest(v, th)];
  const names: string[] = [];
  if ((flags & SYN) !== 0) names.push('SYN');
  if ((flags & FIN) !== 0) names.push('FIN');
  if ((flags & RST) !== 0) names.push('RST');
  if ((flags & PSH) !== 0) names.push('PSH');
  if ((flags & ACK) !== 0) names.push('ACK');
  const bits = [names.join(' ')];
  if (length > 0) bits.push(`${length} bytes`);
  bits.push(`seq ${seq}`);
  if ((flags & ACK) !== 0) bits.push(`ack ${ack}`);
  bits.push(`win ${tcphdr.window(v, th)}`);
  const flow = `${source}:${from} > ${target}:${to}`;
  const counts = length > 0 || (flags & (SYN | FIN)) !== 0;
  return {
    kind: tcpKind(flags, length),
    flow,
    words: bits.join(', '),
    key: `${base}/${from}/${to}/${seq}/${flags}`,
    again: counts ? `${flow}/${seq}/${flags & (SYN | FIN)}/${length}` : '',
  };
}

/** Looks at a frame on a cable: Ethernet first. */
export function lookAtFrame(v: DataView, addr: number, length: number): Look | null {
  if (length < ethhdr.LEN) return null;
  return lookAt(v, ethhdr.proto(v, addr), addr + ethhdr.LEN, addr + length);
}
