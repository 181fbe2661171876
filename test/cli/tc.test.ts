/** `tc qdisc`: what it prints is what the real one printed for the same commands on Linux 6.18. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NETLINK_ROUTE } from '#uapi/netlink.ts';
import { RTM_GETQDISC, RTM_GETTCLASS, tcmsg } from '#uapi/rtnetlink.ts';
import { getifaddrs } from '#user/lib/ifaddrs.ts';
import { NetlinkClient } from '#user/lib/netlink.ts';
import { NlBuilder } from '#user/lib/nlmsg.ts';
import { Box } from './machine.ts';

let box: Box;

beforeEach(async () => {
  box = new Box();
  await sh('ip link add v0 type veth peer name v1');
});

afterEach(() => {
  expect(box.world.halt()).toEqual({});
});

async function sh(command: string): Promise<string> {
  const { stdout, stderr } = await box.run(['sh', '-c', command]);
  return stdout + stderr;
}

describe('tc qdisc', () => {
  it('tbf, and a discipline below it', async () => {
    await sh('tc qdisc add dev v0 root handle 1: tbf rate 50mbit burst 1600 limit 300000');
    const first = await sh('tc qdisc show dev v0');
    expect(first).toMatch(
      /^qdisc tbf 1: root (?:refcnt \d )?rate 50Mbit burst 1600b lat 47.7ms \n$/,
    );
    await sh('tc qdisc add dev v0 parent 1:1 handle 10: pfifo limit 50');
    expect((await sh('tc qdisc show dev v0')).split('\n')[1]).toBe(
      'qdisc pfifo 10: parent 1:1 limit 50p ',
    );
    await sh(
      'tc qdisc replace dev v0 root handle 1: tbf rate 50mbit burst 1600 latency 20ms peakrate 100mbit minburst 1540',
    );
    expect(await sh('tc qdisc show dev v0')).toContain(
      'rate 50Mbit burst 1600b peakrate 100Mbit minburst 1537b lat 20ms ',
    );
    await sh('tc qdisc replace dev v0 parent 1:1 handle 11: codel');
    expect(await sh('tc -s qdisc show dev v0')).toContain(
      'qdisc codel 11: parent 1:1 limit 1000p target 5ms interval 100ms \n' +
        ' Sent 0 bytes 0 pkt (dropped 0, overlimits 0 requeues 0) \n' +
        ' backlog 0b 0p requeues 0\n' +
        '  count 0 lastcount 0 ldelay 0us drop_next 0us\n' +
        '  maxpacket 0 ecn_mark 0 drop_overlimit 0\n',
    );
    await sh('tc qdisc del dev v0 parent 1:1');
    expect(await sh('tc qdisc show dev v0')).not.toContain('codel');
  });

  // Times are kept in units of 1,024 ns.
  it('codel with options', async () => {
    await sh(
      'tc qdisc add dev v0 root codel limit 200 target 2ms interval 30ms ecn ce_threshold 1ms',
    );
    expect(await sh('tc qdisc show dev v0')).toMatch(
      /codel 8001: root (?:refcnt \d )?limit 200p target 2ms ce_threshold 999us interval 30ms ecn \n/,
    );
  });

  it('refuses in the words of the real one', async () => {
    expect(await sh('tc qdisc add dev v0 parent 3: pfifo')).toBe(
      'Error: Failed to find specified qdisc.\n',
    );
    expect(await sh('tc qdisc add dev v0 root tbf rate 50mbit')).toMatch(
      /^tbf: the "burst" parameter is mandatory\.\ntbf: either "limit" or "latency" is required\.\nUsage: /,
    );
    await sh('tc qdisc add dev v0 root handle 2: pfifo');
    expect(await sh('tc qdisc add dev v0 parent 2:1 pfifo')).toBe(
      'Error: Parent qdisc is not classful.\n',
    );
    expect(await sh('tc qdisc replace dev v0 root codel limit x')).toBe('Illegal "limit"\n');
  });
});

/** The messages of a dump about v0, as they came. */
async function messages(type: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  await box.runMain(
    async (p) => {
      const client = new NetlinkClient(p.libc, NETLINK_ROUTE);
      const ifindex = (await getifaddrs(p.libc)).find(({ name }) => name === 'v0')?.index ?? 0;
      const request = new NlBuilder(type, 0).header(tcmsg.LEN, (v, o) => {
        tcmsg.setIfindex(v, o, ifindex);
      });
      await client.dump(request, ({ view, offset, length }) => {
        parts.push(new Uint8Array(view.buffer, view.byteOffset + offset, length).slice());
      });
      client.close();
      return 0;
    },
    ['dump'],
  );
  return Buffer.concat(parts);
}

