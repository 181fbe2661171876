/** Opening and closing between two machines: who may have an address or port, and who gets a connection. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import type { Socket } from '#include/linux/net.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { mem } from '#mm/memory.ts';
import { parseTopology } from '#sim/topology.ts';
import { BPF_A, BPF_ABS, BPF_B, BPF_K, BPF_LD, BPF_RET, sockFilter } from '#uapi/filter.ts';
import {
  CTRL_ATTR_FAMILY_ID,
  CTRL_ATTR_FAMILY_NAME,
  CTRL_ATTR_MAXATTR,
  CTRL_ATTR_OP_FLAGS,
  CTRL_ATTR_OP_ID,
  CTRL_ATTR_OPS,
  CTRL_ATTR_VERSION,
  CTRL_CMD_GETFAMILY,
  GENL_HDRLEN,
  GENL_ID_CTRL,
  genlmsghdr,
} from '#uapi/genetlink.ts';
import {
  IP_BIND_ADDRESS_NO_PORT,
  IP_FREEBIND,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_DO,
  IP_PMTUDISC_DONT,
  IP_PMTUDISC_INTERFACE,
  IP_PMTUDISC_OMIT,
  IP_PMTUDISC_PROBE,
  IP_PMTUDISC_WANT,
  IP_TRANSPARENT,
  IPPROTO_TCP,
} from '#uapi/in.ts';
import { NETLINK_GENERIC } from '#uapi/netlink.ts';
import {
  AF_INET,
  SO_ATTACH_REUSEPORT_CBPF,
  SO_DETACH_REUSEPORT_BPF,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_IP,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { TCP_CLOSE, TCP_CONGESTION, TCP_ESTABLISHED } from '#uapi/tcp.ts';
import { TCP_METRICS_CMD_DEL, TCP_METRICS_CMD_GET } from '#uapi/tcp_metrics.ts';
import type { Libc } from '#user/lib/libc.ts';
import { NetlinkClient } from '#user/lib/netlink.ts';
import { NlBuilder } from '#user/lib/nlmsg.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';

const PORT = 8080;
const B = 0x0a000002;
/** An address of neither machine; b's way to it leads to a. */
const FOREIGN = 0x0a090909;
const ON = Uint8Array.of(1, 0, 0, 0);

let lab: Lab;

beforeEach(async () => {
  const node = (host: number, ...more: string[]): object => ({
    exec: [`ip addr add 10.0.0.${host}/24 dev eth0`, 'ip link set eth0 up', ...more],
  });
  const topology = {
    name: 'opening',
    topology: {
      nodes: {
        a: node(1, 'ip route add local 10.9.9.0/24 dev lo'),
        b: node(2, 'ip route add 10.9.9.0/24 via 10.0.0.1'),
      },
      links: [{ endpoints: ['a:eth0', 'b:eth0'], impairments: { delay: '1ms' } }],
    },
  };
  lab = new Lab(parseTopology(topology), { seed: 7, turn });
  await lab.setUp();
});

afterEach(async () => {
  await lab.world.runPrograms({ untilNs: lab.world.nowNs + 200e9 });
  expect(lab.world.halt()).toEqual({});
});

/** Runs a program of machine `node` to its end. */
async function run(node: string, body: (libc: Libc) => Promise<void>): Promise<void> {
  let failure: unknown = null;
  await lab.run(
    node,
    async (p) => {
      try {
        await body(p.libc);
      } catch (error) {
        failure = error;
      }
      return 0;
    },
    ['test'],
  );
  if (failure !== null) throw failure;
}

/** A server on b that takes everybody and keeps the connections until its program ends. */
function serve(seconds: number): void {
  lab.start(
    'b',
    async (p) => {
      const fd = p.libc.socket(AF_INET, SOCK_STREAM);
      p.libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, ON);
      p.libc.bind(fd, encodeSockaddr4(0, PORT));
      p.libc.listen(fd);
      await p.libc.sleep(seconds * 1000);
      return 0;
    },
    ['server'],
  );
}

