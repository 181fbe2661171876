/**
 * `softnet explore`: serves the explorer's built files on loopback. They are plain files that any web
 * server, or a folder, serves as well; nothing of the world runs here.
 */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '#cli/errors.ts';

export interface ExploreOptions {
  readonly port: number;
  readonly host: string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
};

/** Where the built explorer lies, seen from src/ and from dist/. */
export function explorerFolder(): string | null {
  const candidates = ['../explorer/', '../../dist/explorer/'];
  for (const candidate of candidates) {
    const folder = fileURLToPath(new URL(candidate, import.meta.url));
    if (existsSync(join(folder, 'app.js'))) return folder;
  }
  return null;
}

function answer(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const refuse = (status: number): void => {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(`${status}\n`);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    refuse(405);
    return;
  }
  let path: string;
  try {
    path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
  } catch {
    refuse(400);
    return;
  }
  const file = normalize(join(folder, path.endsWith('/') ? `${path}index.html` : path));
  // Nothing outside the folder, whatever the path says.
  if (!file.startsWith(normalize(folder + sep).replace(/[/\\]+$/, sep))) {
    refuse(404);
    return;
  }
  const type = TYPES[extname(file)];
  if (type === undefined || !existsSync(file) || !statSync(file).isFile()) {
    refuse(404);
    return;
  }
  response.writeHead(200, {
    'content-type': type,
    'content-length': statSync(file).size,
    'cache-control': 'no-cache',
  });
  if (request.method === 'HEAD') response.end();
  else createReadStream(file).pipe(response);
}

/** Serves a folder; resolves when it can be reached. Rejects with UserError. */
export function serveExplorer(folder: string, options: ExploreOptions): Promise<Server> {
  const server = createServer((request, response) => answer(folder, request, response));
  return new Promise((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE' ? 'is in use; choose another with --port' : error.message;
      reject(new UserError(`port ${options.port} ${why}`));
    });
    server.listen(options.port, options.host, () => resolve(server));
  });
}

export function addressOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo;
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}/`;
}

export async function runExplore(options: ExploreOptions): Promise<void> {
  const folder = explorerFolder();
  if (folder === null) {
    throw new UserError('the explorer has not been built; `npm run build` does that');
  }
  const server = await serveExplorer(folder, options);
  process.stdout.write(`softnet explorer: ${addressOf(server)}  (Ctrl-C ends it)\n`);
  await new Promise<void>((resolve) => {
    const stop = (): void => {
      server.close();
      server.closeAllConnections();
      resolve();
    };
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
  });
}
