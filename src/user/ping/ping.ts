/*
 * `ping`: sends echo requests and shows what comes back. Counterpart of iputils' ping.c and ping_common.c.
 */
import { inNtop4 } from '#lib/parse_addr.ts';
import { EACCES, EAGAIN, ENOBUFS, ENOMEM, strerror } from '#uapi/errno.ts';
import {
  IP_MTU_DISCOVER,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_TOS,
  IP_TTL,
  IPPROTO_UDP,
  ipv4IsMulticast,
} from '#uapi/in.ts';
import { POLLERR, POLLIN } from '#uapi/poll.ts';
import {
  AF_INET,
  SO_BINDTODEVICE,
  SO_BROADCAST,
  SO_DONTROUTE,
  SO_MARK,
  SO_SNDBUF,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOL_IP,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { errnoOf, reasonOf, SystemError } from '#user/lib/errors.ts';
import { type Main, type Process, SIGINT } from '#user/lib/process.ts';
import { inetAton, lookup } from '#user/lib/resolve.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { encodeText } from '#user/lib/streams.ts';
import { icmpText } from '#user/ping/icmp_text.ts';
import { type PingOptions, PingUsage, readOptions } from '#user/ping/options.ts';
import { type EchoError, type EchoReply, PingSocket } from '#user/ping/socket.ts';
import { PingStats, roundTrip } from '#user/ping/stats.ts';

/** Least milliseconds between two requests of a flood that nobody answers. */
const MIN_INTERVAL = 10;
/** Octets of the time in a request: struct timeval. */
const TIMEVAL = 16;
/** The port that a route is asked for with, without a packet. */
const PROBE_PORT = 1025;

/** Complaints that end the program. */
class PingFailure extends Error {}

class Ping {
  private readonly p: Process;
  private readonly options: PingOptions;
  private readonly to: number;
  private readonly socket: PingSocket;
  private readonly stats: PingStats;
  /** Microseconds; of the first request and of the last. */
  private startUs: number;
  private currentUs: number;
  private tokens: number;
  /** Time at which the last answers are given up; 0: not yet. */
  private exitAtUs: number;
  private exiting: boolean;
  private rtt: number;

  constructor(p: Process, options: PingOptions, to: number, socket: PingSocket) {
    this.p = p;
    this.options = options;
    this.to = to;
    this.socket = socket;
    this.stats = new PingStats(options.size >= TIMEVAL);
    this.startUs = 0;
    this.currentUs = -1;
    this.tokens = 0;
    this.exitAtUs = 0;
    this.exiting = false;
    this.rtt = 0;
  }

  private now(): number {
    return Math.floor(this.p.sys.monotonic() / 1000);
  }

  /** Sends and receives until it is time to stop; the exit status. */
  async run(): Promise<number> {
    const { options, stats, p } = this;
    p.onSignal(SIGINT, () => {
      this.exiting = true;
    });
    this.startUs = this.now();
    for (;;) {
      if (this.deadlinePassed()) this.exiting = true;
      if (this.exiting) break;
      if (options.count > 0 && stats.received + stats.errors >= options.count) break;
      if (options.deadline > 0 && stats.errors > 0) break;
      let next: number;
      do {
        next = this.scheduleExit(this.pinger());
      } while (next <= 0 && !this.exiting);
      await this.wait(next);
      this.drain();
    }
    p.print(
      stats.summary(
        options.host,
        Math.max(0, this.currentUs - this.startUs),
        options.interval > 0 && !options.flood && !options.adaptive,
      ),
    );
    if (stats.received === 0) return 1;
    return options.deadline > 0 && stats.received < options.count ? 1 : 0;
  }

  private deadlinePassed(): boolean {
    const now = this.now();
    const { deadline } = this.options;
    if (deadline > 0 && now >= this.startUs + deadline * 1e6) return true;
    return this.exitAtUs > 0 && now >= this.exitAtUs;
  }

  /** Milliseconds until something must be done, at least those until the end. */
  private async wait(next: number): Promise<void> {
    const now = this.now();
    let untilUs = now + next * 1000;
    if (this.exitAtUs > 0) untilUs = Math.min(untilUs, this.exitAtUs);
    if (this.options.deadline > 0) {
      untilUs = Math.min(untilUs, this.startUs + this.options.deadline * 1e6);
    }
    try {
      await this.p.libc.pollFd(this.socket.fd, POLLIN | POLLERR, Math.max(0, untilUs - now) / 1000);
    } catch (error) {
      // A signal came: the loop looks what it said.
      if (errnoOf(error) === 0) throw error;
    }
  }

  /** When all requests are out, the last answers get twice the longest round trip. */
  private scheduleExit(next: number): number {
    const { options, stats } = this;
    if (options.count === 0 || stats.transmitted < options.count || options.deadline > 0) {
      return next;
    }
    if (this.exitAtUs === 0) {
      const twice = Math.max(2 * stats.max, 1000 * options.interval);
      const waitUs = stats.received > 0 ? twice : options.linger * 1000;
      this.exitAtUs = this.now() + waitUs;
      if (waitUs === 0) this.exiting = true;
      return Math.max(next, Math.floor(waitUs / 1000));
    }
    return Math.max(1, next);
  }

  /** Sends when it is time; milliseconds until the next request. */
  private pinger(): number {
    const { options, stats } = this;
    if (this.exiting) return 1000;
    if (options.count > 0 && stats.transmitted >= options.count && options.deadline === 0) {
      return 1000;
    }
    const now = this.now();
    const interval = this.pace();
    if (this.currentUs < 0) {
      this.currentUs = now;
      this.startUs = now;
      this.tokens = interval * (options.preload - 1);
    } else {
      const passed = Math.floor((now - this.currentUs) / 1000);
      if (interval === 0 && passed < MIN_INTERVAL && stats.inFlight >= options.preload) {
        return MIN_INTERVAL - passed;
      }
      this.tokens = Math.min(this.tokens + passed, interval * options.preload);
      if (this.tokens < interval) return interval - this.tokens;
      this.currentUs = now;
      this.tokens -= interval;
    }
    if (options.outstanding && stats.transmitted > 0 && !stats.wasAnswered(stats.transmitted)) {
      this.line(`no answer yet for icmp_seq=${stats.transmitted & 0xffff}\n`);
    }
    return this.request(interval);
  }

  /** Milliseconds between requests; an adaptive ping follows the round trip. */
  private pace(): number {
    const { options, stats } = this;
    if (!options.adaptive || stats.received === 0) return options.interval;
    return Math.floor(this.rtt / 8 / 1000);
  }

  private request(interval: number): number {
    const { options, stats } = this;
    for (let tries = 0; ; tries++) {
      const result = this.socket.send((stats.transmitted + 1) & 0xffff, this.payload());
      if (result >= 0) {
        stats.sent();
        if (!options.quiet && options.flood) this.p.print('.');
        return interval - this.tokens;
      }
      if (result === -ENOBUFS || result === -ENOMEM || result === -EAGAIN) {
        // The device's queue is full: a little later.
        this.tokens += interval;
        return MIN_INTERVAL;
      }
      const told = this.receiveErrors();
      // An error of an earlier request had to be fetched first.
      if (told === 'icmp' && tries < 3) continue;
      stats.sent();
      if (told === 'none' && !options.quiet) {
        if (options.flood) this.p.print('E');
        else this.p.warn(`ping: sendmsg: ${strerror(result)}\n`);
      }
      this.tokens = 0;
      return MIN_INTERVAL;
    }
  }

  /** The data of a request: the time, then octets that count up or repeat a pattern. */
  private payload(): Uint8Array {
    const { size, pattern } = this.options;
    const data = new Uint8Array(size);
    for (let i = 0; i < size; i++) {
      data[i] = pattern === null ? i + 8 : (pattern[i % pattern.length] as number);
    }
    if (size >= TIMEVAL) {
      const v = new DataView(data.buffer);
      const now = this.now();
      v.setUint32(0, Math.floor(now / 1e6), true);
      v.setUint32(4, 0, true);
      v.setUint32(8, now % 1e6, true);
      v.setUint32(12, 0, true);
    }
    return data;
  }

  /** Takes in everything that has arrived. */
  private drain(): void {
    for (;;) {
      const reply = this.socket.receive();
      if (typeof reply === 'number') {
        if (this.receiveErrors() === 'none') return;
        continue;
      }
      if (reply !== null) this.answer(reply);
      const { count } = this.options;
      if (count > 0 && this.stats.received + this.stats.errors >= count) return;
    }
  }

  private answer(reply: EchoReply): void {
    const { options, stats } = this;
    let triptime = 0;
    if (stats.timing && reply.data.length >= TIMEVAL) {
      const v = new DataView(reply.data.buffer, reply.data.byteOffset);
      triptime = this.now() - (v.getUint32(0, true) * 1e6 + v.getUint32(8, true));
      if (triptime < 0) {
        this.p.warn(`Warning: time of day goes back (${triptime}us), taking countermeasures\n`);
        triptime = 0;
      }
      this.rtt = this.rtt === 0 ? triptime * 8 : this.rtt + triptime - Math.floor(this.rtt / 8);
    }
    const duplicate = stats.answer(reply.sequence, triptime, reply.good);
    if (options.quiet) return;
    if (options.flood) {
      this.p.print(reply.good ? '\b \b' : '\bC');
      return;
    }
    let text = `${reply.length} bytes from ${this.nameOf(reply.from)}: icmp_seq=${reply.sequence}`;
    if (options.verbose) text += ` ident=${this.socket.ident}`;
    if (reply.ttl >= 0) text += ` ttl=${reply.ttl}`;
    if (reply.length < options.size + 8) {
      this.line(`${text} (truncated)\n`);
      return;
    }
    if (stats.timing) text += ` time=${roundTrip(triptime)} ms`;
    if (duplicate) text += ' (DUP!)';
    if (!reply.good) text += ' (BAD CHECKSUM!)';
    this.line(`${options.audible ? '\x07' : ''}${text}${this.wrongData(reply.data)}\n`);
  }

  /** What differs in the data that came back; empty when nothing does. */
  private wrongData(data: Uint8Array): string {
    const sent = this.payload();
    const from = this.stats.timing ? TIMEVAL : 0;
    for (let i = from; i < this.options.size; i++) {
      if (data[i] === sent[i]) continue;
      const [should, is] = [sent[i] ?? 0, data[i] ?? 0].map((octet) => octet.toString(16));
      return `\nwrong data byte #${i} should be 0x${should} but was 0x${is}`;
    }
    return '';
  }

  /** Takes errors from the queue: what kind there was. */
  private receiveErrors(): 'none' | 'local' | 'icmp' {
    let kind: 'none' | 'local' | 'icmp' = 'none';
    for (;;) {
      const error = this.socket.receiveError();
      if (typeof error === 'number') return kind;
      if (error === null) continue;
      kind = error.origin;
      this.tell(error);
    }
  }

  private tell(error: EchoError): void {
    const { options, stats } = this;
    stats.errors++;
    if (error.origin === 'icmp') stats.acknowledge(error.sequence);
    if (options.quiet) return;
    if (options.flood) {
      this.p.print(error.origin === 'icmp' ? '\bE' : 'E');
    } else if (PingSocket.isTooLong(error)) {
      this.p.warn(`ping: local error: message too long, mtu=${error.info}\n`);
    } else if (error.origin === 'local') {
      this.p.warn(`ping: local error: ${strerror(error.errno)}\n`);
    } else {
      const text = icmpText(error.type, error.code, error.info);
      this.line(`From ${this.nameOf(error.from)} icmp_seq=${error.sequence} ${text}\n`);
    }
  }

  /** A line of output, with the time before it when that is asked for. */
  private line(text: string): void {
    if (!this.options.timestamp) {
      this.p.print(text);
      return;
    }
    const { sec, nsec } = this.p.sys.realtime();
    const us = String(Math.floor(nsec / 1000)).padStart(6, '0');
    this.p.print(`[${sec}.${us}] ${text}`);
  }

  /** An address, with its name when it was asked for by name. */
  private nameOf(addr: number): string {
    const text = inNtop4(addr);
    if (this.options.numeric || inetAton(this.options.host) !== null) return text;
    if (addr === this.to) return `${this.options.host} (${text})`;
    const known = Object.entries(this.p.hosts).find(([, address]) => address === text);
    return known === undefined ? text : `${known[0]} (${text})`;
  }
}

/** Asks the kernel for the address that requests will have as their source. */
function probeSource(p: Process, options: PingOptions, to: number): number {
  const { libc } = p;
  const fd = libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
  try {
    if (options.device !== null) bindToDevice(p, fd, options.device);
    if (options.tos !== null) libc.setsockopt(fd, SOL_IP, IP_TOS, options.tos);
    if (options.mark !== null) libc.setsockopt(fd, SOL_SOCKET, SO_MARK, options.mark);
    const addr = encodeSockaddr4(to, PROBE_PORT);
    let result = p.sys.connect(fd, addr);
    if (result === -EACCES) {
      if (!options.broadcast) {
        throw new PingFailure(
          'Do you want to ping broadcast? Then -b. If not, check your local firewall rules',
        );
      }
      p.warn('WARNING: pinging broadcast address\n');
      libc.setsockopt(fd, SOL_SOCKET, SO_BROADCAST, 1);
      result = p.sys.connect(fd, addr);
    }
    if (result < 0) throw new PingFailure(`connect: ${strerror(result)}`);
    return libc.getsockname(fd)?.addr ?? 0;
  } finally {
    p.sys.close(fd);
  }
}

function bindToDevice(p: Process, fd: number, device: string): void {
  const name = encodeText(`${device}\0`);
  const result = p.sys.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name);
  if (result < 0) throw new PingFailure(`SO_BINDTODEVICE ${device}: ${strerror(result)}`);
}

