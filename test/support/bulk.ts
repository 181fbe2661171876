/**
 * One machine sends to another through a bottleneck for some seconds; what arrived, and the sender's
 * socket for those who look at its congestion control. Virtual time, one seed.
 */
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import type { Socket } from '#include/linux/net.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { Machine } from '#kernel/machine.ts';
import type { LineCounters } from '#sim/cable.ts';
import { parseTopology } from '#sim/topology.ts';
import { AF_INET, SOCK_STREAM } from '#uapi/socket.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';

const PORT = 5001;
const SERVER = 0x0a000002;

export interface BulkOptions {
  readonly seed: number;
  readonly seconds: number;
  /** net.ipv4.tcp_congestion_control of both machines. */
  readonly congestionControl: string;
  /** As `impairments` of a link, see examples/README.md. */
  readonly impairments: Readonly<Record<string, string>>;
  /** Further settings of the machine that listens. */
  readonly serverSysctls?: Readonly<Record<string, string | number>>;
  /** Registers what the machines do not have by themselves. */
  readonly prepare?: (machine: Machine) => void;
  /** Called every `sampleMs` with the sending socket. */
  readonly sample?: (sk: TcpSock, seconds: number) => void;
  readonly sampleMs?: number;
}

export interface BulkResult {
  /** Bits a second that the receiver has read. */
  readonly bps: number;
  readonly line: Readonly<LineCounters>;
  readonly live: object;
}

export async function runBulk(options: BulkOptions): Promise<BulkResult> {
  const sysctls = {
    'net.ipv4.tcp_rmem': '4096 131072 4194304',
    'net.ipv4.tcp_wmem': '4096 16384 4194304',
    'net.ipv4.tcp_congestion_control': options.congestionControl,
  };
  const node = (host: number, more: object = {}): object => ({
    sysctls: { ...sysctls, ...more },
    exec: [`ip addr add 10.0.0.${host}/24 dev eth0`, 'ip link set eth0 up'],
  });
  const lab = new Lab(
    parseTopology({
      name: 'bulk',
      topology: {
        nodes: { a: node(1), b: node(2, options.serverSysctls) },
        links: [{ endpoints: ['a:eth0', 'b:eth0'], impairments: options.impairments }],
      },
    }),
    { seed: options.seed, turn },
  );
  const { world } = lab;
  for (const machine of world.machines) options.prepare?.(machine);
  await lab.setUp();
  let received = 0;
  let stop = false;
  let senderFd = -1;
  const server = lab.start(
    'b',
    async (p) => {
      const listener = p.libc.socket(AF_INET, SOCK_STREAM);
      p.libc.bind(listener, encodeSockaddr4(0, PORT));
      p.libc.listen(listener);
      const { fd } = await p.libc.accept(listener);
      const buffer = new Uint8Array(1 << 18);
      for (let n = 1; n > 0; ) {
        n = await p.libc.recv(fd, buffer);
        if (!stop) received += n;
      }
      await p.libc.close(fd);
      await p.libc.close(listener);
      return 0;
    },
    ['server'],
  );
  const client = lab.start(
    'a',
    async (p) => {
      await p.libc.sleep(1);
      const fd = p.libc.socket(AF_INET, SOCK_STREAM);
      await p.libc.connect(fd, encodeSockaddr4(SERVER, PORT));
      senderFd = fd;
      const chunk = new Uint8Array(1 << 16);
      while (!stop) await p.libc.send(fd, chunk);
      await p.libc.close(fd);
      return 0;
    },
    ['client'],
  );
  await world.runPrograms({ untilNs: world.nowNs + 60e9, until: () => senderFd >= 0 });
  const file = client.program.task.files.get(senderFd);
  const sender = (file!.privateData as Socket).sk as TcpSock;
  const beginNs = world.nowNs;
  const stepNs = (options.sampleMs ?? 100) * 1e6;
  const endNs = beginNs + options.seconds * 1e9;
  while (world.nowNs < endNs) {
    await world.runPrograms({ untilNs: Math.min(world.nowNs + stepNs, endNs) });
    options.sample?.(sender, (world.nowNs - beginNs) / 1e9);
  }
  stop = true;
  const ended = (): boolean => server.program.status !== null && client.program.status !== null;
  await world.runPrograms({ untilNs: world.nowNs + 600e9, until: ended });
  await world.runPrograms({ untilNs: world.nowNs + 200e9 });
  const line = { ...lab.cables[0]!.counters(0) };
  return { bps: (received * 8) / options.seconds, line, live: world.halt() };
}
