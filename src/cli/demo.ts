/** `softnet demo`: a client downloads a file from a server through a router and lossy cables. */
import { readFileSync } from 'node:fs';
import Table from 'cli-table3';
import { captureCableToFile } from '#cli/capture.ts';
import { UserError } from '#cli/errors.ts';
import { Lab } from '#cli/lab.ts';
import { painter, passTo } from '#cli/output.ts';
import { progressBar } from '#cli/progress.ts';
import { turn } from '#cli/turn.ts';
import { Story, type StoryStyle, tellStory } from '#sim/story.ts';
import { parseTopology } from '#sim/topology.ts';
import { formatTimeNs } from '#sim/units.ts';
import { dropReasonName } from '#uapi/net_dropreason.ts';
import { LINUX_MIB_TCPTIMEOUTS, TCP_MIB_RETRANSSEGS } from '#uapi/snmp.ts';
import { download } from '#user/http/download.ts';

export interface DemoOptions {
  readonly seed: string;
  readonly loss: number;
  readonly size: number;
  readonly pcap: string | false;
  readonly json?: boolean;
}

/** Virtual time after which something must have gone wrong. */
const GIVE_UP_NS = 3600e9;

/** client 10.0.1.2 -- 10.0.1.1 router 10.0.2.1 -- 10.0.2.2 server, a millisecond and 100 Mbit/s a cable. */
export function demoTopology(loss: number): unknown {
  const impairments = { delay: '1ms', rate: '100mbit', loss: String(loss), queue: '256kb' };
  return {
    name: 'demo',
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
          programs: ['httpd'],
        },
      },
      links: [
        { endpoints: ['client:eth0', 'router:eth0'], impairments },
        { endpoints: ['router:eth1', 'server:eth0'], impairments },
      ],
    },
  };
}

/** Counts what is freed with a reason, by reason. */
function countDrops(lab: Lab): Record<string, number> {
  const drops: Record<string, number> = {};
  for (const machine of lab.world.machines) {
    machine.trace.skb.kfreeSkb.register((_skb, _location, reason) => {
      const name = dropReasonName(reason);
      drops[name] = (drops[name] ?? 0) + 1;
    });
  }
  return drops;
}

interface DemoResult {
  readonly seed: string;
  readonly fingerprint: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly expectedSha256: string;
  readonly retransmits: number;
  readonly timeouts: number;
  readonly lostOnCables: number;
  readonly drops: Readonly<Record<string, number>>;
  readonly frames: number;
  readonly events: number;
  readonly virtualSeconds: number;
  readonly wallSeconds: number;
  readonly pcap: string | null;
  readonly live: Readonly<Record<string, Record<string, number>>>;
}

