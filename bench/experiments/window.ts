/**
 * The average window against the chance of loss: Reno's 1.22 / sqrt(p) (Mathis et al. 1997, RFC 3819)
 * and CUBIC's 1.054 RTT^0.75 / p^0.75 where it is not held up by Reno's (RFC 9438, 5.1, for the
 * model that every 1/p-th packet is lost).
 */
import { type Check, type Experiment, near, type Outcome, round } from './experiment.ts';
import { runFlow } from './flow.ts';

interface Point {
  readonly rttMs: number;
  /** Every so manieth packet is lost, or each by the chance of one in so many. */
  readonly every: number;
  readonly byChance: boolean;
  /** Losses to see after those of the beginning. */
  readonly losses: number;
}

interface Measured extends Point {
  readonly p: number;
  /** Average congestion window, segments. */
  readonly window: number;
  /** Segments delivered in a round trip. */
  readonly delivered: number;
  readonly lost: number;
}

/** Part of a run that does not count: slow start and what follows from it. */
const BEGINNING = 0.2;

async function measure(
  congestionControl: string,
  point: Point,
  expected: number,
): Promise<Measured> {
  const rtt = point.rttMs / 1e3;
  const seconds = ((point.losses * point.every) / expected) * rtt * (1 + BEGINNING);
  let sum = 0;
  let samples = 0;
  let first = -1;
  let last = 0;
  let from = 0;
  let to = 0;
  const { lost } = await runFlow({
    seed: 1,
    seconds,
    congestionControl,
    rttMs: point.rttMs,
    dataImpairments: point.byChance ? { loss: 1 / point.every } : { lossPeriod: point.every },
    // Slow start on a line without a queue would end far above, at the first loss.
    exec:
      congestionControl === 'cubic'
        ? [`echo ${Math.round(expected)} > /sys/module/tcp_cubic/parameters/initial_ssthresh`]
        : [],
    sampleMs: point.rttMs / 4,
    sample: (sk, now) => {
      if (now < seconds * BEGINNING) return;
      if (first < 0) {
        first = sk.delivered;
        from = now;
      }
      last = sk.delivered;
      to = now;
      sum += sk.sndCwnd;
      samples++;
    },
  });
  return {
    ...point,
    p: 1 / point.every,
    window: round(sum / samples),
    delivered: round(((last - first) * rtt) / (to - from)),
    lost,
  };
}

/**
 * Windows count whole segments, so that the flat top of CUBIC's curve is a second or more wide. Below this
 * that is a good part of the time between two losses, and the formula, which knows fractions, is too low.
 */
const LEAST_WINDOW = 180;

const renoWindow = (p: number): number => 1.22 / Math.sqrt(p);
const cubicWindow = (p: number, rttMs: number): number =>
  (1.054 * (rttMs / 1e3) ** 0.75) / p ** 0.75;

const curve = (of: (p: number) => number, from: number, to: number): [number, number][] =>
  Array.from({ length: 33 }, (_, i) => {
    const p = from * (to / from) ** (i / 32);
    return [p, of(p)];
  });

const dots = (points: readonly Measured[]): [number, number][] =>
  points.map(({ p, window }) => [p, window]);

export const reno: Experiment = {
  name: 'reno-window',
  title: "Reno's average window against loss",
  run: async (quick): Promise<Outcome> => {
    const losses = quick ? 60 : 100;
    const periods = quick ? [50, 200] : [50, 100, 200, 500, 1000, 2000, 5000, 10_000];
    const points: Measured[] = [];
    for (const every of periods) {
      const point: Point = { rttMs: 50, every, byChance: true, losses };
      points.push(await measure('reno', point, renoWindow(1 / every)));
    }
    const checks = points.map(
      ({ p, window }): Check => near(`window at p = ${p}`, window, renoWindow(p), 0.15),
    );
    return {
      checks,
      figures: {
        points: points.map((point) => ({ ...point, published: round(renoWindow(point.p)) })),
      },
      plots: {
        'reno-window': {
          title: 'Reno: average window against loss',
          x: { label: 'chance that a packet is lost', log: true },
          y: { label: 'segments', log: true },
          series: [
            { name: '1.22 / √p', points: curve(renoWindow, 8e-5, 2.5e-2), style: 'line' },
            { name: 'softnet', points: dots(points), style: 'dots' },
          ],
        },
      },
    };
  },
};

export const cubic: Experiment = {
  name: 'cubic-window',
  title: "CUBIC's average window against loss",
  run: async (quick): Promise<Outcome> => {
    const cases = quick
      ? [[200, 10_000]]
      : [
          [100, 5000],
          [100, 10_000],
          [100, 20_000],
          [200, 3000],
          [200, 5000],
          [200, 10_000],
          [200, 20_000],
          [200, 50_000],
        ];
    const points: Measured[] = [];
    const random: Measured[] = [];
    for (const [rttMs = 0, every = 0] of cases) {
      const wanted = cubicWindow(1 / every, rttMs);
      const base = { rttMs, every };
      points.push(
        await measure('cubic', { ...base, byChance: false, losses: quick ? 10 : 16 }, wanted),
      );
      if (!quick && every <= 5000) {
        random.push(await measure('cubic', { ...base, byChance: true, losses: 80 }, wanted));
      }
    }
    const checks = points
      .filter(({ p, rttMs }) => cubicWindow(p, rttMs) > LEAST_WINDOW)
      .map(
        ({ p, rttMs, window }): Check =>
          near(`window at p = ${p}, ${rttMs} ms`, window, cubicWindow(p, rttMs), 0.15),
      );
    const of = (rttMs: number): Measured[] => points.filter((point) => point.rttMs === rttMs);
    return {
      checks,
      figures: {
        points: [...points, ...random].map((point) => ({
          ...point,
          published: round(cubicWindow(point.p, point.rttMs)),
        })),
      },
      plots: {
        'cubic-window': {
          title: 'CUBIC: average window against loss',
          x: { label: 'part of the packets that is lost', log: true },
          y: { label: 'segments', log: true },
          series: [
            {
              name: '1.054 RTT^0.75 / p^0.75, 100 ms',
              points: curve((p) => cubicWindow(p, 100), 1.5e-5, 5e-4),
              style: 'line',
            },
            {
              name: 'the same, 200 ms',
              points: curve((p) => cubicWindow(p, 200), 1.5e-5, 5e-4),
              style: 'line',
            },
            { name: 'softnet, 100 ms', points: dots(of(100)), style: 'dots' },
            { name: 'softnet, 200 ms', points: dots(of(200)), style: 'dots' },
            { name: 'softnet, losses by chance', points: dots(random), style: 'dots' },
          ],
        },
      },
    };
  },
};
