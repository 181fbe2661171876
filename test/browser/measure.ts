/**
 * What the explorer's page takes: its scripts, how soon it shows a first packet, frames a second with ten
 * thousand packets on the map, and how soon a moment of a run of a million steps is shown, by view. In
 * headless Chromium, which draws without a graphics card: a real browser is quicker.
 *
 *     tsx --conditions=softnet-source test/browser/measure.ts
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { exit, stdout } from 'node:process';
import { gzipSync } from 'node:zlib';
import { type Browser, chromium, type Page } from 'playwright-core';
import { addressOf, serveExplorer } from '#cli/explore.ts';
import { formatRoute, parseRoute } from '../../explorer/src/model/route.ts';
import { buildExplorer } from '../../scripts/build-explorer.ts';
import { findChromium } from '../support/engines.ts';

const SCRIPTS: readonly string[] = ['app.js', 'worker.js', 'terminal.js', 'sources.js'];
const VIEWS: readonly string[] = ['map', 'stack', 'cpu', 'tcp', 'drops', 'time'];
const SEEKS = 8;
const MILLION = 1_000_000;

const node = (address: string, programs: readonly string[]): string =>
  `      exec: ["ip addr add ${address}/24 dev eth1", "ip link set eth1 up"]\n` +
  `      programs: ${JSON.stringify(programs)}\n`;

function world(name: string, link: string, a: readonly string[], b: readonly string[]): string {
  return (
    `name: ${name}\ntopology:\n  nodes:\n` +
    `    a:\n${node('10.0.0.1', a)}    b:\n${node('10.0.0.2', b)}` +
    `  links:\n    - endpoints: ["a:eth1", "b:eth1"]\n      impairments: ${link}\n`
  );
}

/** Some 12,800 datagrams are on the cable at any time: 64 a millisecond, each for 200 ms. */
const CROWD = world(
  'crowd',
  '{ delay: 200ms, rate: 10gbit }',
  ['ping -c 1 10.0.0.2', 'sleep 1; hping3 -2 -p 9 -d 18 --flood -c 60000 10.0.0.2'],
  ['discardd'],
);
/** Two bulk transfers that make a million steps in some seconds of virtual time. */
const LONG = world(
  'long',
  '{ delay: 1ms, rate: 400mbit }',
  ['sleep 0.2; curl -s -o /dev/null http://10.0.0.2/bytes/90000000'],
  ['httpd'],
);

function link(view: string, yaml: string, momentNs: number): string {
  const base = parseRoute(`#/${view}?world=ping`);
  return formatRoute({ ...base, source: { kind: 'yaml', text: yaml }, momentNs });
}

function say(name: string, value: string): void {
  stdout.write(`${name.padEnd(46)} ${value}\n`);
}

async function newPage(browser: Browser): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  // What esbuild calls for each function that it names; a page does not have it.
  await page.addInitScript('globalThis.__name = (named) => named;');
  return page;
}

async function firstPacket(browser: Browser, base: string): Promise<void> {
  const page = await newPage(browser);
  await page.goto(base);
  await page.waitForSelector('.packet-chip');
  const ms = await page.evaluate(() => performance.now());
  say('first packet after', `${Math.round(ms)} ms`);
  await page.close();
}

async function frames(browser: Browser, base: string): Promise<void> {
  const page = await newPage(browser);
  await page.goto(base + link('map', CROWD, 1_600_000_000));
  await page.waitForFunction(
    () =>
      /1600/.test(document.querySelector('.moment')?.textContent ?? '') ||
      /1\.600 s/.test(document.querySelector('.moment')?.textContent ?? ''),
    null,
    { timeout: 120_000 },
  );
  await page.click('.play');
  const times = await page.evaluate(
    () =>
      new Promise<number[]>((resolve) => {
        const list: number[] = [];
        const tick = (now: number): void => {
          list.push(now);
          if (list.length < 180) requestAnimationFrame(tick);
          else resolve(list);
        };
        requestAnimationFrame(tick);
      }),
  );
  const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
  const mean = gaps.reduce((a, b) => a + b, 0) / gaps.length;
  const worst = [...gaps].sort((a, b) => b - a)[Math.floor(gaps.length / 20)] ?? 0;
  say('frames a second, > 10,000 packets on the map', (1000 / mean).toFixed(1));
  say('  19 of 20 frames within', `${worst.toFixed(1)} ms`);
  await page.close();
}

/** From the change of the slider to the frame after the last change in the view. */
async function seek(page: Page, share: number): Promise<number> {
  return page.evaluate(
    (to) =>
      new Promise<number>((resolve) => {
        const slider = document.querySelector<HTMLInputElement>('.scrubber input');
        const view = document.querySelector('main') ?? document.body;
        if (slider === null) throw new Error('no slider');
        const begin = performance.now();
        let last = begin;
        const watch = new MutationObserver(() => {
          last = performance.now();
        });
        watch.observe(view, {
          childList: true,
          subtree: true,
          characterData: true,
          attributes: true,
        });
        slider.value = String(Number(slider.min) + (Number(slider.max) - Number(slider.min)) * to);
        slider.dispatchEvent(new Event('input', { bubbles: true }));
        const done = (): void => {
          if (performance.now() - last < 400) return void setTimeout(done, 50);
          watch.disconnect();
          resolve(last - begin);
        };
        setTimeout(done, 450);
      }),
    share,
  );
}

async function seeks(browser: Browser, base: string): Promise<void> {
  const page = await newPage(browser);
  await page.goto(base + link('time', LONG, 2_300_000_000));
  await page.waitForFunction(
    (least) => {
      const title = document.querySelector('.counts')?.getAttribute('title') ?? '';
      return Number.parseInt(title, 10) >= least;
    },
    MILLION,
    { timeout: 240_000 },
  );
  for (const view of VIEWS) {
    await page.evaluate((name) => {
      for (const button of document.querySelectorAll<HTMLElement>('.rail button')) {
        if (button.textContent?.trim().toLowerCase() === name) button.click();
      }
    }, view);
    await page.waitForTimeout(1500);
    const list: number[] = [];
    for (let i = 0; i < SEEKS; i++) list.push(await seek(page, ((i * 5 + 3) % SEEKS) / SEEKS));
    list.sort((a, b) => a - b);
    const [median, most] = [list[SEEKS >> 1] ?? 0, list.at(-1) ?? 0];
    say(
      `seek among a million steps, ${view}`,
      `${Math.round(median)} ms, at most ${Math.round(most)} ms`,
    );
  }
  await page.close();
}

async function main(): Promise<number> {
  const executablePath = findChromium();
  if (executablePath === null) {
    stdout.write('no Chromium is installed\n');
    return 1;
  }
  const folder = await buildExplorer(true);
  for (const name of SCRIPTS) {
    const bytes = gzipSync(readFileSync(join(folder, name)), { level: 9 }).length;
    say(`${name}, compressed`, `${Math.round(bytes / 1024)} KiB`);
  }
  const server = await serveExplorer(folder, { port: 0, host: '127.0.0.1' });
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu'],
  });
  try {
    const base = addressOf(server);
    await firstPacket(browser, base);
    await frames(browser, base);
    await seeks(browser, base);
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
  return 0;
}

exit(await main());
