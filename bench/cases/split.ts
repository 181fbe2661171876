/**
 * Events a second of a world spread over threads. Two sites with transfers of their own and between
 * them; argument: threads, 0 for none beside this one. What starting takes is measured and left out.
 */
import { isMainThread } from 'node:worker_threads';
import { Lab } from '#cli/lab.ts';
import { SplitRun } from '#cli/split.ts';
import { runPart } from '#cli/split_part.ts';
import { turn } from '#cli/turn.ts';
import { parseTopology, type TopologySpec } from '#sim/topology.ts';
import { MEASURE_SECONDS, report } from '../measure.ts';

const SITES = [1, 2] as const;

function topology(kilobytes: number): TopologySpec {
  const nodes: Record<string, object> = {};
  const links: object[] = [
    { endpoints: ['r1:wan', 'r2:wan'], impairments: { delay: '2ms', rate: '1gbit', queue: '1mb' } },
  ];
  for (const site of SITES) {
    const other = 3 - site;
    const router = [`ip addr add 10.9.0.${site}/24 dev wan`, 'ip link set wan up'];
    for (const host of [1, 2, 3]) {
      const lan = `10.${site}.${host}`;
      router.push(`ip addr add ${lan}.1/24 dev lan${host}`, `ip link set lan${host} up`);
      // Two hosts of the site talk to each other, the third with the other site's.
      const peer = host === 1 ? `10.${site}.2.2` : `10.${other}.3.2`;
      const client = `sleep 1; iperf3 -c ${peer} -n ${kilobytes}K -C cubic`;
      nodes[`h${site}${host}`] = {
        exec: [
          `ip addr add ${lan}.2/24 dev eth0`,
          'ip link set eth0 up',
          `ip route add default via ${lan}.1`,
        ],
        programs: host === 1 || (host === 3 && site === 1) ? [client] : ['iperf3 -s -1'],
      };
      links.push({
        endpoints: [`r${site}:lan${host}`, `h${site}${host}:eth0`],
        impairments: { delay: '100us', rate: '1gbit', queue: '1mb' },
      });
    }
    router.push(`ip route add 10.${other}.0.0/16 via 10.9.0.${other}`);
    nodes[`r${site}`] = { sysctls: { 'net.ipv4.ip_forward': 1 }, exec: router };
  }
  return parseTopology({ topology: { nodes, links } });
}

async function eventsOf(kilobytes: number, threads: number): Promise<number> {
  const spec = topology(kilobytes);
  if (threads > 0) {
    const worker = new URL(import.meta.url);
    const { events, failed, fingerprint } = await new SplitRun(spec, {
      seed: 'bench',
      workers: threads,
      untilNs: 3600e9,
      worker,
    }).result;
    if (failed.length > 0) throw new Error(JSON.stringify(failed));
    process.stderr.write(`${fingerprint}\n`);
    return events;
  }
  const lab = new Lab(spec, { seed: 'bench', turn });
  await lab.setUp();
  await lab.finish();
  const { eventCount, fingerprint } = lab.world;
  if (lab.failed().length > 0) throw new Error(JSON.stringify(lab.failed()));
  lab.world.halt();
  process.stderr.write(`${fingerprint.digest()}\n`);
  return eventCount;
}

async function main(): Promise<void> {
  const threads = Number(process.argv[2]);
  const timed = async (kilobytes: number): Promise<readonly [number, number, number]> => {
    const cpu = process.cpuUsage();
    const start = performance.now();
    const events = await eventsOf(kilobytes, threads);
    const { user, system } = process.cpuUsage(cpu);
    return [events, (user + system) / 1e6, (performance.now() - start) / 1000];
  };
  // Threads begin cold each time, so this one compiles everything before, too.
  if (threads === 0) await timed(20_000);
  const [before, cpuBefore, wallBefore] = await timed(20_000);
  const [events, cpu, wall] = await timed(20_000 + 60_000 * MEASURE_SECONDS);
  report({
    unit: 'events',
    count: events - before,
    cpuSeconds: cpu - cpuBefore,
    wallSeconds: wall - wallBefore,
  });
  process.exit(0);
}

if (isMainThread) await main();
else await runPart();
