/** Runs the rough world in other engines than this process's. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { ScenarioResult } from './scenario.ts';

const ENTRY = new URL('../browser/entry.ts', import.meta.url).pathname;
const ROOT = new URL('../../', import.meta.url).pathname;

/** One plain ES module with the kernel, sim/, the programs and the scenario. */
export async function bundleScenario(): Promise<string> {
  const result = await build({
    entryPoints: [ENTRY],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: ['softnet-source'],
    logLevel: 'silent',
  });
  const [file] = result.outputFiles;
  if (file === undefined) throw new Error('esbuild made no file');
  return file.text;
}

/** Debian's Chromium, or null. */
export function findChromium(): string | null {
  return (
    ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path)) ?? null
  );
}

/** A newer Node: $SOFTNET_NEWER_NODE, or the one that CI puts into out/newer-node. */
export function findNewerNode(): string | null {
  const given = process.env['SOFTNET_NEWER_NODE'];
  if (given !== undefined && existsSync(given)) return given;
  const folder = join(ROOT, 'out/newer-node/node_modules');
  if (!existsSync(folder)) return null;
  return (
    readdirSync(folder)
      .map((name) => join(folder, name, 'bin/node'))
      .find((path) => existsSync(path)) ?? null
  );
}

/** Runs the bundle under another Node. */
export async function runInNode(
  node: string,
  bundle: string,
  seed: string,
): Promise<ScenarioResult> {
  const folder = mkdtempSync(join(tmpdir(), 'softnet-engine-'));
  try {
    writeFileSync(join(folder, 'bundle.mjs'), bundle);
    writeFileSync(
      join(folder, 'main.mjs'),
      `import { runInEngine, closeEngine } from './bundle.mjs';
       const result = await runInEngine(${JSON.stringify(seed)});
       process.stdout.write(JSON.stringify(result));
       closeEngine();`,
    );
    return JSON.parse(await output(node, [join(folder, 'main.mjs')])) as ScenarioResult;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function output(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.on('error', reject);
    child.on('exit', (code) => {
      if (code === 0) resolve(text);
      else reject(new Error(`${command} ended with ${code}`));
    });
  });
}

const CHROMIUM_FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Serves the bundle on loopback and runs it in a page of headless Chromium. */
export async function runInChromium(
  chromium: string,
  bundle: string,
  seed: string,
): Promise<ScenarioResult> {
  const profile = mkdtempSync(join(tmpdir(), 'softnet-chromium-'));
  let finish: (result: ScenarioResult) => void = () => {};
  let failed: (error: Error) => void = () => {};
  const result = new Promise<ScenarioResult>((resolve, reject) => {
    finish = resolve;
    failed = reject;
  });
  const server = createServer((request, response) => {
    if (request.url === '/bundle.js') {
      response.setHeader('content-type', 'text/javascript');
      response.end(bundle);
    } else if (request.method === 'POST') {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      request.on('end', () => {
        response.end();
        if (request.url === '/result') finish(JSON.parse(body) as ScenarioResult);
        else failed(new Error(body));
      });
    } else {
      response.setHeader('content-type', 'text/html');
      response.end(`<!doctype html><script type="module">
        const post = (url, body) => fetch(url, { method: 'POST', body });
        try {
          const { runInEngine } = await import('/bundle.js');
          await post('/result', JSON.stringify(await runInEngine(${JSON.stringify(seed)})));
        } catch (error) { await post('/error', String(error && error.stack || error)); }
      </script>`);
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const child = spawn(
    chromium,
    [...CHROMIUM_FLAGS, `--user-data-dir=${profile}`, `http://127.0.0.1:${port}/`],
    { stdio: 'ignore', detached: true },
  );
  child.on('error', (error) => failed(error));
  child.on('exit', () => failed(new Error('Chromium ended without a result')));
  try {
    return await result;
  } finally {
    child.removeAllListeners('exit');
    const gone = new Promise((resolve) => {
      child.on('exit', resolve);
    });
    // The whole group of the browser that was started here, its helpers included.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    await gone;
    server.closeAllConnections();
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
