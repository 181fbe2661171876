/**
 * `iperf3` between two machines, five milliseconds and 8 Mbit/s apart, in virtual time.
 */
import { setImmediate } from 'node:timers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { parseTopology } from '#sim/topology.ts';
import { INADDR_LOOPBACK } from '#uapi/in.ts';
import { AF_INET, SOCK_DGRAM } from '#uapi/socket.ts';
import { Flow, Run, UDP_HEAD } from '#user/iperf3/flow.ts';
import { decodeParams, JsonObject } from '#user/iperf3/protocol.ts';
import { formatBytes, formatRate } from '#user/iperf3/report.ts';
import { Libc } from '#user/lib/libc.ts';
import { Process, runProcess, SIGTERM } from '#user/lib/process.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { Collector, encodeText, inputFrom } from '#user/lib/streams.ts';
import { findProgram, main as sh } from '#user/sh/sh.ts';

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

const TOPOLOGY = {
  name: 'iperf3',
  topology: {
    nodes: {
      server: { exec: ['ip addr add 10.0.0.1/24 dev eth0', 'ip link set eth0 up'] },
      client: { exec: ['ip addr add 10.0.0.2/24 dev eth0', 'ip link set eth0 up'] },
    },
    links: [
      {
        endpoints: ['server:eth0', 'client:eth0'],
        impairments: { delay: '5ms', rate: '8mbit' },
      },
    ],
  },
};

const PATIENCE_NS = 60e9;

/** What the tests read of iperf3's JSON. */
interface Report {
  readonly error?: string;
  readonly intervals: readonly { readonly sum: { readonly seconds: number } }[];
  readonly end: {
    readonly streams: readonly { readonly sender: { readonly bytes: number } }[];
    readonly sum_sent: { readonly bytes: number; readonly retransmits?: number };
    readonly sum_received: {
      readonly bytes: number;
      readonly bits_per_second: number;
      readonly lost_packets?: number;
      readonly packets?: number;
    };
    readonly sender_tcp_congestion?: string;
  };
}

