/**
 * Writes numbered datagrams to a TAP device in batches of many sizes, with frames among them that are
 * none, and tells what a socket of the kernel's received. The argument is how they are written.
 */
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { DoorQueue } from '#host/node/door.ts';
import { Tap, VNET_HDR_SIZE } from '#host/node/tap.ts';
import { TAP_IO } from '#host/node/tap_tx.ts';
import { virtioNetHdr } from '#uapi/virtio_net.ts';

const PORT = 9999;
const FRAMES = 3000;

const io = TAP_IO.find((known) => known === process.argv[2]) ?? 'auto';
const hostAddress = { address: [10, 77, 0, 1], prefix: 24 };
const tap = new Tap({ name: 'softnet0', hostAddress, io });
const queue = tap.queues[0] as DoorQueue;

/** Sends a datagram with that number, `length` bytes of payload. */
function send(number: number, length: number): void {
  const room = queue.room();
  if (room === null) throw new Error('a TAP device always has room');
  room.fill(0, 0, VNET_HDR_SIZE + 42 + length);
  const v = new DataView(room.buffer, room.byteOffset + VNET_HDR_SIZE);
  room.set(tap.hostMac, VNET_HDR_SIZE);
  room.set([2, 0, 0, 0, 0, 1, 8, 0, 0x45], VNET_HDR_SIZE + 6);
  v.setUint16(16, 28 + length);
  room.set([64, 17], VNET_HDR_SIZE + 22);
  room.set([10, 77, 0, 2, 10, 77, 0, 1], VNET_HDR_SIZE + 26);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += v.getUint16(at);
  v.setUint16(24, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
  v.setUint16(34, PORT);
  v.setUint16(36, PORT);
  v.setUint16(38, 8 + length);
  v.setUint32(42, number);
  queue.send(VNET_HDR_SIZE + 42 + length);
}

/** What the kernel does not take: too short, or with a header that makes no sense. */
function sendWrong(kind: number): void {
  const room = queue.room();
  if (room === null) throw new Error('a TAP device always has room');
  room.fill(0, 0, 100);
  const v = new DataView(room.buffer, room.byteOffset);
  if (kind === 2) virtioNetHdr.setHdrLen(v, 0, 50000);
  queue.send([5, VNET_HDR_SIZE + 3, 100][kind] ?? 0);
}

const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
const got: number[] = [];
socket.on('message', (bytes) => void got.push(bytes.readUInt32BE(0)));
socket.bind(PORT, '10.77.0.1');
await once(socket, 'listening');

/** Until so many have come, or none comes for long. */
async function received(count: number): Promise<void> {
  for (let i = 0; i < 200 && got.length < count; i++) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

let wrong = 0;
let sent = 0;
for (let batch = 1; sent < FRAMES; batch = (batch % 40) + 1) {
  for (let i = 0; i < batch && sent < FRAMES; i++) {
    if (sent % 7 === 3) sendWrong(wrong++ % 3);
    // Some of them fill a batch by their size.
    send(sent++, sent % 97 === 0 ? 20000 : 18);
  }
  queue.flush();
  await received(sent);
}
const inOrder = got.every((number, i) => number === i);
const errors = tap.txErrors;

// While the interface is down all are refused; after that they go again.
execFileSync('ip', ['link', 'set', 'softnet0', 'down']);
for (let i = 0; i < 10; i++) send(0, 18);
queue.flush();
const down = tap.txErrors - errors;
execFileSync('ip', ['link', 'set', 'softnet0', 'up']);
for (let i = 0; i < 10; i++) send(FRAMES + i, 18);
queue.flush();
await received(FRAMES + 10);
socket.close();
tap.close();
const report = { io: tap.io, received: got.length, inOrder, wrong, errors, down };
process.stdout.write(`${JSON.stringify({ ...report, again: got.slice(FRAMES) })}\n`);
