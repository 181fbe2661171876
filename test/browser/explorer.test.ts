/**
 * The explorer in headless Chromium: every view opened, used and read. Skips, saying so, without a browser.
 */
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addressOf, serveExplorer } from '#cli/explore.ts';
import { worldById } from '../../explorer/src/model/gallery.ts';
import { buildExplorer } from '../../scripts/build-explorer.ts';
import { findChromium } from '../support/engines.ts';

const executablePath = findChromium();
const axeSource = readFileSync(
  createRequire(import.meta.url).resolve('axe-core/axe.min.js'),
  'utf8',
);

const WAIT_MS = 40_000;

describe.skipIf(executablePath === null)(
  `the explorer${executablePath === null ? ' (skipped: no Chromium is installed)' : ''}`,
  { timeout: 180_000 },
  () => {
    let folder: string;
    let server: Server;
    let base: string;
    let browser: Browser;
    let page: Page;
    let strangers: string[];
    let errors: string[];

    beforeAll(async () => {
      folder = await buildExplorer(true);
      server = await serveExplorer(folder, { port: 0, host: '127.0.0.1' });
      base = addressOf(server);
      browser = await chromium.launch({
        executablePath: executablePath ?? '',
        args: ['--no-sandbox', '--disable-gpu'],
      });
    }, 180_000);

    afterAll(async () => {
      await browser?.close();
      server?.closeAllConnections();
      server?.close();
    });

    beforeEach(async () => {
      strangers = [];
      errors = [];
      page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
      page.setDefaultTimeout(WAIT_MS);
      page.on('request', (request) => {
        if (!request.url().startsWith(base)) strangers.push(request.url());
      });
      page.on('pageerror', (error) => errors.push(error.message));
    });

    afterEach(async () => {
      await page.close();
      expect(errors).toEqual([]);
      // Blobs and data lie in the page; files are asked for by the test that opens them.
      expect(strangers.filter((url) => !/^(?:blob|data|file):/.test(url))).toEqual([]);
    });

    const open = async (hash: string): Promise<void> => {
      await page.goto(base + hash);
      await page.waitForSelector('.map, .pane, .problem, .shell:not(.hidden)');
    };
    const text = (selector: string): Promise<string> => page.innerText(selector);
    const waitForText = (selector: string, pattern: RegExp): Promise<unknown> =>
      page.waitForFunction(
        ([s, source]) => {
          const element = document.querySelector<HTMLElement>(s ?? '');
          return element !== null && new RegExp(source ?? '', 's').test(element.innerText);
        },
        [selector, pattern.source],
      );
    const tab = (label: string): Promise<void> => page.click(`.rail button:has-text("${label}")`);

    /** What axe finds that matters. */
    const accessibility = async (): Promise<string[]> => {
      await page.evaluate(axeSource);
      return page.evaluate(async () => {
        const { axe } = globalThis as unknown as {
          axe: {
            run(): Promise<{
              violations: {
                id: string;
                impact: string;
                nodes: { target: string[]; failureSummary: string }[];
              }[];
            }>;
          };
        };
        const { violations } = await axe.run();
        return violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .flatMap(({ id, nodes }) =>
            nodes.slice(0, 3).map((n) => `${id}: ${n.target.join(' ')}: ${n.failureSummary}`),
          );
      });
    };

    it('has a script under 250 kB, compressed, without the terminal', () => {
      const bytes = gzipSync(readFileSync(join(folder, 'app.js')), { level: 9 }).length;
      expect(bytes).toBeLessThan(250 * 1024);
    });

    it('plays a world on the map, and shows packets, programs and counts', async () => {
      await open('');
      await waitForText('.inspector', /ARP.*who has 10\.0\.0\.2/);
      expect(await page.locator('.machine').allTextContents()).toEqual([
        expect.stringContaining('alice'),
        expect.stringContaining('bob'),
      ]);
      await waitForText('.console', /PING 10\.0\.0\.2/);
      await page.click('.packet-chip');
      await waitForText('.inspector', /PACKET \d+/);
      // The address bar follows.
      await page.waitForFunction(() => /world=ping.*packet=\d/.test(location.hash));
    });

    it('cuts and mends a cable, and says what that does', async () => {
      await open('#/map?world=ping&t=900000000');
      await page.locator('.cable').focus();
      await page.keyboard.press('Enter');
      await page.click('text=Cut the cable');
      await page.waitForSelector('.cable.cut');
      await page.click('text=Mend the cable');
      await page.waitForSelector('.cable:not(.cut)');
      await page.locator('.inspector input[type=range]').first().fill('0');
      await waitForText('.map', /0 ns/);
    });

    it('shows which packet died, where and why, and what to type, within one click', async () => {
      await open('#/terminal?world=router&machine=router&t=1200000000');
      await page.waitForSelector('.shell:not(.hidden) .xterm-helper-textarea', {
        state: 'attached',
      });
      await page.focus('.shell:not(.hidden) .xterm-helper-textarea');
      await page.keyboard.type('sysctl -w net.ipv4.ip_forward=0\n');
      await waitForText('.shell:not(.hidden) .xterm-accessibility', /ip_forward = 0/);
      await tab('Map');
      await page.click('.map-alert');
      const line = await text('.drop-line');
      expect(line).toContain('IP_INADDRERRORS');
      expect(line).toContain('router');
      expect(line).toContain('ip_error()');
      expect(line).toContain('forwarding is switched off');
      expect(line).toContain('sysctl -w net.ipv4.ip_forward=1');
      expect(await text('.inspector')).toMatch(/echo request/);
      // And what it says to type, helps.
      await page.click('.drop-line >> text=Type it');
      await page.keyboard.press('Enter');
      await waitForText('.shell:not(.hidden) .xterm-accessibility', /ip_forward = 1/);
    });

    it('walks a packet’s journey with the arrow keys', async () => {
      await open('#/journey?world=router&packet=1&t=700000000');
      await waitForText('.journey', /client.*router.*server/);
      const all = await text('.journey');
      for (const part of [
        /on the cable for/,
        /ip_forward|ip_rcv/,
        /__dev_queue_xmit\(\)/,
        /consumed/,
      ]) {
        expect(all).toMatch(part);
      }
      await page.keyboard.press('Home');
      await page.waitForSelector('.journey-step[data-index="0"].present');
      await page.keyboard.press('ArrowRight');
      await page.waitForSelector('.journey-step[data-index="1"].present');
      // The browser's own keys, and those of a sheet over the page, are not the journey's.
      await page.keyboard.press('Alt+ArrowRight');
      await page.keyboard.press('?');
      await page.waitForSelector('dialog[open]');
      await page.keyboard.press('ArrowRight');
      await page.keyboard.press('Escape');
      await page.waitForSelector('dialog[open]', { state: 'detached' });
      await page.waitForSelector('.journey-step[data-index="1"].present');
    });

    it('asks the worker a few times a second while the world plays, not for each picture', async () => {
      await page.addInitScript(() => {
        const scope = globalThis as unknown as { asked: unknown[] };
        scope.asked = [];
        const { postMessage } = Worker.prototype;
        Worker.prototype.postMessage = function (this: Worker, message: unknown): void {
          scope.asked.push(message);
          postMessage.call(this, message);
        };
      });
      await open('#/tcp?world=loss');
      await waitForText('.gauges', /congestion window|sending/);
      const moments = await page.evaluate(() => {
        type Message = { call: string; params: { untilNs: number } };
        const { asked } = globalThis as unknown as { asked: Message[] };
        return asked.filter(({ call }) => call === 'tcp').map(({ params }) => params.untilNs);
      });
      // The pace of this world is its gallery's; five times a second of watching.
      const slots = moments.map((ns) => Math.floor((ns * 5) / (worldById('loss')?.pace ?? 1)));
      expect(slots.length).toBeGreaterThan(2);
      expect(slots.length - new Set(slots).size).toBeLessThan(3);
    });

    it('takes a packet apart: pointers, bytes and headers', async () => {
      await open('#/microscope?world=ping&packet=1&t=900000000');
      await waitForText('.headers', /IPv4.*10\.0\.0\.1.*10\.0\.0\.2.*ICMP/);
      expect(await text('.hex')).toMatch(/45 ?\s*00/);
      expect(await page.locator('.buffer-mark').allTextContents()).toEqual(
        expect.arrayContaining(['head', 'data', 'tail', 'end', 'network']),
      );
      // By the keyboard each field of the bytes is found, and its meaning beside them.
      await page.locator('button.hex-cell[aria-label*=" IPv4/"]').first().focus();
      await page.waitForSelector('button.hex-cell.chosen[aria-pressed="true"]');
      const named = await page.locator('.headers .chosen dt').textContent();
      await page.keyboard.press('Tab');
      await page.waitForFunction(
        (before) => document.querySelector('.headers .chosen dt')?.textContent !== before,
        named,
      );
      expect(await page.locator('button.hex-cell').count()).toBeGreaterThan(12);
      const first = await text('.microscope-step');
      await page.keyboard.press('ArrowLeft');
      await page.waitForFunction(
        (before) => document.querySelector<HTMLElement>('.microscope-step')?.innerText !== before,
        first,
      );
    });

    it('draws fragments to scale, and tells decisions and moved pointers on the way', async () => {
      // The first packet of this seed that is larger than a frame, and that the card cuts.
      await open('#/journey?world=loss&packet=9&t=400000000');
      await waitForText('.journey', /skb_push: 20 bytes of header were put in front/);
      expect(await text('.pane')).toMatch(/its way goes on as\s+packet 11\s+packet 12/);
      await tab('Bytes');
      await page.keyboard.press('End');
      await page.waitForSelector('.fragment.frag');
      const widths = await page
        .locator('.fragment rect')
        .evaluateAll((list) => list.map((rect) => Number(rect.getAttribute('width'))));
      const sizes = (await page.locator('.fragment title').allTextContents()).map((title) =>
        Number(/: (\d+) bytes/.exec(title)?.[1]),
      );
      expect(sizes.length).toBeGreaterThan(1);
      // To scale: as many pixels a byte in each of them.
      const [whole, drawn] = [sizes, widths].map((list) => list.reduce((a, b) => a + b, 0));
      const scale = (drawn ?? 0) / (whole ?? 1);
      expect(scale).toBeGreaterThan(0);
      for (const [i, size] of sizes.entries()) expect(widths[i]).toBeCloseTo(size * scale, 3);
    });

    it('shows who had the CPU, with polls and budgets, and moves a limit', async () => {
      await open('#/cpu?world=overload&machine=polls&t=208000000');
      await waitForText('.gauges', /programs had\s+\d+ %.*by ksoftirqd\s+\d+ \d\d %/);
      await waitForText('.gauges', /packets a poll\s+\d/);
      // The machine beside it lives in interrupts alone.
      await page.selectOption('.picker select', 'interrupts');
      await waitForText('.gauges', /programs had\s+0 %.*hard interrupts\s+\d+ 100 %/);
      await page.selectOption('.picker select', 'polls');
      await waitForText('.view', /Now: ring \d+ of \d+/);
      await page.locator('.slider input').first().fill('0');
      await waitForText('.slider', /Budget\s*1/);
    });

    it('shows what a TCP sender knows and waits for', async () => {
      await open('#/tcp?world=loss&t=900000000');
      await waitForText('.gauges', /ESTABLISHED.*cwnd\s+\d+.*srtt\s+[\d.]+ ms.*sent again\s+[1-9]/);
      expect(await text('.legend-row')).toMatch(/congestion window|recovery|sending/);
      expect(await page.locator('.state.present').textContent()).toBe('ESTABLISHED');
      expect(await page.locator('.canvas-plot').count()).toBeGreaterThanOrEqual(2);
    });

    it('maps the stack at five depths, down to the source', async () => {
      await open('#/stack?world=router&machine=router&packet=1&depth=0&t=900000000');
      await waitForText('.stack-map', /Is it for this house\?.*\d passed/);
      await page.waitForSelector('.stack-node.passed');
      await page.click('.toggle >> text=Deep dive');
      await waitForText('.stack-map', /ip_forward\s*\d/);
      await page.click('.toggle >> text=Source');
      await page.click('.stack-node.network >> nth=1');
      await waitForText('.explanation', /net\/ipv4\/ip_\w+\.c → src\/net\/ipv4\/ip_\w+\.ts:\d+/);
      await waitForText('.explanation pre', /function ip/);
    });

    it('forks a run, and says where the two part', async () => {
      await open('#/time?world=arp-failure&t=500000000');
      await waitForText('.steps', /alice/);
      await page.selectOption('.fork-form select', 'command');
      await page.selectOption('.fork-form select >> nth=1', 'bob');
      await page.fill('.fork-form input', 'ip addr add 10.0.0.77/24 dev eth1');
      await page.click('text=Run both and compare');
      await waitForText('.view', /events are the same.*Then the runs part.*arrived\s+\d+\s+\d+/);
      // A change that changes nothing.
      await page.selectOption('.fork-form select', 'delay');
      await page.fill('.fork-form input', '20ms');
      await page.click('text=Run both and compare');
      await waitForText('.same', /Nothing differs/);
    });

    /** Compares the run in which Bob has the address from the start with that in which he gets it late. */
    const compareLateAddress = async (): Promise<void> => {
      await open('#/time?world=arp-failure&t=500000000');
      await waitForText('.steps', /alice/);
      await page.selectOption('.fork-form select', 'command');
      await page.selectOption('.fork-form select >> nth=1', 'bob');
      await page.fill('.fork-form input', 'ip addr add 10.0.0.77/24 dev eth1');
      await page.click('text=Run both and compare');
    };

    it('tells of two runs where they part, with the packets that differ first', async () => {
      await compareLateAddress();
      await waitForText('.divergence', /^as it was\s.*changed\s+event [\d,]+ at /);
      await waitForText(
        '.sightings',
        /echo request 1, dropped NEIGH_FAILED.*echo request 1, delivered/,
      );
      expect(await page.locator('.part-later').count()).toBe(0);
      const told = await page.locator('.compare code').allTextContents();
      expect(told).toEqual([
        expect.stringMatching(/^[0-9a-f]{16}$/),
        expect.stringMatching(/^[0-9a-f]{16}$/),
      ]);
      expect(told[0]).not.toBe(told[1]);
      // What cannot be read is said, and leaves what was told.
      await page.selectOption('.fork-form select', 'delay');
      await page.fill('.fork-form input', 'soon');
      await page.click('text=Run both and compare');
      await waitForText('body', /'soon' cannot be understood; write it like/);
      expect(await page.locator('.compare').count()).toBe(1);
    });

    it('says between which events two runs part when it has not kept them all', async () => {
      // A run of so many events takes too long here: the worker's answer is made to look like one of it.
      await page.addInitScript(() => {
        const { get } = Object.getOwnPropertyDescriptor(MessageEvent.prototype, 'data') ?? {};
        Object.defineProperty(MessageEvent.prototype, 'data', {
          get(this: MessageEvent): unknown {
            const data = get?.call(this) as { value?: { sightings?: unknown } } | null;
            if (data?.value?.sightings === undefined) return data;
            const later = { common: 12_000, first: null, second: null };
            const partLater = { after: 16_000, by: 16_500 };
            return { ...data, value: { ...data.value, ...later, partLater } };
          },
        });
      });
      await compareLateAddress();
      await waitForText(
        '.part-later',
        /^12,000 events were compared one by one,.* behind event 16,000, and not later than event 16,500\.$/,
      );
      expect(await page.locator('.divergence').count()).toBe(0);
    });

    it('finds connections among more than it lists', async () => {
      await open('#/map?world=ping');
      await page.click('.world-button');
      const visits = Array.from({ length: 105 }, () => 'curl -s http://10.0.0.2/').join('; ');
      await page.fill(
        '.yaml',
        `topology:
  nodes:
    a:
      exec: [ip link set eth1 up, ip addr add 10.0.0.1/24 dev eth1]
      programs: ['sleep 0.1; ${visits}']
    b:
      exec: [ip link set eth1 up, ip addr add 10.0.0.2/24 dev eth1]
      programs: [httpd]
  links: [{ endpoints: ['a:eth1', 'b:eth1'], impairments: { delay: 1ms } }]
`,
      );
      await page.click('text=Run this world');
      await page.waitForSelector('.machine');
      await tab('TCP');
      await waitForText('.found', /those 200 of 2\d\d that sent most, or began last/);
      const options = '.picker select option';
      await waitForText('.found', /of 210 /);
      expect(await page.locator(options).count()).toBe(200);
      const other = (await page.locator(options).nth(20).textContent()) ?? '';
      const [, local = ''] = / (10\.0\.0\.\d:\d+) →/.exec(other) ?? [];
      const port = /^10\.0\.0\.2:80$/.test(local)
        ? (/→ (10\.0\.0\.1:\d+)/.exec(other)?.[1] ?? '')
        : local;
      await page.fill('input[type=search]', port);
      // Both ends of it.
      await waitForText('.found', /^2 of 210$/);
      expect(await page.locator(options).allTextContents()).toEqual([
        expect.stringContaining(port),
        expect.stringContaining(port),
      ]);
      await page.fill('input[type=search]', '192.0.2.9');
      await waitForText('.pane', /No connection has '192\.0\.2\.9'\./);
      await page.fill('input[type=search]', '');
      await waitForText('.found', /those 200 of 210/);
    });

    it('gives the same run for the same link', async () => {
      const fingerprint = async (): Promise<string> => {
        await open('#/time?world=loss&seed=7&t=600000000');
        // The clock goes to the moment of the link when the run has got there.
        await waitForText('.moment', /^[1-9]/);
        const text = await page.innerText('.view');
        const told = /Fingerprint of the run so far: ([0-9a-f]{16})/.exec(text)?.[1];
        return `${await page.innerText('.moment')} ${told}`;
      };
      const first = await fingerprint();
      expect(first).toMatch(/^[\d.]+ ms [0-9a-f]{16}$/);
      await page.goto('about:blank');
      expect(await fingerprint()).toBe(first);
    });

    it('tells the lessons, and runs what they claim', async () => {
      await open('#/lessons/student');
      await waitForText('.lesson', /Two journeys/);
      await page.click('text=Show me the handshake');
      await waitForText('.gauges', /ESTABLISHED|FIN-WAIT|CLOSE/);
    });

    it('says what is wrong with a world or a link, and offers the gallery', async () => {
      await open('#/map?world=nowhere');
      expect(await text('.problem')).toMatch(/no world named 'nowhere'.*Ping/s);
      await page.click('.problem >> text=Nobody answers');
      await page.waitForSelector('.machine');
      await page.goto('about:blank');
      await open('#/map?world=ping&t=soon');
      expect(await text('.problem')).toMatch(/t must be a number, not 'soon'/);
      await page.goto('about:blank');
      await open('#/map?yaml=%%%');
      expect(await text('.problem')).toMatch(/link/);
      await page.goto('about:blank');
      await open('#/map?world=ping');
      await page.click('.world-button');
      await page.fill('.yaml', 'topology:\n  nodes:\n    a: {cpus: many}\n');
      await page.click('text=Run this world');
      await page.waitForSelector('.problem');
      expect(await text('.problem')).toMatch(/Line 3.*cpus.*whole number/s);
      await page.click('.world-button');
      const many = Array.from({ length: 60 }, (_, i) => `    m${i}: {}`).join('\n');
      await page.fill('.yaml', `topology:\n  nodes:\n${many}\n`);
      await page.click('text=Run this world');
      await page.waitForFunction(() => /60 machines/.test(document.body.innerText));
    });

    it('opens from a folder, without a server', async () => {
      await page.goto(`${pathToFileURL(join(folder, 'index.html')).href}#/map?world=ping`);
      await waitForText('.inspector', /who has 10\.0\.0\.2/);
    });

    it.each(['light', 'dark'] as const)(
      'has nothing serious for axe to find (%s)',
      async (scheme) => {
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
        const found: string[] = [];
        await open('#/map?world=router&machine=router&packet=1&t=900000000');
        for (const label of [
          'Map',
          'Stack',
          'Journey',
          'Bytes',
          'CPU',
          'TCP',
          'Drops',
          'Time',
          'Lessons',
          'Terminal',
        ]) {
          await tab(label);
          if (label === 'Terminal') await page.waitForSelector('.shell:not(.hidden) .xterm-rows');
          await page.waitForTimeout(300);
          found.push(...(await accessibility()).map((line) => `${label}: ${line}`));
        }
        await page.click('.world-button');
        found.push(...(await accessibility()).map((line) => `gallery: ${line}`));
        expect(found).toEqual([]);
      },
    );

    it('is light or dark as the system has it, until somebody chooses', async () => {
      const ground = (): Promise<string> =>
        page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      await page.emulateMedia({ colorScheme: 'dark' });
      await open('#/map?world=ping');
      const dark = await ground();
      const icon = (): Promise<string | null> =>
        page.locator('[title^="Theme"] path').getAttribute('d');
      const moon = await icon();
      await page.emulateMedia({ colorScheme: 'light' });
      await page.waitForFunction(() => document.documentElement.dataset['theme'] === 'light');
      const light = await ground();
      await page.waitForFunction(
        (before) => document.querySelector('[title^="Theme"] path')?.getAttribute('d') !== before,
        moon,
      );
      expect([dark, light]).toEqual(['rgb(11, 15, 22)', 'rgb(243, 245, 248)']);
      await page.click('[title^="Theme"]');
      expect(await ground()).toBe(dark);
      expect(await icon()).toBe(moon);
      // What was chosen outlasts the visit, and the system's own mind.
      await page.reload();
      await page.waitForSelector('.map');
      expect(await ground()).toBe(dark);
    });

    it('fits a phone', async () => {
      await page.setViewportSize({ width: 390, height: 800 });
      await open('#/map?world=router&t=900000000');
      await page.waitForSelector('.machine');
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(width).toBeLessThanOrEqual(390);
      await tab('Drops');
      await page.waitForSelector('.pane');
    });

    it('gives a phone’s screen to the view, until somebody opens the panel', async () => {
      await page.setViewportSize({ width: 390, height: 844 });
      await page.emulateMedia({ reducedMotion: 'reduce' });
      await open('#/map?world=router&t=900000000');
      await page.waitForSelector('.machine');
      const toggle = page.locator('.inspector-toggle');
      const body = page.locator('#inspector-body');
      const viewHeight = (): Promise<number> =>
        page.locator('.view').evaluate((view) => view.clientHeight);
      const expanded = (): Promise<string | null> => toggle.getAttribute('aria-expanded');
      const found: string[] = [];
      const look = async (): Promise<void> => {
        found.push(...(await accessibility()));
      };

      expect([await expanded(), await body.isVisible()]).toEqual(['false', false]);
      expect(await toggle.getAttribute('aria-controls')).toBe('inspector-body');
      const roomy = await viewHeight();
      expect(roomy).toBeGreaterThan(844 * 0.6);
      await look();

      await toggle.focus();
      await page.keyboard.press('Enter');
      await body.waitFor({ state: 'visible' });
      expect(await expanded()).toBe('true');
      expect(await viewHeight()).toBeLessThan(roomy);
      await look();

      // It stays as it is from one view to the next, open and closed.
      await tab('Drops');
      await page.waitForSelector('.pane');
      expect([await expanded(), await body.isVisible()]).toEqual(['true', true]);
      await toggle.focus();
      await page.keyboard.press('Space');
      await body.waitFor({ state: 'hidden' });
      expect(await expanded()).toBe('false');
      await look();
      await tab('Map');
      await page.waitForSelector('.machine');
      expect([await expanded(), await viewHeight()]).toEqual(['false', roomy]);

      // Closed, the button says what is selected.
      await page.locator('.cable').first().focus();
      await page.keyboard.press('Enter');
      expect(await toggle.innerText()).toMatch(/client — router/);
      expect(found).toEqual([]);

      // A wide screen has the panel, and no button.
      await page.setViewportSize({ width: 1400, height: 900 });
      expect([await toggle.isVisible(), await body.isVisible()]).toEqual([false, true]);
    });
  },
);
