/**
 * BBR against CUBIC where packets are lost by chance: Cardwell et al. (2016) give 9,150 Mbit/s against
 * 3.3 at 10 Gbit/s, 100 ms and 1 % of loss.
 */
import { type Experiment, type Outcome, round } from './experiment.ts';
import { runFlow } from './flow.ts';

interface Course {
  /** Mbit/s in each step of time. */
  readonly points: readonly [number, number][];
  readonly mbit: number;
}

async function course(congestionControl: string, quick: boolean): Promise<Course> {
  const seconds = quick ? 3 : 4.2;
  const received: [number, number][] = [[0, 0]];
  const buffer = quick ? 1 << 24 : 1 << 29;
  await runFlow({
    seed: 1,
    seconds,
    congestionControl,
    rttMs: quick ? 40 : 100,
    rateBps: quick ? 60e6 : 10e9,
    dataImpairments: { loss: 0.01 },
    sysctls: {
      'net.ipv4.tcp_rmem': `4096 1048576 ${buffer}`,
      'net.ipv4.tcp_wmem': `4096 1048576 ${buffer}`,
    },
    exec: quick ? [] : ['ethtool -G eth0 rx 4096 tx 4096'],
    sampleMs: 200,
    sample: (_sk, now, bytes) => received.push([now, bytes]),
  });
  const points = received.slice(1).map(([at, bytes], i): [number, number] => {
    const [before, had] = received[i] as [number, number];
    return [at, ((bytes - had) * 8) / (at - before) / 1e6];
  });
  // What comes before is the start: twenty round trips until the line is full.
  const late = points.filter(([at]) => at > seconds * 0.6).map(([, mbit]) => mbit);
  return { points, mbit: late.reduce((sum, mbit) => sum + mbit, 0) / late.length };
}

export const bbr: Experiment = {
  name: 'bbr-loss',
  title: 'BBR and CUBIC at 10 Gbit/s, 100 ms, 1 % loss',
  arenaBytes: 2 ** 31 - 2 ** 16,
  run: async (quick): Promise<Outcome> => {
    const fast = await course('bbr', quick);
    const slow = await course('cubic', quick);
    const least = quick ? 42 : 2000;
    return {
      checks: [
        { name: 'bbr, Mbit/s', value: round(fast.mbit), from: least, to: 10_000 },
        { name: 'cubic, Mbit/s', value: round(slow.mbit), from: 0.5, to: 10 },
      ],
      figures: { bbrMbit: round(fast.mbit), cubicMbit: round(slow.mbit) },
      plots: {
        'bbr-loss': {
          title: 'Goodput at 10 Gbit/s, 100 ms, 1 % loss',
          x: { label: 'seconds', from: 0 },
          y: { label: 'Mbit/s', log: true, from: 0.5, to: 20_000 },
          series: [
            { name: 'bbr', points: fast.points, style: 'line' },
            { name: 'cubic', points: slow.points, style: 'line' },
          ],
        },
      },
    };
  },
};
