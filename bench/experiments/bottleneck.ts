/**
 * Two cases that ns-3 checks by machine (examples/tcp/tcp-validation.cc there): one flow over a line of
 * 50 Mbit/s whose queue is kept by CoDel. CUBIC with 50 ms and without Reno's floor, as there. ns-3's own
 * HyStart ends its slow start at 511 segments, where Linux's would at fewer, and Linux without HyStart at
 * 772 when the first loss is known: so slow start is told to end at 511, and what CoDel and CUBIC make of
 * that is compared. DCTCP with 10 ms and marks from a sojourn of 1 ms. Times count as in ns-3, where the
 * flow begins at 5 s. A frame of Ethernet is 12 bytes longer than one of ns-3's point-to-point link, so
 * that the line here is that much faster.
 */
import type { TcpSock } from '#include/linux/tcp.ts';
import { type Check, type Experiment, type Outcome, round } from './experiment.ts';
import { runFlow } from './flow.ts';

/** When the SYN leaves, s. */
const START = 5;
const RATE = Math.round((50e6 * 1514) / 1502);

function line(codel: string): string[] {
  return [
    `tc qdisc add dev eth1 root handle 1: tbf rate ${RATE}bit burst 1514 limit 1000000`,
    `tc qdisc add dev eth1 parent 1:1 handle 10: ${codel}`,
  ];
}

interface Sample {
  readonly at: number;
  readonly cwnd: number;
  readonly received: number;
  readonly alpha: number;
}

/** Local maxima: windows that a cut by a fifth or more follows within half a second. */
function peaks(samples: readonly Sample[]): Sample[] {
  const found: Sample[] = [];
  for (let i = 1; i < samples.length; i++) {
    const here = samples[i - 1] as Sample;
    const next = samples[i] as Sample;
    if (next.cwnd >= here.cwnd) continue;
    const after = samples.slice(i, i + 50);
    if (!after.some(({ cwnd }) => cwnd < here.cwnd * 0.8)) continue;
    const before = found.at(-1);
    if (before !== undefined && here.at - before.at < 0.6) {
      if (here.cwnd > before.cwnd) found[found.length - 1] = here;
    } else found.push(here);
  }
  return found;
}

function within(name: string, value: number, from: number, to: number): Check {
  return { name, value: round(value), from, to };
}

export const cubicCodel: Experiment = {
  name: 'cubic-codel',
  title: 'CUBIC at 50 Mbit/s and 50 ms with CoDel',
  run: async (quick): Promise<Outcome> => {
    const samples: Sample[] = [];
    const { qdisc, bps } = await runFlow({
      seed: 1,
      seconds: quick ? 1.5 : 15,
      congestionControl: 'cubic',
      rttMs: 50,
      bottleneck: line('codel'),
      sysctls: { 'net.ipv4.tcp_ecn': 0 },
      exec: [
        'echo 0 > /sys/module/tcp_cubic/parameters/hystart',
        'echo 511 > /sys/module/tcp_cubic/parameters/initial_ssthresh',
        'echo 0 > /sys/module/tcp_cubic/parameters/tcp_friendliness',
      ],
      sampleMs: 10,
      sample: (sk, seconds, received) =>
        samples.push({ at: START + 0.05 + seconds, cwnd: sk.sndCwnd, received, alpha: 0 }),
    });
    const first = samples.filter(({ at }) => at < 6).reduce((a, b) => (b.cwnd > a.cwnd ? b : a));
    const low = samples
      .filter(({ at }) => at > first.at && at < 6.5)
      .reduce((a, b) => (b.cwnd < a.cwnd ? b : a));
    const later = peaks(samples).filter(({ at }) => at > 8);
    const [second, third] = later;
    const checks = [
      within('first maximum, segments (511)', first.cwnd, 460, 562),
      within('its time, s (5.46)', first.at, 5.41, 5.51),
      within('window after the drop, segments (173)', low.cwnd, 147, 199),
      within('its time, s (5.80)', low.at, 5.7, 6),
    ];
    if (!quick) {
      checks.push(
        within('second maximum, segments (236)', second?.cwnd ?? 0, 212, 260),
        within('its time, s (14.28)', second?.at ?? 0, 13.3, 15.3),
        within('third maximum, segments (234)', third?.cwnd ?? 0, 211, 258),
        within('its time, s (18.05)', third?.at ?? 0, 17, 19.1),
      );
    }
    return {
      checks,
      figures: {
        mbit: round(bps / 1e6),
        peaks: [first, low, ...later].map(({ at, cwnd }) => ({ at: round(at), cwnd })),
        qdisc: qdisc.split('\n'),
      },
      plots: {
        'cubic-codel': {
          title: 'CUBIC, 50 Mbit/s, 50 ms, CoDel',
          x: { label: 'seconds', from: START },
          y: { label: 'congestion window, segments' },
          series: [
            {
              name: 'softnet',
              points: samples.filter((_, i) => i % 3 === 0).map(({ at, cwnd }) => [at, cwnd]),
              style: 'line',
            },
            {
              name: "ns-3's published points",
              points: [
                [5.459, 511],
                [5.803, 173],
                [14.28, 236],
                [18.05, 234],
              ],
              style: 'dots',
            },
          ],
        },
      },
    };
  },
};

