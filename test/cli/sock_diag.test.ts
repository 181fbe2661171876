/**
 * What NETLINK_SOCK_DIAG answers to requests of every shape: softnet's kernel, and the real one beside it.
 */
import { describe, expect, test } from 'vitest';
import { NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, nlmsgerr } from '#uapi/netlink.ts';
import { SOCK_DESTROY, SOCK_DIAG_BY_FAMILY } from '#uapi/sock_diag.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { splitMessages } from '#user/lib/netlink.ts';
import { NlBuilder } from '#user/lib/nlmsg.ts';
import { Box } from './machine.ts';
import { inNamespace, whyNotNative } from './native.ts';

const why = whyNotNative('ip');
const reason = why === null ? '' : ` (skipped: ${why})`;

const AF_UNIX = 1;
const AF_INET = 2;
const AF_NETLINK = 16;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const NETLINK_SOCK_DIAG = 4;
const NLM_F_ROOT = 0x100;
const NLM_F_MATCH = 0x200;

/** Bytes of a whole request of each family. */
const LENGTH: Readonly<Record<number, number>> = {
  [AF_UNIX]: 24,
  [AF_INET]: 56,
  [AF_NETLINK]: 20,
  [AF_PACKET]: 20,
};

/** How the answer ends: `error N`, or `messages, done N`. */
function ask(kernel: SyscallTable, type: number, flags: number, payload: Uint8Array): string {
  const fd = kernel.socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  const b = new NlBuilder(type, NLM_F_REQUEST | flags);
  b.header(payload.length, (v, o) => {
    new Uint8Array(v.buffer, v.byteOffset + o, payload.length).set(payload);
  });
  const request = b.finish();
  expect(kernel.sendto(fd, request, 0, new Uint8Array(12).fill(AF_NETLINK, 0, 1))).toBe(
    request.length,
  );
  let messages = 0;
  try {
    for (;;) {
      const buf = new Uint8Array(65536);
      const n = kernel.recvfrom(fd, buf, 0x40, null);
      if (n < 0) return `${messages} messages, nothing more`;
      for (const message of splitMessages(buf.subarray(0, n))) {
        const errno = (): number => nlmsgerr.error(message.view, message.payload);
        if (message.type === NLMSG_ERROR) return `error ${errno()}`;
        if (message.type === NLMSG_DONE)
          return `${messages > 0 ? 'some' : 'none'}, done ${errno()}`;
        messages++;
      }
    }
  } finally {
    kernel.close(fd);
  }
}

/** A request of a family for a protocol; all states, and nothing more of each socket. */
function request(family: number, protocol: number, length = LENGTH[family] ?? 56): Uint8Array {
  const out = new Uint8Array(length);
  out[0] = family;
  if (length > 1) out[1] = protocol;
  if (length > 8) out.fill(0xff, 4, 8);
  if (family === AF_NETLINK && length > 8) out.fill(0, 4, 8);
  return out;
}

const DUMPS = [NLM_F_ROOT, NLM_F_MATCH, NLM_F_DUMP];

/** Every request with its answer, a line each. */
function answers(kernel: SyscallTable): string[] {
  const lines: string[] = [];
  const say = (what: string, type: number, flags: number, payload: Uint8Array): void => {
    lines.push(`${what}: ${ask(kernel, type, flags, payload)}`);
  };
  const held = [
    kernel.socket(AF_PACKET, SOCK_RAW, 0xb588),
    kernel.socket(AF_UNIX, 1, 0),
    kernel.socket(AF_INET, 1, 0),
  ];
  const any = new Uint8Array(16);
  any[0] = AF_INET;
  expect(kernel.bind(held[2] as number, any)).toBe(0);
  expect(kernel.listen(held[2] as number, 1)).toBe(0);
  for (const [family, protocols] of [
    [AF_NETLINK, [0, 4, 31, 32, 100, 254, 255]],
    [AF_PACKET, [0, 1, 255]],
    [AF_UNIX, [0, 5]],
    // Not all kernels have raw_diag, so 255 is left out.
    [AF_INET, [0, 5, 6, 17, 99]],
  ] as const) {
    for (const protocol of protocols) {
      for (const flags of [0, ...DUMPS]) {
        const what = `family ${family} protocol ${protocol} flags ${flags}`;
        say(what, SOCK_DIAG_BY_FAMILY, flags, request(family, protocol));
      }
    }
    for (const length of [2, (LENGTH[family] as number) - 1]) {
      const what = `family ${family} with ${length} bytes`;
      say(what, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, request(family, 0, length));
    }
    for (const flags of [0, NLM_F_DUMP]) {
      say(`destroy family ${family} flags ${flags}`, SOCK_DESTROY, flags, request(family, 6));
    }
  }
  for (const family of [3, 45, 46, 255]) {
    say(`family ${family}`, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, request(family, 0));
  }
  say('one byte', SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, request(AF_INET, 0, 1));
  say('another type', 22, NLM_F_DUMP, request(AF_INET, 6));
  for (const fd of held) kernel.close(fd);
  return lines;
}

