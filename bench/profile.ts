/**
 * `tsx bench/profile.ts FILE.cpuprofile [N]`: what a `node --cpu-prof` of a case says, by function:
 * the N functions that took most time of their own, and the share of time spent in and below each
 * of the stack's entry points. `npm run bench -- --profile` writes such files.
 */
import { existsSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}
interface Node {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly children?: readonly number[];
}
interface Profile {
  readonly nodes: readonly Node[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}
export interface Cost {
  readonly name: string;
  readonly file: string;
  /** Share of all samples with work in them: by itself, and with everything it called. */
  self: number;
  total: number;
}

/** Source maps of linked files, as far as they were asked for. */
const maps = new Map<string, SourceMap | null>();

function mapOf(url: string): SourceMap | null {
  let map = maps.get(url);
  if (map === undefined) {
    const file = url.startsWith('file:') ? `${fileURLToPath(url)}.map` : '';
    map = existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, 'utf8'))) : null;
    maps.set(url, map);
  }
  return map;
}

/** The source file that a function stands in. */
function fileOf({ url, lineNumber, columnNumber }: CallFrame): string {
  const entry = mapOf(url)?.findEntry(lineNumber, columnNumber);
  const source = entry !== undefined && 'originalSource' in entry ? entry.originalSource : url;
  return source.replace(/^.*?\/(src|bench|node_modules)\//, '$1/').replace(/\?.*/, '');
}

/** Sums a profile by function; idle time is left out, functions of the bench itself too. */
export function costs(profile: Profile): Cost[] {
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const parent = new Map<number, number>();
  for (const node of profile.nodes) {
    for (const child of node.children ?? []) parent.set(child, node.id);
  }
  const selfTime = new Map<number, number>();
  profile.samples.forEach((id, i) => {
    selfTime.set(id, (selfTime.get(id) ?? 0) + (profile.timeDeltas[i] ?? 0));
  });
  const sums = new Map<string, Cost>();
  let all = 0;
  for (const [id, time] of selfTime) {
    const node = byId.get(id) as Node;
    if (node.callFrame.functionName === '(idle)') continue;
    all += time;
    const seen = new Set<string>();
    for (let at: number | undefined = id; at !== undefined; at = parent.get(at)) {
      const { callFrame } = byId.get(at) as Node;
      const { functionName } = callFrame;
      const file = fileOf(callFrame);
      const key = `${functionName} ${file}`;
      if (seen.has(key)) continue;
      seen.add(key);
      let cost = sums.get(key);
      if (cost === undefined) {
        cost = { name: functionName || '(anonymous)', file, self: 0, total: 0 };
        sums.set(key, cost);
      }
      if (at === id) cost.self += time;
      cost.total += time;
    }
  }
  for (const cost of sums.values()) {
    cost.self /= all;
    cost.total /= all;
  }
  return [...sums.values()];
}

const percent = (share: number): string => (share * 100).toFixed(1).padStart(5);

if (process.argv[1]?.endsWith('profile.ts')) {
  const rows = costs(JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as Profile);
  const limit = Number(process.argv[3] ?? 25);
  const line = ({ name, file, self, total }: Cost): string =>
    `${percent(self)} ${percent(total)}  ${name} ${file}\n`;
  process.stdout.write(' self  total\n');
  for (const row of rows.sort((a, b) => b.self - a.self).slice(0, limit)) {
    process.stdout.write(line(row));
  }
  process.stdout.write('\n');
  for (const row of rows.sort((a, b) => b.total - a.total).slice(0, limit)) {
    process.stdout.write(line(row));
  }
}
