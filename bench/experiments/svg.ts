/** Plots as SVG: points and lines over linear or logarithmic axes. Small files that git can compare. */

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly style: 'line' | 'dashed' | 'dots';
}

export interface Axis {
  readonly label: string;
  readonly log?: boolean;
  /** Ends of the axis; by default those of the points. */
  readonly from?: number;
  readonly to?: number;
}

export interface Plot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

const WIDTH = 640;
const HEIGHT = 360;
const LEFT = 64;
const RIGHT = 16;
const TOP = 36;
const BOTTOM = 48;
/** Told apart by people who see no red or green, and on paper. */
const COLOURS: readonly string[] = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9'];

/** Maps values of an axis to a place between 0 and 1. */
class Scale {
  readonly from: number;
  readonly to: number;
  private readonly log: boolean;

  constructor(axis: Axis, values: readonly number[]) {
    this.log = axis.log === true;
    const known = values.filter((v) => Number.isFinite(v) && (!this.log || v > 0));
    this.from = axis.from ?? (this.log ? Math.min(...known) / 1.2 : Math.min(0, ...known));
    this.to = axis.to ?? Math.max(...known) * (this.log ? 1.2 : 1.05);
  }

  at(value: number): number {
    if (!this.log) return (value - this.from) / (this.to - this.from);
    return Math.log(value / this.from) / Math.log(this.to / this.from);
  }

  ticks(): number[] {
    const ticks: number[] = [];
    if (this.log) {
      for (let e = Math.floor(Math.log10(this.from)); e <= Math.log10(this.to); e++) {
        for (const m of [1, 2, 5]) {
          const tick = m * 10 ** e;
          if (tick >= this.from * 0.999 && tick <= this.to * 1.001) ticks.push(tick);
        }
      }
      return ticks;
    }
    const rough = (this.to - this.from) / 6;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = ([1, 2, 5, 10].find((m) => m * unit >= rough) ?? 10) * unit;
    for (let t = Math.ceil(this.from / step) * step; t <= this.to * 1.0001; t += step) {
      ticks.push(Math.abs(t) < step / 1e6 ? 0 : t);
    }
    return ticks;
  }
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const place = (value: number): string => String(Number(value.toFixed(1)));
const label = (value: number): string =>
  value !== 0 && (Math.abs(value) < 0.01 || Math.abs(value) >= 1e5)
    ? value.toExponential(0)
    : String(Number(value.toPrecision(4)));

function text(x: number, y: number, anchor: string, words: string, more = ''): string {
  return `<text x="${place(x)}" y="${place(y)}" text-anchor="${anchor}"${more}>${escaped(words)}</text>`;
}

function axes(plot: Plot, x: Scale, y: Scale): string[] {
  const lines: string[] = [];
  const px = (v: number): number => LEFT + x.at(v) * (WIDTH - LEFT - RIGHT);
  const py = (v: number): number => HEIGHT - BOTTOM - y.at(v) * (HEIGHT - TOP - BOTTOM);
  const grid = (x1: number, y1: number, x2: number, y2: number): string =>
    `<path d="M${place(x1)} ${place(y1)}L${place(x2)} ${place(y2)}" stroke="#ddd"/>`;
  for (const tick of x.ticks()) {
    lines.push(grid(px(tick), TOP, px(tick), HEIGHT - BOTTOM));
    lines.push(text(px(tick), HEIGHT - BOTTOM + 16, 'middle', label(tick)));
  }
  for (const tick of y.ticks()) {
    lines.push(grid(LEFT, py(tick), WIDTH - RIGHT, py(tick)));
    lines.push(text(LEFT - 6, py(tick) + 4, 'end', label(tick)));
  }
  lines.push(
    text(WIDTH / 2, 18, 'middle', plot.title, ' font-weight="bold"'),
    text(WIDTH / 2, HEIGHT - 10, 'middle', plot.x.label),
    text(0, 0, 'middle', plot.y.label, ` transform="translate(14 ${HEIGHT / 2}) rotate(-90)"`),
  );
  return lines;
}

function draw(series: Series, colour: string, x: Scale, y: Scale): string {
  const at = series.points.map(([vx, vy]) => {
    const px = LEFT + x.at(vx) * (WIDTH - LEFT - RIGHT);
    const py = HEIGHT - BOTTOM - y.at(vy) * (HEIGHT - TOP - BOTTOM);
    return `${place(px)} ${place(py)}`;
  });
  if (series.style === 'dots') {
    return at
      .map((p) => {
        const [cx, cy] = p.split(' ');
        return `<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`;
      })
      .join('');
  }
  const dash = series.style === 'dashed' ? ' stroke-dasharray="6 4"' : '';
  return `<path d="M${at.join('L')}" fill="none" stroke="${colour}" stroke-width="1.5"${dash}/>`;
}

/** The plot as a document. */
export function svgOf(plot: Plot): string {
  const all = plot.series.flatMap(({ points }) => points);
  const x = new Scale(
    plot.x,
    all.map(([v]) => v),
  );
  const y = new Scale(
    plot.y,
    all.map(([, v]) => v),
  );
  const colour = (i: number): string => COLOURS[i % COLOURS.length] ?? '#000';
  const legend = plot.series.map((series, i) => {
    const top = TOP + 14 + i * 16;
    return (
      `<rect x="${WIDTH - RIGHT - 12}" y="${top - 8}" width="8" height="8" fill="${colour(i)}"/>` +
      text(WIDTH - RIGHT - 16, top, 'end', series.name)
    );
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(plot.title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...axes(plot, x, y),
    ...plot.series.map((series, i) => draw(series, colour(i), x, y)),
    ...legend,
    '</svg>',
    '',
  ].join('\n');
}