const codeOf = (action: () => void): string => {
  try {
    action();
    return '';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

/** The socket behind a descriptor of the running program. */
function sockOf(program: { task: { files: { get(fd: number): unknown } } }, fd: number): TcpSock {
  const file = program.task.files.get(fd) as { privateData: Socket };
  return file.privateData.sk as TcpSock;
}

describe('SO_REUSEPORT', () => {
  it('spreads connections over the listeners of a port, and over the rest when one goes', async () => {
    const listeners: number[] = [];
    let close = false;
    const counts: number[][] = [];
    const server = lab.start(
      'b',
      async (p) => {
        for (let i = 0; i < 4; i++) {
          const fd = p.libc.socket(AF_INET, SOCK_STREAM);
          p.libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, ON);
          p.libc.bind(fd, encodeSockaddr4(0, PORT));
          p.libc.listen(fd, 128);
          listeners.push(fd);
        }
        while (!close) await p.libc.sleep(10);
        await p.libc.close(listeners.pop()!);
        await p.libc.sleep(20_000);
        return 0;
      },
      ['server'],
    );
    const queued = (): number[] => listeners.map((fd) => sockOf(server.program, fd).skAckBacklog);
    await run('a', async (libc) => {
      await libc.sleep(100);
      const open = async (n: number): Promise<void> => {
        for (let i = 0; i < n; i++) {
          const fd = libc.socket(AF_INET, SOCK_STREAM);
          await libc.connect(fd, encodeSockaddr4(B, PORT));
        }
      };
      await open(60);
      await libc.sleep(50);
      counts.push(queued());
      close = true;
      await libc.sleep(50);
      await open(30);
      await libc.sleep(50);
      counts.push(queued());
    });
    const sum = (list: readonly number[]): number => list.reduce((x, y) => x + y, 0);
    const [before = [], after = []] = counts;
    expect(sum(before)).toBe(60);
    for (const n of before) expect(n).toBeGreaterThan(4);
    expect(sum(after)).toBe(sum(before.slice(0, 3)) + 30);
    for (const [i, n] of after.entries()) expect(n).toBeGreaterThan(before[i] ?? 0);
  }, 60_000);

  /** A program of classic BPF; each instruction is code and k. */
  const program = (...insns: readonly (readonly [code: number, k: number])[]): Uint8Array => {
    const bytes = new Uint8Array(insns.length * sockFilter.LEN);
    const v = new DataView(bytes.buffer);
    for (const [i, [code, k]] of insns.entries()) {
      sockFilter.setCode(v, i * sockFilter.LEN, code);
      sockFilter.setK(v, i * sockFilter.LEN, k);
    }
    return bytes;
  };

  it('lets a program choose the listener; the hash, where it names none', async () => {
    const listeners: number[] = [];
    const codes: string[] = [];
    const server = lab.start(
      'b',
      async (p) => {
        const attach = (fd: number, k: number): void =>
          p.libc.setsockopt(
            fd,
            SOL_SOCKET,
            SO_ATTACH_REUSEPORT_CBPF,
            program([BPF_RET | BPF_K, k]),
          );
        const detach = (fd: number): void =>
          p.libc.setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, ON);
        const lone = p.libc.socket(AF_INET, SOCK_STREAM);
        codes.push(
          codeOf(() => attach(lone, 0)),
          codeOf(() => detach(lone)),
        );
        for (let i = 0; i < 3; i++) {
          const fd = p.libc.socket(AF_INET, SOCK_STREAM);
          p.libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, ON);
          p.libc.bind(fd, encodeSockaddr4(0, PORT));
          p.libc.listen(fd, 128);
          listeners.push(fd);
        }
        attach(listeners[0]!, 2);
        await p.libc.sleep(1000);
        attach(listeners[1]!, 3);
        await p.libc.sleep(1000);
        detach(listeners[2]!);
        codes.push(codeOf(() => detach(listeners[0]!)));
        await p.libc.sleep(20_000);
        return 0;
      },
      ['server'],
    );
    const queued = (): number[] => listeners.map((fd) => sockOf(server.program, fd).skAckBacklog);
    await run('a', async (libc) => {
      const open = async (): Promise<void> => {
        for (let i = 0; i < 20; i++) {
          const fd = libc.socket(AF_INET, SOCK_STREAM);
          await libc.connect(fd, encodeSockaddr4(B, PORT));
        }
        await libc.sleep(50);
      };
      await libc.sleep(100);
      await open();
      expect(queued()).toEqual([0, 0, 20]);
      await libc.sleep(1000);
      await open();
      const spread = queued();
      expect(spread[0]! + spread[1]! + spread[2]!).toBe(40);
      expect(spread[0]).toBeGreaterThan(0);
      expect(spread[1]).toBeGreaterThan(0);
      await libc.sleep(1000);
    });
    expect(codes).toEqual(['EINVAL', 'EINVAL', 'ENOENT']);
  }, 60_000);

  it('shows the program what is behind the header', async () => {
    const got: number[][] = [[], [], []];
    for (const [i] of got.entries()) {
      lab.start(
        'b',
        async (p) => {
          const fd = p.libc.socket(AF_INET, SOCK_DGRAM);
          p.libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, ON);
          await p.libc.sleep(i);
          p.libc.bind(fd, encodeSockaddr4(0, PORT));
          if (i === 2) {
            const bySecond = program([BPF_LD | BPF_B | BPF_ABS, 1], [BPF_RET | BPF_A, 0]);
            p.libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, bySecond);
          }
          for (;;) {
            const bytes = new Uint8Array(8);
            await p.libc.recv(fd, bytes);
            got[i]?.push(bytes[0] ?? -1);
          }
        },
        ['server'],
      );
    }
    await run('a', async (libc) => {
      await libc.sleep(100);
      const fd = libc.socket(AF_INET, SOCK_DGRAM);
      for (const [n, who] of [2, 0, 1, 1, 2, 0, 2].entries()) {
        await libc.sendto(fd, Uint8Array.of(n, who), { addr: B, port: PORT });
        await libc.sleep(10);
      }
    });
    expect(got).toEqual([
      [1, 5],
      [2, 3],
      [0, 4, 6],
    ]);
  }, 60_000);

  it('does not let in a socket that has not set it', async () => {
    await run('b', async (libc) => {
      const first = libc.socket(AF_INET, SOCK_STREAM);
      libc.setsockopt(first, SOL_SOCKET, SO_REUSEPORT, ON);
      libc.bind(first, encodeSockaddr4(0, PORT));
      const second = libc.socket(AF_INET, SOCK_STREAM);
      expect(codeOf(() => libc.bind(second, encodeSockaddr4(0, PORT)))).toBe('EADDRINUSE');
    });
  }, 60_000);
});

