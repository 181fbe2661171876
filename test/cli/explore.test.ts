/** `softnet explore`: what the server hands out, and what it does not. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressOf, serveExplorer } from '#cli/explore.ts';

/** A request with its path as it stands: fetch() would tidy it. */
function ask(
  base: string,
  path: string,
  method = 'GET',
): Promise<{ status: number; type: string; body: string }> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base);
    const sent = request({ hostname, port, path, method }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: String(response.headers['content-type']),
          body,
        }),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('the server of the explorer', () => {
  let folder: string;
  let server: Server;
  let base: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'softnet-explore-'));
    mkdirSync(join(folder, 'site'));
    writeFileSync(join(folder, 'secret.js'), 'secret');
    writeFileSync(join(folder, 'site/index.html'), '<!doctype html>page');
    writeFileSync(join(folder, 'site/app.js'), 'app');
    writeFileSync(join(folder, 'site/.built'), '');
    server = await serveExplorer(join(folder, 'site'), { port: 0, host: '127.0.0.1' });
    base = addressOf(server);
  });

  afterAll(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });

  it('hands out the page and its files', async () => {
    expect(await ask(base, '/')).toEqual({
      status: 200,
      type: 'text/html; charset=utf-8',
      body: '<!doctype html>page',
    });
    expect(await ask(base, '/app.js?x=1')).toMatchObject({ status: 200, body: 'app' });
    expect(await ask(base, '/app.js', 'HEAD')).toMatchObject({ status: 200, body: '' });
  });

  it.each([
    '/none.js',
    '/.built',
    '/../secret.js',
    '/%2e%2e/secret.js',
    '/..%2fsecret.js',
    '/site',
  ])('has no %s', async (path) => {
    expect((await ask(base, path)).status).toBe(404);
  });

  it('refuses what makes no sense', async () => {
    expect((await ask(base, '/', 'POST')).status).toBe(405);
    expect((await ask(base, '/%zz')).status).toBe(400);
  });

  it('says when its port is taken', async () => {
    const port = Number(new URL(base).port);
    await expect(serveExplorer(folder, { port, host: '127.0.0.1' })).rejects.toThrow(
      `port ${port} is in use; choose another with --port`,
    );
  });
});
