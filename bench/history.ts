/** Figures over time: bench/history.json, and a chart of it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Figure } from './measure.ts';

export interface Result extends Figure {
  readonly group: string;
  readonly name: string;
  /** Work a second of processor time. */
  readonly perCpuSecond: number;
}

export interface Run {
  readonly version: string;
  readonly machine: { readonly cpu: string; readonly cpus: number; readonly node: string };
  readonly results: readonly Result[];
}

interface Entry extends Run {
  /** ISO 8601, of the run's end. */
  readonly date: string;
}

const WIDTH = 960;
const ROW = 34;
const LEFT = 300;
const RIGHT = 120;

/** Appends a run to the history and draws the chart anew. */
export function appendHistory(jsonFile: string, svgFile: string, run: Run): void {
  const history = existsSync(jsonFile)
    ? (JSON.parse(readFileSync(jsonFile, 'utf8')) as Entry[])
    : [];
  history.push({ date: new Date().toISOString(), ...run });
  writeFileSync(jsonFile, `${JSON.stringify(history, null, 2)}\n`);
  writeFileSync(svgFile, chart(history));
}

const xmlText = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

/** A number with three digits and its unit prefix. */
function short(value: number): string {
  const [prefix, by] = value >= 1e9 ? ['G', 1e9] : value >= 1e6 ? ['M', 1e6] : ['k', 1e3];
  return `${(value / by).toPrecision(3)} ${prefix}`;
}

/** One row a case: its rates over the runs, each row in its own scale from zero. */
export function chart(history: readonly Entry[]): string {
  const keys = new Map<string, string>();
  for (const { results } of history) {
    for (const { group, name, unit } of results) keys.set(`${group}: ${name}`, unit);
  }
  const rows = [...keys].map(([key, unit], row) => {
    const values = history.map(
      ({ results }) =>
        results.find(({ group, name }) => `${group}: ${name}` === key)?.perCpuSecond ?? null,
    );
    const most = Math.max(...values.map((value) => value ?? 0), Number.MIN_VALUE);
    const top = 30 + row * ROW;
    const x = (i: number): number =>
      LEFT + ((WIDTH - LEFT - RIGHT) * (i + 0.5)) / Math.max(history.length, 1);
    const points = values.flatMap((value, i) =>
      value === null ? [] : [[x(i), top + (ROW - 8) * (1 - value / most)] as const],
    );
    const line = points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ');
    const dots = points
      .map(([px, py]) => `<circle cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="2.5"/>`)
      .join('');
    const last = values.at(-1);
    const label = last === null || last === undefined ? '' : `${short(last)} ${unit}/s`;
    return `<text x="${LEFT - 10}" y="${top + 18}" text-anchor="end">${xmlText(key)}</text>
<polyline points="${line}"/>${dots}
<text x="${WIDTH - RIGHT + 10}" y="${top + 18}">${xmlText(label)}</text>`;
  });
  const height = 40 + rows.length * ROW;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#444">
<title>softnet's benches over time</title>
<style>polyline{fill:none;stroke:#2a6fb0;stroke-width:1.5}circle{fill:#2a6fb0}</style>
<text x="${LEFT}" y="18">work a second of processor time, ${history.length} runs, each row from zero</text>
${rows.join('\n')}
</svg>
`;
}
