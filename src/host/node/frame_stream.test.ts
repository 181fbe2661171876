import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { DoorError } from '#host/node/door.ts';
import { FrameReader, FrameStream, parseStreamAddress } from '#host/node/frame_stream.ts';

const folder = mkdtempSync(join(tmpdir(), 'softnet-stream-'));
afterAll(() => rmSync(folder, { recursive: true }));

let next = 0;
const freshPath = (): string => join(folder, `s${next++}`);

/** A frame of a length, whose octets tell which it is. */
function frameOf(length: number, mark: number): Uint8Array {
  return new Uint8Array(length).fill(mark);
}

function framed(...frames: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    frames.map((frame) => {
      const bytes = Buffer.alloc(4 + frame.length);
      bytes.writeUInt32BE(frame.length);
      bytes.set(frame, 4);
      return bytes;
    }),
  );
}

describe('a stream of frames', () => {
  it('is cut into the same frames however it comes', () => {
    const lengths = fc.array(fc.integer({ min: 14, max: 3000 }), { maxLength: 20 });
    fc.assert(
      fc.property(lengths, fc.array(fc.nat(4000), { maxLength: 40 }), (sizes, cuts) => {
        const frames = sizes.map((size, i) => frameOf(size, i));
        const bytes = framed(...frames);
        const reader = new FrameReader();
        const got: Uint8Array[] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          const end = Math.min(at + cut, bytes.length);
          reader.push(bytes.subarray(at, end), (frame) => got.push(Uint8Array.from(frame)));
          at = end;
        }
        expect(got.map((frame) => Buffer.from(frame).toString('hex'))).toEqual(
          frames.map((frame) => Buffer.from(frame).toString('hex')),
        );
      }),
    );
  });

  it('ends where a length makes no sense', () => {
    const reader = new FrameReader();
    expect(() => reader.push(Buffer.from([0x7f, 0, 0, 0]), () => {})).toThrow(
      'a frame of 2130706432 bytes is announced',
    );
  });

  it('leaves out what is too short for a frame', () => {
    const got: number[] = [];
    const bytes = framed(frameOf(0, 0), frameOf(13, 1), frameOf(14, 2));
    new FrameReader().push(bytes, (frame) => got.push(frame.length));
    expect(got).toEqual([14]);
  });
});

it.each([
  ['/tmp/vm.sock', { path: '/tmp/vm.sock' }],
  ['vm:5', { host: 'vm', port: 5 }],
  [':7000', { host: '127.0.0.1', port: 7000 }],
  ['./a:1', { path: './a:1' }],
])('%s is an address', (text, wanted) => expect(parseStreamAddress(text)).toEqual(wanted));

it.each([
  ['', /missing/],
  ['h:99999', /no port/],
  [`/${'x'.repeat(200)}`, /too long/],
])('%s is none', (text, message) => {
  expect(() => parseStreamAddress(text)).toThrow(DoorError);
  expect(() => parseStreamAddress(text)).toThrow(message);
});

