/** `tc qdisc`: what it prints is what the real one printed for the same commands on Linux 6.18. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
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
