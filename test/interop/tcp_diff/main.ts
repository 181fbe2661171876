/*
 * Looks for what softnet's TCP does otherwise than the kernel's:
 *
 *   npx tsx --conditions=softnet-source test/interop/tcp_diff/main.ts --seed 1 --count 1000 --out /tmp/diffs
 *   npx tsx --conditions=softnet-source test/interop/tcp_diff/main.ts --shrink /tmp/diffs/17.json
 *   npx tsx --conditions=softnet-source test/interop/tcp_diff/main.ts --show /tmp/diffs/17.json
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Scenario } from './events.ts';
import { hunt } from './hunt.ts';
import { Kernel } from './kernel.ts';
import { show } from './show.ts';
import { differences, shrink } from './shrink.ts';
import { playOnSoftnet } from './softnet.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '200' },
    batch: { type: 'string', default: '100' },
    out: { type: 'string', default: 'tcp-diffs' },
    shrink: { type: 'string' },
    show: { type: 'string' },
  },
});

function readScenario(path: string): Scenario {
  return JSON.parse(readFileSync(path, 'utf8')) as Scenario;
}

async function showOne(kernel: Kernel, scenario: Scenario): Promise<void> {
  const own = await playOnSoftnet(scenario);
  const [other] = await kernel.play([scenario]);
  const [difference] = await differences(kernel, [scenario]);
  process.stdout.write(`softnet:\n${show(scenario, own)}\n`);
  if (other != null) process.stdout.write(`kernel:\n${show(scenario, other)}\n`);
  process.stdout.write(
    `${difference == null ? 'no difference' : `${difference.kind}: ${difference.text}`}\n`,
  );
}

async function shrinkOne(kernel: Kernel, path: string): Promise<void> {
  const scenario = readScenario(path);
  const [wanted] = await differences(kernel, [scenario]);
  if (wanted == null) {
    process.stdout.write('no difference\n');
    return;
  }
  const small = await shrink(kernel, scenario, wanted);
  writeFileSync(path.replace(/(?:\.small)?\.json$/, '.small.json'), JSON.stringify(small));
  await showOne(kernel, small);
}

async function huntAll(kernel: Kernel): Promise<void> {
  const { out } = values;
  mkdirSync(out, { recursive: true });
  const options = {
    seed: Number(values.seed),
    count: Number(values.count),
    batch: Number(values.batch),
  };
  let found = 0;
  const began = Date.now();
  const late = await hunt(kernel, options, ({ seed, scenario, own, other, difference }) => {
    found++;
    writeFileSync(join(out, `${seed}.json`), JSON.stringify(scenario));
    const text = [difference.text, show(scenario, own), show(scenario, other)].join('\n\n');
    writeFileSync(join(out, `${seed}.txt`), `${text}\n`);
    process.stdout.write(`seed ${seed}: ${difference.kind}: ${difference.text}\n`);
  });
  const seconds = Math.round((Date.now() - began) / 1000);
  process.stdout.write(
    `${options.count} scenarios, ${found} with a difference, ${late} never in time, ${seconds} s\n`,
  );
}

const kernel = new Kernel();
try {
  if (values.shrink !== undefined) await shrinkOne(kernel, values.shrink);
  else if (values.show !== undefined) await showOne(kernel, readScenario(values.show));
  else await huntAll(kernel);
} finally {
  kernel.close();
}
