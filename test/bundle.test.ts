/**
 * The core as an embedder's bundler makes it: boots two machines from the built file, joins them by a cable,
 * moves data by TCP and UDP through the socket calls, and checks every byte.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FramePort } from '#init/core.ts';
import type { Machine, MachineHost } from '#kernel/machine.ts';
import {
  EAFNOSUPPORT,
  EAGAIN,
  EINPROGRESS,
  ENOENT,
  ENOPROTOOPT,
  ENOSYS,
  ESOCKTNOSUPPORT,
} from '#uapi/errno.ts';
import { IPPROTO_TCP, sockaddrIn } from '#uapi/in.ts';
import {
  AF_INET,
  AF_NETLINK,
  AF_PACKET,
  AF_UNIX,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOCK_STREAM,
} from '#uapi/socket.ts';
import { TCP_CONGESTION, TCP_MD5SIG } from '#uapi/tcp.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { type Bundle, bundleKernel, CORE_SOURCE } from '../scripts/bundle.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = join(ROOT, 'out', `bundle-${process.pid}`);
const LEFT = 0x0a000001;
const RIGHT = 0x0a000002;
const TCP_BYTES = 3_000_000;

/** What the bundle exports, with what drives a machine by hand. */
type Core = typeof import('#init/core.ts') & {
  readonly runPending: (machine: Machine) => void;
  readonly runTimers: (machine: Machine) => void;
};

class HandHost implements MachineHost {
  static clock = 0;
  kicked = false;
  readClock(): number {
    return HandHost.clock;
  }
  kick(): void {
    this.kicked = true;
  }
  timerChanged(): void {}
}

/** A machine of the bundle, and the frames that it has sent. */
interface Side {
  readonly host: HandHost;
  readonly machine: Machine;
  readonly sys: SyscallTable;
  readonly port: FramePort;
}

let bundle: Bundle;
let core: Core;

function boot(name: string, address: number): Side {
  const host = new HandHost();
  const machine = core.bootCore({ name, host, seed: name, bootEpochSec: 1e9 });
  const sys = core.newTask(machine, 'test');
  const port = core.plugCable(machine, 'eth0', () => {});
  if (typeof port === 'number') throw new Error(`plugCable: ${port}`);
  expect(core.setUp(sys, 'lo')).toBe(0);
  expect(core.setAddress(sys, 'eth0', address, 24)).toBe(0);
  return { host, machine, sys, port };
}

const frame = new Uint8Array(65536);

/** Carries what one side has sent to the other; how many frames. */
function carry(from: Side, to: Side): number {
  let count = 0;
  for (;;) {
    const length = from.port.receive(frame);
    if (length === -EAGAIN) return count;
    expect(length).toBeGreaterThan(0);
    to.port.send(frame.slice(0, length));
    count++;
  }
}

/** Lets everything happen, up to `ms` from now. */
function run(sides: readonly [Side, Side], ms: number): void {
  const [a, b] = sides;
  const end = HandHost.clock + ms * 1e6;
  for (;;) {
    let busy = carry(a, b) + carry(b, a) > 0;
    for (const { host, machine } of sides) {
      machine.enter(HandHost.clock);
      if (host.kicked) {
        host.kicked = false;
        core.runPending(machine);
        busy = true;
      }
      if (machine.nextExpiry() <= HandHost.clock) {
        core.runTimers(machine);
        busy = true;
      }
    }
    if (busy) continue;
    const next = Math.min(...sides.map(({ machine }) => machine.nextExpiry()));
    if (next > end) break;
    HandHost.clock = next;
  }
  HandHost.clock = end;
}

function addr(address: number, port: number): Uint8Array {
  const bytes = new Uint8Array(sockaddrIn.LEN);
  const v = new DataView(bytes.buffer);
  sockaddrIn.setFamily(v, 0, AF_INET);
  sockaddrIn.setAddr(v, 0, address);
  sockaddrIn.setPort(v, 0, port);
  return bytes;
}

/** Byte number `i` of the stream. */
const byteAt = (i: number): number => (i * 31 + (i >> 8) * 17 + (i >> 16)) & 0xff;

beforeAll(async () => {
  const driver = `export { runPending, runTimers } from '#kernel/machine.ts';`;
  bundle = await bundleKernel(ROOT, CORE_SOURCE);
  const driven = await bundleKernel(ROOT, `${CORE_SOURCE} ${driver}`);
  mkdirSync(FOLDER, { recursive: true });
  const file = join(FOLDER, 'core.mjs');
  writeFileSync(file, driven.code);
  core = (await import(pathToFileURL(file).href)) as Core;
}, 60_000);

afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

