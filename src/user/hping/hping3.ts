/*
 * `hping3`: sends TCP, UDP or ICMP packets made by hand. Counterpart of hping3 by Salvatore Sanfilippo, of
 * which it has what floods and simple probes need. It sends and does not listen.
 */
import { csumFold, csumPartial, csumTcpudpMagic } from '#lib/checksum.ts';
import { ICMP_ECHO, icmphdr } from '#uapi/icmp.ts';
import { IPPROTO_ICMP, IPPROTO_RAW, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_RAW } from '#uapi/socket.ts';
import { tcphdr } from '#uapi/tcp.ts';
import { udphdr } from '#uapi/udp.ts';
import type { Main, Process } from '#user/lib/process.ts';
import { lookup } from '#user/lib/resolve.ts';

interface Options {
  protocol: number;
  flags: number;
  host: string;
  port: number;
  /** -1: one more each time, as hping3 does. */
  sourcePort: number;
  /** 0: until it is ended. */
  count: number;
  /** Pause between packets in microseconds. */
  intervalUs: number;
  /** Packets sent before each pause. */
  burst: number;
  data: number;
  randomSource: boolean;
  ttl: number;
}

const USAGE =
  'usage: hping3 [-S|-A|-F|-R] [-1|-2] [-p PORT] [-s PORT] [-c COUNT] [-d BYTES] [-t TTL]\n' +
  '              [-i SECONDS|uMICROSECONDS] [--fast] [--faster] [--flood] [--rand-source] HOST\n';

const FLAGS: Readonly<Record<string, number>> = { '-F': 1, '-S': 2, '-R': 4, '-P': 8, '-A': 16 };

/** `--flood` sends bursts with a pause between them: time must pass for a world to go on. */
const FLOOD_BURST = 64;
const FLOOD_US = 1000;

class UsageError extends Error {}

function number(text: string | undefined, max: number): number {
  if (text === undefined || !/^\d+$/.test(text) || Number(text) > max) {
    throw new UsageError(`hping3: '${text ?? ''}' is no number up to ${max}\n`);
  }
  return Number(text);
}

function intervalUs(text: string | undefined): number {
  return text?.startsWith('u') === true ? number(text.slice(1), 1e9) : number(text, 86400) * 1e6;
}

function readOptions(args: readonly string[]): Options {
  const o: Options = {
    protocol: IPPROTO_TCP,
    flags: 0,
    host: '',
    port: 0,
    sourcePort: -1,
    count: 0,
    intervalUs: 1e6,
    burst: 1,
    data: 0,
    randomSource: false,
    ttl: 64,
  };
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? '';
    const flag = FLAGS[word];
    if (flag !== undefined) o.flags |= flag;
    else if (word === '-1' || word === '--icmp') o.protocol = IPPROTO_ICMP;
    else if (word === '-2' || word === '--udp') o.protocol = IPPROTO_UDP;
    else if (word === '-p') o.port = number(args[++i], 65535);
    else if (word === '-s') o.sourcePort = number(args[++i], 65535);
    else if (word === '-c') o.count = number(args[++i], 1e9);
    else if (word === '-d') o.data = number(args[++i], 1400);
    else if (word === '-t') o.ttl = number(args[++i], 255);
    else if (word === '-i') o.intervalUs = intervalUs(args[++i]);
    else if (word === '--fast') o.intervalUs = 1e5;
    else if (word === '--faster') o.intervalUs = 100;
    else if (word === '--rand-source') o.randomSource = true;
    else if (word === '--flood') {
      o.burst = FLOOD_BURST;
      o.intervalUs = FLOOD_US;
    } else if (word.startsWith('-'))
      throw new UsageError(`hping3: unknown option ${word}\n${USAGE}`);
    else o.host = word;
  }
  if (o.host === '') throw new UsageError(USAGE);
  return o;
}

/** Makes packets, one after the other, in one buffer. */
class Maker {
  private readonly o: Options;
  private readonly to: number;
  private readonly p: Process;
  private readonly buf: Uint8Array;
  private readonly v: DataView;
  private readonly random: Uint8Array;
  /** The address that the kernel would put. */
  private readonly own: number;
  private made: number;