describe('a door', () => {
  const doors: FrameStream[] = [];
  afterEach(() => {
    for (const door of doors.splice(0)) door.close();
  });

  interface Opened {
    readonly door: FrameStream;
    readonly frames: Uint8Array[];
    readonly gone: string[];
    readonly peers: boolean[];
    drained: number;
  }

  async function open(path: string, listen: boolean): Promise<Opened> {
    const peers: boolean[] = [];
    const onPeer = (there: boolean): void => void peers.push(there);
    const door = new FrameStream({ address: { path }, listen, onPeer });
    doors.push(door);
    await door.ready;
    const opened: Opened = { door, frames: [], gone: [], peers, drained: 0 };
    door.start({
      frame: (bytes) => void opened.frames.push(Uint8Array.from(bytes)),
      ready: () => true,
      idle: () => {},
      drain: () => opened.drained++,
      gone: (reason) => void opened.gone.push(reason),
    });
    return opened;
  }

  function give(door: FrameStream, frame: Uint8Array): boolean {
    const room = door.room();
    if (room === null) return false;
    room.set(frame);
    door.send(frame.length);
    return true;
  }

  it('passes frames both ways', async () => {
    const path = freshPath();
    const near = await open(path, true);
    const far = await open(path, false);
    await vi.waitFor(() => expect(near.peers).toEqual([true]));
    for (let i = 0; i < 20; i++) expect(give(far.door, frameOf(60 + i * 3000, i))).toBe(true);
    far.door.flush();
    give(near.door, frameOf(1514, 7));
    near.door.flush();
    await vi.waitFor(() => expect(near.frames.length).toBe(20));
    for (const [i, frame] of near.frames.entries())
      expect(frame).toEqual(frameOf(60 + i * 3000, i));
    await vi.waitFor(() => expect(far.frames).toEqual([frameOf(1514, 7)]));
  });

  it('has no room while the other side does not read, and says when it has again', async () => {
    const path = freshPath();
    const near = await open(path, true);
    const slow: Socket = connect(path);
    await vi.waitFor(() => expect(near.peers).toEqual([true]));
    let sent = 0;
    while (give(near.door, frameOf(60_000, 1))) {
      sent++;
      near.door.flush();
      expect(sent).toBeLessThan(1000);
    }
    expect(near.drained).toBe(0);
    let got = 0;
    slow.on('data', (chunk) => {
      got += chunk.length;
    });
    await vi.waitFor(() => expect(got).toBe(sent * 60_004));
    expect(near.drained).toBeGreaterThan(0);
    expect(near.door.room()).not.toBeNull();
    slow.destroy();
  });

  it('serves one guest after the other, and one at a time', async () => {
    const path = freshPath();
    const near = await open(path, true);
    const first = await open(path, false);
    await vi.waitFor(() => expect(near.peers).toEqual([true]));
    const second = await open(path, false);
    await vi.waitFor(() => expect(second.gone.length).toBe(1));
    expect(first.gone).toEqual([]);
    first.door.close();
    await vi.waitFor(() => expect(near.peers).toEqual([true, false]));
    expect(near.gone).toEqual([]);
    give(near.door, frameOf(60, 1));
    near.door.flush();
    expect(near.door.txErrors).toBe(1);
    const third = await open(path, false);
    give(third.door, frameOf(60, 3));
    third.door.flush();
    await vi.waitFor(() => expect(near.frames).toEqual([frameOf(60, 3)]));
  });

  it('throws a guest out who sends what is no frame', async () => {
    const path = freshPath();
    const near = await open(path, true);
    const guest = connect(path);
    let closed = false;
    guest.on('close', () => {
      closed = true;
    });
    guest.write(Buffer.from('GET / HTTP/1.1\r\n'));
    await vi.waitFor(() => expect(closed).toBe(true));
    expect(near.peers).toEqual([true, false]);
    expect(near.frames).toEqual([]);
  });

  it('passes on nothing any more when what came has closed it', async () => {
    const path = freshPath();
    const door = new FrameStream({ address: { path }, listen: true });
    doors.push(door);
    await door.ready;
    const calls: string[] = [];
    door.start({
      frame: () => {
        calls.push('frame');
        door.close();
      },
      ready: () => true,
      idle: () => void calls.push('idle'),
      drain: () => void calls.push('drain'),
      gone: () => void calls.push('gone'),
    });
    const guest = connect(path);
    guest.write(framed(frameOf(60, 1), frameOf(60, 2)));
    await new Promise((resolve) => guest.once('close', resolve));
    expect(calls).toEqual(['frame']);
  });

  it('gives up to connect when it is closed', async () => {
    const path = freshPath();
    let guests = 0;
    const server = createServer((guest) => {
      guests++;
      guest.destroy();
    });
    await new Promise<void>((resolve) => {
      server.listen({ path }, resolve);
    });
    const door = new FrameStream({ address: { path }, listen: false });
    door.close();
    await expect(door.ready).rejects.toThrow('the door was closed');
    const listening = new FrameStream({ address: { path: freshPath() }, listen: true });
    listening.close();
    await expect(listening.ready).rejects.toThrow('the door was closed');
    server.close();
    expect(guests).toBeLessThan(2);
  });

  it('goes on listening when guests cannot be let in', async () => {
    const path = freshPath();
    const refused: string[] = [];
    const onRefused = (reason: string): void => void refused.push(reason);
    const door = new FrameStream({ address: { path }, listen: true, onRefused });
    doors.push(door);
    await door.ready;
    const server: unknown = Reflect.get(door, 'server');
    if (!(server instanceof Server)) return expect.unreachable();
    for (const what of ['accept EMFILE', 'accept ENFILE']) server.emit('error', new Error(what));
    expect(refused).toEqual(['accept EMFILE', 'accept ENFILE']);
    const far = await open(path, false);
    expect(far.gone).toEqual([]);
  });

  it('leaves the file of somebody who lives and is too busy to answer', async () => {
    const path = freshPath();
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen({ path, backlog: 1 }, resolve);
    });
    // Linux lets one more in than was said; all in one turn of the loop, so that none is accepted.
    const callers = Array.from({ length: 4 }, () => connect(path).on('error', () => {}));
    await expect(open(path, true)).rejects.toThrow(/EADDRINUSE/);
    expect(existsSync(path)).toBe(true);
    for (const caller of callers) caller.destroy();
    server.close();
  });

  it('tells who connected that the other side has gone', async () => {
    const path = freshPath();
    const near = await open(path, true);
    const far = await open(path, false);
    await vi.waitFor(() => expect(near.peers).toEqual([true]));
    near.door.close();
    await vi.waitFor(() => expect(far.gone).toEqual(['the other side has closed the connection']));
  });

  it('takes the place of somebody who was killed, and of nobody who lives', async () => {
    const path = freshPath();
    // A server that is closed takes its file away; one that is killed leaves it.
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(path, resolve);
    });
    await expect(open(path, true)).rejects.toThrow(/EADDRINUSE/);
    server.close();
    await expect(open(path, false)).rejects.toThrow(/connecting/);
  });
});