/** The attributes of all sockets that a request lists, each as type and octets; some are left out. */
function attributes(kernel: SyscallTable, payload: Uint8Array, header: number): string[] {
  const fd = kernel.socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  const b = new NlBuilder(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP);
  b.header(payload.length, (v, o) => {
    new Uint8Array(v.buffer, v.byteOffset + o, payload.length).set(payload);
  });
  const asked = b.finish();
  expect(kernel.sendto(fd, asked, 0, new Uint8Array(12).fill(AF_NETLINK, 0, 1))).toBe(asked.length);
  const buf = new Uint8Array(32768);
  const out: string[] = [];
  for (let over = false; !over; ) {
    const n = kernel.recvfrom(fd, buf, 0x40, null);
    if (n < 0) break;
    for (const { type, view, payload: at, end } of splitMessages(buf.subarray(0, n))) {
      over ||= type === NLMSG_DONE || type === NLMSG_ERROR;
      if (over) break;
      const words: string[] = [];
      for (let o = at + header; o + 4 <= end; ) {
        const length = view.getUint16(o, true);
        const octets = new Uint8Array(view.buffer, view.byteOffset + o + 4, length - 4);
        words.push(`${view.getUint16(o + 2, true)}:${Buffer.from(octets).toString('hex')}`);
        o += (length + 3) & ~3;
      }
      out.push(words.join(' '));
    }
  }
  kernel.close(fd);
  // The order is that of a hash.
  return out.sort();
}

const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_AUXDATA = 8;
const SOL_NETLINK = 270;
const NETLINK_ROUTE = 0;
const LO = 1;

/** What is told of a packet socket with memberships, and of netlink sockets with options. */
function told(kernel: SyscallTable): string[] {
  const int = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);
  const packet = kernel.socket(AF_PACKET, SOCK_RAW, 0xb588);
  const join = (type: number, ...addr: number[]): void => {
    const mreq = Uint8Array.of(
      LO,
      0,
      0,
      0,
      type,
      0,
      addr.length,
      0,
      ...addr,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
    );
    const err = kernel.setsockopt(packet, SOL_PACKET, PACKET_ADD_MEMBERSHIP, mreq.subarray(0, 16));
    expect(err).toBe(0);
  };
  const show = new Uint8Array(20);
  show[0] = AF_PACKET;
  // PACKET_SHOW_INFO, MCLIST, RING_CFG, FANOUT and FILTER.
  show[8] = 0x2f;
  const lines = attributes(kernel, show, 16);
  join(0, 1, 0, 0x5e, 0, 0, 9);
  join(1);
  join(2);
  join(1);
  expect(kernel.setsockopt(packet, SOL_PACKET, PACKET_AUXDATA, int(1))).toBe(0);
  lines.push(...attributes(kernel, show, 16));
  kernel.close(packet);

  const nl = kernel.socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  const address = new Uint8Array(12);
  address[0] = AF_NETLINK;
  // Groups 1 and 3.
  address[8] = 5;
  expect(kernel.bind(nl, address)).toBe(0);
  const ask = new Uint8Array(20);
  ask[0] = AF_NETLINK;
  ask[1] = NETLINK_ROUTE;
  // NDIAG_SHOW_GROUPS and NDIAG_SHOW_FLAGS.
  ask[8] = 0xa;
  lines.push(...attributes(kernel, ask, 28));
  for (const option of [3, 5, 10, 11, 12]) {
    expect(kernel.setsockopt(nl, SOL_NETLINK, option, int(1))).toBe(0);
    lines.push(...attributes(kernel, ask, 28));
  }
  kernel.close(nl);
  return lines;
}

async function softnetAnswers(what = answers): Promise<string[]> {
  const box = new Box();
  const lines: string[] = [];
  const { status, stderr } = await box.runMain(
    async (p) => {
      lines.push(...what(p.sys));
      return 0;
    },
    ['diag'],
  );
  expect([status, stderr]).toEqual([0, '']);
  expect(box.halt()).toEqual({});
  return lines;
}