  constructor(p: Process, o: Options, to: number, own: number) {
    this.p = p;
    this.o = o;
    this.to = to;
    this.own = own;
    const header =
      o.protocol === IPPROTO_TCP
        ? tcphdr.LEN
        : o.protocol === IPPROTO_UDP
          ? udphdr.LEN
          : icmphdr.LEN;
    this.buf = new Uint8Array(iphdr.LEN + header + o.data);
    this.v = new DataView(this.buf.buffer);
    this.random = new Uint8Array(12);
    this.made = 0;
  }

  next(): Uint8Array {
    const { v, o, buf, random } = this;
    this.p.sys.getrandom(random);
    const r = new DataView(random.buffer);
    buf.fill(0, 0, buf.length - o.data);
    v.setUint8(0, 0x45);
    v.setUint16(2, buf.length);
    v.setUint16(4, r.getUint16(8));
    v.setUint8(8, o.ttl);
    v.setUint8(9, o.protocol);
    // An address of 198.18.0.0/15, which RFC 2544 keeps for such tests; 0: the kernel puts its own.
    const source = o.randomSource ? 0xc6120000 + (r.getUint32(0) & 0x1ffff) : 0;
    v.setUint32(12, source);
    v.setUint32(16, this.to);
    const sport = o.sourcePort >= 0 ? o.sourcePort : 1024 + ((r.getUint16(4) + this.made) % 60000);
    if (o.protocol === IPPROTO_ICMP) this.icmp();
    else if (o.protocol === IPPROTO_UDP) this.udp(sport);
    else this.tcp(sport, r.getUint32(4), source);
    this.made++;
    return buf.slice();
  }

  private icmp(): void {
    const at = iphdr.LEN;
    this.v.setUint8(at, ICMP_ECHO);
    this.v.setUint16(at + 4, 0x5051);
    this.v.setUint16(at + 6, this.made & 0xffff);
    this.v.setUint16(at + 2, csumFold(csumPartial(this.buf, at, this.buf.length - at, 0)));
  }

  private udp(sport: number): void {
    const at = iphdr.LEN;
    this.v.setUint16(at, sport);
    this.v.setUint16(at + 2, this.o.port);
    this.v.setUint16(at + 4, this.buf.length - at);
  }

  private tcp(sport: number, seq: number, source: number): void {
    const { v, buf } = this;
    const at = iphdr.LEN;
    v.setUint16(at, sport);
    v.setUint16(at + 2, this.o.port);
    v.setUint32(at + 4, seq);
    v.setUint8(at + 12, 0x50);
    v.setUint8(at + 13, this.o.flags);
    v.setUint16(at + 14, 512);
    const from = source === 0 ? this.own : source;
    const sum = csumPartial(buf, at, buf.length - at, 0);
    v.setUint16(at + 16, csumTcpudpMagic(from, this.to, buf.length - at, IPPROTO_TCP, sum));
  }
}

/** The address from which this machine sends to another. */
async function sourceFor(p: Process, to: number): Promise<number> {
  const { libc } = p;
  const fd = libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC);
  try {
    await libc.connect(fd, { addr: to, port: 9 });
    return libc.getsockname(fd)?.addr ?? 0;
  } finally {
    await libc.close(fd);
  }
}

async function run(p: Process, o: Options): Promise<number> {
  const { libc } = p;
  const to = lookup(p, o.host);
  if (to === null) throw new UsageError(`Unable to resolve '${o.host}'\n`);
  const own = await sourceFor(p, to);
  const fd = libc.socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
  const maker = new Maker(p, o, to, own);
  let sent = 0;
  let refused = 0;
  while (o.count === 0 || sent + refused < o.count) {
    for (let i = 0; i < o.burst && (o.count === 0 || sent + refused < o.count); i++) {
      try {
        await libc.sendto(fd, maker.next(), { addr: to, port: 0 });
        sent++;
      } catch {
        refused++;
      }
    }
    await libc.sleep(o.intervalUs / 1000);
  }
  await libc.close(fd);
  p.print(`--- ${o.host} hping statistic ---\n${sent} packets transmitted, ${refused} refused\n`);
  return 0;
}

export const main: Main = async (p) => {
  try {
    return await run(p, readOptions(p.args));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    p.warn(error.message);
    return 2;
  }
};
