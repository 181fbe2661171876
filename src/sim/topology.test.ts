import { describe, expect, it } from 'vitest';
import { parseTopology, TopologyError } from '#sim/topology.ts';
import { parseProbability, parseRateBps, parseSizeBytes, parseTimeNs } from '#sim/units.ts';

const NODES = { a: {}, b: { cpus: 2, exec: ['ip addr'], sysctls: { 'net.ipv4.ip_forward': 1 } } };

function topology(extra: object): unknown {
  return { name: 'x', topology: { nodes: NODES, ...extra } };
}

describe('units', () => {
  it('reads what tc(8) reads', () => {
    expect(parseTimeNs('10ms')).toBe(10_000_000);
    expect(parseTimeNs('1.5s')).toBe(1_500_000_000);
    expect(parseRateBps('100mbit')).toBe(100_000_000);
    expect(parseRateBps('1mbps')).toBe(8_000_000);
    expect(parseSizeBytes('64kb')).toBe(65536);
    expect(parseProbability('1%')).toBeCloseTo(0.01, 12);
    expect(parseProbability('0.25')).toBe(0.25);
  });

  it.each(['', '10', 'ms', '-1ms', '10 parsecs', '1e3ms'])('refuses the time %j', (text) => {
    expect(() => parseTimeNs(text)).toThrow(RangeError);
  });

  it.each(['101%', '2', 'often', '-1%'])('refuses the probability %j', (text) => {
    expect(() => parseProbability(text)).toThrow(RangeError);
  });
});

describe('topologies', () => {
  it('reads nodes, links and impairments', () => {
    const spec = parseTopology(
      topology({
        links: [
          { endpoints: ['a:eth1', 'b:eth1'], impairments: { delay: '5ms', loss: '1%' }, mtu: 9000 },
        ],
      }),
    );
    expect(spec.nodes[1]).toMatchObject({ name: 'b', cpus: 2, exec: ['ip addr'] });
    expect(spec.nodes[1]?.sysctls).toEqual([['net.ipv4.ip_forward', '1']]);
    expect(spec.links[0]?.impairments).toMatchObject({
      delayNs: 5e6,
      loss: 0.01,
      corruptSilently: true,
    });
    expect(spec.links[0]?.mtu).toBe(9000);
  });

  it('reads the cards at the ends of a link', () => {
    const endpoints = ['a:eth1', 'b:eth1'];
    const spec = (extra: object): object =>
      parseTopology(topology({ links: [{ endpoints, ...extra }] })).links[0] ?? {};
    expect(spec({})).toMatchObject({ type: 'e1000', queues: 0 });
    expect(spec({ type: 'igb' })).toMatchObject({ type: 'igb', queues: 0 });
    expect(spec({ type: 'igb', queues: 8, mtu: 9216 })).toMatchObject({ queues: 8, mtu: 9216 });
    for (const [key, bad] of [
      ['type', { type: 'ne2000' }],
      ['type', { type: 5 }],
      ['queues', { queues: 2 }],
      ['queues', { type: 'igb', queues: 9 }],
      ['queues', { type: 'igb', queues: '4' }],
      ['mtu', { type: 'igb', mtu: 16110 }],
    ] as const) {
      expect(() => spec(bad), JSON.stringify(bad)).toThrow(`topology.links[0].${key}: must be`);
    }
  });

  it.each<[string, unknown, string]>([
    ['no topology', {}, 'topology'],
    ['not a mapping', 'text', 'file'],
    ['no nodes', { topology: { nodes: {} } }, 'topology.nodes'],
    ['an unknown key', { topology: { nodes: { a: { cpu: 1 } } } }, 'topology.nodes.a.cpu'],
    ['too many cpus', { topology: { nodes: { a: { cpus: 65 } } } }, 'topology.nodes.a.cpus'],
    ['another kind', { topology: { nodes: { a: { kind: 'srl' } } } }, 'topology.nodes.a.kind'],
    [
      'a command that is none',
      { topology: { nodes: { a: { exec: [1] } } } },
      'topology.nodes.a.exec[0]',
    ],
    ['one end', topology({ links: [{ endpoints: ['a:eth1'] }] }), 'topology.links[0].endpoints'],
    [
      'no such machine',
      topology({ links: [{ endpoints: ['a:eth1', 'c:eth1'] }] }),
      'topology.links[0].endpoints[1]',
    ],
    [
      'a bad name',
      topology({ links: [{ endpoints: ['a:', 'b:eth1'] }] }),
      'topology.links[0].endpoints[0]',
    ],
    [
      'a port used twice',
      topology({ links: [{ endpoints: ['a:eth1', 'a:eth1'] }] }),
      'topology.links[0].endpoints[1]',
    ],
    [
      'a bad delay',
      topology({ links: [{ endpoints: ['a:e', 'b:e'], impairments: { delay: 5 } }] }),
      'topology.links[0].impairments.delay',
    ],
    [
      'a bad mtu',
      topology({ links: [{ endpoints: ['a:e', 'b:e'], mtu: 20 }] }),
      'topology.links[0].mtu',
    ],
  ])('refuses %s and says where', (_name, value, where) => {
    try {
      parseTopology(value);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(TopologyError);
      expect((error as TopologyError).where).toBe(where);
    }
  });
});

describe('names of addresses', () => {
  it('are for all machines', () => {
    const { hosts } = parseTopology(topology({ hosts: { a: '10.0.0.1', 'www.b': '10.0.0.2' } }));
    expect(hosts).toEqual({ a: '10.0.0.1', 'www.b': '10.0.0.2' });
    expect(parseTopology(topology({})).hosts).toEqual({});
  });

  it.each([
    [['a'], 'topology.hosts: must be a mapping, not a list'],
    [{ a: '10.0.0.256' }, "topology.hosts.a: must be an address like 10.0.0.1, not '10.0.0.256'"],
    [{ a: 1 }, "topology.hosts.a: must be an address like 10.0.0.1, not '1'"],
    [{ 'a b': '10.0.0.1' }, "topology.hosts: 'a b' is no name for a host"],
  ])('%j are none', (hosts, message) => {
    expect(() => parseTopology(topology({ hosts }))).toThrow(message);
  });
});
