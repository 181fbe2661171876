/**
 * The world that tests of determinism run everywhere: on Node, on newer Nodes, in a browser. Three
 * machines on modelled cards; a router between; both ends send and check at once, over cables that
 * lose, double, swap and damage frames.
 */
import { Lab } from '#cli/lab.ts';
import { parseTopology } from '#sim/topology.ts';
import { AF_INET, SHUT_WR, SOCK_STREAM } from '#uapi/socket.ts';
import type { Process } from '#user/lib/process.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';

export interface ScenarioOptions {
  readonly seed: number | string;
  readonly turn: () => Promise<void>;
  /** Bytes each way. */
  readonly size?: number;
  readonly loss?: number;
  /** What the cables do beside what they do by default, e.g. `{ corrupt: '0' }`. */
  readonly impairments?: Readonly<Record<string, string>>;
  /** Kinds of cards of the two links, left and right. */
  readonly types?: readonly [string, string];
  /** CPUs of the router and the server, commands that they run first, and the CPU that the server's program runs on. */
  readonly cpus?: number;
  readonly exec?: readonly string[];
  readonly serverCpu?: number;
  /** Called with the lab before anything runs: to trace or capture. */
  readonly prepare?: (lab: Lab) => void;
}

export interface ScenarioResult {
  readonly fingerprint: string;
  readonly events: number;
  readonly virtualSeconds: number;
  /** Exit statuses of server and client: 0 when every byte arrived in order. */
  readonly statuses: readonly (number | null)[];
  readonly errors: readonly string[];
  readonly live: Readonly<Record<string, Record<string, number>>>;
}

const PORT = 7777;
const SERVER = 0x0a000202;

function topology({
  loss = 0.05,
  impairments = {},
  types = ['e1000', 'e1000'],
  cpus = 1,
  exec = [],
}: ScenarioOptions): unknown {
  const rough = {
    delay: '2ms',
    jitter: '1ms',
    rate: '50mbit',
    queue: '128kb',
    loss: String(loss),
    reorder: String(loss / 2),
    duplicate: String(loss / 2),
    corrupt: String(loss / 5),
    ...impairments,
  };
  return {
    name: 'rough',
    topology: {
      nodes: {
        a: {
          exec: [
            'ip addr add 10.0.1.2/24 dev eth0',
            'ip link set eth0 up',
            'ip route add default via 10.0.1.1',
          ],
        },
        r: {
          cpus,
          sysctls: { 'net.ipv4.ip_forward': 1 },
          exec: [
            ...exec,
            'ip addr add 10.0.1.1/24 dev eth0',
            'ip addr add 10.0.2.1/24 dev eth1',
            'ip link set eth0 up',
            'ip link set eth1 up',
          ],
        },
        b: {
          cpus,
          exec: [
            ...exec,
            'ip addr add 10.0.2.2/24 dev eth0',
            'ip link set eth0 up',
            'ip route add default via 10.0.2.1',
          ],
        },
      },
      links: [
        { endpoints: ['a:eth0', 'r:eth0'], impairments: rough, type: types[0] },
        { endpoints: ['r:eth1', 'b:eth0'], impairments: rough, type: types[1] },
      ],
    },
  };
}

/** Byte `i` of the stream of one side: never periodic in a power of two. */
function byteAt(i: number, side: number): number {
  return (Math.imul(i + side * 7919, 0x9e3779b1) >>> 24) & 0xff;
}

async function sendAll(p: Process, fd: number, size: number, side: number): Promise<void> {
  const chunk = new Uint8Array(8192);
  for (let sent = 0; sent < size; ) {
    const n = Math.min(chunk.length, size - sent);
    for (let i = 0; i < n; i++) chunk[i] = byteAt(sent + i, side);
    sent += await p.libc.send(fd, chunk.subarray(0, n));
  }
  p.libc.shutdown(fd, SHUT_WR);
}

async function receiveAll(p: Process, fd: number, size: number, side: number): Promise<void> {
  const buffer = new Uint8Array(16384);
  let got = 0;
  for (;;) {
    const n = await p.libc.recv(fd, buffer);
    if (n === 0) break;
    for (let i = 0; i < n; i++) {
      if (buffer[i] !== byteAt(got + i, side)) throw new Error(`byte ${got + i} is wrong`);
    }
    got += n;
  }
  if (got !== size) throw new Error(`${got} bytes of ${size} came`);
}

async function both(p: Process, fd: number, size: number, side: number): Promise<void> {
  await Promise.all([sendAll(p, fd, size, side), receiveAll(p, fd, size, 1 - side)]);
  await p.libc.close(fd);
}

export async function runScenario(options: ScenarioOptions): Promise<ScenarioResult> {
  const size = options.size ?? 200_000;
  const lab = new Lab(parseTopology(topology(options)), {
    seed: options.seed,
    turn: options.turn,
  });
  options.prepare?.(lab);
  await lab.setUp();
  const server = lab.start(
    'b',
    async (p) => {
      if (options.serverCpu !== undefined) {
        p.sys.schedSetaffinity(0, Uint8Array.of(1 << options.serverCpu));
      }
      const listener = p.libc.socket(AF_INET, SOCK_STREAM);
      p.libc.bind(listener, encodeSockaddr4(0, PORT));
      p.libc.listen(listener);
      const { fd } = await p.libc.accept(listener);
      await both(p, fd, size, 1);
      return 0;
    },
    ['server'],
  );
  const client = lab.start(
    'a',
    async (p) => {
      await p.libc.sleep(10);
      const fd = p.libc.socket(AF_INET, SOCK_STREAM);
      await p.libc.connect(fd, encodeSockaddr4(SERVER, PORT));
      await both(p, fd, size, 0);
      return 0;
    },
    ['client'],
  );
  const { world } = lab;
  await world.runPrograms({
    untilNs: 3600e9,
    until: () => server.program.status !== null && client.program.status !== null,
  });
  // TIME_WAIT and the last timers.
  await world.runPrograms({ untilNs: world.nowNs + 200e9 });
  const fingerprint = world.fingerprint.digest();
  const programs = [server.program, client.program];
  return {
    fingerprint,
    events: world.eventCount,
    virtualSeconds: world.nowNs / 1e9,
    statuses: programs.map((program) => program.status),
    errors: programs.flatMap((program) => (program.error === null ? [] : [String(program.error)])),
    live: world.halt(),
  };
}
