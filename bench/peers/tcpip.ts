/** tcpip.js, lwIP in WebAssembly, when somebody has installed it: bulk data over its loopback. */
import { type Figure, measureAsync, report } from '../measure.ts';

const SKIPPED = 3;

interface Stream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}
interface Stack {
  createLoopbackInterface(options: object): Promise<unknown>;
  listenTcp(options: object): Promise<AsyncIterable<Stream>>;
  connectTcp(options: object): Promise<Stream>;
}
interface TcpipModule {
  createStack(): Promise<Stack>;
}

async function load(): Promise<TcpipModule> {
  const name = 'tcpip';
  try {
    return (await import(name)) as TcpipModule;
  } catch {
    process.stderr.write('skipped: tcpip.js is not installed (npm install --no-save tcpip)\n');
    process.exit(SKIPPED);
  }
}

async function bulk(stack: Stack): Promise<Figure> {
  const listener = await stack.listenTcp({ port: 5001 });
  const accepting = listener[Symbol.asyncIterator]().next();
  const client = await stack.connectTcp({ host: '127.0.0.1', port: 5001 });
  const server = (await accepting).value as Stream;
  const writer = client.writable.getWriter();
  const reader = server.readable.getReader();
  const chunk = new Uint8Array(65536).fill(7);
  return measureAsync('bytes', async () => {
    void writer.write(chunk);
    let received = 0;
    while (received < chunk.length) received += (await reader.read()).value?.length ?? 0;
    return received;
  });
}

const { createStack } = await load();
const stack = await createStack();
await stack.createLoopbackInterface({ ip: '127.0.0.1/8' });
report(await bulk(stack));
process.exit(0);
