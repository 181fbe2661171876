import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  allocFrame,
  freeFrame,
  type WireEnd,
  type WireFrame,
  type WirePort,
} from '#hardware/wire.ts';
import { mem } from '#mm/memory.ts';
import { livePages } from '#mm/page_alloc.ts';
import { Cable } from '#sim/cable.ts';
import type { Impairments } from '#sim/impairments.ts';
import { World } from '#sim/world.ts';

interface Arrival {
  readonly atNs: number;
  readonly bytes: Uint8Array;
  readonly badCrc: boolean;
}

class Port implements WirePort {
  readonly arrivals: Arrival[] = [];
  readonly links: boolean[] = [];
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  receive(frame: WireFrame): void {
    this.arrivals.push({
      atNs: this.world.nowNs,
      bytes: mem.slice(frame.addr, frame.addr + frame.len),
      badCrc: frame.badCrc,
    });
    freeFrame(frame);
  }

  linkChanged(up: boolean): void {
    this.links.push(up);
  }

  /** Numbers of the frames that have arrived, by their first two octets. */
  get numbers(): number[] {
    return this.arrivals.map(({ bytes }) => ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0));
  }
}

interface Bench {
  readonly world: World;
  readonly cable: Cable;
  readonly left: Port;
  readonly right: Port;
  readonly toRight: WireEnd;
  readonly toLeft: WireEnd;
}

function frame(number: number, length = 100): WireFrame {
  const made = allocFrame(length);
  if (made === null) throw new Error('no memory');
  mem.fill(0x55, made.addr, made.addr + length);
  mem[made.addr] = number >> 8;
  mem[made.addr + 1] = number;
  return made;
}

/** Two ports and a cable; afterwards no frame may be left in memory. */
function withCable(
  impairments: Partial<Impairments>,
  run: (bench: Bench) => void,
  seed: number | string = 1,
): void {
  const before = livePages().units;
  const world = new World({ seed });
  const cable = new Cable(world, 'a--b', impairments);
  const left = new Port(world);
  const right = new Port(world);
  const toRight = cable.plug(0, left);
  const toLeft = cable.plug(1, right);
  run({ world, cable, left, right, toRight, toLeft });
  world.halt();
  expect(livePages().units).toBe(before);
}

function sendAll({ world, toRight }: Bench, count: number, gapNs = 0): void {
  for (let n = 0; n < count; n++) {
    toRight.send(frame(n));
    if (gapNs === 0) continue;
    // Something must happen for time to pass.
    world.schedule(world.nowNs + gapNs, () => {});
    world.run({ untilNs: world.nowNs + gapNs });
  }
}

/** Frames that were sent and have arrived neither once nor twice. */
function missing(count: number, port: Port): number[] {
  const seen = new Set(port.numbers);
  return Array.from({ length: count }, (_, n) => n).filter((n) => !seen.has(n));
}

test('a plain cable delivers everything, in order, at once, both ways', () => {
  withCable({}, (bench) => {
    sendAll(bench, 50);
    bench.toLeft.send(frame(7));
    bench.world.run();
    expect(bench.right.numbers).toEqual(Array.from({ length: 50 }, (_, n) => n));
    expect(bench.left.numbers).toEqual([7]);
    expect(bench.right.arrivals[0]?.atNs).toBe(0);
    expect(bench.cable.counters(0)).toMatchObject({ sent: 50, delivered: 50, lost: 0 });
    expect(bench.cable.counters(1)).toMatchObject({ sent: 1, delivered: 1 });
  });
});

test('rate and delay: frames queue for the line and arrive after their last bit', () => {
  withCable({ rateBps: 8_000_000, delayNs: 1_000_000 }, (bench) => {
    sendAll(bench, 3);
    bench.world.run();
    // 124 octets on the wire at one octet a microsecond.
    expect(bench.right.arrivals.map(({ atNs }) => atNs)).toEqual([1_124_000, 1_248_000, 1_372_000]);
  });
});

