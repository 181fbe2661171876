/** hping3: what it puts on the wire, seen by the machine that it is sent to. */
import { describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { inNtop4 } from '#lib/parse_addr.ts';
import { hostView } from '#mm/memory.ts';
import { readTopologyYaml } from '#sim/topology_yaml.ts';
import { Collector } from '#user/lib/streams.ts';

const WORLD = `topology:
  nodes:
    a: { exec: [ip addr add 10.0.0.1/24 dev eth1, ip link set eth1 up] }
    b: { exec: [ip addr add 10.0.0.2/24 dev eth1, ip link set eth1 up] }
  links:
    - endpoints: ["a:eth1", "b:eth1"]
      impairments: { delay: 1ms }
`;

async function hping(...args: string[]): Promise<{
  status: number | null;
  out: string;
  sources: string[];
  counters: Record<string, number>;
}> {
  const lab = new Lab(readTopologyYaml(WORLD), { seed: 'hping', turn });
  await lab.setUp();
  const sources: string[] = [];
  lab.cables[0]?.tap(0, (frame) => {
    if (hostView.getUint16(frame.addr + 12) === 0x0800) {
      sources.push(inNtop4(hostView.getUint32(frame.addr + 14 + 12)));
    }
  });
  const stdout = new Collector();
  const stderr = new Collector();
  const status = await lab.command('a', ['hping3', ...args], { stdout, stderr });
  await lab.world.runPrograms({ untilNs: lab.world.nowNs + 1e9 });
  const counts = new Collector();
  await lab.command('b', ['nstat', '-asz'], { stdout: counts });
  const counters: Record<string, number> = {};
  for (const match of counts.text().matchAll(/^(\w+)\s+(\d+)/gm)) {
    counters[match[1] ?? ''] = Number(match[2]);
  }
  lab.world.halt();
  return { status, out: stdout.text() + stderr.text(), sources, counters };
}

describe('hping3', () => {
  it('sends SYNs with a good checksum: each gets its RST', async () => {
    const { status, out, counters } = await hping(
      '-S',
      '-p',
      '81',
      '-c',
      '3',
      '-i',
      'u1000',
      '10.0.0.2',
    );
    expect(status).toBe(0);
    expect(out).toContain('3 packets transmitted, 0 refused');
    expect(counters).toMatchObject({ TcpInSegs: 3, TcpInErrs: 0, TcpOutRsts: 3 });
  });

  it('sends datagrams with data', async () => {
    const { counters } = await hping(
      '-2',
      '-p',
      '7',
      '-d',
      '100',
      '-c',
      '4',
      '--faster',
      '10.0.0.2',
    );
    expect(counters).toMatchObject({ UdpNoPorts: 4, UdpInErrors: 0, IcmpOutDestUnreachs: 4 });
  });

  it('sends echo requests that are answered', async () => {
    const { counters } = await hping('-1', '-c', '2', '--fast', '10.0.0.2');
    expect(counters).toMatchObject({ IcmpInEchos: 2, IcmpOutEchoReps: 2, IcmpInErrors: 0 });
  });

  it('forges senders of the range for tests', async () => {
    const { sources } = await hping(
      '-S',
      '-p',
      '80',
      '-c',
      '5',
      '--flood',
      '--rand-source',
      '10.0.0.2',
    );
    expect(sources).toHaveLength(5);
    expect(new Set(sources).size).toBe(5);
    for (const source of sources) expect(source).toMatch(/^198\.(18|19)\./);
  });

  it.each([
    [['-c', 'many', '10.0.0.2'], /'many' is no number/],
    [['--what', '10.0.0.2'], /unknown option --what/],
    [[], /usage: hping3/],
    [['nobody.example'], /Unable to resolve 'nobody\.example'/],
  ])('refuses %j', async (args, message) => {
    const { status, out } = await hping(...args);
    expect(status).toBe(2);
    expect(out).toMatch(message);
  });
});
