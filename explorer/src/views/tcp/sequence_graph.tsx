/** Segments and acknowledgements over time: a stroke for each segment, a line for what is acknowledged. */
import { scaleLinear } from 'd3-scale';
import { createMemo, createSignal, type JSX } from 'solid-js';
import { CanvasPlot, type Paint } from '../../components/canvas_plot.tsx';
import { shortTime } from '../../model/format.ts';
import type { Store } from '../../model/store.ts';
import type { TcpView } from '../../protocol.ts';

const LEFT = 64;
const BOTTOM = 24;
const TOP = 8;
const HEIGHT = 330;
const PICK_PX = 14;
const SENT_AGAIN = 1;
const ACKED = 2;
const WINDOW = 3;
const SACKED = 4;

/** Upright strokes from left to right; those that lie upon each other are drawn as one. */
class Strokes {
  private readonly context: CanvasRenderingContext2D;
  private x = 0;
  private top = 0;
  private bottom = 0;
  private width = 0;
  private color = '';

  constructor(context: CanvasRenderingContext2D) {
    this.context = context;
  }

  add(x: number, top: number, bottom: number, width: number, color: string): void {
    const joins =
      color === this.color &&
      width === this.width &&
      x - this.x < 0.5 &&
      top <= this.bottom + 1 &&
      bottom >= this.top - 1;
    if (joins) {
      this.top = Math.min(this.top, top);
      this.bottom = Math.max(this.bottom, bottom);
      return;
    }
    this.flush();
    this.x = x;
    this.top = top;
    this.bottom = bottom;
    this.width = width;
    this.color = color;
  }

  flush(): void {
    if (this.color === '') return;
    this.context.fillStyle = this.color;
    this.context.fillRect(this.x - this.width / 2, this.top, this.width, this.bottom - this.top);
  }
}