/** A frame with an IPv4 or IPv6 header that holds a codepoint; the rest stays 0x55. */
function ipFrame(ecn: number, version: 4 | 6, vlan = false): WireFrame {
  const made = frame(0);
  let at = made.addr + 12;
  const put = (...octets: number[]): void => {
    for (const octet of octets) mem[at++] = octet;
  };
  if (vlan) put(0x81, 0, 0, 1);
  if (version === 6) {
    put(0x86, 0xdd, 0x60, (ecn << 4) | 5);
    return made;
  }
  put(8, 0);
  const header = at;
  put(0x45, 0x28 | ecn, 0, 60, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2);
  const check = ~headerSum(mem, header) & 0xffff;
  mem[header + 10] = check >> 8;
  mem[header + 11] = check;
  return made;
}

/** Sum of an IPv4 header: 0xffff when its checksum is right. */
function headerSum(bytes: Uint8Array, at: number): number {
  let sum = 0;
  for (let i = at; i < at + 20; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

test('a mark above so many bytes in the queue, where the packet allows it', () => {
  withCable({ rateBps: 8_000_000, ecnMarkBytes: 250 }, (bench) => {
    for (const ecn of [1, 2, 2, 1, 0, 3]) bench.toRight.send(ipFrame(ecn, 4));
    bench.toRight.send(ipFrame(2, 4, true));
    bench.toRight.send(ipFrame(2, 6));
    bench.toRight.send(frame(7));
    bench.world.run();
    const got = bench.right.arrivals.map(({ bytes }) => bytes);
    expect(got.slice(0, 6).map((bytes) => (bytes[15] ?? 0) & 3)).toEqual([1, 2, 3, 3, 0, 3]);
    for (const bytes of got.slice(0, 6)) expect(headerSum(bytes, 14)).toBe(0xffff);
    expect([(got[6]?.[19] ?? 0) & 3, headerSum(got[6] ?? new Uint8Array(), 18)]).toEqual([
      3, 0xffff,
    ]);
    expect(got[7]?.[15]).toBe(0x35);
    expect(got[8]?.[15]).toBe(0x55);
    expect(bench.cable.counters(0).marked).toBe(4);
  });
});

test('a queue of so many bytes: what does not fit is lost', () => {
  withCable({ rateBps: 8_000_000, queueBytes: 300 }, (bench) => {
    sendAll(bench, 10);
    bench.world.run();
    expect(bench.right.numbers).toEqual([0, 1, 2]);
    expect(bench.cable.counters(0)).toMatchObject({ sent: 10, delivered: 3, overflowed: 7 });
    sendAll(bench, 3);
    bench.world.run();
    expect(bench.right.numbers).toHaveLength(6);
  });
});

test('losses are those of the seed: exactly, and the same again', () => {
  const counts = [1, 2].map(() => {
    let lost: number[] = [];
    withCable({ loss: 0.1 }, (bench) => {
      sendAll(bench, 2000);
      bench.world.run();
      lost = missing(2000, bench.right);
      expect(bench.cable.counters(0)).toMatchObject({ lost: lost.length, sent: 2000 });
      // The line's own stream of chances, five for each frame, of which loss is the first.
      const chance = bench.world.fork('a--b/0');
      const expected: number[] = [];
      for (let n = 0; n < 2000; n++) {
        if (chance.float() < 0.1) expected.push(n);
        for (let i = 0; i < 4; i++) chance.float();
      }
      expect(lost).toEqual(expected);
    });
    return lost;
  });
  expect(counts[0]).toEqual(counts[1]);
  expect(counts[0]?.length).toBe(194);
  withCable(
    { loss: 0.1 },
    (bench) => {
      sendAll(bench, 2000);
      bench.world.run();
      expect(missing(2000, bench.right)).not.toEqual(counts[0]);
    },
    'another seed',
  );
});

test('one impairment does not change the chances of another', () => {
  const lostWith = (impairments: Partial<Impairments>): number[] => {
    let lost: number[] = [];
    withCable({ loss: 0.05, ...impairments }, (bench) => {
      sendAll(bench, 1000, 1000);
      bench.world.run();
      lost = missing(1000, bench.right);
    });
    return lost;
  };
  const alone = lostWith({});
  expect(alone.length).toBeGreaterThan(20);
  expect(lostWith({ duplicate: 0.3 })).toEqual(alone);
  expect(lostWith({ reorder: 0.3, delayNs: 10_000 })).toEqual(alone);
  expect(lostWith({ jitterNs: 5_000 })).toEqual(alone);
});

test('frames that had nothing to fear leave the chances of those after them as they are', () => {
  const lost = (before: Partial<Impairments>): number[] => {
    const found: number[] = [];
    withCable(before, (bench) => {
      sendAll(bench, 10);
      bench.cable.impair({ ...before, loss: 0.3 });
      sendAll(bench, 200);
      bench.world.run();
      found.push(...bench.right.numbers.slice(10));
    });
    return found;
  };
  const calm = lost({});
  expect(calm.length).toBeLessThan(180);
  // A chance that never comes true is drawn all the same.
  expect(lost({ duplicate: 1e-15 })).toEqual(calm);
  expect(lost({ lossPeriod: 1000 })).toEqual(calm);
});

test('the two directions, and two cables, have chances of their own', () => {
  withCable({ loss: 0.2 }, (bench) => {
    for (let n = 0; n < 500; n++) {
      bench.toRight.send(frame(n));
      bench.toLeft.send(frame(n));
    }
    bench.world.run();
    expect(missing(500, bench.left)).not.toEqual(missing(500, bench.right));
  });
});

test('a damaged frame has one bit turned over; the card is told, or not', () => {
  for (const corruptSilently of [true, false]) {
    withCable({ corrupt: 0.3, corruptSilently }, (bench) => {
      sendAll(bench, 300);
      bench.world.run();
      let damaged = 0;
      for (const [n, { bytes, badCrc }] of bench.right.arrivals.entries()) {
        const clean = Uint8Array.from(bytes).fill(0x55);
        clean[0] = n >> 8;
        clean[1] = n;
        const bits = [...bytes].reduce((sum, octet, i) => {
          let different = octet ^ (clean[i] ?? 0);
          let ones = 0;
          for (; different !== 0; different &= different - 1) ones++;
          return sum + ones;
        }, 0);
        expect(bits).toBeLessThanOrEqual(1);
        expect(badCrc).toBe(bits === 1 && !corruptSilently);
        damaged += bits;
      }
      expect(bench.cable.counters(0).corrupted).toBe(damaged);
      expect(damaged).toBeGreaterThan(60);
    });
  }
});

test('a duplicate is the same frame again; a reordered one overtakes', () => {
  withCable({ duplicate: 0.2 }, (bench) => {
    sendAll(bench, 200);
    bench.world.run();
    const { duplicated, delivered } = bench.cable.counters(0);
    expect(delivered).toBe(200 + duplicated);
    expect(new Set(bench.right.numbers).size).toBe(200);
    expect(duplicated).toBeGreaterThan(20);
  });
  withCable({ reorder: 0.1, delayNs: 50_000 }, (bench) => {
    sendAll(bench, 200, 10_000);
    bench.world.run();
    const { numbers } = bench.right;
    const overtakers = numbers.filter((number, i) =>
      numbers.slice(i).some((later) => later < number),
    );
    expect(overtakers).toHaveLength(bench.cable.counters(0).reordered);
    expect(overtakers.length).toBeGreaterThan(5);
  });
});

test('jitter varies the delay within its bounds and keeps the order', () => {
  withCable({ delayNs: 10_000, jitterNs: 4_000 }, (bench) => {
    sendAll(bench, 200, 20_000);
    bench.world.run();
    const delays = bench.right.arrivals.map(({ atNs }, n) => atNs - n * 20_000);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(10_000);
    expect(Math.max(...delays)).toBeLessThan(14_000);
    expect(new Set(delays).size).toBeGreaterThan(100);
  });
  withCable({ jitterNs: 1_000_000 }, (bench) => {
    sendAll(bench, 200, 10);
    bench.world.run();
    expect(bench.right.numbers).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });
});

test('ports hear of plugs, cuts and lights, each once', () => {
  withCable({}, ({ world, cable, left, right, toRight }) => {
    expect([left.links, right.links]).toEqual([[true], [true]]);
    expect(toRight.up).toBe(true);
    cable.setConnected(false);
    cable.setConnected(false);
    expect(left.links).toEqual([true, false]);
    cable.setConnected(true);
    toRight.light(false);
    expect(right.links, 'not before the world gets there').toEqual([true, false, true]);
    world.run();
    expect(right.links).toEqual([true, false, true, false]);
    expect(toRight.up, 'the right end still shines').toBe(true);
    toRight.light(true);
    world.run();
    expect(right.links.at(-1)).toBe(true);
    expect(left.links).toEqual([true, false, true]);
    cable.unplug(1);
    expect(toRight.up).toBe(false);
    expect(left.links.at(-1)).toBe(false);
  });
});

test('a cable is cut by its method alone: what is under way and the light must hear of it', () => {
  withCable({}, ({ cable }) => {
    expect(() => Object.assign(cable, { connected: false })).toThrow(TypeError);
    expect(cable.connected).toBe(true);
    cable.setConnected(false);
    expect(cable.connected).toBe(false);
  });
});

test('frames under way are lost when the cable is cut or unplugged', () => {
  withCable({ delayNs: 1000 }, ({ world, cable, right, toRight }) => {
    toRight.send(frame(1));
    cable.setConnected(false);
    toRight.send(frame(2));
    cable.setConnected(true);
    toRight.send(frame(3));
    world.run();
    expect(right.numbers).toEqual([3]);
    toRight.send(frame(4));
    cable.unplug(1);
    world.run();
    expect(cable.counters(0)).toMatchObject({ sent: 4, delivered: 1, unplugged: 3 });
  });
});

test('every frame is accounted for, and none stays in memory', () => {
  const chance = fc.double({ min: 0, max: 0.5, noNaN: true });
  const impairments = fc.record({
    rateBps: fc.constantFrom(0, 10_000_000),
    delayNs: fc.integer({ min: 0, max: 100_000 }),
    jitterNs: fc.integer({ min: 0, max: 100_000 }),
    loss: chance,
    duplicate: chance,
    reorder: chance,
    corrupt: chance,
    queueBytes: fc.constantFrom(0, 1000),
  });
  fc.assert(
    fc.property(impairments, fc.integer(), fc.boolean(), (given, seed, cutEarly) => {
      withCable(
        given,
        (bench) => {
          sendAll(bench, 100, 7_000);
          if (cutEarly) bench.cable.setConnected(false);
          bench.world.run();
          const c = bench.cable.counters(0);
          expect(c.sent + c.duplicated).toBe(c.delivered + c.lost + c.overflowed + c.unplugged);
          expect(bench.right.arrivals).toHaveLength(c.delivered);
        },
        seed,
      );
    }),
    { numRuns: 100, seed: 3 },
  );
});

/** Takes what arrives together as one. */
class BurstPort extends Port {
  readonly bursts: number[] = [];

  receiveBurst(first: WireFrame): void {
    let count = 0;
    for (let frame: WireFrame | null = first; frame !== null; ) {
      const { next }: WireFrame = frame;
      this.receive(frame);
      count++;
      frame = next;
    }
    this.bursts.push(count);
  }
}

/** Frames linked as a burst. */
function burst(numbers: readonly number[]): WireFrame {
  const frames = numbers.map((n) => frame(n));
  frames.forEach((one, i) => {
    one.next = frames[i + 1] ?? null;
  });
  return frames[0] as WireFrame;
}

test('a burst is one event and arrives as one, where its frames arrive in one instant', () => {
  withCable({ delayNs: 1000 }, ({ world, cable, right, toRight }) => {
    const port = new BurstPort(world);
    cable.unplug(1);
    cable.plug(1, port);
    world.run();
    const before = world.eventCount;
    toRight.sendBurst?.(burst([1, 2, 3, 4]));
    toRight.send(frame(5));
    world.run();
    expect(world.eventCount - before).toBe(2);
    expect(port.bursts).toEqual([4]);
    expect(port.numbers).toEqual([1, 2, 3, 4, 5]);
    expect(port.arrivals.every(({ atNs }) => atNs === 1000)).toBe(true);
    expect(right.arrivals).toEqual([]);
    // A line that takes time keeps them apart.
    cable.impair({ rateBps: 8_000_000 });
    toRight.sendBurst?.(burst([6, 7]));
    world.run();
    expect(port.bursts).toEqual([4]);
    expect(port.arrivals.slice(5).map(({ atNs }) => atNs)).toEqual([126_000, 250_000]);
  });
});

test('a burst that is under way when the cable is cut is lost as a whole', () => {
  withCable({ delayNs: 1000 }, ({ world, cable, right, toRight }) => {
    toRight.sendBurst?.(burst([1, 2, 3]));
    cable.setConnected(false);
    cable.setConnected(true);
    toRight.sendBurst?.(burst([4, 5]));
    cable.unplug(1);
    world.run();
    expect(right.arrivals).toEqual([]);
    expect(cable.counters(0)).toMatchObject({ sent: 5, delivered: 0, unplugged: 5 });
  });
});

test('a burst meets the same chances and times as frames that are sent one by one', () => {
  const chance = fc.double({ min: 0, max: 0.5, noNaN: true });
  const impairments = fc.record({
    rateBps: fc.constantFrom(0, 10_000_000),
    delayNs: fc.integer({ min: 0, max: 100_000 }),
    jitterNs: fc.constantFrom(0, 0, 3, 100_000),
    loss: chance,
    duplicate: chance,
    reorder: chance,
    corrupt: chance,
    queueBytes: fc.constantFrom(0, 1000),
  });
  const numbers = Array.from({ length: 20 }, (_, n) => n);
  const arrivals = (given: Partial<Impairments>, seed: number, how: string): Arrival[] => {
    const seen: Arrival[] = [];
    withCable(
      given,
      ({ world, cable, right, toRight }) => {
        const port = how === 'together' ? new BurstPort(world) : right;
        cable.unplug(1);
        cable.plug(1, port);
        for (let round = 0; round < 3; round++) {
          if (how === 'single') for (const n of numbers) toRight.send(frame(n));
          else toRight.sendBurst?.(burst(numbers));
          world.run();
        }
        seen.push(...port.arrivals);
      },
      seed,
    );
    return seen;
  };
  fc.assert(
    fc.property(impairments, fc.integer(), (given, seed) => {
      const single = arrivals(given, seed, 'single');
      expect(arrivals(given, seed, 'burst')).toEqual(single);
      expect(arrivals(given, seed, 'together')).toEqual(single);
    }),
    { numRuns: 100, seed: 4 },
  );
});

test('a world that halts in the middle leaves no frame behind', () => {
  withCable({ delayNs: 1_000_000 }, (bench) => {
    sendAll(bench, 20, 1000);
  });
});

test('impairments that make no sense are refused, by name', () => {
  const world = new World({ seed: 1 });
  expect(() => new Cable(world, 'x', { loss: 1.5 })).toThrow('loss must be');
  expect(() => new Cable(world, 'x', { delayNs: -1 })).toThrow('delayNs must be');
  const cable = new Cable(world, 'x');
  expect(() => cable.impair({ duplicate: Number.NaN })).toThrow('duplicate must be');
});

test('impairments change for the frames that follow, in one direction or both', () => {
  withCable({}, ({ world, cable, left, right, toRight, toLeft }) => {
    cable.impair({ loss: 1 }, 0);
    toRight.send(frame(1));
    toLeft.send(frame(2));
    cable.impair({ loss: 0 });
    toRight.send(frame(3));
    world.run();
    expect([right.numbers, left.numbers]).toEqual([[3], [2]]);
  });
});

test('a period loses every nth frame, whatever chance says', () => {
  withCable({ lossPeriod: 7 }, (bench) => {
    sendAll(bench, 50);
    bench.world.run();
    expect(missing(50, bench.right)).toEqual([6, 13, 20, 27, 34, 41, 48]);
  });
});

test('a name given anew brings the chances of that name, whatever has passed', () => {
  const lostAfter = (before: number): number[] => {
    let lost: number[] = [];
    withCable({}, (bench) => {
      sendAll(bench, before);
      bench.world.run();
      bench.cable.impair({ loss: 0.1 });
      bench.cable.reseed('again');
      const had = bench.right.numbers.length;
      sendAll(bench, 300);
      bench.world.run();
      const came = new Set(bench.right.numbers.slice(had));
      lost = Array.from({ length: 300 }, (_, n) => n).filter((n) => !came.has(n));
    });
    return lost;
  };
  expect(lostAfter(3).length).toBeGreaterThan(10);
  expect(lostAfter(200)).toEqual(lostAfter(3));
});

test('what is left of a plug that was pulled does not switch off the next one', () => {
  withCable({ delayNs: 1_000_000 }, ({ world, cable, left, right, toRight }) => {
    world.run();
    toRight.light(false);
    cable.unplug(0);
    const next = cable.plug(0, left);
    world.run();
    expect(world.nowNs).toBe(1_000_000);
    expect([left.links.at(-1), right.links.at(-1)]).toEqual([true, true]);
    // Its own light counts.
    next.light(false);
    world.run();
    expect(right.links.at(-1)).toBe(false);
  });
});
