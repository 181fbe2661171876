/** Makes RESULTS.md of the results: medians of the repetitions, and what softnet is to the kernel. */
import { type CaseResult, CONTROLS, isVirtual, keyOf, LOSSES, REORDERS, RTTS_MS } from './cells.ts';

/** Ratios within this of 1 are what the comparison asks for. */
const TOLERANCE = 0.2;

type Direction = 'out' | 'back';

interface Column {
  readonly title: string;
  readonly ends: string;
  readonly direction: Direction;
}

/** Who opened, who sent. What softnet did is held against the kernel in the same place. */
const COLUMNS: readonly Column[] = [
  { title: 'softnet opens, sends', ends: 'softnet>kernel', direction: 'out' },
  { title: 'softnet opens, kernel sends', ends: 'softnet>kernel', direction: 'back' },
  { title: 'kernel opens, sends', ends: 'kernel>softnet', direction: 'out' },
  { title: 'kernel opens, softnet sends', ends: 'kernel>softnet', direction: 'back' },
];

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** Results of one cell. */
class Cell {
  private readonly results: readonly CaseResult[];

  constructor(results: readonly CaseResult[]) {
    this.results = results;
  }

  /** Median goodput of one direction, Mbit/s; NaN when nothing was measured. */
  mbit(ends: string, direction: Direction, seed: string | null = null): number {
    return median(
      this.results
        .filter(({ spec }) => spec.ends.join('>') === ends)
        .filter(({ spec }) => seed === null || spec.seed === seed)
        .map((result) => (direction === 'out' ? result.outMbit : result.backMbit)),
    );
  }

  /** Median over the seeds that both have met: their losses fall on the same packets. */
  ratio({ ends, direction }: Column): number {
    const seeds = new Set(this.results.map(({ spec }) => spec.seed));
    const ratios = [...seeds].map(
      (seed) => this.mbit(ends, direction, seed) / this.mbit('kernel>kernel', direction, seed),
    );
    return median(ratios.filter((x) => !Number.isNaN(x)));
  }

  /** The longest time without a byte in runs with softnet, and without, ms. */
  gapMs(withSoftnet: boolean): number {
    const gaps = this.results
      .filter(({ spec }) => !isVirtual(spec) && spec.ends.includes('softnet') === withSoftnet)
      .map(({ longestGapMs }) => longestGapMs);
    return gaps.length === 0 ? Number.NaN : Math.max(...gaps);
  }

  get runs(): number {
    return this.results.filter(({ spec }) => spec.ends[0] !== spec.ends[1]).length;
  }

  get isOutside(): boolean {
    return COLUMNS.some((column) => Math.abs(this.ratio(column) - 1) > TOLERANCE);
  }
}

function cellsOf(results: readonly CaseResult[]): Map<string, Cell> {
  const byKey = new Map<string, CaseResult[]>();
  for (const result of results) {
    const key = keyOf({ ...result.spec, seed: '', ends: ['kernel', 'kernel'] });
    const list = byKey.get(key);
    if (list === undefined) byKey.set(key, [result]);
    else list.push(result);
  }
  return new Map([...byKey].map(([key, list]) => [key, new Cell(list)]));
}

/** Cells in which softnet is not within a fifth of the kernel. */
export function outside(results: readonly CaseResult[]): Set<string> {
  return new Set([...cellsOf(results)].filter(([, cell]) => cell.isOutside).map(([key]) => key));
}

const percent = (p: number): string => `${Number((p * 100).toFixed(2))} %`;
const figure = (x: number): string => (Number.isNaN(x) ? '-' : x.toPrecision(3));
const seconds = (ms: number): string => (Number.isNaN(ms) ? '-' : (ms / 1e3).toFixed(1));
const ratio = (x: number): string => {
  if (Number.isNaN(x)) return '-';
  return Math.abs(x - 1) > TOLERANCE ? `**${x.toFixed(2)}**` : x.toFixed(2);
};

function rows(control: string, cells: Map<string, Cell>): string[] {
  const lines: string[] = [];
  for (const rttMs of RTTS_MS) {
    for (const loss of LOSSES) {
      for (const reorder of REORDERS) {
        const cell = cells.get([control, rttMs, loss, reorder, '', 'kernel>kernel'].join(' '));
        if (cell === undefined) continue;
        const itself = (ends: string): string => {
          const mbit = (['out', 'back'] as const).map((d) => figure(cell.mbit(ends, d)));
          return mbit.join(' / ');
        };
        lines.push(
          `| ${[
            `${rttMs} ms`,
            percent(loss),
            percent(reorder),
            itself('kernel>kernel'),
            itself('softnet>softnet'),
            ...COLUMNS.map((column) => {
              const mbit = figure(cell.mbit(column.ends, column.direction));
              return `${mbit} (${ratio(cell.ratio(column))})`;
            }),
            `${seconds(cell.gapMs(true))} / ${seconds(cell.gapMs(false))}`,
            cell.runs,
          ].join(' | ')} |`,
        );
      }
    }
  }
  return lines;
}

/** The document. */
export function tableOf(results: readonly CaseResult[]): string {
  const cells = cellsOf(results);
  const [first] = results;
  const wrong = results.filter(
    ({ spec, intact, congestionControls }) =>
      !intact || congestionControls.some((name) => name !== spec.congestionControl),
  );
  const virtual = results.filter(({ spec }) => isVirtual(spec)).length;
  const ratios = [...cells.values()].flatMap((cell) => COLUMNS.map((c) => cell.ratio(c)));
  const known = ratios.filter((x) => !Number.isNaN(x));
  const good = known.filter((x) => Math.abs(x - 1) <= TOLERANCE).length;
  const head = [
    '# softnet and the real kernel through the same cables',
    '',
    'Made by `npm run bench:kernel`; how it is measured is in [README.md](README.md).',
    '',
    `${results.length - virtual} runs of ${(first?.spec.bytes ?? 0) / 1e6} MB each way over a line of ${first?.spec.rateMbit ?? 0} Mbit/s with a queue of ${(first?.spec.queueBytes ?? 0) / 1024} KiB.`,
    `${virtual} more of softnet with itself in virtual time, where a program takes none.`,
    `Runs with a wrong byte or another congestion control than the one named: ${wrong.length}.`,
    `Directions within ${TOLERANCE * 100} % of what the kernel does with itself: ${good} of ${known.length}.`,
    '',
    'Goodput in Mbit/s, medians; in brackets what it is to kernel with kernel, the median over the seeds of the losses.',
    '*Gap*: the longest time in s that a reading program waited for a byte, with softnet and without.',
    '',
  ];
  const body = CONTROLS.flatMap((control) => [
    `## ${control}`,
    '',
    `| RTT | loss | reordered | kernel with kernel, out / back | softnet with softnet | ${COLUMNS.map((c) => c.title).join(' | ')} | gap | runs |`,
    `|${'---|'.repeat(COLUMNS.length + 7)}`,
    ...rows(control, cells),
    '',
  ]);
  return [...head, ...body].join('\n');
}
