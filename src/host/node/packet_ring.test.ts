import { existsSync, openSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { DoorError } from '#host/node/door.ts';
import { type Libc, loadLibc } from '#host/node/libc.ts';
import { PacketRing } from '#host/node/packet_ring.ts';
import { ENODEV } from '#uapi/errno.ts';

vi.mock('#host/node/libc.ts');

afterEach(() => {
  vi.resetAllMocks();
});

/** A C library in which sockets can be had and made ready, but not bound. */
function refusing(): { readonly fake: Libc; readonly mapped: number[] } {
  const mapped: number[] = [];
  const unused = (): never => {
    throw new Error('not in this test');
  };
  const fake: Libc = {
    ioctl: unused,
    ioctlValue: unused,
    socket: () => openSync('/dev/null', 'r'),
    bind: () => -1,
    setsockopt: () => 0,
    getsockopt: unused,
    read: unused,
    write: unused,
    ioUringSetup: unused,
    ioUringEnter: unused,
    mmap: () => {
      mapped.push(0x10000);
      return 0x10000;
    },
    munmap: (address) => {
      mapped.splice(mapped.indexOf(address), 1);
      return 0;
    },
    errno: () => ENODEV,
    address: unused,
    view: unused,
    poll: unused,
  };
  return { fake, mapped };
}

it.skipIf(!existsSync('/sys/class/net/lo'))(
  'leaves no memory mapped when its interface goes before it is bound to it',
  () => {
    const { fake, mapped } = refusing();
    vi.mocked(loadLibc).mockReturnValue(fake);
    expect(() => new PacketRing('lo')).toThrow(DoorError);
    expect(mapped).toEqual([]);
  },
);
