/** Node's own sockets over the real loopback, both ends in one process: `bulk`, `rr`, `udp` or `connect`. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { measureAsync, report } from '../measure.ts';

async function listen(
  onConnection: (socket: Socket) => void,
): Promise<{ server: Server; port: number }> {
  const server = createServer({ noDelay: true }, onConnection);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}

/** 64 KiB writes one way; counts bytes that arrived. */
async function bulk(): Promise<void> {
  let received = 0;
  let wake: (() => void) | null = null;
  const { server, port } = await listen((socket) => {
    socket.on('data', (chunk) => {
      received += chunk.length;
      wake?.();
    });
  });
  const socket = await open(port);
  const chunk = Buffer.alloc(65536, 7);
  report(
    await measureAsync('bytes', async () => {
      const goal = received + 16 * chunk.length;
      const before = received;
      for (let i = 0; i < 16; i++) socket.write(chunk);
      while (received < goal) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return received - before;
    }),
  );
  socket.destroy();
  server.close();
}

/** One byte there and one back. */
async function rr(): Promise<void> {
  const { server, port } = await listen((socket) => {
    socket.on('data', (data) => socket.write(data));
  });
  const socket = await open(port);
  const byte = Buffer.alloc(1, 1);
  report(
    await measureAsync('round trips', async () => {
      for (let i = 0; i < 100; i++) {
        const answer = once(socket, 'data');
        socket.write(byte);
        await answer;
      }
      return 100;
    }),
  );
  socket.destroy();
  server.close();
}

/** Connect, one byte there, one back, close. */
async function connections(): Promise<void> {
  const { server, port } = await listen((socket) => {
    socket.once('data', (data) => socket.end(data));
  });
  report(
    await measureAsync('connections', async () => {
      for (let i = 0; i < 10; i++) {
        const socket = await open(port);
        socket.write('x');
        await once(socket, 'data');
        socket.destroy();
      }
      return 10;
    }),
  );
  server.close();
}

/** 64-byte datagrams, a batch of 16 under way. */
async function datagrams(): Promise<void> {
  const into = createSocket('udp4');
  const out = createSocket('udp4');
  into.bind(0, '127.0.0.1');
  await once(into, 'listening');
  const { port } = into.address();
  out.connect(port, '127.0.0.1');
  await once(out, 'connect');
  let received = 0;
  let wake: (() => void) | null = null;
  into.on('message', () => {
    if (++received % 16 === 0) wake?.();
  });
  const datagram = Buffer.alloc(64, 7);
  report(
    await measureAsync('datagrams', async () => {
      const arrived = new Promise<void>((resolve) => {
        wake = resolve;
      });
      for (let i = 0; i < 16; i++) out.send(datagram);
      await arrived;
      return 16;
    }),
  );
  into.close();
  out.close();
}

const [which] = process.argv.slice(2);
if (which === 'bulk') await bulk();
else if (which === 'rr') await rr();
else if (which === 'udp') await datagrams();
else await connections();
