/**
 * A packet of each kind has a complete journey: from its birth, by steps that follow each other, over all
 * machines and cables, to its end. Drops, one by one, are in test/drops.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { recordWorld } from '#sim/record_world.ts';
import { parseTopology } from '#sim/topology.ts';
import { compileFilter, type PacketFilter } from '#trace/filter.ts';
import { headersOf } from '#trace/headers.ts';
import { journey, packetsOf, steps } from '#trace/query.ts';
import {
  KIND_BIRTH,
  KIND_CROSS,
  KIND_DERIVE,
  KIND_END,
  KIND_LOST,
  KIND_MERGE,
  KIND_RECEIVE,
  KIND_TRANSMIT,
  type Step,
} from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';
import { download } from '#user/http/download.ts';
import type { Process } from '#user/lib/process.ts';

const TOPOLOGY = {
  name: 'journeys',
  topology: {
    nodes: {
      a: {
        exec: [
          'ip addr add 10.0.1.2/24 dev eth0',
          'ip link set eth0 up',
          'ip route add default via 10.0.1.1',
        ],
      },
      r: {
        sysctls: { 'net.ipv4.ip_forward': 1 },
        exec: [
          'ip addr add 10.0.1.1/24 dev eth0',
          'ip addr add 10.0.2.1/24 dev eth1',
          'ip link set eth0 up',
          'ip link set eth1 up',
        ],
      },
      b: {
        exec: [
          'ip addr add 10.0.2.2/24 dev eth0',
          'ip link set eth0 up',
          'ip route add default via 10.0.2.1',
        ],
        programs: ['httpd'],
      },
    },
    links: [
      { endpoints: ['a:eth0', 'r:eth0'], impairments: { delay: '1ms' } },
      { endpoints: ['r:eth1', 'b:eth0'], impairments: { delay: '1ms', loss: '0.03' } },
    ],
  },
};

let recorder: Recorder;
let halted: Record<string, Record<string, number>>;

beforeAll(async () => {
  const lab = new Lab(parseTopology(TOPOLOGY), { seed: 3, turn });
  recorder = recordWorld(lab.world, { bytes: 64 << 20 });
  await lab.setUp();
  const must = async (...argv: string[]): Promise<void> => {
    expect(await lab.command('a', argv), argv.join(' ')).not.toBeNull();
  };
  await must('ping', '-c', '1', '10.0.2.2');
  await must('ping', '-c', '2', '-s', '5000', '10.0.1.1');
  await must('sh', '-c', 'echo hello | nc -u -w 1 10.0.2.2 9');
  await must('nc', '-z', '10.0.2.2', '81');
  const get = async (p: Process): Promise<number> => {
    await download(p, 'http://10.0.2.2/bytes/200000');
    return 0;
  };
  expect(await lab.run('a', get, ['get'])).toBe(0);
  await lab.world.runPrograms({ untilNs: lab.world.nowNs + 5e9 });
  halted = lab.world.halt();
  recorder.detach();
}, 120_000);

/** The first packet that passes a filter at `event` on a machine. */
function find(machine: string, event: string, filter: string | PacketFilter): Step {
  const test = typeof filter === 'string' ? compileFilter(filter) : filter;
  for (const step of steps(recorder, { machine, name: event })) {
    if (step.snapshot !== null && test(headersOf(step.snapshot), step.snapshot.len)) return step;
  }
  throw new Error(`no packet for ${String(filter)} at ${event} on ${machine}`);
}

/** Walks a journey: each packet begins with birth or kinship, and ends; each frame that is sent arrives or is lost. */
function checkComplete(packet: number): Step[] {
  const path = journey(recorder, packet);
  expect(path.length).toBeGreaterThan(2);
  const born = new Set<number>();
  const ended = new Set<number>();
  for (const step of path) {
    const { packet: who, kind, name } = step;
    if (kind === KIND_BIRTH) born.add(who);
    // Its own structure was made without a birth: it is a clone.
    if (kind === KIND_DERIVE) born.add(who);
    // From here on the bytes are in another packet, which was there before.
    if (kind === KIND_MERGE) born.add(step.other);
    if (name !== 'net:net_dev_xmit' && kind !== KIND_TRANSMIT && kind !== KIND_LOST) {
      if (step.machine !== '') {
        expect(born, `${name} of packet ${who} comes after its birth`).toContain(who);
        expect(ended, `${name} of packet ${who} comes before its end`).not.toContain(who);
      }
    }
    if (kind === KIND_END) ended.add(who);
  }
  for (const who of born) {
    const info = recorder.packet(who);
    expect(info?.endSeq, `packet ${who} ends`).toBeGreaterThan(0);
  }
  // What is sent arrives, or its loss is told.
  for (const frame of path.filter(({ kind }) => kind === KIND_TRANSMIT)) {
    const after = path.some(
      (step) =>
        step.seq > frame.seq &&
        ((step.kind === KIND_RECEIVE && step.other === frame.packet) ||
          (step.kind === KIND_LOST && step.packet === frame.packet)),
    );
    // Of an ancestor only the part up to its child is in the journey.
    if (frame.packet === packet) expect(after, `a frame of packet ${frame.packet}`).toBe(true);
  }
  return path;
}