export function SequenceGraph(props: {
  readonly store: Store;
  readonly view: TcpView;
  readonly range: readonly [number, number];
  readonly originNs: number;
  readonly onSeek: (ns: number) => void;
}): JSX.Element {
  const { store } = props;
  const [close, setClose] = createSignal(false);
  /** The whole connection, or some round trips around the moment. */
  const window = createMemo((): readonly [number, number] => {
    if (!close()) return props.range;
    const half = Math.max(20e6, (props.range[1] - props.range[0]) / 16);
    return [store.moment() - half, store.moment() + half];
  });
  const extent = createMemo((): readonly [number, number] => {
    const { timeNs, begin, end, kind } = props.view.points;
    const [from, to] = window();
    let low = Number.POSITIVE_INFINITY;
    let high = 0;
    for (let i = 0; i < timeNs.length; i++) {
      const at = timeNs[i] ?? 0;
      if (at < from || at > to || kind[i] === WINDOW) continue;
      low = Math.min(low, begin[i] ?? 0);
      high = Math.max(high, end[i] ?? 0);
    }
    return Number.isFinite(low) ? [low, Math.max(high, low + 1)] : [0, 1];
  });
  const scales = (width: number) => {
    const x = scaleLinear([...window()], [LEFT, width - 8]);
    const y = scaleLinear([...extent()], [HEIGHT - BOTTOM, TOP]).nice();
    return { x, y };
  };

  const paint = ({ context, width, color }: Paint): void => {
    const { x, y } = scales(width);
    const { timeNs, begin, end, kind, packet } = props.view.points;
    const [from, to] = window();
    context.font = '12px system-ui, sans-serif';
    context.lineWidth = 1;
    for (const tick of y.ticks(6)) {
      context.fillStyle = color('--line');
      context.fillRect(LEFT, y(tick), width - LEFT - 8, 1);
      context.fillStyle = color('--muted');
      context.textAlign = 'right';
      context.fillText(tick.toLocaleString('en'), LEFT - 8, y(tick) + 4);
    }
    context.textAlign = 'center';
    for (const tick of x.ticks(Math.max(2, width / 130))) {
      if (x(tick) < width - 30) {
        context.fillText(shortTime(tick - props.originNs), x(tick), HEIGHT - 6);
      }
    }
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, width - LEFT, HEIGHT - BOTTOM);
    context.clip();
    stairs(context, ACKED, color('--kind-tcp-syn'), 2);
    stairs(context, WINDOW, color('--kind-arp'), 1.5);
    const strong = {
      first: color('--kind-tcp-data'),
      again: color('--kind-tcp-rst'),
      sack: color('--kind-icmp'),
    };
    const strokes = new Strokes(context);
    for (let i = 0; i < timeNs.length; i++) {
      const at = timeNs[i] ?? 0;
      const k = kind[i] ?? 0;
      if (at < from || at > to || k === ACKED || k === WINDOW) continue;
      const top = y(end[i] ?? 0);
      const bottom = Math.max(top + 3, y(begin[i] ?? 0));
      const paintOf = k === SACKED ? strong.sack : k === SENT_AGAIN ? strong.again : strong.first;
      const chosen = packet[i] !== 0 && packet[i] === store.state.packet;
      strokes.add(x(at), top, bottom, chosen ? 7 : k === SENT_AGAIN ? 4 : 2.5, paintOf);
    }
    strokes.flush();
    context.restore();
    context.fillStyle = color('--accent');
    context.fillRect(x(store.moment()) - 1, 0, 2, HEIGHT - BOTTOM);

    function stairs(
      c: CanvasRenderingContext2D,
      which: number,
      stroke: string,
      thick: number,
    ): void {
      c.strokeStyle = stroke;
      c.lineWidth = thick;
      c.beginPath();
      let last: number | null = null;
      let drawn = Number.NEGATIVE_INFINITY;
      let px = 0;
      for (let i = 0; i < timeNs.length; i++) {
        if (kind[i] !== which) continue;
        px = x(timeNs[i] ?? 0);
        const py = y(begin[i] ?? 0);
        if (last === null) c.moveTo(px, py);
        // Steps that no eye can tell apart are one.
        else if (px - drawn >= 0.5) {
          c.lineTo(px, last);
          c.lineTo(px, py);
          drawn = px;
        }
        last = py;
      }
      if (last !== null) c.lineTo(px, last);
      c.stroke();
    }
  };

  const pick = (px: number, py: number, width: number): void => {
    const { x, y } = scales(width);
    const { timeNs, begin, end, packet } = props.view.points;
    let best = -1;
    let nearest = PICK_PX;
    for (let i = 0; i < timeNs.length; i++) {
      if (packet[i] === 0) continue;
      const low = y(begin[i] ?? 0);
      const high = y(end[i] ?? 0);
      const dy = py < high ? high - py : py > low ? py - low : 0;
      const distance = Math.hypot(x(timeNs[i] ?? 0) - px, dy);
      if (distance < nearest) {
        nearest = distance;
        best = i;
      }
    }
    if (best >= 0) store.selectPacket(packet[best] ?? 0);
    props.onSeek(best >= 0 ? (timeNs[best] ?? 0) : x.invert(px));
  };

  return (
    <>
      <CanvasPlot
        height={HEIGHT}
        label="Segments sent and acknowledged, by time and sequence number"
        paint={paint}
        onPick={pick}
      />
      <div class="legend-row-wrap">
        <ul class="legend-row">
          <li>
            <span class="kind-dot" style={{ background: 'var(--kind-tcp-data)' }} />
            sent
          </li>
          <li>
            <span class="kind-dot" style={{ background: 'var(--kind-tcp-rst)' }} />
            sent again
          </li>
          <li>
            <span class="kind-dot" style={{ background: 'var(--kind-tcp-syn)' }} />
            acknowledged
          </li>
          <li>
            <span class="kind-dot" style={{ background: 'var(--kind-icmp)' }} />
            selectively acknowledged
          </li>
          <li>
            <span class="kind-dot" style={{ background: 'var(--kind-arp)' }} />
            edge of the peer’s window
          </li>
        </ul>
        <label class="check">
          <input
            type="checkbox"
            checked={close()}
            onChange={(e) => setClose(e.currentTarget.checked)}
          />
          around the moment
        </label>
      </div>
    </>
  );
}
