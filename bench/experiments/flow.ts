/**
 * One TCP connection in a world: a sender, a receiver, and either a cable between them or a router with a
 * slow line behind it. The sender always has something to send. Virtual time, one seed.
 */
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import type { Socket } from '#include/linux/net.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { Impairments } from '#sim/impairments.ts';
import { parseTopology } from '#sim/topology.ts';
import { AF_INET, SOCK_STREAM } from '#uapi/socket.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { Collector } from '#user/lib/streams.ts';

const PORT = 5001;
const SERVER = 0x0a000202;
const SETTLE_NS = 3e9;

export interface FlowOptions {
  readonly seed: number;
  /** Virtual time from the moment the connection stands. */
  readonly seconds: number;
  readonly congestionControl: string;
  readonly rttMs: number;
  /** A router between, whose line to the receiver has this discipline: words of `tc`. */
  readonly bottleneck?: readonly string[];
  /** Bits a second of the cable to the receiver; a gigabit by default. */
  readonly rateBps?: number;
  /** What the cable to the receiver does, beside the delay. */
  readonly impairments?: Partial<Impairments>;
  /** What it does to what the sender sends, alone. */
  readonly dataImpairments?: Partial<Impairments>;
  /** Settings of sender and receiver. */
  readonly sysctls?: Readonly<Record<string, string | number>>;
  /** Commands of the sender before the connection. */
  readonly exec?: readonly string[];
  readonly sampleMs?: number;
  /** Called every `sampleMs` with the sender's socket. */
  readonly sample?: (sk: TcpSock, seconds: number, receivedBytes: number) => void;
}

export interface FlowResult {
  /** Bits a second that the receiver's program has read. */
  readonly bps: number;
  /** Frames lost on the way. */
  readonly lost: number;
  /** What `tc -s qdisc` says of the bottleneck at the end. */
  readonly qdisc: string;
  /** What is alive at the end: nothing. */
  readonly live: object;
}

function topology(options: FlowOptions): unknown {
  const sysctls = {
    'net.ipv4.tcp_rmem': '4096 131072 67108864',
    'net.ipv4.tcp_wmem': '4096 16384 67108864',
    'net.ipv4.tcp_congestion_control': options.congestionControl,
    'net.ipv4.tcp_no_metrics_save': 1,
    ...options.sysctls,
  };
  const via = (address: string, gateway: string, more: readonly string[] = []): object => ({
    sysctls,
    exec: [
      `ip addr add ${address}/24 dev eth0`,
      'ip link set eth0 up',
      `ip route add default via ${gateway}`,
      ...more,
    ],
  });
  const delay = `${(options.rttMs * 1e6) / 2}ns`;
  return {
    name: 'flow',
    topology: {
      nodes: {
        a: via('10.0.1.2', '10.0.1.1', options.exec),
        b: via('10.0.2.2', '10.0.2.1'),
        r: {
          sysctls: { 'net.ipv4.ip_forward': 1 },
          exec: [
            'ip addr add 10.0.1.1/24 dev eth0',
            'ip addr add 10.0.2.1/24 dev eth1',
            'ip link set eth0 up',
            'ip link set eth1 up',
            // A queue of packets, not of super-packets.
            ...(options.bottleneck === undefined
              ? []
              : ['ethtool -K eth0 gro off', ...options.bottleneck]),
          ],
        },
      },
      links: [
        { endpoints: ['a:eth0', 'r:eth0'], impairments: { delay: '1us', rate: '1gbit' } },
        {
          endpoints: ['r:eth1', 'b:eth0'],
          impairments: { delay, rate: `${options.rateBps ?? 1e9}bit` },
        },
      ],
    },
  };
}