/** Sets what the options ask of the socket. */
function prepare(p: Process, socket: PingSocket, options: PingOptions, to: number): void {
  const { libc } = p;
  const { fd } = socket;
  if (options.device !== null) bindToDevice(p, fd, options.device);
  if (options.source !== null) {
    const result = p.sys.bind(fd, encodeSockaddr4(options.source, 0));
    if (result < 0) throw new PingFailure(`bind: ${strerror(result)}`);
  }
  if (options.broadcast) libc.setsockopt(fd, SOL_SOCKET, SO_BROADCAST, 1);
  if (options.pmtudisc !== null) libc.setsockopt(fd, SOL_IP, IP_MTU_DISCOVER, options.pmtudisc);
  if (options.tos !== null) libc.setsockopt(fd, SOL_IP, IP_TOS, options.tos);
  if (options.mark !== null) libc.setsockopt(fd, SOL_SOCKET, SO_MARK, options.mark);
  if (options.sndbuf !== null) libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, options.sndbuf);
  if (options.dontRoute) libc.setsockopt(fd, SOL_SOCKET, SO_DONTROUTE, 1);
  if (options.noLoop) libc.setsockopt(fd, SOL_IP, IP_MULTICAST_LOOP, 0);
  if (options.ttl !== null) {
    libc.setsockopt(fd, SOL_IP, IP_MULTICAST_TTL, options.ttl);
    libc.setsockopt(fd, SOL_IP, IP_TTL, options.ttl);
  }
  if (!socket.raw) socket.ident = libc.getsockname(fd)?.port ?? 0;
  if (ipv4IsMulticast(to)) options.interval = Math.max(options.interval, 1000);
}

