/** A band over time: at each moment, what keeps the sender from sending more. */
import { createMemo, For, type JSX } from 'solid-js';
import { CanvasPlot, type Paint } from '../../components/canvas_plot.tsx';
import type { TcpLimit, TcpSample } from '../../protocol.ts';
import { LIMIT_COLORS } from './limits.ts';

export function Ribbon(props: {
  readonly samples: readonly TcpSample[];
  readonly range: readonly [number, number];
  readonly momentNs: number;
  readonly onSeek: (ns: number) => void;
}): JSX.Element {
  const shares = createMemo(() => {
    const total = new Map<TcpLimit, number>();
    props.samples.forEach((sample, i) => {
      const next = props.samples[i + 1]?.timeNs ?? props.range[1];
      total.set(sample.limit, (total.get(sample.limit) ?? 0) + next - sample.timeNs);
    });
    const all = [...total.values()].reduce((a, b) => a + b, 0) || 1;
    return [...total]
      .map(([limit, ns]) => ({ limit, share: ns / all }))
      .sort((a, b) => b.share - a.share);
  });
  const paint = ({ context, width, height, color }: Paint): void => {
    const [from, to] = props.range;
    const x = (ns: number): number => ((ns - from) / (to - from)) * width;
    props.samples.forEach((sample, i) => {
      const next = props.samples[i + 1]?.timeNs ?? to;
      const left = x(sample.timeNs);
      context.fillStyle = color(LIMIT_COLORS[sample.limit]);
      context.fillRect(left, 4, Math.max(0.7, x(next) - left), height - 8);
    });
    context.fillStyle = color('--text');
    context.fillRect(x(props.momentNs) - 1, 0, 2, height);
  };
  return (
    <>
      <CanvasPlot
        height={34}
        label="What limits the sender over time"
        paint={paint}
        onPick={(x, _y, width) =>
          props.onSeek(props.range[0] + (x / width) * (props.range[1] - props.range[0]))
        }
      />
      <ul class="legend-row">
        <For each={shares()}>
          {({ limit, share }) => (
            <li>
              <span class="kind-dot" style={{ background: `var(${LIMIT_COLORS[limit]})` }} />
              {limit} <span class="muted">{share < 0.01 ? '< 1' : Math.round(share * 100)} %</span>
            </li>
          )}
        </For>
      </ul>
    </>
  );
}
