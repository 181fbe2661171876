/** Curves over time, with uPlot: follows the theme and the size of its place, and shows the moment. */
import { createEffect, type JSX, onCleanup, onMount } from 'solid-js';
import uPlot from 'uplot';
import { shortTime } from '../model/format.ts';

export interface Curve {
  readonly label: string;
  /** Custom property of the theme. */
  readonly color: string;
  readonly values: readonly (number | null)[];
  readonly dash?: boolean;
  readonly fill?: boolean;
}

export interface ChartProps {
  /** Times in ns, rising. */
  readonly times: readonly number[];
  readonly curves: readonly Curve[];
  /** Where the chart's time begins, in ns. */
  readonly originNs: number;
  readonly momentNs: number;
  readonly height: number;
  readonly label: string;
  readonly unit: string;
  readonly onSeek: (timeNs: number) => void;
}

export function Chart(props: ChartProps): JSX.Element {
  let host: HTMLDivElement | undefined;
  let plot: uPlot | null = null;
  let shape = '';

  const data = (): uPlot.AlignedData => [
    props.times.map((ns) => ns - props.originNs),
    ...props.curves.map(({ values }) => [...values]),
  ];

  const make = (): void => {
    if (host === undefined) return;
    plot?.destroy();
    const style = getComputedStyle(host);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const axis = {
      stroke: color('--muted'),
      grid: { stroke: color('--line'), width: 1 },
      ticks: { stroke: color('--line'), width: 1 },
      font: '12px system-ui, sans-serif',
    };
    plot = new uPlot(
      {
        width: Math.max(200, host.clientWidth),
        height: props.height,
        scales: { x: { time: false } },
        legend: { live: false },
        cursor: { drag: { x: false, y: false } },
        axes: [
          { ...axis, values: (_u, ticks) => ticks.map((ns) => shortTime(ns)) },
          { ...axis, size: 62, values: (_u, ticks) => ticks.map((v) => short(v)) },
        ],
        series: [
          { label: 'time', value: (_u, ns) => (ns === null ? '' : shortTime(ns)) },
          ...props.curves.map(
            (curve): uPlot.Series => ({
              label: curve.label,
              stroke: color(curve.color),
              width: 2,
              points: { show: false },
              ...(curve.dash === true ? { dash: [6, 4] } : {}),
              ...(curve.fill === true ? { fill: `${color(curve.color)}22` } : {}),
              value: (_u, v) => (v === null ? '' : `${short(v)} ${props.unit}`),
            }),
          ),
        ],
        hooks: { draw: [drawMoment] },
      },
      data(),
      host,
    );
    plot.over.addEventListener('click', (event) => {
      const at = plot?.posToVal(event.offsetX, 'x');
      if (at !== undefined) props.onSeek(at + props.originNs);
    });
  };

  const drawMoment = (u: uPlot): void => {
    const x = u.valToPos(props.momentNs - props.originNs, 'x', true);
    if (host === undefined || x < u.bbox.left || x > u.bbox.left + u.bbox.width) return;
    u.ctx.save();
    u.ctx.strokeStyle = getComputedStyle(host).getPropertyValue('--accent').trim();
    u.ctx.lineWidth = 2 * devicePixelRatio;
    u.ctx.beginPath();
    u.ctx.moveTo(x, u.bbox.top);
    u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
    u.ctx.stroke();
    u.ctx.restore();
  };

  createEffect(() => {
    const names = props.curves.map(({ label }) => label).join();
    const values = data();
    if (plot === null || names !== shape) {
      shape = names;
      make();
    } else plot.setData(values);
  });
  createEffect(() => {
    void props.momentNs;
    plot?.redraw(false, false);
  });
  onMount(() => {
    const observer = new ResizeObserver(() => {
      if (host !== undefined && host.clientWidth > 0) {
        plot?.setSize({ width: host.clientWidth, height: props.height });
      }
    });
    if (host !== undefined) observer.observe(host);
    window.addEventListener('softnet-theme', make);
    onCleanup(() => {
      observer.disconnect();
      window.removeEventListener('softnet-theme', make);
      plot?.destroy();
    });
  });
  return <div class="chart" ref={host} role="img" aria-label={props.label} />;
}

function short(value: number): string {
  const n = Math.abs(value);
  if (n >= 1e9) return `${Number((value / 1e9).toPrecision(3))}G`;
  if (n >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (n >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(4)));
}