function patternLine(pattern: readonly number[]): string {
  return `PATTERN: 0x${pattern.map((octet) => octet.toString(16).padStart(2, '0')).join('')}\n`;
}

async function run(p: Process, options: PingOptions): Promise<number> {
  const { pattern, size } = options;
  if (pattern !== null && !options.quiet) p.print(patternLine(pattern));
  let to = lookup(p, options.host);
  if (to === null) throw new PingFailure(`${options.host}: Name or service not known`);
  let source = options.source;
  if (source === null) {
    source = probeSource(p, options, to);
    // Zero is this machine.
    if (to === 0) to = source;
  }
  const socket = PingSocket.open(p.libc, to, size, options.ident);
  try {
    prepare(p, socket, options, to);
    const strict = options.device !== null || options.source !== null;
    const from = strict ? `from ${inNtop4(source)} ${options.device ?? ''}: ` : '';
    p.print(`PING ${options.host} (${inNtop4(to)}) ${from}${size}(${size + 28}) bytes of data.\n`);
    return await new Ping(p, options, to, socket).run();
  } finally {
    socket.close();
  }
}

export const main: Main = async (p) => {
  try {
    return await run(p, readOptions(p));
  } catch (error) {
    if (error instanceof PingUsage) {
      p.warn(error.message);
      return error.status;
    }
    if (error instanceof PingFailure) p.warn(`ping: ${error.message}\n`);
    else if (error instanceof SystemError) p.warn(`ping: ${error.syscall}: ${reasonOf(error)}\n`);
    else throw error;
    return 2;
  }
};
