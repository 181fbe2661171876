/**
 * `ss` of softnet beside the real one, on one and the same kernel, with sockets in every state that can be had
 * at once.
 */
import { describe, expect, test } from 'vitest';
import { ECONNABORTED } from '#uapi/errno.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { main } from '#user/ss/ss.ts';
import { Box } from './machine.ts';
import {
  inNamespace,
  type Outcome,
  runReal,
  runTool,
  whileSteady,
  whyNotNative,
} from './native.ts';

const why = whyNotNative('ss', 'ip');
const golden = describe.skipIf(why !== null);
const reason = why === null ? '' : ` (skipped: ${why})`;

const LOOPBACK = 0x7f000001;

const aWhile = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, 100);
  });

/** Listening, established with data on both sides, half closed, in time-wait, UDP of two kinds, raw. */
async function makeSockets(kernel: SyscallTable, wait: () => Promise<void>): Promise<number[]> {
  const fds: number[] = [];
  const keep = (fd: number): number => {
    expect(fd).toBeGreaterThanOrEqual(0);
    fds.push(fd);
    return fd;
  };
  const tcp = (): number => keep(kernel.socket(2, 1, 0));
  const listen = (addr: number, port: number, backlog: number): number => {
    const fd = tcp();
    kernel.setsockopt(fd, 1, 2, Uint8Array.of(1, 0, 0, 0));
    expect(kernel.bind(fd, encodeSockaddr4(addr, port))).toBe(0);
    expect(kernel.listen(fd, backlog)).toBe(0);
    return fd;
  };
  const pair = (listener: number, port: number): readonly [number, number] => {
    const client = tcp();
    kernel.connect(client, encodeSockaddr4(LOOPBACK, port));
    const server = keep(kernel.accept4(listener, null, 0));
    return [client, server];
  };
  const web = listen(LOOPBACK, 8080, 5);
  const ssh = listen(0, 22, 128);
  const [c1, s1] = pair(web, 8080);
  // SO_MARK.
  expect(kernel.setsockopt(c1, 1, 36, Uint8Array.of(0x2a, 1, 0, 0))).toBe(0);
  kernel.sendto(c1, new Uint8Array(1000), 0, null);
  kernel.sendto(s1, new Uint8Array(5), 0, null);
  const [, s2] = pair(ssh, 22);
  kernel.close(s2);
  const [c3, s3] = pair(ssh, 22);
  kernel.close(c3);
  kernel.close(s3);
  const udp = (): number => keep(kernel.socket(2, 2, 0));
  const dns = udp();
  kernel.bind(dns, encodeSockaddr4(LOOPBACK, 53));
  const query = udp();
  kernel.connect(query, encodeSockaddr4(LOOPBACK, 53));
  kernel.sendto(query, new Uint8Array(3), 0, null);
  const dhcp = udp();
  kernel.bind(dhcp, encodeSockaddr4(0, 68));
  keep(kernel.socket(2, 3, 1));
  // The last delayed acknowledgement.
  await wait();
  return fds.filter((fd) => ![s2, c3, s3].includes(fd));
}

const LINES = [
  '-tan',
  '-tn',
  '-tln',
  '-uan',
  '-tuan',
  '-ta',
  '-tua',
  '-wan',
  '-wa',
  '-tuawn -4',
  '-tano',
  '-tanm',
  '-tanmO',
  '-tanH',
  '-tuanH',
  '-s',
  '-t state time-wait',
  '-tan state established',
  '-tan state established state listening',
  '-tan exclude listening',
  '-tan sport = :22',
  '-tan sport = :ssh',
  '-tan sport 22',
  '-tan dst 127.0.0.1:8080',
  '-tan dst 127.0.0.0/8',
  '-tan src 127.0.0.1',
  '-tan dport gt 1000',
  '-tan dport != :22',
  '-tan ( sport = :22 or dport = :8080 )',
  '-tan not sport = :22',
  '-tan sport = :22 dst 127.0.0.1',
  '-tan -f inet',
  '-tan state foo',
  '-tan foo',
  '-uln',
  '-tl --no-header',
  '-6tan',
];

function steady({ status, stdout, stderr }: Outcome): Outcome {
  return {
    status,
    stdout: stdout.replace(/timewait,\d+sec/g, 'timewait,Nsec').replace(/^Total: \d+/, 'Total: N'),
    stderr,
  };
}

const split = (line: string): string[] => line.split(' ');

golden(`ss prints what the real ss prints${reason}`, () => {
  test('every view and filter', async () => {
    await inNamespace(async (kernel) => {
      runReal(['ip', 'link', 'set', 'lo', 'up']);
      const fds = await makeSockets(kernel, aWhile);
      try {
        for (const line of LINES) {
          const argv = ['ss', ...split(line)];
          const { real, own } = await whileSteady(
            () => steady(runReal(argv)),
            async () => steady(await runTool(kernel, main, argv)),
          );
          expect.soft({ line, ...own }).toEqual({ line, ...real });
        }
      } finally {
        for (const fd of fds) kernel.close(fd);
      }
    });
  });

  test('the inner state of TCP, but for what names a congestion control of its own', async () => {
    await inNamespace(async (kernel) => {
      runReal(['ip', 'link', 'set', 'lo', 'up']);
      runReal(['sysctl', '-w', 'net.ipv4.tcp_congestion_control=reno']);
      const fds = await makeSockets(kernel, aWhile);
      // Counters of time since something happened, and of the group a process is in, which we have not.
      const text = ({ stdout }: Outcome): string =>
        stdout
          .replace(/ (lastsnd|lastrcv|lastack):\d+/g, '')
          .replace(/ cgroup:\S+/g, '')
          .replace(/timewait,\d+sec/g, 'timewait,Nsec')
          .replace(/ +$/gm, '')
          .replace(/Process/g, '');
      try {
        for (const line of ['-tani', '-tanei', '-tanoemi', '-tane', '-tanOi']) {
          const real = text(runReal(['ss', line]));
          const own = text(await runTool(kernel, main, ['ss', line]));
          expect.soft({ line, own }).toEqual({ line, own: real });
          if (line.includes('i')) expect(real).toContain('reno');
        }
      } finally {
        for (const fd of fds) kernel.close(fd);
      }
    });
  });
});