describe('addresses that are not ours', () => {
  it('may be bound with IP_FREEBIND or IP_TRANSPARENT only', async () => {
    await run('b', async (libc) => {
      const foreign = encodeSockaddr4(FOREIGN, 4000);
      for (const option of [0, IP_FREEBIND, IP_TRANSPARENT]) {
        const fd = libc.socket(AF_INET, SOCK_STREAM);
        if (option !== 0) libc.setsockopt(fd, SOL_IP, option, ON);
        expect(codeOf(() => libc.bind(fd, foreign))).toBe(option === 0 ? 'EADDRNOTAVAIL' : '');
        await libc.close(fd);
      }
    });
  }, 60_000);

  it('may be connected from with IP_TRANSPARENT', async () => {
    serve(10);
    await run('a', async (libc) => {
      await libc.sleep(100);
      const fd = libc.socket(AF_INET, SOCK_STREAM);
      libc.setsockopt(fd, SOL_IP, IP_TRANSPARENT, ON);
      libc.bind(fd, encodeSockaddr4(FOREIGN, 4000));
      await libc.connect(fd, encodeSockaddr4(B, PORT));
      expect(libc.getsockname(fd)).toMatchObject({ port: 4000 });
    });
  }, 60_000);

  it('leave the port to connect() with IP_BIND_ADDRESS_NO_PORT', async () => {
    serve(10);
    await run('a', async (libc) => {
      await libc.sleep(100);
      for (const early of [true, false]) {
        const fd = libc.socket(AF_INET, SOCK_STREAM);
        if (!early) libc.setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, ON);
        libc.bind(fd, encodeSockaddr4(0x0a000001, 0));
        expect((libc.getsockname(fd)?.port ?? 0) !== 0).toBe(early);
        await libc.connect(fd, encodeSockaddr4(B, PORT));
        expect(libc.getsockname(fd)?.port).toBeGreaterThan(0);
      }
    });
  }, 60_000);
});