const machinesOf = (path: readonly Step[]): string[] => [
  ...new Set(path.map(({ machine }) => machine).filter((name) => name !== '')),
];

describe('a complete journey', () => {
  it('of an ARP question', () => {
    const path = checkComplete(find('a', 'net:net_dev_queue', 'arp').packet);
    expect(machinesOf(path)).toEqual(['a', 'r']);
  });

  it('of a ping, forwarded, and of its answer, which it caused', () => {
    const request = find('a', 'net:net_dev_queue', 'icmp[icmptype] == 8');
    expect(machinesOf(checkComplete(request.packet))).toEqual(['a', 'r', 'b']);
    const reply = find('b', 'net:net_dev_queue', 'icmp[icmptype] == 0');
    expect(machinesOf(checkComplete(reply.packet))).toEqual(['b', 'r', 'a']);
    const { cause } = recorder.packet(reply.packet) ?? { cause: 0 };
    expect(recorder.packet(cause)?.journey).toBe(recorder.packet(request.packet)?.journey);
  });

  it('of fragments, from the datagram that was cut to the one put together', () => {
    const isFragment: PacketFilter = (h) => h.moreFragments && h.fragOffset > 0;
    const fragment = find('a', 'net:net_dev_start_xmit', isFragment);
    const path = checkComplete(fragment.packet);
    expect(path.some(({ kind }) => kind === KIND_MERGE)).toBe(true);
  });

  it('of a UDP datagram that nobody wants', () => {
    const path = checkComplete(find('a', 'net:net_dev_queue', 'udp port 9').packet);
    expect(path.find(({ kind, machine }) => kind === KIND_END && machine === 'b')).toMatchObject({
      name: 'skb:kfree_skb',
    });
  });

  it.each([
    ['SYN', 'a', 'tcp[tcpflags] == tcp-syn and port 80'],
    ['SYN, ACK', 'b', 'tcp[tcpflags] & (tcp-syn|tcp-ack) == (tcp-syn|tcp-ack)'],
    ['RST', 'b', 'tcp[tcpflags] & tcp-rst != 0'],
    ['ACK', 'a', 'tcp[tcpflags] == tcp-ack'],
    ['FIN', 'b', 'tcp[tcpflags] & tcp-fin != 0'],
  ])('of a %s', (_name, machine, filter) => {
    const path = checkComplete(find(machine, 'net:net_dev_start_xmit', filter).packet);
    // One in thirty does not get far.
    const lost = path.some(({ kind }) => kind === KIND_LOST);
    expect(lost || machinesOf(path).includes('r')).toBe(true);
  });

  it('of data, from the write to the read', () => {
    const written = [...steps(recorder, { machine: 'b', name: 'net:net_dev_start_xmit' })].find(
      ({ snapshot }) => (snapshot?.gsoSize ?? 0) > 0,
    );
    const path = checkComplete(written?.packet ?? 0);
    expect(machinesOf(path)).toEqual(['b', 'r', 'a']);
    expect(path.some(({ kind }) => kind === KIND_DERIVE)).toBe(true);
    const names = new Set(path.map(({ name }) => name));
    expect(names).toContain('skb:skb_copy_datagram_iovec');
  });

  it('of a retransmission: of the same parent as what was lost', () => {
    const [again] = steps(recorder, { machine: 'b', name: 'tcp:tcp_retransmit_skb' });
    const family = journey(recorder, again?.packet ?? 0);
    expect(family.some(({ kind }) => kind === KIND_LOST)).toBe(true);
    const sent = [...packetsOf(recorder, ({ parent }) => parent === again?.packet)];
    expect(sent.length).toBeGreaterThan(1);
    for (const { packet } of sent) checkComplete(packet);
  });
});

it('leaves no packet without an end', () => {
  expect(halted).toEqual({});
  expect(recorder.firstSeq).toBe(0);
  expect(recorder.checkEnds()).toEqual([]);
  expect([...steps(recorder, { kinds: [KIND_CROSS] })]).toEqual([]);
});
