/**
 * `ss` of Unix, packet and netlink sockets: softnet's beside the real one on one and the same kernel, and what
 * softnet's kernel tells of the same sockets.
 */
import { rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { SyscallTable } from '#uapi/unistd.ts';
import { main } from '#user/ss/ss.ts';
import { Box } from './machine.ts';
import { inNamespace, type Outcome, runReal, runTool, whyNotNative } from './native.ts';

const why = whyNotNative('ss', 'ip');
const golden = describe.skipIf(why !== null);
const reason = why === null ? '' : ` (skipped: ${why})`;

/** A struct sockaddr of a family with these octets behind it. */
const sockaddr = (family: number, ...octets: number[]): Uint8Array =>
  Uint8Array.from([family, 0, ...octets]);
const text = (s: string): number[] => Array.from(new TextEncoder().encode(s));

const AF_UNIX = 1;
const AF_NETLINK = 16;
const AF_PACKET = 17;
const LO = 1;
const EINPROGRESS = 115;
const PATH = '/tmp/softnet-ss-test';
const LISTENER = '\0softnet listens';

/** A listener with one connection in its queue and one accepted, with data; names and none; sockets of links. */
function makeSockets(kernel: SyscallTable): number[] {
  const fds: number[] = [];
  const open = (family: number, type: number, protocol = 0): number => {
    const fd = kernel.socket(family, type, protocol);
    expect(fd).toBeGreaterThanOrEqual(0);
    fds.push(fd);
    return fd;
  };
  const unix = (name: string): Uint8Array => sockaddr(AF_UNIX, ...text(name));
  const listener = open(AF_UNIX, 1);
  expect(kernel.bind(listener, unix(LISTENER))).toBe(0);
  expect(kernel.listen(listener, 7)).toBe(0);
  const client = open(AF_UNIX, 1);
  expect(kernel.connect(client, unix(LISTENER))).toBe(0);
  const server = kernel.accept4(listener, null, 0);
  expect(server).toBeGreaterThanOrEqual(0);
  fds.push(server);
  kernel.sendto(client, new Uint8Array(3), 0, null);
  expect(kernel.connect(open(AF_UNIX, 1), unix(LISTENER))).toBe(0);
  kernel.shutdown(server, 1);
  expect(kernel.bind(open(AF_UNIX, 2), unix('\0softnet datagrams'))).toBe(0);
  open(AF_UNIX, 5);
  expect(kernel.bind(open(AF_UNIX, 2), unix(PATH))).toBe(0);

  const htons = (port: number): number => ((port & 0xff) << 8) | (port >> 8);
  open(AF_PACKET, 3, htons(3));
  open(AF_PACKET, 3, 0);
  const ip = open(AF_PACKET, 2, htons(0x800));
  const link = new Uint8Array(20);
  const v = new DataView(link.buffer);
  v.setUint16(0, AF_PACKET, true);
  v.setUint16(2, 0x800);
  v.setInt32(4, LO, true);
  expect(kernel.bind(ip, link)).toBe(0);

  for (const [protocol, portid, groups] of [
    [0, 0x7fff0001, 1],
    [16, 0x7fff0002, 0],
  ] as const) {
    const address = new Uint8Array(12);
    const at = new DataView(address.buffer);
    at.setUint16(0, AF_NETLINK, true);
    at.setUint32(4, portid, true);
    at.setUint32(8, groups, true);
    expect(kernel.bind(open(AF_NETLINK, 3, protocol), address)).toBe(0);
  }
  return fds;
}

/** Netlink sockets with the address of their program, of another's, and those that cannot be a program's. */
function makeOwned(kernel: SyscallTable, pid: number, other: number): number[] {
  return [pid, other, 0xffffffff, 0x80000005].map((portid) => {
    const fd = kernel.socket(AF_NETLINK, 3, 0);
    const address = new Uint8Array(12);
    const at = new DataView(address.buffer);
    at.setUint16(0, AF_NETLINK, true);
    at.setUint32(4, portid, true);
    expect(kernel.bind(fd, address)).toBe(0);
    return fd;
  });
}

/** A TCP listener with an accepted connection, and a socket each of UDP and ICMP. */
function makeInetSockets(kernel: SyscallTable): number[] {
  const at = (port: number): Uint8Array =>
    sockaddr(2, port >> 8, port & 0xff, 127, 0, 0, 1, ...new Array<number>(8).fill(0));
  const listener = kernel.socket(2, 1, 0);
  expect(kernel.bind(listener, at(17000))).toBe(0);
  expect(kernel.listen(listener, 5)).toBe(0);
  const client = kernel.socket(2, 1, 0);
  // Done, or on its way: the handshake of lo ends before the call does.
  expect([0, -EINPROGRESS]).toContain(kernel.connect(client, at(17000)));
  const server = kernel.accept4(listener, null, 0);
  const datagrams = kernel.socket(2, 2, 0);
  expect(kernel.bind(datagrams, at(17900))).toBe(0);
  const fds = [listener, client, server, datagrams, kernel.socket(2, 3, 1)];
  expect(fds.every((fd) => fd >= 0)).toBe(true);
  return fds;
}

const LINES = [
  '-x',
  '-xa',
  '-xl',
  '-xaH',
  '-xae',
  '-xam',
  '-x state listening',
  '-0',
  '-0a',
  '-0ae',
  '-0aeO',
  '-0am',
  '-f unix -a',
  '-f link -a',
  '-f netlink',
  '-f netlink -a',
  '-f netlink -ae',
  '-f netlink -am',
];

/** Lines that list more than one family, and lines with conditions. */
const MIXED = [
  '',
  '-a',
  '-l',
  '-an',
  '-H',
  '-aH',
  '-aO',
  '-am',
  '-u',
  '-t',
  '-ta',
  '-xt',
  '-xta',
  '-0t',
  '-0x',
  '-0xa',
  '-x4',
  '-46',
  '-64',
  '-t4',
  'state established',
  'state listening',
  'state closed',
  'state time-wait',
  '-a state closed',
  '-a exclude listening',
  'exclude established',
  '-x state closed',
  '-x state connected',
  '-x exclude established',
  '-0 state established',
  '-0 state closed',
  '-f netlink state closed',
  '-f netlink state established',
  '-xa src /tmp/softnet-ss-test',
  '-xa src /TMP/soft*-ss-????',
  '-xa src /tmp/soft[a-n]et*',
  '-xa src /tmp/soft[!a-n]et*',
  '-xa src /tmp/soft[z-a]et*',
  '-xa src /tmp/soft[z-an]et*',
  '-xa src /tmp/soft[!z-a]et*',
  '-xa src [',
  '-xa src /tmp/soft[nz-a',
  '-x src /tmp/softnet-ss-test',
  '-xa src @softnet*',
  '-xa not src @softnet*',
  '-xa src = @softnet*',
  '-xa src != @softnet*',
  '-xa src @softnet* or src /tmp/*',
  '-xa ( src @softnet* and src *listens )',
  '-xa dst *',
  '-xa dst x',
  '-xa dst 0',
  '-xa sport = :5',
  '-xa sport != /tmp/*',
  '-xa sport gt 3',
  '-xa sport lt 3',
  '-xa dev lo',
  '-xa /tmp/*',
  '-a src unix:@softnet*',
  '-a src unix:/tmp/*',
  '-0 src ip',
  '-0 src 0x800',
  '-0 src *',
  '-0 src *:lo',
  '-0 src ip:lo',
  '-0 src arp',
  '-0 src :1',
  '-0 src no-such',
  '-0 src *:no-such',
  '-0 dev lo',
  '-0 not dev lo',
  '-0 sport = lo',
  '-0 sport = :lo',
  '-0 sport ge :1',
  '-0 sport gt 1',
  '-0 sport = ip:lo',
  '-a src link:ip',
  '-f netlink src rtnl',
  '-f netlink src rtnl:2147418113',
  '-f netlink src *:kernel',
  '-f netlink src genl:2147418114',
  '-f netlink src no-such',
  '-f netlink src rtnl:none',
  '-f netlink sport gt :7',
  '-f netlink sport = 0',
  '-f netlink sport gt *:7',
  '-f netlink dst rtnl',
  '-ta src != 127.0.0.1',
  '-a src netlink:rtnl:kernel',
  '-a sport = :17000',
  '-a sport != :17000',
  '-a sport gt :17000',
  '-a src 127.0.0.1',
  '-a not src 127.0.0.1',
  '-a dst 0.0.0.0',
  '-xa src 127.0.0.1',
];

/** Pipes to the real ss are pairs of sockets, and it asks by a socket of its own: those come and go. */
const ours = (line: string): boolean =>
  !/tcpdiag:|^nl .* 4:/.test(line) && !/^u_str +(ESTAB +)?0 +0 +\* \d+ +\* [1-9]/.test(line);

/** Without what depends on how wide those are. */
const steady = ({ status, stdout }: Outcome): { status: number; lines: string[] } => ({
  status,
  lines: stdout
    .split('\n')
    .filter(ours)
    .map((line) => line.trimEnd().replace(/ +/g, ' ').replace('Port Process', 'PortProcess'))
    // A hash table has no order that lasts.
    .sort(),
});

golden(`ss prints what the real ss prints${reason}`, () => {
  test('of Unix, packet and netlink sockets', async () => {
    await inNamespace(async (kernel) => {
      runReal(['ip', 'link', 'set', 'lo', 'up']);
      const fds = makeSockets(kernel);
      try {
        for (const line of LINES) {
          const argv = ['ss', ...line.split(' ')];
          const real = steady(runReal(argv));
          const own = steady(await runTool(kernel, main, argv));
          expect.soft({ line, ...own }).toEqual({ line, ...real });
          if (line === '-xa') expect(real.lines).toHaveLength(9);
        }
        // To the blank, where no line of ss itself counts.
        for (const line of ['-0a', '-0', '-0am']) {
          const own = await runTool(kernel, main, ['ss', line]);
          expect.soft(own.stdout).toBe(runReal(['ss', line]).stdout);
        }
      } finally {
        for (const fd of fds) kernel.close(fd);
        rmSync(PATH, { force: true });
      }
    });
  });
});

golden(`ss names the programs of netlink sockets${reason}`, () => {
  test('as the real ss does', async () => {
    await inNamespace(async (kernel) => {
      const fds = makeOwned(kernel, process.pid, 1);
      try {
        for (const line of ['-f netlink', '-f netlink -n']) {
          const argv = ['ss', ...line.split(' ')];
          // But for the sockets by which they ask.
          const real = steady(runReal(argv)).lines.filter((told) => !/ 4:/.test(told));
          const own = steady(await runTool(kernel, main, argv)).lines;
          expect(own.filter((told) => !/ 4:/.test(told))).toEqual(real);
          if (line === '-f netlink') {
            expect(real.join()).toMatch(new RegExp(` rtnl:[^/]+/${process.pid} `));
          }
        }
      } finally {
        for (const fd of fds) kernel.close(fd);
      }
    });
  });
});

test('ss names the programs of netlink sockets of a softnet machine', async () => {
  const box = new Box();
  const { stdout } = await box.runMain(
    async (p) => {
      makeOwned(p.sys, p.sys.getpid(), 99_999);
      return main(p);
    },
    ['ss', '-f', 'netlink'],
  );
  const names = [...stdout.matchAll(/rtnl:(\S+)/g)].map(([, name]) => name);
  expect(names.sort()).toEqual([
    '*',
    '-2147483643',
    '99999',
    'kernel',
    expect.stringMatching(/^ss\/\d+$/),
  ]);
  expect((await box.sh('cat /proc/self/stat')).stdout).toMatch(
    /^(\d+) \(cat\) S 0 \1 \1 0 -1( -?\d+){44}\n$/,
  );
  expect(box.halt()).toEqual({});
});

golden(`ss prints what the real ss prints of all families at once${reason}`, () => {
  test('without a family, and with conditions', async () => {
    await inNamespace(async (kernel) => {
      runReal(['ip', 'link', 'set', 'lo', 'up']);
      const fds = [...makeSockets(kernel), ...makeInetSockets(kernel)];
      try {
        for (const line of MIXED) {
          const argv = ['ss', ...line.split(' ').filter((word) => word !== '')];
          const real = steady(runReal(argv));
          const own = steady(await runTool(kernel, main, argv));
          expect.soft({ line, ...own }).toEqual({ line, ...real });
        }
        // The order of families.
        const kinds = (stdout: string): string[] => [
          ...new Set(stdout.split('\n').map((line) => line.slice(0, 2))),
        ];
        const own = await runTool(kernel, main, ['ss', '-a']);
        expect(kinds(own.stdout)).toEqual(['Ne', 'nl', 'p_', 'u_', 'ra', 'ud', 'tc', '']);
        expect(kinds(runReal(['ss', '-a']).stdout)).toEqual(kinds(own.stdout));
      } finally {
        for (const fd of fds) kernel.close(fd);
        rmSync(PATH, { force: true });
      }
    });
  });
});

/** Numbers of sockets and what memory a few octets take depend on the kernel, as does the order of a hash table. */
function masked({ stdout }: Outcome): string[] {
  return stdout
    .split('\n')
    .slice(1)
    .filter((line) => ours(line) && !/:kernel/.test(line))
    .map((line) =>
      line
        // A path makes no file in softnet.
        .replace(/ ino:\d+ dev:\S+/, '')
        .replace(/(ino:|sk:|peers: )[0-9a-f]+/g, '$1N')
        .replace(/^(u_.*) \d+( +\* )0/, '$1 N * 0')
        .replace(/^(u_.*) \d+( +\* )[1-9]\d*/, '$1 N * N')
        .replace(/^(u_str +ESTAB +0 +)[1-9]\d*/, '$1T')
        .replace(/,t[1-9]\d*,/, ',tN,')
        .replace(/skmem:\(r[1-9]\d*,/, 'skmem:(rN,')
        .replace(/,f\d+,/, ',fN,')
        .replace(/\s+/g, ' ')
        .trim(),
    )
    .sort();
}

golden(`of the same sockets softnet tells ss what the kernel tells it${reason}`, () => {
  test('Unix, packet and netlink sockets', async () => {
    const lines = ['-xa', '-x', '-xl', '-xae', '-xam', '-0a', '-0ae', '-0am', '-f netlink -ae'];
    const said = new Map<string, string[]>();
    await inNamespace(async (kernel) => {
      runReal(['ip', 'link', 'set', 'lo', 'up']);
      const fds = makeSockets(kernel);
      for (const line of lines) said.set(line, masked(runReal(['ss', ...line.split(' ')])));
      for (const fd of fds) kernel.close(fd);
      rmSync(PATH, { force: true });
    });
    const box = new Box();
    await box.sh('ip link set lo up');
    let ready = false;
    box.world.spawn(box.machine, 'sockets', async (sys) => {
      makeSockets(sys);
      ready = true;
      await new Promise<void>((resolve) => {
        sys.nanosleep(1e12, () => resolve());
      });
      return 0;
    });
    await box.world.runPrograms({ untilNs: 1e9, until: () => ready });
    for (const line of lines) {
      const own = masked(await box.run(['ss', ...line.split(' ')]));
      expect.soft({ line, own }).toEqual({ line, own: said.get(line) });
    }
    expect(box.halt()).toEqual({});
  });
});