describe('a four-tuple in TIME_WAIT', () => {
  /** Connects from the only port there is, and closes first; then again after `ms`. */
  async function again(reuse: number, ms: number): Promise<string> {
    lab.machine('a').initNet.ipv4.sysctlTcpTwReuse = reuse;
    await lab.command('a', ['sysctl', '-qw', 'net.ipv4.ip_local_port_range=40000 40000']);
    lab.start(
      'b',
      async (p) => {
        const lfd = p.libc.socket(AF_INET, SOCK_STREAM);
        p.libc.bind(lfd, encodeSockaddr4(0, PORT));
        p.libc.listen(lfd);
        const { fd } = await p.libc.accept(lfd);
        await p.libc.recv(fd, new Uint8Array(10));
        await p.libc.close(fd);
        await p.libc.sleep(10_000);
        return 0;
      },
      ['server'],
    );
    let code = '';
    await run('a', async (libc) => {
      // In its first second a machine's timestamps look like none.
      await libc.sleep(3000);
      const first = libc.socket(AF_INET, SOCK_STREAM);
      await libc.connect(first, encodeSockaddr4(B, PORT));
      await libc.close(first);
      await libc.sleep(ms);
      const second = libc.socket(AF_INET, SOCK_STREAM);
      try {
        await libc.connect(second, encodeSockaddr4(B, PORT));
      } catch (error) {
        ({ code } = error as { code: string });
      }
    });
    return code;
  }

  it('is taken over after a second with tcp_tw_reuse=1', async () => {
    expect(await again(1, 1500)).toBe('');
  }, 60_000);

  it('is not within that second', async () => {
    expect(await again(1, 500)).toBe('EADDRNOTAVAIL');
  }, 60_000);

  it('is not without the setting', async () => {
    expect(await again(0, 1500)).toBe('EADDRNOTAVAIL');
  }, 60_000);

  it('is not with tcp_tw_reuse=2 beyond the loopback', async () => {
    expect(await again(2, 1500)).toBe('EADDRNOTAVAIL');
  }, 60_000);
});

describe('a route', () => {
  it('chooses the congestion control of who connects over it', async () => {
    await lab.command('a', [
      'ip',
      'route',
      'change',
      '10.0.0.0/24',
      'dev',
      'eth0',
      'congctl',
      'reno',
    ]);
    const nameOf = (libc: Libc, fd: number): string => {
      const name = new Uint8Array(16);
      const length = libc.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name);
      return new TextDecoder().decode(name.subarray(0, length)).replace(/\0.*$/s, '');
    };
    serve(10);
    await run('a', async (libc) => {
      await libc.sleep(100);
      const fd = libc.socket(AF_INET, SOCK_STREAM);
      expect(nameOf(libc, fd)).toBe('cubic');
      await libc.connect(fd, encodeSockaddr4(B, PORT));
      expect(nameOf(libc, fd)).toBe('reno');
    });
  }, 60_000);
});

