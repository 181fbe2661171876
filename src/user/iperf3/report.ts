/*
 * What iperf3 prints: a line a stream and interval, a summary, or all of it as JSON.
 */
import type { Flow, Run } from '#user/iperf3/flow.ts';
import type { StreamResult, TestResults } from '#user/iperf3/protocol.ts';

const RULE = '- - - - - - - - - - - - - - - - - - - - - - - - -\n';

function scaled(value: number, base: number, units: readonly string[]): string {
  let rest = value;
  let unit = 0;
  while (rest >= base && unit < units.length - 1) {
    rest /= base;
    unit++;
  }
  const digits = rest < 9.995 ? 2 : rest < 99.95 ? 1 : 0;
  return `${rest.toFixed(digits).padStart(4)} ${units[unit]}`;
}

export const formatBytes = (bytes: number): string =>
  scaled(bytes, 1024, ['Bytes', 'KBytes', 'MBytes', 'GBytes', 'TBytes']);

export const formatRate = (bits: number): string =>
  scaled(bits, 1000, ['bits', 'Kbits', 'Mbits', 'Gbits', 'Tbits']);

/** Seconds from a test's start and what went over in them. */
interface Span {
  readonly start: number;
  readonly end: number;
  readonly bytes: number;
}

function head(id: string, { start, end, bytes }: Span): string {
  const time = `${start.toFixed(2).padStart(6)}-${end.toFixed(2).padEnd(6)}`;
  const rate = end > start ? (bytes * 8) / (end - start) : 0;
  return `[${id.padStart(3)}] ${time} sec  ${formatBytes(bytes)}  ${formatRate(rate)}/sec`;
}

/** What a stream had counted at the last report. */
interface Mark {
  bytes: number;
  packets: number;
  lost: number;
  retransmits: number;
}

/** An interval of one stream, as JSON has it. */
interface Interval {
  readonly socket: number;
  readonly start: number;
  readonly end: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly bits_per_second: number;
  readonly sender: boolean;
  readonly retransmits?: number;
  readonly snd_cwnd?: number;
  readonly rtt?: number;
  readonly packets?: number;
}

/** Reports of a running test. */
export class Reporter {
  private readonly run: Run;
  private readonly print: (text: string) => void;
  private readonly marks: Mark[];
  private readonly intervals: Interval[][];
  private at: number;

  constructor(run: Run, print: (text: string) => void) {
    this.run = run;
    this.print = print;
    this.marks = run.flows.map(() => ({ bytes: 0, packets: 0, lost: 0, retransmits: 0 }));
    this.intervals = [];
    this.at = 0;
  }

  /** Prints every so many seconds while the test runs; what it gives prints the last of them. */
  every(seconds: number): () => void {
    if (seconds === 0) return () => {};
    this.title();
    const { sys } = this.run.libc;
    let cancel = (): void => {};
    const next = (): void => {
      cancel = sys.nanosleep(seconds * 1e9, () => {
        const { time } = this.run.params;
        // What ends with the test is told after it.
        if (this.run.over || (time > 0 && this.run.elapsed >= time)) return;
        this.tick();
        next();
      });
    };
    next();
    return () => {
      cancel();
      this.tick();
    };
  }

  private title(): void {
    const { params, sends } = this.run;
    const columns = params.udp
      ? sends
        ? '  Total Datagrams'
        : '  Jitter    Lost/Total Datagrams'
      : sends
        ? '         Retr  Cwnd'
        : '';
    this.print(`[ ID] Interval           Transfer     Bitrate${columns}\n`);
  }

  /** Prints the interval that ends now. */
  private tick(): void {
    const { run } = this;
    const end = run.elapsed;
    // Too short to say anything.
    if (end - this.at < 1e-3) return;
    const lines = run.flows.map((flow, i) => this.line(flow, this.marks[i] as Mark, end));
    if (lines.length > 1) {
      const bytes = lines.reduce((sum, line) => sum + line.bytes, 0);
      this.print(`${head('SUM', { start: this.at, end, bytes })}\n${RULE}`);
    }
    this.intervals.push(lines);
    this.at = end;
  }

  private line(flow: Flow, mark: Mark, end: number): Interval {
    const { sends, params } = this.run;
    const bytes = flow.bytes - mark.bytes;
    const packets = flow.packets - mark.packets;
    const lost = flow.lost - mark.lost;
    const base = {
      socket: flow.fd,
      start: this.at,
      end,
      seconds: end - this.at,
      bytes,
      bits_per_second: (bytes * 8) / (end - this.at),
      sender: sends,
    };
    mark.bytes = flow.bytes;
    mark.packets = flow.packets;
    mark.lost = flow.lost;
    const text = head(String(flow.fd), { start: this.at, end, bytes });
    if (params.udp) {
      this.print(`${text}${datagrams(sends, packets, lost, flow.jitter)}\n`);
      return { ...base, packets };
    }
    if (!sends) {
      this.print(`${text}\n`);
      return base;
    }
    const info = this.run.info(flow);
    const retransmits = info.totalRetrans - mark.retransmits;
    mark.retransmits = info.totalRetrans;
    const cwnd = info.sndCwnd * info.sndMss;
    this.print(`${text}  ${String(retransmits).padStart(3)}   ${formatBytes(cwnd)}\n`);
    return { ...base, retransmits, snd_cwnd: cwnd, rtt: info.rtt };
  }

