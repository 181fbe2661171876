/** Several queues of a TAP device, with the real kernel at the other end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ended, Netns, ROOT, said, whyNoInterop } from '../support/netns.ts';

const missing = whyNoInterop('nc', 'ping');

const SOURCE = [process.execPath, '--import', 'tsx', '--conditions=softnet-source'] as const;
const CONNECTIONS = 24;

/** Opens connections to echo servers, sends to and fro on all of them, and closes. */
const CLIENTS = `
const net = require('net');
let open = ${CONNECTIONS};
for (let i = 0; i < ${CONNECTIONS}; i++) {
  let turns = 20;
  const s = net.connect(7, '10.77.0.2', () => s.write('x'));
  s.setNoDelay(true);
  s.on('data', () => { if (--turns > 0) s.write('x'); else s.end(); });
  s.on('close', () => { if (--open === 0) console.log('all closed'); });
}`;

const SERVER = `require('net').createServer((s) => s.pipe(s)).listen(7777, () => console.log('ready'))`;

interface Report {
  readonly flows: Record<string, number[]>;
  readonly left: Record<string, number>;
  readonly leaked: number;
  readonly txErrors: number;
}

/** The machine of tap_queues.ts, which is told what to run. */
class Station {
  readonly child: ChildProcess;
  text: string;

  constructor(ns: Netns) {
    const script = [...SOURCE, 'test/interop/tap_queues.ts'];
    this.child = spawn('ip', ['netns', 'exec', ns.name, ...script], { cwd: ROOT });
    this.text = '';
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.text += chunk.toString();
    });
  }

  /** What a command on the machine prints. */
  async run(line: string): Promise<string> {
    this.text = '';
    const done = said(this.child, 'done');
    this.child.stdin?.write(`${line}\n`);
    await done;
    return this.text;
  }

  async end(): Promise<Report> {
    this.text = '';
    expect(await ended(this.child, 'SIGTERM')).toBe(0);
    return JSON.parse(this.text) as Report;
  }
}

describe.skipIf(missing !== null)(`queues of a TAP device (skipped: ${missing})`, () => {
  let ns: Netns;
  let station: Station | null;

  beforeEach(() => {
    ns = new Netns('queues');
    station = null;
  });

  afterEach(async () => {
    if (station !== null) await ended(station.child, 'SIGKILL');
    await ns.remove();
  }, 60_000);

  async function boot(): Promise<Station> {
    station = new Station(ns);
    await said(station.child, 'ready');
    return station;
  }

  /** The kernel's queues in use: those that are attached. */
  function kernelQueues(): string[] {
    const names = ns.must('ls', '/sys/class/net/softnet0/queues').trim().split('\n');
    return names.filter((name) => name.startsWith('tx-'));
  }

  it('keeps a flow on one queue, in both directions, and spreads flows over all', {
    timeout: 120_000,
  }, async () => {
    const softnet = await boot();
    expect(kernelQueues()).toHaveLength(4);
    await ns.run('ping', '-q', '-c', '1', '-W', '5', '10.77.0.2');
    const { stdout } = await ns.run(process.execPath, '-e', CLIENTS);
    expect(stdout).toContain('all closed');
    await said(ns.start(process.execPath, '-e', SERVER), 'ready');
    const talk = Array.from({ length: 8 }, () => 'echo hello | nc -N -w 5 10.77.0.1 7777');
    for (const line of talk) {
      expect(await softnet.run(line)).toBe('hello\ndone\n');
    }
    const { flows, ...rest } = await softnet.end();
    expect(rest).toEqual({ left: {}, leaked: 0, txErrors: 0 });
    const used = new Set<number>();
    let fromKernel = 0;
    for (const [flow, frames] of Object.entries(flows)) {
      const served = flow.startsWith('7 ');
      if (served) fromKernel++;
      // What softnet opens is answered before the kernel has learned where: the two agree by the ACK.
      const settled = served ? frames : frames.slice(2);
      const queues = new Set(settled.map(Math.abs));
      expect({ flow, frames, queues: queues.size }).toEqual({ flow, frames, queues: 1 });
      expect(new Set(settled.map(Math.sign)).size).toBe(2);
      for (const queue of queues) used.add(queue);
    }
    expect(fromKernel).toBe(CONNECTIONS);
    expect(Object.keys(flows)).toHaveLength(CONNECTIONS + talk.length);
    expect([...used].sort()).toEqual([1, 2, 3, 4]);
  });

  it('interrupts a CPU for each, and ethtool changes their number on both sides', {
    timeout: 120_000,
  }, async () => {
    const softnet = await boot();
    const echo = async (): Promise<void> => {
      const { stdout } = await ns.run(process.execPath, '-e', CLIENTS);
      expect(stdout).toContain('all closed');
    };
    await echo();
    const interrupts = (await softnet.run('cat /proc/interrupts')).match(/^.* eth0-\d$/gm) ?? [];
    expect(interrupts).toHaveLength(4);
    // Columns are CPUs: one each, and all have had some.
    const served = interrupts.map((line) => {
      const counts = line.split(':')[1]?.trim().split(/\s+/).slice(0, 4).map(Number) ?? [];
      return counts.flatMap((count, cpu) => (count > 0 ? [cpu] : []));
    });
    expect(served.flat().sort()).toEqual([0, 1, 2, 3]);
    expect(await softnet.run('ethtool -l eth0')).toMatch(/Combined:\s+4[\s\S]*Combined:\s+4/);
    expect(await softnet.run('ethtool -L eth0 combined 2; ethtool -l eth0')).toMatch(
      /Combined:\s+4[\s\S]*Combined:\s+2/,
    );
    expect(kernelQueues()).toHaveLength(2);
    await echo();
    await softnet.run('ethtool -L eth0 combined 3');
    expect(kernelQueues()).toHaveLength(3);
    await echo();
    await softnet.run('ethtool -L eth0 combined 1');
    expect(kernelQueues()).toHaveLength(1);
    await echo();
    await softnet.run('ethtool -L eth0 combined 4');
    expect(kernelQueues()).toHaveLength(4);
    await echo();
    const { flows: _, ...rest } = await softnet.end();
    expect(rest).toEqual({ left: {}, leaked: 0, txErrors: 0 });
    expect(ns.must('ip', '-o', 'link')).not.toContain('softnet0');
  });

  it('is there on the command line', { timeout: 180_000 }, async () => {
    const softnet = await ns.softnet('attach', 'tap:many,queues=3=10.77.0.2/24', '--serve');
    expect(ns.must('ls', '/sys/class/net/many/queues').match(/tx-/g)).toHaveLength(3);
    const second = await ns.run(
      ...([...SOURCE, 'src/cli/main.ts', 'attach', 'tap:many=10.0.0.2/24'] as const),
    );
    expect(second.stderr).toContain('exists already and is no TAP device with one queue');
    expect(await ended(softnet, 'SIGTERM')).toBe(0);
    const tap = await ns.softnet('tap', '--queues', '2', '--serve');
    expect(kernelQueues()).toHaveLength(2);
    const { stdout } = await ns.run('ping', '-q', '-c', '3', '-i', '0.1', '-W', '5', '10.77.0.2');
    expect(stdout).toContain('3 received');
    expect(await ended(tap, 'SIGTERM')).toBe(0);
    for (const wrong of ['many,queues=0', 'many,queues=65', 'many,speed=1']) {
      const { status } = await ns.run(
        ...([...SOURCE, 'src/cli/main.ts', 'attach', `tap:${wrong}=10.0.0.2/24`] as const),
      );
      expect({ wrong, status }).toEqual({ wrong, status: 2 });
    }
  });
});
