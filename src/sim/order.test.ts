import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WireEnd, WireFrame, WirePort } from '#hardware/wire.ts';
import { allocFrame, freeFrame } from '#hardware/wire.ts';
import { Cable } from '#sim/cable.ts';
import type { Impairments } from '#sim/impairments.ts';
import { combinePrints } from '#sim/place.ts';
import { EVENT_CALL, type OrderKey, World } from '#sim/world.ts';

let world: World;
let log: string[];

beforeEach(() => {
  world = new World({ seed: 1 });
  log = [];
});

afterEach(() => {
  expect(world.halt()).toEqual({});
});

/** Something that happens: it is noted, and does what is given. */
function at(timeNs: number, what: string, place: number, then: () => void = () => {}): void {
  const happen = (): void => {
    log.push(what);
    then();
  };
  world.at(timeNs, EVENT_CALL, happen, null, null, world.places[place]);
}

describe('the order of events of one time', () => {
  beforeEach(() => {
    for (const name of ['a', 'b', 'c']) world.bootElsewhere(name);
  });

  it('is that of the places which scheduled them in the same instant, and theirs within one', () => {
    at(10, 'c1', 3);
    at(10, 'a1', 1);
    at(10, 'b1', 2);
    at(10, 'a2', 1);
    world.run();
    expect(log).toEqual(['a1', 'a2', 'b1', 'c1']);
  });

  it('is that of the instants in which they were scheduled, before the places', () => {
    at(1, 'c', 3, () => at(10, 'c at 1', 3));
    at(2, 'a', 1, () => at(10, 'a at 2', 1));
    world.run();
    expect(log).toEqual(['c', 'a', 'c at 1', 'a at 2']);
  });

  it('puts what is scheduled for now after all that was due, as in a queue', () => {
    at(10, 'a', 1, () => {
      at(10, 'a now', 1, () => at(10, 'a still', 1));
    });
    at(10, 'b', 2, () => at(10, 'b now', 2));
    at(1, 'early', 3, () => at(10, 'c', 3));
    world.run();
    expect(log).toEqual(['early', 'a', 'b', 'c', 'a now', 'b now', 'a still']);
  });

  it('has a place for what comes from another thread', () => {
    const key = (bornNs: number, rank: number, rootSeq: number): OrderKey => {
      return { timeNs: 10, generation: 0, bornNs, rank, rootSeq };
    };
    const stage = world.places[1];
    if (stage === undefined) throw new Error('no place');
    const note = (what: string) => (): void => {
      log.push(what);
    };
    at(5, 'b', 2, () => at(10, 'b at 5', 2));
    world.atFromElsewhere(key(5, 3, 70), EVENT_CALL, note('c at 5, 70'), null, null, stage);
    world.atFromElsewhere(key(5, 3, 60), EVENT_CALL, note('c at 5, 60'), null, null, stage);
    world.atFromElsewhere(key(5, 1, 80), EVENT_CALL, note('a at 5'), null, null, stage);
    world.atFromElsewhere(key(4, 3, 90), EVENT_CALL, note('c at 4'), null, null, stage);
    world.run();
    expect(log).toEqual(['b', 'c at 4', 'a at 5', 'b at 5', 'c at 5, 60', 'c at 5, 70']);
    const late = (): unknown =>
      world.atFromElsewhere(key(4, 3, 91), EVENT_CALL, note('late'), null, null, stage);
    expect(late).toThrow('too late');
  });

  it('goes into the fingerprint of the place where it happens', () => {
    const before = world.fingerprint.prints();
    at(10, 'b', 2);
    world.run();
    const after = world.fingerprint.prints();
    expect(after.map(({ digest }, i) => digest !== before[i]?.digest)).toEqual([
      false,
      false,
      true,
      false,
    ]);
    expect(combinePrints(1, [...after].reverse())).toBe(world.fingerprint.digest());
    expect(combinePrints(2, after)).not.toBe(world.fingerprint.digest());
  });
});

class Port implements WirePort {
  readonly links: [timeNs: number, up: boolean][] = [];
  frames = 0;

  receive(frame: WireFrame): void {
    this.frames++;
    freeFrame(frame);
  }