  /** Prints what both ends saw. @param others null where the peer has not told */
  summary(own: TestResults, others: TestResults | null): void {
    const { params, sends, flows } = this.run;
    const title = params.udp ? '  Jitter    Lost/Total Datagrams' : '         Retr';
    this.print(`${RULE}[ ID] Interval           Transfer     Bitrate${title}\n`);
    const sent = sends ? own : others;
    const received = sends ? others : own;
    for (const flow of flows) {
      this.total(String(flow.fd), find(sent, flow.id), true);
      this.total(String(flow.fd), find(received, flow.id), false);
    }
    if (flows.length < 2) return;
    this.total('SUM', sum(sent), true);
    this.total('SUM', sum(received), false);
  }

  private total(id: string, result: StreamResult | null, sender: boolean): void {
    if (result === null) return;
    const { bytes, endTime, retransmits, packets, errors, jitter } = result;
    const text = head(id, { start: 0, end: endTime, bytes });
    const who = sender ? 'sender' : 'receiver';
    if (this.run.params.udp) {
      this.print(`${text}${datagrams(false, packets, errors, jitter)}  ${who}\n`);
      return;
    }
    const retr = sender && retransmits >= 0 ? String(retransmits).padStart(3) : '   ';
    this.print(`${text}  ${retr}             ${who}\n`);
  }

  /** The whole test as iperf3's JSON has it. */
  json(start: object, own: TestResults, others: TestResults | null): object {
    const { sends, flows } = this.run;
    const sent = sends ? own : others;
    const received = sends ? others : own;
    return {
      start,
      intervals: this.intervals.map((streams) => ({ streams, sum: total(streams) })),
      end: {
        streams: flows.map(({ id }) => ({
          sender: ofStream(find(sent, id), true),
          receiver: ofStream(find(received, id), false),
        })),
        sum_sent: ofStream(sum(sent), true),
        sum_received: ofStream(sum(received), false),
        ...(sent === null ? {} : { sender_tcp_congestion: sent.congestion }),
        ...(received === null ? {} : { receiver_tcp_congestion: received.congestion }),
      },
    };
  }
}

function datagrams(sends: boolean, packets: number, lost: number, jitter: number): string {
  if (sends) return `  ${packets}`;
  const percent = packets > 0 ? (lost * 100) / packets : 0;
  const share = percent === 0 ? '0' : Number(percent.toPrecision(2)).toString();
  return `  ${(jitter * 1000).toFixed(3)} ms  ${lost}/${packets} (${share}%)`;
}

function find(results: TestResults | null, id: number): StreamResult | null {
  return results?.streams.find((stream) => stream.id === id) ?? null;
}

function sum(results: TestResults | null): StreamResult | null {
  if (results === null || results.streams.length === 0) return null;
  const { streams } = results;
  const add = (of: (stream: StreamResult) => number): number =>
    streams.reduce((total, stream) => total + of(stream), 0);
  return {
    id: 0,
    bytes: add((s) => s.bytes),
    retransmits: streams.some((s) => s.retransmits < 0) ? -1 : add((s) => s.retransmits),
    jitter: add((s) => s.jitter) / streams.length,
    errors: add((s) => s.errors),
    packets: add((s) => s.packets),
    endTime: Math.max(...streams.map((s) => s.endTime)),
  };
}

function total(streams: readonly Interval[]): object {
  const { start = 0, end = 0, sender = false } = streams[0] ?? {};
  const bytes = streams.reduce((all, stream) => all + stream.bytes, 0);
  const seconds = end - start;
  return { start, end, seconds, bytes, bits_per_second: (bytes * 8) / seconds, sender };
}

function ofStream(result: StreamResult | null, sender: boolean): object {
  if (result === null) return {};
  const { bytes, endTime, retransmits, packets, errors, jitter } = result;
  return {
    start: 0,
    end: endTime,
    seconds: endTime,
    bytes,
    bits_per_second: endTime > 0 ? (bytes * 8) / endTime : 0,
    ...(sender && retransmits >= 0 ? { retransmits } : {}),
    ...(packets > 0 ? { packets, lost_packets: errors, jitter_ms: jitter * 1000 } : {}),
    sender,
  };
}