describe('iperf3', () => {
  let lab: Lab;

  beforeEach(async () => {
    lab = new Lab(parseTopology(TOPOLOGY), { seed: 3, turn });
    await lab.setUp();
  });

  afterEach(() => {
    expect(lab.world.halt()).toEqual({});
  });

  /** Starts a shell line on a machine. */
  function start(machine: string, line: string) {
    const stdout = new Collector();
    const stderr = new Collector();
    let kill = (): void => {};
    const program = lab.world.spawn(lab.machine(machine), 'sh', (sys, fork) => {
      const p = new Process({
        sys,
        argv: ['sh', '-c', line],
        stdin: inputFrom(encodeText('')),
        stdout,
        stderr,
        fork,
        programs: findProgram,
      });
      kill = () => p.kill(SIGTERM);
      return runProcess(sh, p);
    });
    return { program, stdout, stderr, kill: () => kill() };
  }

  /** Runs server and client until both have ended; the client's outcome. */
  async function measure(client: string, server = 'iperf3 -s -1') {
    const serving = start('server', server);
    const running = start('client', client);
    await lab.world.runPrograms({
      untilNs: lab.world.nowNs + PATIENCE_NS,
      until: () => serving.program.status !== null && running.program.status !== null,
    });
    return {
      status: running.program.status,
      stdout: running.stdout.text(),
      stderr: running.stderr.text(),
      server: { status: serving.program.status, stdout: serving.stdout.text() },
    };
  }

  async function report(client: string): Promise<Report> {
    const { stdout, status } = await measure(`${client} -J`);
    expect(status).toBe(0);
    return JSON.parse(stdout) as Report;
  }

  test.each(['', '-R'])('fills the line for as long as it was told %s', async (direction) => {
    const { intervals, end } = await report(`iperf3 -c 10.0.0.1 -t 3 ${direction}`);
    expect(intervals.map(({ sum }) => Math.round(sum.seconds))).toEqual([1, 1, 1]);
    // 8 Mbit/s less what Ethernet, IP and TCP take of it, and slow start.
    expect(end.sum_received.bits_per_second).toBeGreaterThan(6.5e6);
    expect(end.sum_received.bits_per_second).toBeLessThan(7.7e6);
    expect(end.sum_sent.bytes).toBeGreaterThanOrEqual(end.sum_received.bytes);
    expect(end.sum_sent.retransmits).toBe(0);
    expect(end.sender_tcp_congestion).toBe('cubic');
  });

  test('sends as many octets as it was told, over several streams', async () => {
    const { end } = await report('iperf3 -c 10.0.0.1 -n 512K -l 8K -P 3 -C reno');
    expect(end.streams).toHaveLength(3);
    expect(end.sum_sent.bytes).toBeGreaterThanOrEqual(512 * 1024);
    expect(end.sum_sent.bytes).toBeLessThan(512 * 1024 + 3 * 8192);
    expect(end.sender_tcp_congestion).toBe('reno');
  });

  test('datagrams that take no time and meet no bound leave others their turn', async () => {
    let sent = 0;
    lab.world.spawn(lab.machine('server'), 'flood', async (sys) => {
      const libc = new Libc(sys);
      const [to, from] = [0, 0].map(() => libc.socket(AF_INET, SOCK_DGRAM)) as [number, number];
      libc.bind(to, encodeSockaddr4(INADDR_LOOPBACK, 7));
      await libc.connect(from, { addr: INADDR_LOOPBACK, port: 7 });
      const params = decodeParams(new JsonObject({ udp: true, len: 64, time: 1, bandwidth: 0 }));
      const flow = new Flow(from, 0);
      const run = new Run(libc, params, [flow], true);
      const streams = run.start();
      await libc.sleep(10);
      run.end();
      await Promise.all(streams);
      sent = flow.packets;
      return 0;
    });
    await lab.world.runPrograms({ untilNs: lab.world.nowNs + 20e6 });
    // 2 us each, where time passes for nothing else.
    expect(sent).toBe(5056);
  });

  test('sends datagrams at a rate, and tells what the line could not carry', async () => {
    const calm = await report('iperf3 -c 10.0.0.1 -t 2 -u -b 2M');
    expect(calm.end.sum_received).toMatchObject({ lost_packets: 0 });
    expect(calm.end.sum_received.bits_per_second).toBeGreaterThan(1.95e6);
    expect(calm.end.sum_received.bits_per_second).toBeLessThan(2.02e6);
  });

  test('prints as iperf3 does', async () => {
    const { stdout, server } = await measure('iperf3 -c 10.0.0.1 -t 2');
    const lines = stdout.split('\n');
    expect(lines[0]).toBe('Connecting to host 10.0.0.1, port 5201');
    expect(lines[1]).toMatch(
      /^\[ {2}1\] local 10\.0\.0\.2 port \d+ connected to 10\.0\.0\.1 port 5201$/,
    );
    expect(lines[2]).toBe('[ ID] Interval           Transfer     Bitrate         Retr  Cwnd');
    expect(lines[3]).toMatch(
      /^\[ {2}1\] {3}0\.00-1\.00 {3}sec {2}[\d. ]{4} [KM]Bytes {2}[\d. ]{4} Mbits\/sec {4}0 {3}[\d. ]{4} [KM]Bytes$/,
    );
    expect(stdout).toMatch(/sec .* {4}0 {13}sender\n/);
    expect(stdout).toMatch(/sec .* receiver\n\niperf Done\.\n$/);
    expect(server.status).toBe(0);
    expect(server.stdout).toContain('Server listening on 5201');
    expect(server.stdout).toContain('Accepted connection from 10.0.0.2, port ');
  });

  test('a busy server says so, and goes on', async () => {
    const first = start('client', 'iperf3 -c 10.0.0.1 -t 3');
    const outcome = await measure('sleep 1; iperf3 -c 10.0.0.1');
    expect(outcome.stderr).toBe(
      'iperf3: error - the server is busy running a test. try again later\n',
    );
    expect(outcome.status).toBe(1);
    expect(first.program.status).toBe(0);
    expect(outcome.server.status).toBe(0);
  });

  test.each([
    ['iperf3', 'must either be a client (-c) or server (-s)'],
    ['iperf3 -s -c x', 'must either be a client (-c) or server (-s)'],
    ['iperf3 -c 10.0.0.1 -t 0', 'test time is not in 1 to 86400'],
    ['iperf3 -c 10.0.0.1 -t 1 -n 5', 'only one of -t, -n and -k bounds a test'],
    ['iperf3 -c 10.0.0.1 -b fast', 'invalid bitrate: fast'],
    ['iperf3 -c 10.0.0.1 -C none', 'No such file or directory'],
    ['iperf3 -c 10.0.0.9 -p 70000', 'invalid port: 70000'],
    ['iperf3 -c 10.0.0.1 -p 99', 'Connection refused'],
  ])('%s is refused', async (line, why) => {
    const serving = start('server', 'iperf3 -s');
    const running = start('client', line);
    await lab.world.runPrograms({
      untilNs: lab.world.nowNs + PATIENCE_NS,
      until: () => running.program.status !== null,
    });
    expect(running.stderr.text()).toBe(`iperf3: error - ${why}\n`);
    expect(running.program.status).toBe(1);
    expect(serving.program.status).toBeNull();
  });

  test.each(['', '-u'])('a signal ends the server in the middle of a test %s', async (kind) => {
    const serving = start('server', 'iperf3 -s');
    const running = start('client', `iperf3 -c 10.0.0.1 -t 5 ${kind}`);
    const until = (done: () => boolean, ms: number) =>
      lab.world.runPrograms({ untilNs: lab.world.nowNs + ms * 1e6, until: done });
    await until(() => false, 1500);
    serving.kill();
    await until(() => serving.program.status !== null && running.program.status !== null, 40_000);
    expect(serving.program.status).toBe(128 + 15);
    expect(running.program.status).toBe(1);
    expect(running.stderr.text()).toMatch(/^iperf3: error - /);
  });

  test('what is no iperf3 does not disturb the server', async () => {
    start(
      'client',
      'echo hello | nc -N 10.0.0.1 5201; yes | head -c 50 | nc -N -w 1 10.0.0.1 5201',
    );
    const { status } = await measure('sleep 4; iperf3 -c 10.0.0.1 -t 1');
    expect(status).toBe(0);
  });
});

