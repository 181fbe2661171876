/** Draws the lanes of the CPUs: by the order of steps, or by the world's clock. */
import type { Paint } from '../../components/canvas_plot.tsx';
import { shortTime } from '../../model/format.ts';
import type { CpuSpan, CpuView } from '../../protocol.ts';

export type Axis = 'order' | 'time';

export const LANES = ['task', 'ksoftirqd', 'softirq', 'hardirq'] as const;

const LABELS: Readonly<Record<CpuSpan['lane'], string>> = {
  task: 'task',
  ksoftirqd: 'ksoftirqd',
  softirq: 'soft interrupt',
  hardirq: 'hard interrupt',
};
const COLORS: Readonly<Record<CpuSpan['lane'], string>> = {
  task: '--layer-payload',
  ksoftirqd: '--kind-udp',
  softirq: '--layer-transport',
  hardirq: '--layer-link',
};

const LEFT = 150;
const LANE = 30;
const MIN_WIDTH = 3;
/** Steps shown at most by order: more would be too thin to see. */
const STEPS = 900;

export function laneHeight(): number {
  return LANE;
}

interface Placed {
  readonly span: CpuSpan;
  readonly x: number;
  readonly width: number;
  readonly y: number;
  readonly height: number;
}

function place(view: CpuView, axis: Axis, width: number): Placed[] {
  const { spans } = view;
  const last = spans.at(-1);
  const first = spans[0];
  if (first === undefined || last === undefined) return [];
  const usable = width - LEFT - 10;
  const latest = spans.reduce((most, { endOrder }) => Math.max(most, endOrder), 0);
  const fromStep = Math.max(first.beginOrder, latest - STEPS);
  const [from, to] =
    axis === 'order'
      ? [fromStep, latest + 1]
      : [first.beginNs, Math.max(last.endNs, first.beginNs + 1)];
  const scale = (value: number): number => LEFT + ((value - from) / (to - from)) * usable;
  const list: Placed[] = [];
  for (const span of spans) {
    const [begin, end] =
      axis === 'order' ? [span.beginOrder, span.endOrder + 1] : [span.beginNs, span.endNs];
    if (end < from) continue;
    const x = Math.max(LEFT, scale(begin));
    const lane = LANES.indexOf(span.lane);
    const y = (span.cpu * LANES.length + lane) * LANE;
    const inner = span.budget > 0;
    list.push({
      span,
      x,
      width: Math.max(MIN_WIDTH, scale(end) - x - 1),
      y: y + (inner ? LANE / 2 : 3),
      height: inner ? LANE / 2 - 4 : LANE - 6,
    });
  }
  return list;
}

export function drawTimeline(
  { context, width, height, color }: Paint,
  view: CpuView,
  axis: Axis,
  picked: CpuSpan | null,
  originNs: number,
): void {
  context.font = '12px system-ui, sans-serif';
  for (let cpu = 0; cpu < view.cpus; cpu++) {
    LANES.forEach((lane, i) => {
      const y = (cpu * LANES.length + i) * LANE;
      context.fillStyle = i % 2 === 0 ? color('--surface-2') : color('--surface');
      context.fillRect(LEFT, y, width - LEFT, LANE);
      context.fillStyle = color('--muted');
      context.textAlign = 'right';
      context.fillText(`${view.cpus > 1 ? `cpu${cpu} ` : ''}${LABELS[lane]}`, LEFT - 10, y + 19);
    });
  }
  const placed = place(view, axis, width);
  for (const { span, x, y, width: w, height: h } of placed) {
    context.fillStyle = color(COLORS[span.lane]);
    if (span.budget > 0) context.fillStyle = color('--kind-tcp-syn');
    context.globalAlpha = span === picked ? 1 : 0.86;
    context.fillRect(x, y, w, h);
    context.globalAlpha = 1;
    if (span === picked) {
      context.strokeStyle = color('--text');
      context.lineWidth = 2;
      context.strokeRect(x, y, w, h);
    }
    const text = span.budget > 0 ? `${span.work}/${span.budget}` : span.name;
    if (w > context.measureText(text).width + 8) {
      context.fillStyle = color('--surface');
      context.textAlign = 'center';
      context.fillText(text, x + w / 2, y + (span.budget > 0 ? h - 1.5 : 14));
    }
  }
  const [left] = placed;
  const right = placed.at(-1);
  context.fillStyle = color('--muted');
  if (left !== undefined && right !== undefined) {
    context.textAlign = 'left';
    context.fillText(shortTime(Math.max(0, left.span.beginNs - originNs)), LEFT, height - 8);
    context.textAlign = 'right';
    context.fillText(shortTime(Math.max(0, right.span.endNs - originNs)), width - 10, height - 8);
  }
}

/** The span at a place of the drawing; the innermost where several lie on each other. */
export function spanAt(
  view: CpuView,
  axis: Axis,
  x: number,
  y: number,
  width: number,
): CpuSpan | null {
  const hits = place(view, axis, width).filter(
    (p) => x >= p.x - 1 && x <= p.x + p.width + 1 && y >= p.y && y <= p.y + p.height,
  );
  return hits.at(-1)?.span ?? null;
}