export async function runDemo(options: DemoOptions): Promise<void> {
  const startMs = performance.now();
  const lab = new Lab(parseTopology(demoTopology(options.loss)), { seed: options.seed, turn });
  const { world } = lab;
  const drops = countDrops(lab);
  const story = new Story(world);
  if (options.json !== true) for (const machine of world.machines) story.follow(machine);
  const cable = lab.cables[0];
  if (cable === undefined) throw new Error('the demo has no cable');
  const capture = options.pcap === false ? null : captureCableToFile(world, cable, options.pcap);
  await lab.setUp();
  // Servers first: their sockets listen before the client asks.
  await world.runPrograms({ untilNs: world.nowNs + 1e6 });
  const bar = progressBar('download', options.size, options.json === true);
  const result = { bytes: 0, sha256: '', expectedSha256: '' };
  const status = await lab.run(
    'client',
    async (p) => {
      const got = await download(p, `http://10.0.2.2/bytes/${options.size}`, (bytes) =>
        bar.update(bytes),
      );
      Object.assign(result, got);
      return 0;
    },
    ['download'],
    { stderr: passTo(2) },
    { untilNs: GIVE_UP_NS },
  );
  bar.stop();
  // The last acknowledgements, and whatever still waits on a timer.
  await world.runPrograms({ untilNs: world.nowNs + 130e9 });
  capture?.close();
  const retransmits = world.machines.reduce(
    (sum, machine) => sum + (machine.initNet.mib.tcpStatistics[TCP_MIB_RETRANSSEGS] ?? 0),
    0,
  );
  const timeouts = world.machines.reduce(
    (sum, machine) => sum + (machine.initNet.mib.netStatistics[LINUX_MIB_TCPTIMEOUTS] ?? 0),
    0,
  );
  const lines = lab.cables.flatMap((c) => [c.counters(0), c.counters(1)]);
  const summary: DemoResult = {
    seed: options.seed,
    fingerprint: world.fingerprint.digest(),
    ...result,
    retransmits,
    timeouts,
    lostOnCables: lines.reduce((sum, line) => sum + line.lost, 0),
    drops,
    frames: lines.reduce((sum, line) => sum + line.sent, 0),
    events: world.eventCount,
    virtualSeconds: world.nowNs / 1e9,
    wallSeconds: (performance.now() - startMs) / 1000,
    pcap: options.pcap === false ? null : options.pcap,
    live: world.halt(),
  };
  if (options.json === true) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else
    process.stdout.write(`${tellStory(story.stages, storyStyle())}\n\n${summaryTable(summary)}\n`);
  if (status !== 0) throw new UserError(`the download ended with status ${status}`);
  if (summary.sha256 !== summary.expectedSha256 || summary.bytes !== options.size) {
    throw new UserError('the file that arrived is not the file that was sent');
  }
  if (Object.keys(summary.live).length > 0) {
    throw new UserError(`something was lost at the end: ${JSON.stringify(summary.live)}`);
  }
}

const STYLES = { title: 'bold', path: 'dim', drop: 'red' } as const;

/** What the kernel map says that Linux calls the functions here; null when the map is not at hand. */
function kernelNames(): ReadonlyMap<string, string> | null {
  let map: string;
  try {
    map = readFileSync(new URL('../../docs/kernel-map.md', import.meta.url), 'utf8');
  } catch {
    return null;
  }
  const names = new Map<string, string>();
  const bare = (name: string): string => name.replaceAll('_', '').toLowerCase();
  // Rows of the map: | `symbol of Linux` | `name here` | file | RFC |
  for (const [, symbol = '', name = ''] of map.matchAll(/^\| `(\w+)` \| `(\w+)` \|/gm)) {
    if (!names.has(name) || bare(symbol) === bare(name)) names.set(name, symbol);
  }
  return names;
}

function storyStyle(): StoryStyle {
  const paint = painter(process.stdout);
  const names = kernelNames();
  return {
    paint: (part, text) => paint(STYLES[part], text),
    ...(names === null ? {} : { kernelName: (name: string) => names.get(name) ?? null }),
  };
}

function summaryTable(result: DemoResult): string {
  // No lines between the rows.
  const chars = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' };
  const table = new Table({ chars, style: { head: [], border: [] } });
  const rows: [string, string][] = [
    ['file', `${result.bytes} bytes, SHA-256 ${result.sha256}`],
    [
      'time',
      `${formatTimeNs(result.virtualSeconds * 1e9)} virtual, ${result.wallSeconds.toFixed(2)} s real`,
    ],
    ['frames on the cables', `${result.frames}, ${result.lostOnCables} lost`],
    ['retransmitted segments', `${result.retransmits}, ${count(result.timeouts, 'timeout')}`],
    ['freed with a reason', reasons(result.drops)],
    ['events', String(result.events)],
    ['fingerprint', `${result.fingerprint} (seed ${result.seed})`],
    [
      'still alive at the end',
      Object.keys(result.live).length === 0 ? 'nothing' : JSON.stringify(result.live),
    ],
  ];
  if (result.pcap !== null) rows.push(['capture', result.pcap]);
  for (const [name, value] of rows) table.push({ [name]: value });
  return table.toString();
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function reasons(drops: Readonly<Record<string, number>>): string {
  const entries = Object.entries(drops).sort((a, b) => b[1] - a[1]);
  return entries.length === 0
    ? 'nothing'
    : entries.map(([name, count]) => `${name} ${count}`).join(', ');
}