test('jitter, loss and order are told from the first datagrams, whatever the clocks say', () => {
  const flow = new Flow(3, 0);
  const head = new Uint8Array(UDP_HEAD);
  const v = new DataView(head.buffer);
  // Sent by a clock that is 1,000 s ahead, each 10 ms; the third comes 16 ms late and the second is late.
  const arrive = (number: number, sentUs: number, at: number): void => {
    v.setUint32(0, 2000);
    v.setUint32(4, sentUs);
    v.setUint32(8, number);
    flow.arrived(head, head.length, at);
  };
  arrive(1, 0, 1000);
  expect(flow.jitter).toBe(0);
  arrive(3, 20_000, 1000.036);
  expect(flow.jitter).toBeCloseTo(0.001, 6);
  expect([flow.packets, flow.lost, flow.outOfOrder]).toEqual([3, 1, 0]);
  arrive(2, 10_000, 1000.026);
  expect([flow.packets, flow.lost, flow.outOfOrder]).toEqual([3, 0, 1]);
});

test('the first datagram that comes tells no jitter, though it is not the first that was sent', () => {
  const flow = new Flow(3, 0);
  const head = new Uint8Array(UDP_HEAD);
  new DataView(head.buffer).setUint32(8, 4);
  flow.arrived(head, head.length, 1000);
  expect([flow.packets, flow.lost, flow.jitter]).toEqual([4, 3, 0]);
});

test("another side's parameters are made what they can be", () => {
  const params = (json: object) => decodeParams(new JsonObject(json));
  expect(params({ parallel: 2.5, len: 1e9, time: -4, num: 'x' })).toMatchObject({
    parallel: 2,
    length: 1024 * 1024,
    time: 0,
    bytes: 0,
    udp: false,
  });
  expect(params([])).toMatchObject({ parallel: 1, length: 131072 });
  expect(() => params({ bidirectional: 1 })).toThrow('both directions at once');
});

test('units as iperf3 writes them', () => {
  expect(formatBytes(0)).toBe('0.00 Bytes');
  expect(formatBytes(1448)).toBe('1.41 KBytes');
  expect(formatBytes(100 * 1024 * 1024)).toBe(' 100 MBytes');
  expect(formatRate(9.996e9)).toBe('10.0 Gbits');
});
