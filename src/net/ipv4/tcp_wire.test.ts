import { describe, expect, it } from 'vitest';
import { type LineOptions, TcpWire } from '#net/ipv4/testing/tcp_wire.ts';
import { LINUX_MIB_TCPSPURIOUSRTOS, LINUX_MIB_TCPTIMEOUTS } from '#uapi/snmp.ts';

function transfer(options: LineOptions, size: number, limitMs: number): TcpWire {
  const wire = new TcpWire(options);
  wire.transfer(size, limitMs);
  expect(wire.a.end()).toEqual({});
  expect(wire.b.end()).toEqual({});
  return wire;
}

describe('two machines', () => {
  it('exchange bytes over a clean line without one retransmission or timeout', () => {
    const wire = transfer({ seed: 1, delayMs: 10 }, 500_000, 10_000);
    for (const rig of [wire.a, wire.b]) {
      expect(rig.machine.initNet.mib.tcpStatistics[12]).toBe(0);
      expect(rig.mib(LINUX_MIB_TCPTIMEOUTS)).toBe(0);
    }
  });

  it('exchange bytes over a line that only reorders', () => {
    transfer({ seed: 2, delayMs: 10, reorder: 0.05 }, 300_000, 60_000);
  });

  for (let seed = 10; seed < 30; seed++) {
    it(`exchange every byte through loss, reordering, duplication and damage, seed ${seed}`, () => {
      const wire = transfer(
        { seed, delayMs: 5, loss: 0.05, reorder: 0.02, duplicate: 0.02, corrupt: 0.01 },
        60_000,
        600_000,
      );
      expect(wire.lost).toBeGreaterThan(0);
    });
  }

  it('get through a line that loses a third', () => {
    transfer({ seed: 99, delayMs: 5, loss: 0.33 }, 20_000, 3_600_000);
  });

  it('agree on segments that fit a small MTU', () => {
    transfer({ seed: 3, delayMs: 1, mtu: 576, loss: 0.01 }, 50_000, 600_000);
  });

  it('do the same with the same seed', () => {
    const counts = [0, 1].map(() => {
      const wire = new TcpWire({ seed: 7, delayMs: 5, loss: 0.05, reorder: 0.05 });
      const took = wire.transfer(50_000, 600_000);
      wire.a.end();
      wire.b.end();
      return [took, wire.packets, wire.lost, wire.a.mib(LINUX_MIB_TCPSPURIOUSRTOS)];
    });
    expect(counts[0]).toEqual(counts[1]);
  });
});
