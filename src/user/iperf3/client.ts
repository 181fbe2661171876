/*
 * The client of a test: it says what shall be measured, and when it is over.
 */
import { inNtop4 } from '#lib/parse_addr.ts';
import { POLLIN } from '#uapi/poll.ts';
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_STREAM } from '#uapi/socket.ts';
import { congestionOf, Flow, Run, tuneSocket } from '#user/iperf3/flow.ts';
import type { Options } from '#user/iperf3/options.ts';
import {
  ACCESS_DENIED,
  CREATE_STREAMS,
  DISPLAY_RESULTS,
  decodeResults,
  EXCHANGE_RESULTS,
  encodeParams,
  encodeResults,
  IPERF_DONE,
  IperfError,
  makeCookie,
  PARAM_EXCHANGE,
  readAll,
  readJson,
  readState,
  SERVER_ERROR,
  SERVER_TERMINATE,
  TEST_END,
  TEST_RUNNING,
  TEST_START,
  type TestResults,
  UDP_CONNECT_MSG,
  writeJson,
  writeState,
} from '#user/iperf3/protocol.ts';
import { Reporter } from '#user/iperf3/report.ts';
import type { Process } from '#user/lib/process.ts';
import { lookup } from '#user/lib/resolve.ts';
import type { SockAddr4 } from '#user/lib/sockaddr.ts';
import { connectTcp, type TcpStream } from '#user/lib/tcp.ts';

/** How long a server may take to answer the first datagram. */
const UDP_PATIENCE_MS = 10_000;

class Client {
  private readonly p: Process;
  private readonly options: Options;
  private readonly to: SockAddr4;
  private readonly control: TcpStream;
  private readonly cookie: Uint8Array;
  private readonly flows: Flow[];
  private reporter: Reporter | null;
  private own: TestResults;
  private others: TestResults | null;

  constructor(p: Process, options: Options, to: SockAddr4, control: TcpStream) {
    this.p = p;
    this.options = options;
    this.to = to;
    this.control = control;
    const random = new Uint8Array(36);
    p.sys.getrandom(random);
    this.cookie = makeCookie(random);
    this.flows = [];
    this.reporter = null;
    this.own = { congestion: '', streams: [] };
    this.others = null;
  }

  /** Follows the server through the test. @throws IperfError, SystemError */
  async follow(): Promise<void> {
    await this.control.write(this.cookie);
    for (;;) {
      const state = await readState(this.control);
      if (state === PARAM_EXCHANGE) {
        await writeJson(this.control, encodeParams(this.options.params));
      } else if (state === CREATE_STREAMS) await this.createStreams();
      else if (state === TEST_RUNNING) await this.measure();
      else if (state === EXCHANGE_RESULTS) await this.exchange();
      else if (state === DISPLAY_RESULTS) {
        this.show();
        await writeState(this.control, IPERF_DONE);
        return;
      } else if (state !== TEST_START) await this.refused(state);
    }
  }

  /** Closes all sockets. */
  close(): void {
    for (const { fd } of this.flows) this.p.sys.close(fd);
    this.control.close();
  }

  private say(text: string): void {
    if (!this.options.json) this.p.print(text);
  }

  private async refused(state: number): Promise<never> {
    if (state === ACCESS_DENIED) {
      throw new IperfError('the server is busy running a test. try again later');
    }
    if (state === SERVER_TERMINATE) throw new IperfError('the server has terminated');
    if (state !== SERVER_ERROR) throw new IperfError(`the server sent an unknown state: ${state}`);
    const numbers = new Uint8Array(8);
    const told = await readAll(this.control, numbers);
    const code = told ? new DataView(numbers.buffer).getInt32(0) : 0;
    throw new IperfError(`the server reports an error (${code})`);
  }