describe('IP_MTU_DISCOVER', () => {
  /** By mode: did the SYN carry DF, without and with a locked MTU on the route? */
  async function dontFragment(modes: readonly number[]): Promise<boolean[][]> {
    let last = false;
    lab.cables[0]?.tap(0, (frame) => {
      // A TCP over IPv4 in Ethernet; the flags of the fragment word.
      const bytes = mem.subarray(frame.addr, frame.addr + frame.len);
      if (bytes[12] === 8 && bytes[13] === 0 && bytes[23] === IPPROTO_TCP) {
        last = ((bytes[20] ?? 0) & 0x40) !== 0;
      }
    });
    const seen: boolean[][] = modes.map(() => []);
    for (const locked of [false, true]) {
      if (locked)
        await lab.command('a', [
          'ip',
          'route',
          'change',
          '10.0.0.0/24',
          'dev',
          'eth0',
          'mtu',
          'lock',
          '1400',
        ]);
      await run('a', async (libc) => {
        await libc.sleep(100);
        for (const [i, mode] of modes.entries()) {
          const fd = libc.socket(AF_INET, SOCK_STREAM);
          libc.setsockopt(fd, SOL_IP, IP_MTU_DISCOVER, Uint8Array.of(mode, 0, 0, 0));
          await libc.connect(fd, encodeSockaddr4(B, PORT));
          seen[i]?.push(last);
          await libc.close(fd);
          await libc.sleep(100);
        }
      });
    }
    return seen;
  }

  it('decides which packets carry DF', async () => {
    const modes = [
      IP_PMTUDISC_DONT,
      IP_PMTUDISC_WANT,
      IP_PMTUDISC_DO,
      IP_PMTUDISC_PROBE,
      IP_PMTUDISC_INTERFACE,
      IP_PMTUDISC_OMIT,
    ];
    serve(10);
    const seen = await dontFragment(modes);
    expect(seen).toEqual([
      [false, false],
      [true, false],
      [true, true],
      [false, false],
      [false, false],
      [false, false],
    ]);
  }, 60_000);
});

describe('connect() to AF_UNSPEC', () => {
  it('resets the connection and leaves a socket that can connect anew', async () => {
    serve(10);
    const client = lab.start(
      'a',
      async (p) => {
        const { libc } = p;
        await libc.sleep(100);
        const fd = libc.socket(AF_INET, SOCK_STREAM);
        await libc.connect(fd, encodeSockaddr4(B, PORT));
        const sk = sockOf(client.program, fd);
        expect(sk.skcState).toBe(TCP_ESTABLISHED);
        await libc.connect(fd, new Uint8Array(16));
        expect(sk.skcState).toBe(TCP_CLOSE);
        expect(libc.getpeername.bind(libc, fd)).toThrow();
        await libc.connect(fd, encodeSockaddr4(B, PORT));
        expect(sk.skcState).toBe(TCP_ESTABLISHED);
        return 7;
      },
      ['client'],
    );
    await lab.world.runPrograms({ untilNs: lab.world.nowNs + 5e9 });
    expect(client.program.status).toBe(7);
  }, 60_000);
});

