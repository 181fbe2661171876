/** Requests of NETLINK_SOCK_DIAG for one socket, of families other than inet: softnet's answers beside the kernel's. */
import { describe, expect, test } from 'vitest';
import type { SyscallTable } from '#uapi/unistd.ts';
import { Box } from './machine.ts';
import { inNamespace, whyNotNative } from './native.ts';

const why = whyNotNative('ip');
const AF_UNIX = 1;
const MSG_DONTWAIT = 0x40;
const NONE = 0xffffffff;

/** What a request is answered with: an errno, or the flags and the first octets of the message. */
function ask(
  sys: SyscallTable,
  bytes: number,
  family: number,
  words: readonly number[],
): Uint8Array {
  const fd = sys.socket(16, 3, 4);
  const request = new Uint8Array(16 + bytes);
  const v = new DataView(request.buffer);
  v.setUint32(0, request.length, true);
  v.setUint16(4, 20, true);
  v.setUint16(6, 1, true);
  v.setUint8(16, family);
  words.forEach((word, i) => {
    v.setUint32(20 + 4 * i, word, true);
  });
  expect(sys.sendto(fd, request, 0, null)).toBe(request.length);
  const answer = new Uint8Array(8192);
  const len = sys.recvfrom(fd, answer, MSG_DONTWAIT, null);
  sys.close(fd);
  expect(len).toBeGreaterThan(16);
  return answer.slice(0, len);
}

/** An errno of an NLMSG_ERROR, or what the message is of. */
function told(answer: Uint8Array): number | string {
  const v = new DataView(answer.buffer);
  if (v.getUint16(4, true) === 2) return v.getInt32(16, true);
  const name = String.fromCharCode(...answer.subarray(36, 40));
  return `flags ${v.getUint16(6, true)} type ${answer[17]} state ${answer[18]} ${name}`;
}

function answers(sys: SyscallTable): (number | string)[] {
  const fd = sys.socket(AF_UNIX, 2, 0);
  const other = sys.socket(AF_UNIX, 2, 0);
  expect(sys.bind(fd, Uint8Array.of(AF_UNIX, 0, 0, 0x78, 0x79, 0x7a))).toBe(0);
  const list = ask(sys, 24, AF_UNIX, [0, 0, 1, NONE, NONE]);
  const found: (number | string)[] = [told(list)];
  // The inode is not told by a call: the dump has it.
  const dumpFd = sys.socket(16, 3, 4);
  const dump = new Uint8Array(40);
  const d = new DataView(dump.buffer);
  d.setUint32(0, 40, true);
  d.setUint16(4, 20, true);
  d.setUint16(6, 0x301, true);
  d.setUint8(16, AF_UNIX);
  d.setUint32(20, NONE, true);
  sys.sendto(dumpFd, dump, 0, null);
  const first = new Uint8Array(8192);
  sys.recvfrom(dumpFd, first, MSG_DONTWAIT, null);
  sys.close(dumpFd);
  const v = new DataView(first.buffer);
  const [ino, lo, hi] = [v.getUint32(20, true), v.getUint32(24, true), v.getUint32(28, true)];
  for (const cookie of [
    [NONE, NONE],
    [lo, hi],
    [lo + 1, hi],
  ]) {
    const answer = told(ask(sys, 24, AF_UNIX, [NONE, ino, 0, ...cookie]));
    found.push(typeof answer === 'string' ? answer.slice(0, 20) : answer);
  }
  found.push(told(ask(sys, 24, AF_UNIX, [NONE, 0x7fffffff, 0, NONE, NONE])));
  found.push(told(ask(sys, 8, AF_UNIX, [])));
  // Packet and netlink sockets are only listed.
  for (const family of [17, 16]) {
    found.push(told(ask(sys, 20, family, [ino, 0, NONE, NONE])));
    found.push(told(ask(sys, 8, family, [])));
  }
  sys.close(fd);
  sys.close(other);
  return found;
}

const EXPECTED = [
  -22,
  'flags 0 type 2 state',
  'flags 0 type 2 state',
  -116,
  -2,
  -22,
  -95,
  -22,
  -95,
  -22,
];

describe.skipIf(why !== null)(`the kernel${why === null ? '' : ` (skipped: ${why})`}`, () => {
  test('answers for one socket', async () => {
    expect(await inNamespace(async (kernel) => answers(kernel))).toEqual(EXPECTED);
  });
});

test('softnet answers for one socket', async () => {
  const box = new Box();
  let found: (number | string)[] = [];
  box.world.spawn(box.machine, 'asker', async (sys) => {
    found = answers(sys);
    return 0;
  });
  await box.world.runPrograms({ untilNs: 1e9, until: () => found.length > 0 });
  expect(found).toEqual(EXPECTED);
  expect(box.halt()).toEqual({});
});
