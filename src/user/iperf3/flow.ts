/*
 * The streams of a test: who sends fills the socket as fast as it takes it, or at the rate that was asked for;
 * who receives counts. Datagrams carry the time and a number, from which the receiver tells loss, order and
 * jitter (RFC 1889, as RFC 3550#6.4.1 has it).
 */
import { EAGAIN } from '#uapi/errno.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { POLLIN, POLLOUT } from '#uapi/poll.ts';
import { MSG_DONTWAIT, SHUT_RDWR, SO_RCVBUF, SO_SNDBUF, SOL_SOCKET } from '#uapi/socket.ts';
import { TCP_CONGESTION, TCP_INFO, TCP_MAXSEG, TCP_NODELAY } from '#uapi/tcp.ts';
import { getTcpInfo, TCP_INFO_LEN, type TcpInfo } from '#uapi/tcp_info.ts';
import { type StreamResult, streamId, type TestParams } from '#user/iperf3/protocol.ts';
import { check } from '#user/lib/errors.ts';
import type { Libc } from '#user/lib/libc.ts';
import { decodeText, encodeText } from '#user/lib/streams.ts';

/** Seconds and microseconds of sending, and a number that grows by one: the head of a datagram. */
export const UDP_HEAD = 12;

const NS_PER_SEC = 1e9;
/** How often a sender that is ahead of its rate looks again. */
const PACING_MS = 1;
/** Sends in a row after which others have their turn: nothing takes the CPU from a program here. */
const TURN_SENDS = 64;
/** Where no time passes while a program works, a turn takes what its calls do on a real machine, 2 us each; in ms. */
const TURN_MS: number = TURN_SENDS * 0.002;

/** What both ends set on a stream's socket before it is connected. @throws SystemError */
export function tuneSocket(libc: Libc, fd: number, params: TestParams): void {
  if (params.window > 0) {
    libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, params.window);
    libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, params.window);
  }
  if (params.udp) return;
  if (params.mss > 0) libc.setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, params.mss);
  if (params.noDelay) libc.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (params.congestion !== '') {
    libc.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, encodeText(params.congestion));
  }
}

/** The congestion control of a connection. */
export function congestionOf(libc: Libc, fd: number): string {
  const name = new Uint8Array(16);
  const length = libc.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name);
  const end = name.indexOf(0);
  return decodeText(name.subarray(0, end < 0 ? length : end));
}

/** One stream at one end. */
export class Flow {
  readonly fd: number;
  readonly id: number;
  /** Octets of data sent or received. */
  bytes: number;
  /** Datagrams sent, or the highest number received. */
  packets: number;
  /** Datagrams that did not come. */
  lost: number;
  outOfOrder: number;
  /** Seconds. */
  jitter: number;
  /** Seconds from sending to receiving of the last datagram, by two clocks; NaN before the first. */
  private transit: number;

  constructor(fd: number, index: number) {
    this.fd = fd;
    this.id = streamId(index);
    this.bytes = 0;
    this.packets = 0;
    this.lost = 0;
    this.outOfOrder = 0;
    this.jitter = 0;
    this.transit = Number.NaN;
  }

  /** Counts a datagram that came at `now`, in seconds. */
  arrived(buf: Uint8Array, length: number, now: number): void {
    this.bytes += length;
    if (length < UDP_HEAD) return;
    const v = new DataView(buf.buffer, buf.byteOffset, length);
    const number = v.getUint32(8);
    if (number > this.packets) {
      this.lost += number - this.packets - 1;
      this.packets = number;
    } else {
      // It was counted as lost when the next one came.
      this.outOfOrder++;
      if (this.lost > 0) this.lost--;
    }
    const transit = now - (v.getUint32(0) + v.getUint32(4) / 1e6);
    if (!Number.isNaN(this.transit)) {
      this.jitter += (Math.abs(transit - this.transit) - this.jitter) / 16;
    }
    this.transit = transit;
  }
}

/** The data phase of a test at one end. */
export class Run {
  readonly libc: Libc;
  readonly params: TestParams;
  readonly flows: readonly Flow[];
  readonly sends: boolean;
  over: boolean;
  startNs: number;
  endNs: number;
  /** The first failure of a stream while the test ran; null: none. */
  failure: unknown;
  private wakeOver: () => void;
  /** Resolves when the test is over, for whatever reason. */
  readonly whenOver: Promise<void>;

  constructor(libc: Libc, params: TestParams, flows: readonly Flow[], sends: boolean) {
    this.libc = libc;
    this.params = params;
    this.flows = flows;
    this.sends = sends;
    this.over = false;
    this.startNs = 0;
    this.endNs = 0;
    this.failure = null;
    this.wakeOver = () => {};
    this.whenOver = new Promise((resolve) => {
      this.wakeOver = resolve;
    });
  }