describe('the bundle of the core', () => {
  it('is less than 200 KB, gzipped', () => {
    expect(bundle.gzippedBytes).toBeLessThan(200_000);
  });

  it('has no code for debugging, and none of the modules that are left out', () => {
    // Names of invariants: those checked in debug builds only, and those of modules.
    for (const absent of [
      'napi-double-schedule',
      'rtnl-socket',
      '82540EM',
      'bbr',
      'softnetConfig',
    ]) {
      expect(bundle.code, absent).not.toContain(absent);
    }
    expect(bundle.code).toContain('cubic');
  });

  it('moves bytes by TCP over a cable', () => {
    const a = boot('a', LEFT);
    const b = boot('b', RIGHT);
    const sides = [a, b] as const;
    const listener = b.sys.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    expect(b.sys.bind(listener, addr(RIGHT, 80))).toBe(0);
    expect(b.sys.listen(listener, 5)).toBe(0);
    const client = a.sys.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    expect(a.sys.connect(client, addr(RIGHT, 80))).toBe(-EINPROGRESS);
    run(sides, 10);
    const server = b.sys.accept4(listener, null, SOCK_NONBLOCK);
    expect(server).toBeGreaterThan(0);

    const out = new Uint8Array(65536);
    const got = new Uint8Array(65536);
    let sent = 0;
    let received = 0;
    let bad = 0;
    for (let round = 0; received < TCP_BYTES && round < 10_000; round++) {
      const want = Math.min(out.length, TCP_BYTES - sent);
      for (let i = 0; i < want; i++) out[i] = byteAt(sent + i);
      const wrote = want === 0 ? 0 : a.sys.write(client, out.subarray(0, want));
      if (wrote > 0) sent += wrote;
      run(sides, 1);
      const length = b.sys.read(server, got);
      for (let i = 0; i < length; i++) if (got[i] !== byteAt(received + i)) bad++;
      if (length > 0) received += length;
    }
    expect([received, bad]).toEqual([TCP_BYTES, 0]);
    a.sys.close(client);
    run(sides, 10);
    expect(b.sys.read(server, got)).toBe(0);
    b.sys.exit(0);
    a.sys.exit(0);
    run(sides, 200_000);
    for (const { machine, port } of sides) {
      port.unplug();
      expect(core.haltCore(machine)).toEqual({});
    }
  });

  it('moves datagrams to a network behind the other machine', () => {
    const a = boot('a', LEFT);
    const b = boot('b', RIGHT);
    const sides = [a, b] as const;
    // Only `b` knows 10.9.0.1: its own address on lo, behind `a`'s route.
    expect(core.setAddress(b.sys, 'lo', 0x0a090001, 32)).toBe(0);
    expect(core.addRoute(a.sys, 0x0a090000, 16, RIGHT)).toBe(0);
    const rx = b.sys.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    expect(b.sys.bind(rx, addr(0x0a090001, 53))).toBe(0);
    const tx = a.sys.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    const got = new Uint8Array(2000);
    const from = new Uint8Array(sockaddrIn.LEN);
    for (let length = 0; length < 1400; length += 100) {
      const data = Uint8Array.from({ length }, (_, i) => byteAt(i + length));
      expect(a.sys.sendto(tx, data, 0, addr(0x0a090001, 53))).toBe(length);
      run(sides, 5);
      expect(b.sys.recvfrom(rx, got, 0, from)).toBe(length);
      expect(got.slice(0, length)).toEqual(data);
      expect(sockaddrIn.addr(new DataView(from.buffer), 0)).toBe(LEFT);
    }
    for (const side of sides) {
      side.sys.exit(0);
      side.port.unplug();
      expect(core.haltCore(side.machine)).toEqual({});
    }
  });

  it('answers as Linux does where a module is left out', () => {
    const a = boot('a', LEFT);
    const { sys } = a;
    for (const family of [AF_UNIX, AF_NETLINK, AF_PACKET]) {
      expect(sys.socket(family, SOCK_DGRAM, 0)).toBe(-EAFNOSUPPORT);
    }
    expect(sys.socket(AF_INET, SOCK_RAW, 1)).toBe(-ESOCKTNOSUPPORT);
    const fd = sys.socket(AF_INET, SOCK_STREAM, 0);
    const bbr = Uint8Array.from('bbr', (c) => c.charCodeAt(0));
    expect(sys.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, bbr)).toBe(-ENOENT);
    expect(sys.setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, new Uint8Array(216))).toBe(-ENOPROTOOPT);
    expect(sys.pipe2(new Int32Array(2), 0)).toBe(-ENOSYS);
    expect(sys.splice(fd, null, fd, null, 1, 0)).toBe(-ENOSYS);
    expect(sys.unshare(0x40000000)).toBe(-ENOSYS);
    expect(sys.open('/proc/net/tcp', 0)).toBe(-ENOENT);
    expect(sys.readdir('/')).toEqual([]);
    sys.exit(0);
    a.port.unplug();
    expect(core.haltCore(a.machine)).toEqual({});
  });
});
