/** How many segments of small requests and answers take TCP's fast path: header prediction's counters. */
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { parseTopology } from '#sim/topology.ts';
import { AF_INET, SOCK_STREAM } from '#uapi/socket.ts';
import type { Process } from '#user/lib/process.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { Collector } from '#user/lib/streams.ts';
import { type Experiment, type Outcome, round } from './experiment.ts';

const PORT = 5003;
const SERVER = 0x0a000002;

async function serve(p: Process): Promise<number> {
  const listener = p.libc.socket(AF_INET, SOCK_STREAM);
  p.libc.bind(listener, encodeSockaddr4(0, PORT));
  p.libc.listen(listener);
  const { fd } = await p.libc.accept(listener);
  const byte = new Uint8Array(1);
  while ((await p.libc.recv(fd, byte)) > 0) await p.libc.send(fd, byte);
  await p.libc.close(fd);
  await p.libc.close(listener);
  return 0;
}

function client(rounds: number): (p: Process) => Promise<number> {
  return async (p) => {
    await p.libc.sleep(10);
    const fd = p.libc.socket(AF_INET, SOCK_STREAM);
    await p.libc.connect(fd, encodeSockaddr4(SERVER, PORT));
    const byte = new Uint8Array(1);
    for (let i = 0; i < rounds; i++) {
      await p.libc.send(fd, byte);
      await p.libc.recv(fd, byte);
    }
    p.libc.close(fd);
    return 0;
  };
}

/** Counters of a machine as `nstat` prints them. */
async function counters(lab: Lab, node: string): Promise<Record<string, number>> {
  const stdout = new Collector();
  await lab.command(node, ['nstat', '-asz'], { stdout });
  return Object.fromEntries(
    stdout
      .text()
      .split('\n')
      .map((line) => line.split(/\s+/))
      .map(([name = '', value]) => [name, Number(value)]),
  );
}

export const fastPath: Experiment = {
  name: 'fast-path',
  title: 'The fast path of one-byte requests and answers',
  run: async (quick): Promise<Outcome> => {
    const rounds = quick ? 4000 : 100_000;
    const end = (host: number): object => ({
      exec: [`ip addr add 10.0.0.${host}/24 dev eth0`, 'ip link set eth0 up'],
    });
    const lab = new Lab(
      parseTopology({
        topology: {
          nodes: { a: end(1), b: end(2) },
          links: [{ endpoints: ['a:eth0', 'b:eth0'], impairments: { delay: '20us' } }],
        },
      }),
      { seed: 1, turn },
    );
    const { world } = lab;
    await lab.setUp();
    await world.runPrograms({ untilNs: world.nowNs + 3e9 });
    const server = lab.start('b', serve, ['server']);
    const asks = lab.start('a', client(rounds), ['client']);
    await world.runPrograms({
      until: () => server.program.status !== null && asks.program.status !== null,
    });
    const shares: Record<string, number> = {};
    for (const node of ['a', 'b']) {
      const got = await counters(lab, node);
      // Every segment here carries a byte and an ACK. One that is as predicted counts as a hit, and its
      // ACK as a predicted one besides.
      const fast = Math.min(got['TcpExtTCPHPHits'] ?? 0, got['TcpExtTCPHPAcks'] ?? 0);
      shares[node] = fast / (got['TcpInSegs'] ?? Number.NaN);
    }
    await world.runPrograms({ untilNs: world.nowNs + 200e9 });
    world.halt();
    return {
      checks: Object.entries(shares).map(([node, share]) => ({
        name: `${node === 'a' ? 'client' : 'server'}: the lesser of HPHits and HPAcks of all segments in, %`,
        value: share * 100,
        // The handshake and the first answers are a few segments, whatever the rounds.
        from: quick ? 99.8 : 99.9,
        to: 100,
      })),
      figures: { rounds, client: round(shares['a'] ?? 0), server: round(shares['b'] ?? 0) },
      plots: {},
    };
  },
};