describe('requests of NETLINK_SOCK_DIAG', () => {
  test('any of the two flags of a dump makes one, and a dump tells its error at its end', async () => {
    const lines = await softnetAnswers();
    const of = (text: string): string[] =>
      lines.filter((line) => line.startsWith(text)).map((line) => line.replace(/^.*: /, ''));
    const some = 'some, done 0';
    const ENOENT = 'none, done -2';
    const [EINVAL, EOPNOTSUPP] = ['error -22', 'error -95'];
    expect(of('family 16 protocol 4 ')).toEqual([EOPNOTSUPP, some, some, some]);
    expect(of('family 16 protocol 32 ')).toEqual([EOPNOTSUPP, ENOENT, ENOENT, ENOENT]);
    expect(of('family 16 protocol 255 ')).toEqual([EOPNOTSUPP, some, some, some]);
    expect(of('family 17 protocol 0 ')).toEqual([EOPNOTSUPP, some, some, some]);
    expect(of('family 17 protocol 1 ')).toEqual([EINVAL, EINVAL, EINVAL, EINVAL]);
    expect(of('family 1 protocol 5 ')).toEqual([EINVAL, some, some, some]);
    expect(of('family 2 protocol 6 ')).toEqual(['error -2', some, some, some]);
    expect(of('family 2 protocol 99 ')).toEqual(['error -2', ENOENT, ENOENT, ENOENT]);
  });

  test.skipIf(why !== null)(`are answered as the real kernel does${reason}`, async () => {
    const here = await softnetAnswers();
    const real = await inNamespace(async (kernel) => answers(kernel));
    expect(here).toEqual(real);
  });
  test('tell memberships and options', async () => {
    const lines = await softnetAnswers(told);
    expect(lines[0]).toMatch(/ 1:(?: |$)/);
    const [none, promisc] = ['0000', '0100'];
    // The latest first: all multicasts, everything (twice), one address.
    const list = /(?:^| )1:([0-9a-f]*)/.exec(lines[1] ?? '')?.[1]?.match(/.{88}/g) ?? [];
    expect(list.map((record) => record.slice(0, 24))).toEqual([
      `01000000010000000200${none}`,
      `0100000002000000${promisc}${none}`,
      '01000000010000000000' + '0600',
    ]);
    expect(list[2]?.slice(24, 36)).toBe('01005e000009');
    const flags = lines.slice(2).map((line) => /(?:^| )4:(..)/.exec(line)?.[1]);
    expect(new Set(flags)).toEqual(new Set(['00', '02', '0a', '2a']));
  });

  test('tell that the interface of a packet socket is gone', async () => {
    const box = new Box();
    await box.sh('ip link add d0 type dummy');
    const lines: string[] = [];
    const { stderr } = await box.runMain(
      async (p) => {
        const fd = p.sys.socket(AF_PACKET, SOCK_RAW, 0);
        const address = new Uint8Array(20);
        address.set([AF_PACKET, 0, 0x88, 0xb5, 2]);
        expect(p.sys.bind(fd, address)).toBe(0);
        const show = new Uint8Array(20);
        show[0] = AF_PACKET;
        show[8] = 1;
        lines.push(...attributes(p.sys, show, 16));
        const ip = p.find('ip');
        if (ip !== null) await p.spawn(ip, ['ip', 'link', 'del', 'd0']);
        lines.push(...attributes(p.sys, show, 16));
        p.sys.close(fd);
        return 0;
      },
      ['diag'],
    );
    expect(stderr).toBe('');
    // As Linux 6.18 does: no index, which is -1.
    expect(lines.map((line) => line.slice(0, 10))).toEqual(['0:02000000', '0:ffffffff']);
    expect(box.halt()).toEqual({});
  });

  test('tell the program of a filter', async () => {
    const SO_ATTACH_FILTER = 26;
    const RETURN_ALL = Uint8Array.of(6, 0, 0, 0, 0xff, 0xff, 0, 0);
    const lines = await softnetAnswers((kernel) => {
      const packet = kernel.socket(AF_PACKET, SOCK_RAW, 0xb588);
      expect(kernel.setsockopt(packet, 1, SO_ATTACH_FILTER, RETURN_ALL)).toBe(0);
      const show = new Uint8Array(20);
      show[0] = AF_PACKET;
      show[8] = 0x20;
      return attributes(kernel, show, 16);
    });
    expect(lines).toEqual(['7:06000000ffff0000']);
  });

  test.skipIf(why !== null)(`tell the same as the real kernel of sockets${reason}`, async () => {
    const here = await softnetAnswers(told);
    expect(here).toEqual(await inNamespace(async (kernel) => told(kernel)));
  });
});