/**
 * Without ephemeral ports, inodes, cookies, times that run, and what a packet of a few
 * bytes counts for: that depends on how the kernel was built.
 */
function masked({ stdout }: Outcome): string[] {
  return stdout
    .replace(/:(3[2-9]|4|5|6)\d{3,4}\b/g, ':PORT')
    .replace(/ino:\d+/g, 'ino:N')
    .replace(/sk:[0-9a-f]+/g, 'sk:N')
    .replace(/ cgroup:\S+/g, '')
    .replace(/timewait,\d+sec/g, 'timewait,Nsec')
    .replace(/(UNCONN +)\d+( +0 +127.0.0.1:53)/, '$1N$2')
    .replace(/skmem:\(r[1-9]\d*,(.*),f\d+,/g, 'skmem:(rN,$1,fN,')
    .replace(/[ \t]+/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .sort();
}

golden(`of the same sockets softnet tells ss what the kernel tells it${reason}`, () => {
  test('every view', async () => {
    const lines = ['-tuawn', '-tano', '-tane', '-tanm', '-uane', '-tln'];
    const reno = 'net.ipv4.tcp_congestion_control=reno';
    const said = new Map<string, string[]>();
    await inNamespace(async (kernel) => {
      runReal(['ip', 'link', 'set', 'lo', 'up']);
      runReal(['sysctl', '-w', reno]);
      const fds = await makeSockets(kernel, aWhile);
      for (const line of lines) said.set(line, masked(runReal(['ss', line])));
      for (const fd of fds) kernel.close(fd);
    });
    const box = new Box();
    await box.sh(`ip link set lo up; sysctl -w ${reno}`);
    const sleep = (sys: SyscallTable, ns: number): Promise<void> =>
      new Promise((resolve) => {
        sys.nanosleep(ns, () => resolve());
      });
    let ready = false;
    box.world.spawn(box.machine, 'sockets', async (sys) => {
      await makeSockets(sys, () => sleep(sys, 1e8));
      ready = true;
      await sleep(sys, 1e12);
      return 0;
    });
    await box.world.runPrograms({ untilNs: 1e9, until: () => ready });
    for (const line of lines) {
      const own = masked(await box.run(['ss', line]));
      expect.soft({ line, own }).toEqual({ line, own: said.get(line) });
    }
    expect(box.halt()).toEqual({});
  });
});

test('ss -K ends what it matches, and ss -E tells of it', async () => {
  const box = new Box();
  await box.sh('ip link set lo up');
  const sleep = (sys: SyscallTable, ns: number): Promise<void> =>
    new Promise((resolve) => {
      sys.nanosleep(ns, () => resolve());
    });
  const ends: number[] = [];
  box.world.spawn(box.machine, 'sockets', async (sys) => {
    const fds = await makeSockets(sys, () => sleep(sys, 1e8));
    await sleep(sys, 1e9);
    // The owner finds out when all that had come is read.
    for (const fd of fds)
      ends.push(sys.read(fd, new Uint8Array(2000)), sys.read(fd, new Uint8Array(1)));
    return 0;
  });
  const script = [
    'ss -tnE > /tmp/ended &',
    'sleep 0.5; ss -tnK dst 127.0.0.1:8080',
    'echo; ss -tan; sleep 3; echo; cat /tmp/ended',
  ];
  const { stdout } = await box.sh(script.join('\n'));
  const [killed = '', left = '', ended = ''] = stdout.split('\n\n');
  expect(killed).toMatch(/^ESTAB .*127\.0\.0\.1:8080 *$/m);
  expect(left).not.toMatch(/^ESTAB.*127\.0\.0\.1:8080 *$/m);
  expect(left).toMatch(/^LISTEN.*127\.0\.0\.1:8080 /m);
  expect(ended).toMatch(/^UNCONN.*127\.0\.0\.1:8080/m);
  expect(ends).toContain(-ECONNABORTED);
  expect(box.halt()).toEqual({});
});

test('ss -B shows what is bound and does nothing', async () => {
  const box = new Box();
  await box.sh('ip link set lo up');
  box.world.spawn(box.machine, 'sockets', async (sys) => {
    const bound = sys.socket(2, 1, 0);
    sys.bind(bound, encodeSockaddr4(LOOPBACK, 5000));
    const listener = sys.socket(2, 1, 0);
    sys.bind(listener, encodeSockaddr4(LOOPBACK, 5001));
    sys.listen(listener, 1);
    await new Promise<void>((resolve) => {
      sys.nanosleep(1e10, () => resolve());
    });
    return 0;
  });
  await box.sh('sleep 0.1');
  const only = /^Recv-Q +Send-Q .*\n0 +0 +127\.0\.0\.1:5000 +0\.0\.0\.0:\* *\n$/;
  for (const how of ['-nB', '-n --bound-inactive', '-n state bound-inactive']) {
    const { stdout, stderr } = await box.sh(`ss ${how}`);
    expect(stderr, how).toBe('');
    expect(stdout, how).toMatch(only);
  }
  expect((await box.sh('ss -Hntl')).stdout).not.toContain('5000');
  expect(box.halt()).toEqual({});
});