/** Without a router, the same two machines on one cable. */
function directTopology(options: FlowOptions): unknown {
  const { nodes, links } = (
    topology(options) as {
      topology: { nodes: Record<string, { exec: string[] }>; links: { impairments: object }[] };
    }
  ).topology;
  const [a, b] = [nodes['a'], nodes['b']];
  if (a === undefined || b === undefined) throw new Error('the topology has two ends');
  const on = (address: string): string[] => [
    `ip addr add ${address}/16 dev eth0`,
    'ip link set eth0 up',
  ];
  return {
    name: 'flow',
    topology: {
      nodes: {
        a: { ...a, exec: [...on('10.0.1.2'), ...(options.exec ?? [])] },
        b: { ...b, exec: on('10.0.2.2') },
      },
      links: [{ endpoints: ['a:eth0', 'b:eth0'], impairments: links[1]?.impairments }],
    },
  };
}

/** Runs the connection to the end of its time, and the world until all has ended. */
export async function runFlow(options: FlowOptions): Promise<FlowResult> {
  const routed = options.bottleneck !== undefined;
  const lab = new Lab(parseTopology(routed ? topology(options) : directTopology(options)), {
    seed: options.seed,
    turn,
  });
  const { world } = lab;
  await lab.setUp();
  await world.runPrograms({ untilNs: world.nowNs + SETTLE_NS });
  let received = 0;
  let stop = false;
  let senderFd = -1;
  const receiver = lab.start(
    'b',
    async (p) => {
      const listener = p.libc.socket(AF_INET, SOCK_STREAM);
      p.libc.bind(listener, encodeSockaddr4(0, PORT));
      p.libc.listen(listener);
      const { fd } = await p.libc.accept(listener);
      const buffer = new Uint8Array(1 << 20);
      for (let n = 1; n > 0; ) {
        n = await p.libc.recv(fd, buffer);
        received += n;
      }
      await p.libc.close(fd);
      await p.libc.close(listener);
      return 0;
    },
    ['receiver'],
  );
  const sender = lab.start(
    'a',
    async (p) => {
      await p.libc.sleep(1);
      const fd = p.libc.socket(AF_INET, SOCK_STREAM);
      await p.libc.connect(fd, encodeSockaddr4(SERVER, PORT));
      senderFd = fd;
      const chunk = new Uint8Array(1 << 18);
      while (!stop) await p.libc.send(fd, chunk);
      await p.libc.close(fd);
      return 0;
    },
    ['sender'],
  );
  await world.runPrograms({ untilNs: world.nowNs + 60e9, until: () => senderFd >= 0 });
  const cable = lab.cables[routed ? 1 : 0];
  if (cable === undefined) throw new Error('the world has cables');
  // Losses begin when the connection stands.
  cable.impair(options.impairments ?? {});
  cable.impair(options.dataImpairments ?? {}, 0);
  const file = sender.program.task.files.get(senderFd);
  if (!file) throw new Error('the sender has no connection');
  const sk = (file.privateData as Socket).sk as TcpSock;
  const beginNs = world.nowNs;
  const endNs = beginNs + options.seconds * 1e9;
  const stepNs = (options.sampleMs ?? 100) * 1e6;
  while (world.nowNs < endNs) {
    await world.runPrograms({ untilNs: Math.min(world.nowNs + stepNs, endNs) });
    options.sample?.(sk, (world.nowNs - beginNs) / 1e9, received);
  }
  const total = received;
  const qdisc = routed ? await textOf(lab, 'tc -s qdisc show dev eth1') : '';
  stop = true;
  cable.impair({ loss: 0, lossPeriod: 0 });
  const ended = (): boolean => receiver.program.status !== null && sender.program.status !== null;
  await world.runPrograms({ untilNs: world.nowNs + 600e9, until: ended });
  await world.runPrograms({ untilNs: world.nowNs + 200e9 });
  const { lost } = cable.counters(0);
  return { bps: (total * 8) / options.seconds, lost, qdisc, live: world.halt() };
}

async function textOf(lab: Lab, command: string): Promise<string> {
  const stdout = new Collector();
  await lab.command('r', ['sh', '-c', command], { stdout });
  return stdout.text();
}
