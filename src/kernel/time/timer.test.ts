import { describe, expect, it } from 'vitest';
import { TraceEvents } from '#include/trace/events/events.ts';
import { Machine, type MachineHost, runTimers } from '#kernel/machine.ts';
import {
  HRTIMER_NORESTART,
  HRTIMER_RESTART,
  Hrtimer,
  hrtimerCancel,
  hrtimerForward,
  hrtimerStart,
} from '#kernel/time/hrtimer.ts';
import { modTimer, TimerList, timerDelete, timerPending, timerReduce } from '#kernel/time/timer.ts';
import { Prandom } from '#lib/prandom.ts';

const HOST: MachineHost = { readClock: () => 0, kick: () => {}, timerChanged: () => {} };

function machine(): Machine {
  return new Machine({ name: 'm', host: HOST, seed: 1, bootEpochSec: 0, trace: new TraceEvents() });
}

/** Lets the machine's time run, stopping at each expiry, as a world does. */
function runTo(m: Machine, ns: number): void {
  for (let next = m.nextExpiry(); next <= ns; next = m.nextExpiry()) {
    m.enter(next);
    runTimers(m);
  }
  m.enter(ns);
}

describe('timer wheel', () => {
  it('fires at the exact jiffy, near and far', () => {
    const m = machine();
    const fired: [string, number][] = [];
    for (const delay of [1, 63, 64, 65, 4095, 4096, 262_144, 16_777_216, 1_100_000_000]) {
      modTimer(
        new TimerList(m, String(delay), (name) => fired.push([name, m.tick])),
        m.jiffies + delay,
      );
    }
    runTo(m, 2e15);
    expect(fired.map(([name, tick]) => [Number(name), tick])).toEqual(
      [1, 63, 64, 65, 4095, 4096, 262_144, 16_777_216, 1_100_000_000].map((d) => [d, d]),
    );
    expect(m.live.timers).toBe(0);
  });

  it('fires timers of one jiffy in the order of arming, whatever way they took', () => {
    const m = machine();
    const fired: string[] = [];
    const timer = (name: string): TimerList<string> => new TimerList(m, name, (n) => fired.push(n));
    modTimer(timer('far'), m.jiffies + 5000);
    runTo(m, 4990e6);
    modTimer(timer('near'), m.jiffies + 10);
    runTo(m, 5000e6);
    expect(fired).toEqual(['far', 'near']);
  });

  it('takes an expiry in the past for the next tick', () => {
    const m = machine();
    m.enter(10.5e6);
    let tick = 0;
    modTimer(
      new TimerList(m, null, () => {
        tick = m.tick;
      }),
      m.jiffies - 5,
    );
    runTo(m, 20e6);
    expect(tick).toBe(11);
  });

  it('takes the present jiffy for the next tick, also beside other timers', () => {
    const m = machine();
    const fired: number[] = [];
    modTimer(new TimerList(m, null, () => {}), m.jiffies + 1000);
    m.enter(10.5e6);
    modTimer(new TimerList(m, null, () => fired.push(m.tick)), m.jiffies);
    runTo(m, 20e6);
    expect(fired).toEqual([11]);
  });

  it('says whether the timer was pending, and only reduces with timer_reduce', () => {
    const m = machine();
    const t = new TimerList(m, null, () => {});
    expect(modTimer(t, m.jiffies + 10)).toBe(false);
    expect(modTimer(t, m.jiffies + 20)).toBe(true);
    expect(timerReduce(t, m.jiffies + 30)).toBe(true);
    expect(m.nextExpiry()).toBe(20e6);
    timerReduce(t, m.jiffies + 5);
    expect(m.nextExpiry()).toBe(5e6);
    expect(timerDelete(t)).toBe(true);
    expect(timerDelete(t)).toBe(false);
    expect(timerPending(t)).toBe(false);
    expect(m.nextExpiry()).toBe(Number.POSITIVE_INFINITY);
  });

  it('counts a timer that goes to and fro as the last one armed', () => {
    const m = machine();
    const fired: string[] = [];
    const timer = (name: string): TimerList<string> => new TimerList(m, name, (n) => fired.push(n));
    const [first, second] = [timer('first'), timer('second')];
    modTimer(first, m.jiffies + 10);
    modTimer(second, m.jiffies + 10);
    modTimer(first, m.jiffies + 20);
    modTimer(first, m.jiffies + 10);
    expect(m.nextExpiry()).toBe(10e6);
    runTo(m, 10e6);
    expect(fired).toEqual(['second', 'first']);
  });

  it('agrees with a plain list over a hundred thousand random steps', () => {
    const m = machine();
    const random = new Prandom('timers');
    const due = new Map<number, number>();
    const armed = new Map<number, number>();
    let last = { tick: -1, armed: -1 };
    const timers = Array.from(
      { length: 100 },
      (_, i) =>
        new TimerList(m, i, (owner) => {
          expect(due.get(owner)).toBe(m.tick);
          due.delete(owner);
          const order = armed.get(owner) ?? -1;
          if (last.tick === m.tick) expect(order).toBeGreaterThan(last.armed);
          last = { tick: m.tick, armed: order };
        }),
    );
    const reaches = [5, 100, 5000, 300_000, 20_000_000, 1_100_000_000];
    for (let step = 0; step < 100_000; step++) {
      const i = random.below(timers.length);
      const t = timers[i] as TimerList<number>;
      if (random.below(3) < 2) {
        const delay = 1 + random.below(reaches[random.below(reaches.length)] as number);
        modTimer(t, m.jiffies + delay);
        if (due.get(i) !== m.tick + delay) armed.set(i, step);
        due.set(i, m.tick + delay);
      } else if (timerDelete(t) !== due.delete(i)) {
        expect.unreachable('timer_delete disagrees');
      }
      if (random.below(4) !== 0) continue;
      const next = Math.min(...due.values()) * 1e6;
      if (m.nextExpiry() !== next) expect(m.nextExpiry()).toBe(next);
      if (random.below(3) > 0 && next < Number.POSITIVE_INFINITY) runTo(m, next);
    }
    expect(m.live.timers).toBe(due.size);
  });
});

describe('hrtimers', () => {
  it('fire in order of (time, arming) and before the wheel of the same moment', () => {
    const m = machine();
    const fired: string[] = [];
    const hr = (name: string): Hrtimer<string> =>
      new Hrtimer(m, name, (n) => {
        fired.push(n);
        return HRTIMER_NORESTART;
      });
    modTimer(new TimerList(m, 'wheel', (n) => fired.push(n)), m.jiffies + 1);
    hrtimerStart(hr('b'), 1e6);
    hrtimerStart(hr('c'), 1e6);
    hrtimerStart(hr('a'), 500);
    const cancelled = hr('never');
    hrtimerStart(cancelled, 100);
    expect(hrtimerCancel(cancelled)).toBe(true);
    runTo(m, 2e6);
    expect(fired).toEqual(['a', 'b', 'c', 'wheel']);
    expect(m.live.timers).toBe(0);
  });

  it('go on by whole intervals when they ask for it', () => {
    const m = machine();
    const times: number[] = [];
    const t: Hrtimer<null> = new Hrtimer(m, null, () => {
      times.push(m.nowNs);
      if (times.length === 3) return HRTIMER_NORESTART;
      hrtimerForward(t, m.nowNs, 1000);
      return HRTIMER_RESTART;
    });
    hrtimerStart(t, 1000);
    runTo(m, 1e6);
    expect(times).toEqual([1000, 2000, 3000]);
  });
});
