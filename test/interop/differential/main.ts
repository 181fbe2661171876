/**
 * Long runs of the differential tests: `npx tsx --conditions=softnet-source test/interop/differential/main.ts THEME FROM COUNT`.
 * (themes: arp, ip, igmp, sockets, calls, all), or with `record` to write recorded.json anew.
 *
 * Needs root. What differs is played again with time for the kernel to settle, then made as short as
 * possible and printed.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCase, THEME_NAMES } from './cases.ts';
import { KernelPlayer } from './kernel_player.ts';
import { MENDED, RECORD_SETTLE_MS } from './mended.ts';
import { compare, type Difference, normalRun } from './normal.ts';
import { playOnSoftnet } from './softnet_player.ts';
import type { Case, Step } from './steps.ts';

const RECORDED = join(import.meta.dirname, 'recorded.json');

/** More than two jiffies of 4 ms. */
const SETTLE_MS = 14;

const RECORD_TRIES = 8;

/** What the first difference of a case is, or what softnet threw; null: there is none. */
async function differ(
  kernel: KernelPlayer,
  one: Case,
  settleMs: number,
): Promise<Difference | null> {
  const theirs = await kernel.play(one, settleMs);
  try {
    return compare(one, theirs, await playOnSoftnet(one, settleMs))[0] ?? null;
  } catch (error) {
    return { step: one.steps.length - 1, kernel: null, softnet: String((error as Error).stack) };
  }
}

const opOf = (one: Case, found: Difference): string => one.steps[found.step]?.[0] ?? '';

/** Devices and pauses stay. */
const isKept = ([op, name]: Step): boolean =>
  op === 'tap' || op === 'sleep' || name === 'net.ipv4.ip_local_port_range';

/** Leaves out steps, as long as one of the same kind differs. */
async function shrink(
  kernel: KernelPlayer,
  whole: Case,
  found: Difference,
): Promise<[Case, Difference]> {
  let best: Case = { ...whole, steps: whole.steps.slice(0, found.step + 1) };
  let last = found;
  const op = opOf(whole, found);
  const attempt = async (steps: readonly Step[]): Promise<boolean> => {
    if (steps.filter(isKept).length < best.steps.filter(isKept).length) return false;
    const shorter = { ...whole, steps };
    const still = await differ(kernel, shorter, 0);
    if (still === null || opOf(shorter, still) !== op) return false;
    if ((await differ(kernel, shorter, SETTLE_MS)) === null) return false;
    best = { ...shorter, steps: steps.slice(0, still.step + 1) };
    last = still;
    return true;
  };
  for (let size = best.steps.length >> 1; size >= 1; size >>= 1) {
    for (let at = best.steps.length - 1 - size; at >= 2; at -= size) {
      await attempt([...best.steps.slice(0, at), ...best.steps.slice(at + size)]);
    }
  }
  for (let at = 0; at < best.steps.length; at++) {
    const step = best.steps[at];
    if (step?.[0] !== 'ip' || step.length <= 2) continue;
    for (let line = step.length - 1; line >= 1; line--) {
      const now = best.steps[at] as readonly string[];
      if (now.length <= 2) break;
      if (now[line]?.includes(' address ') === true) continue;
      const fewer = now.filter((_, i) => i !== line) as unknown as Step;
      await attempt(best.steps.map((other, i) => (i === at ? fewer : other)));
    }
  }
  return [best, last];
}

function show(one: Case, found: Difference): void {
  console.log(`\n== ${one.name}`);
  for (const step of one.steps) console.log('  ', JSON.stringify(step));
  const [kernel, softnet] = [found.kernel, found.softnet].map((side) => JSON.stringify(side));
  console.log('   kernel: ', kernel);
  console.log('   softnet:', softnet);
}

/** What the kernel answers, as soon as two runs agree: a timer may come late on a busy machine. */
async function recordOne(kernel: KernelPlayer, one: Case): Promise<readonly string[]> {
  const seen = new Set<string>();
  for (let n = 0; n < RECORD_TRIES; n++) {
    const run = normalRun(one, await kernel.play(one, RECORD_SETTLE_MS));
    const lines = run.map((result) => JSON.stringify(result));
    const text = lines.join('\n');
    if (seen.has(text)) return lines;
    seen.add(text);
  }
  throw new Error(`${one.name}: no two of ${RECORD_TRIES} runs are alike`);
}

/** Writes down what the kernel answers in the cases of mended.ts. */
async function record(): Promise<void> {
  const kernel = new KernelPlayer();
  const runs: Record<string, readonly string[]> = {};
  for (const one of MENDED) runs[one.name] = await recordOne(kernel, one);
  kernel.close();
  writeFileSync(RECORDED, `${JSON.stringify(runs, null, 2)}\n`);
}

async function main(): Promise<void> {
  if (process.argv[2] === 'record') return await record();
  const [theme = 'all', from = '0', count = '100', most = '5'] = process.argv.slice(2);
  const kernel = new KernelPlayer();
  const themes = theme === 'all' ? THEME_NAMES : theme.split(',');
  let cases = 0;
  let different = 0;
  for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
    for (const name of themes) {
      const one = makeCase(name, seed);
      cases++;
      if ((await differ(kernel, one, 0)) === null) continue;
      const again = await differ(kernel, one, SETTLE_MS);
      if (again === null) continue;
      different++;
      show(...(await shrink(kernel, one, again)));
      if (different >= Number(most)) break;
    }
    if (different >= Number(most)) break;
  }
  kernel.close();
  console.log(`${cases} cases, ${different} differ`);
}

await main();