/** What dctcp thinks of the path: the part of the packets that is marked, smoothed. */
function alphaOf(sk: TcpSock): number {
  const info = sk.icskCaOps?.getInfo?.(sk, -1)?.info;
  return info ? new DataView(info.buffer, info.byteOffset).getUint32(4, true) / 1024 : Number.NaN;
}

export const dctcp: Experiment = {
  name: 'dctcp',
  title: 'DCTCP at 50 Mbit/s and 10 ms, marks from 1 ms',
  run: async (quick): Promise<Outcome> => {
    const samples: Sample[] = [];
    const { qdisc } = await runFlow({
      seed: 1,
      seconds: quick ? 3 : 10,
      congestionControl: 'dctcp',
      rttMs: 10,
      bottleneck: line('codel ecn ce_threshold 1ms'),
      sysctls: { 'net.ipv4.tcp_ecn': 1 },
      sampleMs: 10,
      sample: (sk, seconds, received) =>
        samples.push({
          at: START + 0.01 + seconds,
          cwnd: sk.sndCwnd,
          received,
          alpha: alphaOf(sk),
        }),
    });
    // As ns-3 measures: what came in each 200 ms.
    const rates: [number, number][] = [];
    for (let i = 20; i < samples.length; i += 20) {
      const [from, to] = [samples[i - 20] as Sample, samples[i] as Sample];
      rates.push([to.at, ((to.received - from.received) * 8) / (to.at - from.at) / 1e6]);
    }
    const steady = rates.filter(([at]) => at > 5.8).map(([, mbit]) => mbit);
    const alphas = samples.filter(({ at }) => at > 7).map(({ alpha }) => alpha);
    const mean = alphas.reduce((sum, alpha) => sum + alpha, 0) / alphas.length;
    return {
      checks: [
        within('least in 200 ms, Mbit/s (48)', Math.min(...steady), 47.5, 49.5),
        within('most in 200 ms, Mbit/s (49)', Math.max(...steady), 47.5, 49.5),
        within('alpha after 2 s, mean (0.06 to 0.085)', mean, 0.06, 0.085),
        within('alpha after 2 s, least', Math.min(...alphas), 0.045, 0.095),
        within('alpha after 2 s, most', Math.max(...alphas), 0.045, 0.095),
      ],
      figures: {
        mbit: [Math.min(...steady), Math.max(...steady)].map(round),
        alpha: { mean: round(mean), least: Math.min(...alphas), most: Math.max(...alphas) },
        qdisc: qdisc.split('\n'),
      },
      plots: {
        dctcp: {
          title: 'DCTCP, 50 Mbit/s, 10 ms, marks from 1 ms: alpha',
          x: { label: 'seconds', from: START },
          y: { label: 'alpha', from: 0, to: 0.2 },
          series: [
            {
              name: 'softnet',
              points: samples
                .filter(({ alpha }) => alpha <= 0.2)
                .map(({ at, alpha }) => [at, alpha]),
              style: 'line',
            },
            {
              name: 'published: 0.06 to 0.085 after 7 s',
              points: [
                [7, 0.06],
                [quick ? 9 : 15, 0.06],
                [quick ? 9 : 15, 0.085],
                [7, 0.085],
                [7, 0.06],
              ],
              style: 'dashed',
            },
          ],
        },
      },
    };
  },
};
