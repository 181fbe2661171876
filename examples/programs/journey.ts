/**
 * What became of the packets of a command: one packet's way over all machines, what was dropped and
 * why, and a capture of a cable for Wireshark.
 */
import { Lab } from 'softnet/cli/lab';
import { captureCable } from 'softnet/sim/capture';
import { recordWorld } from 'softnet/sim/record_world';
import { parseTopology } from 'softnet/sim/topology';
import { dropLedger } from 'softnet/trace/drops';
import { compileFilter } from 'softnet/trace/filter';
import { pwruLine } from 'softnet/trace/format_text';
import { journey } from 'softnet/trace/query';
import { packetsMatching } from 'softnet/trace/select';
import { concatBytes } from 'softnet/user/lib/streams';

const topology = parseTopology({
  topology: {
    nodes: {
      client: {
        exec: [
          'ip addr add 10.0.1.2/24 dev eth0',
          'ip link set eth0 up',
          'ip route add default via 10.0.1.1',
        ],
      },
      router: {
        sysctls: { 'net.ipv4.ip_forward': 1 },
        exec: [
          'ip addr add 10.0.1.1/24 dev eth0',
          'ip addr add 10.0.2.1/24 dev eth1',
          'ip link set eth0 up',
          'ip link set eth1 up',
        ],
      },
      server: {
        exec: [
          'ip addr add 10.0.2.2/24 dev eth0',
          'ip link set eth0 up',
          'ip route add default via 10.0.2.1',
        ],
      },
    },
    links: [
      { endpoints: ['client:eth0', 'router:eth0'] },
      { endpoints: ['router:eth1', 'server:eth0'], impairments: { delay: '5ms' } },
    ],
  },
});

export interface Findings {
  /** The command's exit status. */
  readonly status: number | null;
  /** The first packet that passes the filter, step by step. */
  readonly steps: readonly string[];
  /** Drops: machine, reason, function. */
  readonly drops: readonly string[];
  /** A file in pcapng. */
  readonly capture: Uint8Array;
}

/** Runs a command on the client. `filter` is tcpdump's language. */
export async function run(command: readonly string[], filter: string): Promise<Findings> {
  const lab = new Lab(topology, { seed: 1 });
  const { world, cables } = lab;
  const [cable] = cables;
  if (cable === undefined) throw new Error('there is no cable');
  const recorder = recordWorld(world);
  const blocks: Uint8Array[] = [];
  captureCable(world, cable, (block) => blocks.push(block));
  await lab.setUp();
  const status = await lab.command('client', command);
  world.halt();
  recorder.detach();
  const [packet = 0] = packetsMatching(recorder, compileFilter(filter));
  return {
    status,
    steps: journey(recorder, packet).map((step) => pwruLine(recorder, step)),
    drops: dropLedger(recorder).map(
      ({ machine, name, location }) => `${machine} ${name} ${location}`,
    ),
    capture: concatBytes(blocks),
  };
}