  /** Seconds since the start, to the end once that has come. */
  get elapsed(): number {
    return ((this.over ? this.endNs : this.libc.sys.monotonic()) - this.startNs) / NS_PER_SEC;
  }

  /** Octets of all streams. */
  get total(): number {
    return this.flows.reduce((sum, flow) => sum + flow.bytes, 0);
  }

  /** Starts all streams. Their end is awaited with {@link Run.finish}. */
  start(): Promise<void>[] {
    this.startNs = this.libc.sys.monotonic();
    return this.flows.map(async (flow) => {
      try {
        await (this.sends ? this.send(flow) : this.receive(flow));
      } catch (error) {
        // A connection that breaks since the test is over has done what it should.
        if (this.over) return;
        this.failure ??= error;
        this.end();
      }
    });
  }

  /** The test is over: streams stop. */
  end(): void {
    if (this.over) return;
    this.endNs = this.libc.sys.monotonic();
    this.over = true;
    this.wakeOver();
  }

  /** Wakes the streams that still wait and sees all of them end. */
  async finish(streams: readonly Promise<void>[]): Promise<void> {
    for (const flow of this.flows) this.libc.sys.shutdown(flow.fd, SHUT_RDWR);
    await Promise.all(streams);
  }

  results(): StreamResult[] {
    const { udp } = this.params;
    return this.flows.map((flow) => ({
      id: flow.id,
      bytes: flow.bytes,
      retransmits: this.sends && !udp ? this.info(flow).totalRetrans : -1,
      jitter: flow.jitter,
      errors: flow.lost,
      packets: flow.packets,
      endTime: this.elapsed,
    }));
  }

  info(flow: Flow): TcpInfo {
    const info = new Uint8Array(TCP_INFO_LEN);
    const length = this.libc.getsockopt(flow.fd, IPPROTO_TCP, TCP_INFO, info);
    return getTcpInfo(new DataView(info.buffer), 0, length);
  }

  /** As much has gone over as was asked for. */
  private enough(): boolean {
    const { bytes, blocks, length } = this.params;
    if (bytes > 0) return this.total >= bytes;
    return blocks > 0 && this.total >= blocks * length;
  }

  private async send(flow: Flow): Promise<void> {
    const { libc, params } = this;
    const buf = new Uint8Array(params.length);
    for (let i = 0; i < buf.length; i++) buf[i] = 0x30 + (i % 10);
    const v = new DataView(buf.buffer);
    let sends = 0;
    let turnNs = libc.sys.monotonic();
    while (!this.over) {
      if (this.ahead(flow)) {
        await libc.sleep(PACING_MS);
        continue;
      }
      if (++sends % TURN_SENDS === 0) {
        await libc.sleep(libc.sys.monotonic() === turnNs ? TURN_MS : 0);
        turnNs = libc.sys.monotonic();
      }
      if (params.udp) this.stamp(v, flow.packets + 1);
      const sent = libc.sys.sendto(flow.fd, buf, MSG_DONTWAIT, null);
      if (sent === -EAGAIN) {
        await libc.pollFd(flow.fd, POLLOUT, -1);
        continue;
      }
      flow.bytes += check(sent, 'send');
      flow.packets++;
      if (this.enough()) this.end();
    }
  }

  /** More has gone out than the rate allows. */
  private ahead(flow: Flow): boolean {
    const { bitrate } = this.params;
    return bitrate > 0 && flow.bytes * 8 > bitrate * this.elapsed;
  }

  private stamp(v: DataView, number: number): void {
    if (v.byteLength < UDP_HEAD) return;
    const { sec, nsec } = this.libc.sys.realtime();
    v.setUint32(0, sec);
    v.setUint32(4, Math.floor(nsec / 1000));
    v.setUint32(8, number);
  }

  private async receive(flow: Flow): Promise<void> {
    const { libc, params } = this;
    const buf = new Uint8Array(params.length);
    while (!this.over) {
      const length = libc.sys.recvfrom(flow.fd, buf, MSG_DONTWAIT, null);
      if (length === -EAGAIN) {
        await libc.pollFd(flow.fd, POLLIN, -1);
        continue;
      }
      check(length, 'recv');
      if (params.udp) {
        const { sec, nsec } = libc.sys.realtime();
        flow.arrived(buf, length, sec + nsec / NS_PER_SEC);
      } else {
        if (length === 0) return;
        flow.bytes += length;
      }
      if (params.reverse && this.enough()) this.end();
    }
  }
}