/** What the real tc makes of the machine's bytes. */
async function realTc(type: number): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'softnet-tc-'));
  try {
    const file = join(dir, 'messages');
    writeFileSync(file, await messages(type));
    const { stdout } = spawnSync('tc', ['-s', 'monitor', 'file', file], { encoding: 'utf8' });
    // A monitor names the device in every line.
    return stdout.replaceAll(/ dev \S+/g, '');
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe('fq_codel', () => {
  const real = spawnSync('tc', ['-V']).status === 0;

  async function load(): Promise<void> {
    await sh('ip addr add 10.0.0.1/24 dev v0; ip link set v0 up; ip link set v1 up');
    await sh('ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:99 dev v0');
    // Slow enough for packets to wait.
    await sh('tc qdisc replace dev v0 root handle 1: tbf rate 8kbit burst 1600 limit 100000');
    await sh(
      'tc qdisc add dev v0 parent 1:1 handle 2: fq_codel limit 12 ce_threshold 2ms ce_threshold_selector 0x1/0x3 drop_batch 2',
    );
    for (let port = 1; port < 9; port++) {
      await sh(`echo ${'x'.repeat(150 * port)} | nc -u -q 0 -w 1 10.0.0.2 ${port}`);
    }
  }

  it('prints its settings and figures', async () => {
    await sh('tc qdisc add dev v0 root fq_codel');
    expect(await sh('tc -s qdisc show dev v0')).toMatch(
      /^qdisc fq_codel 8001: root (?:refcnt \d )?limit 10240p flows 1024 quantum 1514 target 5ms interval 100ms memory_limit 32Mb ecn drop_batch 64 \n Sent 0 bytes 0 pkt \(dropped 0, overlimits 0 requeues 0\) \n backlog 0b 0p requeues 0\n {2}maxpacket 0 drop_overlimit 0 new_flow_count 0 ecn_mark 0\n {2}new_flows_len 0 old_flows_len 0\n$/,
    );
    await sh(
      'tc qdisc change dev v0 root fq_codel limit 100 target 3ms ce_threshold 1.5ms interval 50ms noecn quantum 300 memory_limit 1m drop_batch 8 ce_threshold_selector 0x1/0x3',
    );
    expect(await sh('tc qdisc show dev v0')).toContain(
      'limit 100p flows 1024 quantum 300 target 3ms ce_threshold 1.5ms ce_threshold_selector 0x1/0x3 interval 50ms memory_limit 1Mb drop_batch 8 \n',
    );
    expect(await sh('tc qdisc replace dev v0 root fq_codel limit x')).toBe('Illegal "limit"\n');
    expect(await sh('tc qdisc add dev v0 root fq_codel foo')).toMatch(
      /^What is "foo"\?\nUsage: \.\.\. fq_codel\t\[ limit PACKETS \] \[ flows NUMBER \]\n/,
    );
    expect(await sh('tc qdisc add dev v0 parent 8001:1 pfifo')).toBe(
      'Error: Specified class not found.\n',
    );
  });

  it('may be what devices get', async () => {
    expect(await sh('sysctl -w net.core.default_qdisc=fq_codel')).toBe(
      'net.core.default_qdisc = fq_codel\n',
    );
  });

  it.skipIf(!real)('is told of in the words of the real tc', async () => {
    await load();
    const shown = await sh('tc -s qdisc show dev v0');
    expect(shown).toMatch(/new_flow_count [1-9]/);
    expect(shown).toMatch(/memory_used [1-9]/);
    expect(await realTc(RTM_GETQDISC)).toBe(shown);
    const flows = await sh('tc -s class show dev v0');
    expect(flows).toMatch(/^class tbf 1:1 parent 1: leaf 2: \n/);
    expect(flows.match(/^class fq_codel 2:\w+ parent 2: $/gm)?.length).toBeGreaterThan(1);
    expect(await realTc(RTM_GETTCLASS)).toBe(flows);
    expect(await sh('tc class show dev v0 parent 1:')).toBe('class tbf 1:1 parent 1: leaf 2: \n');
    await sh('tc qdisc del dev v0 root');
  });
});