  private async createStreams(): Promise<void> {
    const { params } = this.options;
    for (let i = 0; i < params.parallel; i++) {
      const fd = await (params.udp ? this.openUdp() : this.openTcp());
      this.flows.push(new Flow(fd, i));
      const local = this.p.libc.getsockname(fd);
      const from = local === null ? '?' : `${inNtop4(local.addr)} port ${local.port}`;
      this.say(
        `[${String(fd).padStart(3)}] local ${from} connected to ${inNtop4(this.to.addr)} port ${this.to.port}\n`,
      );
    }
  }

  private async openTcp(): Promise<number> {
    const { libc } = this.p;
    const fd = libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC);
    try {
      tuneSocket(libc, fd, this.options.params);
      await libc.connect(fd, this.to);
      await libc.send(fd, this.cookie);
      return fd;
    } catch (error) {
      libc.sys.close(fd);
      throw error;
    }
  }

  private async openUdp(): Promise<number> {
    const { libc } = this.p;
    const fd = libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC);
    try {
      tuneSocket(libc, fd, this.options.params);
      await libc.connect(fd, this.to);
      const hello = new Uint8Array(4);
      new DataView(hello.buffer).setUint32(0, UDP_CONNECT_MSG, true);
      await libc.send(fd, hello);
      if ((await libc.pollFd(fd, POLLIN, UDP_PATIENCE_MS)) === 0) {
        throw new IperfError('unable to read from stream socket: no answer');
      }
      await libc.recv(fd, hello);
      return fd;
    } catch (error) {
      libc.sys.close(fd);
      throw error;
    }
  }

  private async measure(): Promise<void> {
    const { libc } = this.p;
    const { params, interval } = this.options;
    const run = new Run(libc, params, this.flows, !params.reverse);
    const reporter = new Reporter(run, (text) => this.say(text));
    this.reporter = reporter;
    const stopReports = reporter.every(interval);
    const streams = run.start();
    const stopTimer =
      params.time > 0 ? this.p.sys.nanosleep(params.time * 1e9, () => run.end()) : null;
    await run.whenOver;
    stopReports();
    stopTimer?.();
    if (run.failure !== null) {
      await run.finish(streams);
      throw run.failure;
    }
    const { udp } = params;
    const congestion = udp ? '' : congestionOf(libc, (this.flows[0] as Flow).fd);
    this.own = { congestion, streams: run.results() };
    await writeState(this.control, TEST_END);
    await run.finish(streams);
  }

  private async exchange(): Promise<void> {
    await writeJson(this.control, encodeResults(this.own, !this.options.params.reverse));
    this.others = decodeResults(await readJson(this.control));
  }

  private show(): void {
    const { reporter } = this;
    if (reporter === null) throw new IperfError('the server ended a test that did not run');
    if (!this.options.json) {
      reporter.summary(this.own, this.others);
      this.p.print('\niperf Done.\n');
      return;
    }
    const { params } = this.options;
    const start = {
      connecting_to: { host: this.options.host, port: this.to.port },
      test_start: {
        protocol: params.udp ? 'UDP' : 'TCP',
        num_streams: params.parallel,
        blksize: params.length,
        duration: params.time,
        bytes: params.bytes,
        blocks: params.blocks,
        reverse: params.reverse ? 1 : 0,
      },
    };
    const text = JSON.stringify(reporter.json(start, this.own, this.others), null, 2);
    this.p.print(`${text}\n`);
  }
}

/** Runs a test with a server. @throws IperfError, SystemError */
export async function runClient(p: Process, options: Options, host: string): Promise<number> {
  const addr = lookup(p, host);
  if (addr === null) throw new IperfError(`unable to resolve ${host}`);
  const to = { addr, port: options.port };
  if (!options.json) p.print(`Connecting to host ${host}, port ${options.port}\n`);
  const control = await connectTcp(p.libc, to);
  control.setNoDelay(true);
  const client = new Client(p, options, to, control);
  try {
    await client.follow();
    return 0;
  } finally {
    client.close();
  }
}
