/*
 * The server of tests, one after the other. A connection that brings the cookie of the running test is a stream
 * of it; any other is told that the server is busy.
 */
import { inNtop4 } from '#lib/parse_addr.ts';
import { INADDR_ANY } from '#uapi/in.ts';
import { POLLIN } from '#uapi/poll.ts';
import {
  AF_INET,
  SHUT_RDWR,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { congestionOf, Flow, Run, tuneSocket } from '#user/iperf3/flow.ts';
import type { Options } from '#user/iperf3/options.ts';
import {
  ACCESS_DENIED,
  CLIENT_TERMINATE,
  COOKIE_SIZE,
  CREATE_STREAMS,
  DISPLAY_RESULTS,
  decodeParams,
  decodeResults,
  EXCHANGE_RESULTS,
  encodeResults,
  IperfError,
  PARAM_EXCHANGE,
  readAll,
  readJson,
  readState,
  SERVER_ERROR,
  TEST_END,
  TEST_RUNNING,
  TEST_START,
  type TestParams,
  UDP_CONNECT_REPLY,
  writeJson,
  writeState,
} from '#user/iperf3/protocol.ts';
import { Reporter } from '#user/iperf3/report.ts';
import { Killed, reasonOf } from '#user/lib/errors.ts';
import type { Process } from '#user/lib/process.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { listenTcp, type TcpListener, type TcpStream } from '#user/lib/tcp.ts';

/** How long a new connection may take to say its cookie, and a client to open its streams. */
const PATIENCE_MS = 10_000;
const RULE = `${'-'.repeat(59)}\n`;

/** A running test. */
interface Session {
  readonly control: TcpStream;
  readonly cookie: Uint8Array;
  /** Gets each connection that is a stream of the test. */
  adopt: (stream: TcpStream) => void;
}

class Server {
  private readonly p: Process;
  private readonly options: Options;
  private readonly listener: TcpListener;
  private session: Session | null;

  constructor(p: Process, options: Options, listener: TcpListener) {
    this.p = p;
    this.options = options;
    this.listener = listener;
    this.session = null;
  }

  /** Serves until one test is done, where that is wanted; else for ever. */
  async serve(): Promise<number> {
    const { once, port } = this.options;
    let status = 0;
    let finish = (): void => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const banner = `${RULE}Server listening on ${port}\n${RULE}`;
    this.say(banner);
    const tested = (result: number): void => {
      status = result;
      if (once) finish();
      else this.say(banner);
    };
    const accepting = this.accept(tested);
    await Promise.race([finished, accepting]);
    // Only one that is done gets here: nothing more is waited for.
    accepting.catch(() => {});
    this.p.libc.interrupt(0);
    return status;
  }

  private say(text: string): void {
    if (!this.options.json) this.p.print(text);
  }

  private async accept(tested: (status: number) => void): Promise<void> {
    for await (const stream of this.listener) {
      this.greet(stream).then(
        (session) => {
          // A test fails only with the signal that ends the server, which the listener meets too.
          if (session !== null) this.test(session).then(tested, () => {});
        },
        () => stream.close(),
      );
    }
  }

  /** Reads the cookie of a connection; a session if it begins one. */
  private async greet(stream: TcpStream): Promise<Session | null> {
    const cookie = new Uint8Array(COOKIE_SIZE);
    const late = this.p.sys.nanosleep(PATIENCE_MS * 1e6, () =>
      this.p.sys.shutdown(stream.fd, SHUT_RDWR),
    );
    let said = false;
    try {
      said = await readAll(stream, cookie);
    } finally {
      late();
    }
    const { session } = this;
    if (!said) stream.close();
    else if (session === null) {
      this.session = { control: stream, cookie, adopt: (extra) => extra.close() };
      return this.session;
    } else if (cookie.every((octet, i) => octet === session.cookie[i])) session.adopt(stream);
    else {
      await writeState(stream, ACCESS_DENIED);
      stream.close();
    }
    return null;
  }

  private async test(session: Session): Promise<number> {
    const flows: Flow[] = [];
    try {
      await this.runTest(session, flows);
      return 0;
    } catch (error) {
      if (error instanceof Killed) throw error;
      this.p.warn(
        `iperf3: error - ${error instanceof IperfError ? error.message : reasonOf(error)}\n`,
      );
      return 1;
    } finally {
      for (const { fd } of flows) this.p.sys.close(fd);
      session.control.close();
      this.session = null;
    }
  }

  private async runTest(session: Session, flows: Flow[]): Promise<void> {
    const { control } = session;
    const { libc } = this.p;
    control.setNoDelay(true);
    const { peer } = control;
    if (peer !== null) {
      this.say(`Accepted connection from ${inNtop4(peer.addr)}, port ${peer.port}\n`);
    }
    await writeState(control, PARAM_EXCHANGE);
    const params = await this.params(control);
    await (params.udp
      ? this.udpStreams(control, params, flows)
      : this.tcpStreams(session, params, flows));
    for (const { fd } of flows) this.tellStream(fd);
    await writeState(control, TEST_START);
    const run = new Run(libc, params, flows, params.reverse);
    const reporter = new Reporter(run, (text) => this.say(text));
    const stopReports = reporter.every(this.options.interval);
    const streams = run.start();
    await writeState(control, TEST_RUNNING);
    try {
      await this.untilEnd(control);
    } finally {
      run.end();
      stopReports();
      await run.finish(streams);
    }
    const congestion = params.udp ? '' : congestionOf(libc, (flows[0] as Flow).fd);
    const own = { congestion, streams: run.results() };
    await writeState(control, EXCHANGE_RESULTS);
    const others = decodeResults(await readJson(control));
    await writeJson(control, encodeResults(own, params.reverse));
    await writeState(control, DISPLAY_RESULTS);
    // IPERF_DONE, or the client's end: both are well.
    await readState(control).catch((error: unknown) => {
      if (!(error instanceof IperfError)) throw error;
    });
    if (this.options.json) {
      this.p.print(`${JSON.stringify(reporter.json({}, own, others), null, 2)}\n`);
    } else reporter.summary(own, others);
  }

  /** The parameters; a client that asks for what there is not is told. */
  private async params(control: TcpStream): Promise<TestParams> {
    const json = await readJson(control);
    try {
      return decodeParams(json);
    } catch (error) {
      await writeState(control, SERVER_ERROR);
      await control.write(new Uint8Array(8));
      throw error;
    }
  }

  private tellStream(fd: number): void {
    const local = this.p.libc.getsockname(fd);
    const peer = this.p.libc.getpeername(fd);
    if (local === null || peer === null) return;
    const ends = `${inNtop4(local.addr)} port ${local.port} connected to ${inNtop4(peer.addr)} port ${peer.port}`;
    this.say(`[${String(fd).padStart(3)}] local ${ends}\n`);
  }

  /** Asks for the streams and waits for all of them. */
  private async tcpStreams(session: Session, params: TestParams, flows: Flow[]): Promise<void> {
    const { libc } = this.p;
    let late = (): void => {};
    const all = new Promise<void>((resolve, reject) => {
      late = this.p.sys.nanosleep(PATIENCE_MS * 1e6, () => {
        reject(new IperfError('the client did not open its streams'));
      });
      session.adopt = (stream) => {
        if (flows.length >= params.parallel) {
          stream.close();
          return;
        }
        flows.push(new Flow(stream.fd, flows.length));
        if (flows.length === params.parallel) resolve();
      };
      writeState(session.control, CREATE_STREAMS).catch(reject);
    });
    try {
      await all;
    } finally {
      late();
      session.adopt = (extra) => extra.close();
    }
    for (const { fd } of flows) tuneSocket(libc, fd, { ...params, mss: 0, window: 0 });
  }

  /** Each stream gets a socket of its own, connected to whoever speaks next. */
  private async udpStreams(control: TcpStream, params: TestParams, flows: Flow[]): Promise<void> {
    const { libc } = this.p;
    let waiting: number | null = this.udpSocket();
    try {
      await writeState(control, CREATE_STREAMS);
      while (waiting !== null) {
        const fd: number = waiting;
        await this.meetPeer(fd);
        tuneSocket(libc, fd, params);
        flows.push(new Flow(fd, flows.length));
        // From here on it is the flows' to close. The next one must be there before the client, who is
        // answered now, sends to it.
        waiting = null;
        if (flows.length < params.parallel) waiting = this.udpSocket();
        const answer = new Uint8Array(4);
        new DataView(answer.buffer).setUint32(0, UDP_CONNECT_REPLY, true);
        await libc.send(fd, answer);
      }
    } finally {
      if (waiting !== null) libc.sys.close(waiting);
    }
  }

  /** Connects a socket to whoever sends to it first. */
  private async meetPeer(fd: number): Promise<void> {
    const { libc } = this.p;
    for (;;) {
      if ((await libc.pollFd(fd, POLLIN, PATIENCE_MS)) === 0) {
        throw new IperfError('the client did not open its streams');
      }
      const { from } = await libc.recvfrom(fd, new Uint8Array(4));
      if (from !== null) return libc.connect(fd, from);
    }
  }

  private udpSocket(): number {
    const { libc } = this.p;
    const fd = libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC);
    try {
      libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      libc.bind(fd, encodeSockaddr4(INADDR_ANY, this.options.port));
      return fd;
    } catch (error) {
      libc.sys.close(fd);
      throw error;
    }
  }

  /** Waits until the client says that the test is over. */
  private async untilEnd(control: TcpStream): Promise<void> {
    for (;;) {
      const state = await readState(control);
      if (state === TEST_END) return;
      if (state === CLIENT_TERMINATE) throw new IperfError('the client has terminated');
    }
  }
}

/** Serves tests. @throws SystemError when it cannot listen */
export async function runServer(p: Process, options: Options): Promise<number> {
  const listener = listenTcp(p.libc, { addr: INADDR_ANY, port: options.port });
  try {
    return await new Server(p, options, listener).serve();
  } finally {
    listener.close();
  }
}
