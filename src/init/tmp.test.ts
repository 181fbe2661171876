/** Files of /tmp, and the devices that have no hardware. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeSyscalls } from '#init/syscalls.ts';
import { createTask } from '#kernel/sched/task.ts';
import { World } from '#sim/world.ts';
import { EACCES, EEXIST, EISDIR, ENOENT, ENOSPC, EPERM } from '#uapi/errno.ts';
import { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } from '#uapi/fcntl.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

let world: World;
let sys: SyscallTable;

beforeEach(() => {
  world = new World({ seed: 1, turn: async () => {} });
  const machine = world.boot('box');
  sys = makeSyscalls(createTask(machine, 'test', machine.initNet));
});

afterEach(() => {
  sys.exit(0);
  expect(world.halt()).toEqual({});
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function text(path: string): string {
  const fd = sys.open(path, O_RDONLY);
  const buf = new Uint8Array(100);
  const length = sys.read(fd, buf);
  sys.close(fd);
  return new TextDecoder().decode(buf.subarray(0, length));
}

describe('/tmp', () => {
  it('keeps what is written, in place, behind or anew', () => {
    const fd = sys.open('/tmp/a', O_RDWR | O_CREAT);
    expect(sys.write(fd, bytes('hello'))).toBe(5);
    expect(sys.read(fd, new Uint8Array(9))).toBe(0);
    expect(text('/tmp/a')).toBe('hello');
    const over = sys.open('/tmp/a', O_WRONLY);
    sys.write(over, bytes('J'));
    const behind = sys.open('/tmp/a', O_WRONLY | O_APPEND);
    sys.write(behind, bytes('!'));
    expect(text('/tmp/a')).toBe('Jello!');
    sys.open('/tmp/a', O_WRONLY | O_TRUNC);
    expect(text('/tmp/a')).toBe('');
    expect(sys.open('/tmp/a', O_WRONLY | O_CREAT | O_EXCL)).toBe(-EEXIST);
    expect(sys.readdir('/tmp')).toEqual(['a']);
  });

  it('lets a file go that is still open, and refuses what is none', () => {
    const fd = sys.open('/tmp/a', O_RDWR | O_CREAT);
    expect(sys.unlink('/tmp/a')).toBe(0);
    expect(sys.unlink('/tmp/a')).toBe(-ENOENT);
    expect(sys.open('/tmp/a', O_RDONLY)).toBe(-ENOENT);
    expect(sys.write(fd, bytes('x'))).toBe(1);
    expect(sys.unlink('/tmp')).toBe(-EISDIR);
    expect(sys.unlink('/proc/version')).toBe(-EPERM);
    expect(sys.open('/proc/new', O_WRONLY | O_CREAT)).toBe(-EACCES);
    expect(sys.open('/tmp/none/a', O_WRONLY | O_CREAT)).toBe(-ENOENT);
  });

  it('is full at some time, and has room again when a file is gone', () => {
    const fd = sys.open('/tmp/a', O_WRONLY | O_CREAT);
    const block = new Uint8Array(32 << 20);
    expect([1, 2].map(() => sys.write(fd, block))).toEqual([block.length, block.length]);
    const other = sys.open('/tmp/b', O_WRONLY | O_CREAT);
    expect(sys.write(other, bytes('x'))).toBe(-ENOSPC);
    expect(sys.unlink('/tmp/a')).toBe(0);
    expect(sys.write(other, bytes('x'))).toBe(1);
  });
});

describe('/dev', () => {
  it('has devices that forget, that give zeros and that are full', () => {
    const buf = new Uint8Array([1, 2, 3]);
    expect(sys.read(sys.open('/dev/zero', O_RDONLY), buf)).toBe(3);
    expect([...buf]).toEqual([0, 0, 0]);
    expect(sys.read(sys.open('/dev/null', O_RDWR), buf)).toBe(0);
    expect(sys.write(sys.open('/dev/null', O_RDWR), buf)).toBe(3);
    expect(sys.write(sys.open('/dev/full', O_RDWR), buf)).toBe(-ENOSPC);
  });
});