describe('the metrics cache through generic netlink', () => {
  const output: string[] = [];
  const tool = async (...argv: string[]): Promise<string> => {
    output.length = 0;
    const stdout = {
      write: (bytes: Uint8Array) => output.push(new TextDecoder().decode(bytes)),
      close: () => {},
    };
    await lab.command('a', argv, { stdout } as never);
    return output.join('');
  };

  it('is shown, deleted and flushed by `ip tcp_metrics`', async () => {
    lab.start(
      'b',
      async (p) => {
        const lfd = p.libc.socket(AF_INET, SOCK_STREAM);
        p.libc.bind(lfd, encodeSockaddr4(0, PORT));
        p.libc.listen(lfd);
        for (let i = 0; i < 2; i++) {
          const { fd } = await p.libc.accept(lfd);
          await p.libc.recv(fd, new Uint8Array(10));
          await p.libc.close(fd);
        }
        return 0;
      },
      ['server'],
    );
    const visit = (): Promise<void> =>
      run('a', async (libc) => {
        await libc.sleep(100);
        const fd = libc.socket(AF_INET, SOCK_STREAM);
        await libc.connect(fd, encodeSockaddr4(B, PORT));
        await libc.close(fd);
        await libc.sleep(100);
      });
    await visit();
    expect(await tool('ip', 'tcp_metrics')).toMatch(
      /^10\.0\.0\.2 age \d+\.\d{3}sec .*rtt \d+us rttvar \d+us.* source 10\.0\.0\.1/,
    );
    expect(await tool('ip', 'tcp_metrics', 'show', '10.0.0.2')).toContain('10.0.0.2');
    await tool('ip', 'tcp_metrics', 'delete', '10.0.0.2');
    expect(await tool('ip', 'tcp_metrics')).toBe('');
    await visit();
    expect(await tool('ip', 'tcp_metrics')).toContain('10.0.0.2');
    await tool('ip', 'tcp_metrics', 'flush', 'all');
    expect(await tool('ip', 'tcp_metrics')).toBe('');
  }, 60_000);

  it('is found by name; a family that is not there is an error', async () => {
    await run('a', async (libc) => {
      const client = new NetlinkClient(libc, NETLINK_GENERIC);
      const ask = (name: string): NlBuilder => {
        const text = Uint8Array.from(`${name}\0`, (c) => c.charCodeAt(0));
        return new NlBuilder(GENL_ID_CTRL, 0)
          .header(GENL_HDRLEN, (v, o) => {
            genlmsghdr.setCmd(v, o, CTRL_CMD_GETFAMILY);
            genlmsghdr.setVersion(v, o, 1);
          })
          .attr(CTRL_ATTR_FAMILY_NAME, text);
      };
      const family = await client.get(ask('tcp_metrics'));
      const control = await client.get(ask('nlctrl'));
      const attrs = family.attrs(GENL_HDRLEN);
      expect(attrs.u16(CTRL_ATTR_FAMILY_ID)).toBeGreaterThan(GENL_ID_CTRL);
      expect(control.attrs(GENL_HDRLEN).u16(CTRL_ATTR_FAMILY_ID)).toBe(GENL_ID_CTRL);
      await expect(client.get(ask('nonsense'))).rejects.toMatchObject({ code: 'ENOENT' });
      // As Linux 6.18 says it, but for nlctrl's second command and its group.
      const said = [control, family].map((m) => {
        const all = m.attrs(GENL_HDRLEN);
        const ops = [1, 2].map((index) => {
          const op = all.nested(CTRL_ATTR_OPS)?.nested(index);
          return [op?.u32(CTRL_ATTR_OP_ID), op?.u32(CTRL_ATTR_OP_FLAGS)];
        });
        return [all.u32(CTRL_ATTR_VERSION), all.u32(CTRL_ATTR_MAXATTR), ...ops];
      });
      const none = [undefined, undefined];
      expect(said).toEqual([
        [2, 0, [CTRL_CMD_GETFAMILY, 0xe], none],
        [1, 13, [TCP_METRICS_CMD_GET, 0xe], [TCP_METRICS_CMD_DEL, 0xb]],
      ]);
      const names: string[] = [];
      await client.dump(ask('nlctrl'), (m) =>
        names.push(m.attrs(GENL_HDRLEN).string(CTRL_ATTR_FAMILY_NAME) ?? ''),
      );
      expect(names).toEqual(['nlctrl', 'tcp_metrics']);
      client.close();
    });
  }, 60_000);
});