  linkChanged(up: boolean): void {
    this.links.push([world.nowNs, up]);
  }
}

describe('a cable with an end in another thread', () => {
  /** A cable of which the far half is another cable of the same world, joined by hand. */
  function halves(impairments: Partial<Impairments>): {
    near: Cable;
    port: Port;
    end: WireEnd;
    sent: OrderKey[];
    joined: boolean[];
    lights: [boolean, OrderKey][];
  } {
    const near = new Cable(world, 'x', { delayNs: 1000, ...impairments });
    const port = new Port();
    const sent: OrderKey[] = [];
    const joined: boolean[] = [];
    const lights: [boolean, OrderKey][] = [];
    const end = near.plug(0, port);
    near.plugElsewhere(1, world.bootElsewhere('far'), {
      frame: (_frame, key, joins) => {
        sent.push(key);
        joined.push(joins);
      },
      light: (on, key) => {
        lights.push([on, key]);
      },
    });
    return { near, port, end, sent, joined, lights };
  }

  function frame(): WireFrame {
    const made = allocFrame(64);
    if (made === null) throw new Error('no memory');
    return made;
  }

  it('hands frames and light over with their time and order, and takes them', () => {
    const { near, port, end, sent, lights } = halves({});
    expect(port.links).toEqual([[0, true]]);
    world.schedule(500, () => {
      end.send(frame());
      end.send(frame());
      end.light(false);
    });
    world.run();
    expect(sent.map(({ timeNs, bornNs }) => [timeNs, bornNs])).toEqual([
      [1500, 500],
      [1500, 500],
    ]);
    expect(sent[0]?.rootSeq).toBeLessThan(sent[1]?.rootSeq ?? 0);
    expect(lights.map(([on, { timeNs }]) => [on, timeNs])).toEqual([[false, 1500]]);
    const key = { timeNs: 2000, generation: 0, bornNs: 700, rank: 1, rootSeq: 5 };
    near.land(1, frame(), key);
    near.landLight(1, false, { ...key, timeNs: 3000, rootSeq: 6 });
    world.run();
    expect(port.frames).toBe(1);
    expect(port.links).toEqual([
      [0, true],
      [3000, false],
    ]);
    expect(end.up).toBe(false);
  });

  it('hands a burst over as what arrives with one key, and takes it so', () => {
    const { near, port, end, sent, joined } = halves({});
    world.schedule(500, () => {
      const [first, second] = [frame(), frame()];
      first.next = second;
      end.sendBurst?.(first);
      end.send(frame());
    });
    world.run();
    expect(joined).toEqual([false, true, false]);
    expect(sent[1]).toEqual(sent[0]);
    expect(sent[2]?.rootSeq).toBeGreaterThan(sent[1]?.rootSeq ?? 0);
    const key = { timeNs: 2000, generation: 0, bornNs: 700, rank: 1, rootSeq: 5 };
    const before = world.eventCount;
    near.land(1, frame(), key);
    near.land(1, frame(), key, true);
    near.land(1, frame(), { ...key, rootSeq: 6 });
    world.run();
    expect(port.frames).toBe(3);
    expect(world.eventCount - before).toBe(2);
  });

  it('loses and doubles frames before they are handed over', () => {
    const lossy = halves({ loss: 1 });
    lossy.end.send(frame());
    expect(lossy.sent).toEqual([]);
  });

  it('cannot be cut nor made faster, but slower', () => {
    const { near } = halves({});
    expect(() => near.setConnected(false)).toThrow(RangeError);
    expect(() => near.impair({ delayNs: 999 })).toThrow(RangeError);
    expect(() => near.impair({ reorder: 0.1 })).toThrow(RangeError);
    near.impair({ delayNs: 1001, loss: 0.5 });
    expect(near.impairmentsOf(0).delayNs).toBe(1001);
  });
});

it('lets light take as long as frames do', () => {
  const cable = new Cable(world, 'x', { delayNs: 1000 });
  const [left, right] = [new Port(), new Port()];
  const end = cable.plug(0, left);
  cable.plug(1, right);
  world.schedule(500, () => end.light(false));
  world.run();
  expect(right.links).toEqual([
    [0, true],
    [1500, false],
  ]);
  expect(left.links).toEqual([[0, true]]);
});
