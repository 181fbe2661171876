/** Signed connections between two machines: MD5 (RFC 2385) and the authentication option (RFC 5925). */
import { describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import type { Socket } from '#include/linux/net.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { TcpAoKey } from '#include/net/tcp_auth.ts';
import type { Machine } from '#kernel/machine.ts';
import { parseTopology } from '#sim/topology.ts';
import {
  SKB_DROP_REASON_TCP_AOFAILURE,
  SKB_DROP_REASON_TCP_AOKEYNOTFOUND,
  SKB_DROP_REASON_TCP_AONOTFOUND,
  SKB_DROP_REASON_TCP_AOUNEXPECTED,
  SKB_DROP_REASON_TCP_MD5FAILURE,
  SKB_DROP_REASON_TCP_MD5NOTFOUND,
  SKB_DROP_REASON_TCP_MD5UNEXPECTED,
} from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_TCPAOBAD,
  LINUX_MIB_TCPAOGOOD,
  LINUX_MIB_TCPAOKEYNOTFOUND,
  LINUX_MIB_TCPAOREQUIRED,
  LINUX_MIB_TCPMD5FAILURE,
  LINUX_MIB_TCPMD5NOTFOUND,
  LINUX_MIB_TCPMD5UNEXPECTED,
} from '#uapi/snmp.ts';
import { AF_INET, SOCK_STREAM, SOL_TCP } from '#uapi/socket.ts';
import { TCP_AO_ADD_KEY, TCP_AO_INFO, TCP_MD5SIG, TCP_USER_TIMEOUT } from '#uapi/tcp.ts';
import { tcpAoAdd, tcpAoInfoOpt, tcpMd5sig } from '#uapi/tcp_auth.ts';
import type { Libc } from '#user/lib/libc.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';

const PORT = 179;
const A = 0x0a000001;
const B = 0x0a000002;
const BYTES = 60_000;

type Setup = (libc: Libc, fd: number, peer: number) => void;

function md5Key(peer: number, key: string): Uint8Array {
  const cmd = new Uint8Array(tcpMd5sig.LEN);
  cmd.set(encodeSockaddr4(peer, 0));
  const octets = new TextEncoder().encode(key);
  new DataView(cmd.buffer).setUint16(130, octets.length, true);
  cmd.set(octets, tcpMd5sig.KEY);
  return cmd;
}

interface AoKey {
  readonly key?: string;
  readonly alg?: string;
  readonly sndid?: number;
  readonly rcvid?: number;
  readonly keyflags?: number;
  readonly maclen?: number;
}

function aoKey(peer: number, k: AoKey): Uint8Array {
  const cmd = new Uint8Array(tcpAoAdd.LEN);
  cmd.set(encodeSockaddr4(peer, 0));
  const text = (s: string): Uint8Array => new TextEncoder().encode(s);
  cmd.set(text(k.alg ?? 'hmac(sha1)'), tcpAoAdd.ALG_NAME);
  const octets = text(k.key ?? 'a secret');
  cmd.set(
    [32, k.sndid ?? 100, k.rcvid ?? 100, k.maclen ?? 12, k.keyflags ?? 0, octets.length],
    202,
  );
  cmd.set(octets, tcpAoAdd.KEY);
  return cmd;
}

const md5 =
  (key: string): Setup =>
  (libc, fd, peer) => {
    libc.setsockopt(fd, SOL_TCP, TCP_MD5SIG, md5Key(peer, key));
  };

const ao =
  (...keys: AoKey[]): Setup =>
  (libc, fd, peer) => {
    for (const key of keys) libc.setsockopt(fd, SOL_TCP, TCP_AO_ADD_KEY, aoKey(peer, key));
  };

const plain: Setup = () => {};

interface Outcome {
  readonly received: number;
  readonly error: string;
  readonly a: Machine;
  readonly b: Machine;
  readonly live: object;
  /** Why segments were dropped at b. */
  readonly drops: ReadonlySet<number>;
}

interface Options {
  readonly sysctls?: Readonly<Record<string, string | number>>;
  /** In the client after half of the bytes. */
  readonly halfway?: (libc: Libc, fd: number) => void;
  readonly sockets?: (client: TcpSock) => void;
}

/** The client sends to the server, which reads to the end. */
async function talk(client: Setup, server: Setup, options: Options = {}): Promise<Outcome> {
  const node = (host: number): object => ({
    sysctls: options.sysctls ?? {},
    exec: [`ip addr add 10.0.0.${host}/24 dev eth0`, 'ip link set eth0 up'],
  });
  const topology = {
    name: 'signed',
    topology: {
      nodes: { a: node(1), b: node(2) },
      links: [{ endpoints: ['a:eth0', 'b:eth0'], impairments: { rate: '100mbit', delay: '5ms' } }],
    },
  };
  const lab = new Lab(parseTopology(topology), { seed: 3, turn });
  await lab.setUp();
  const { world } = lab;
  const drops = new Set<number>();
  lab.machine('b').trace.skb.kfreeSkb.register((_skb, _at, reason) => {
    drops.add(reason);
  });
  let received = 0;
  let error = '';
  let done = false;
  lab.start(
    'b',
    async (p) => {
      const listener = p.libc.socket(AF_INET, SOCK_STREAM);
      server(p.libc, listener, A);
      p.libc.bind(listener, encodeSockaddr4(0, PORT));
      p.libc.listen(listener);
      const { fd } = await p.libc.accept(listener);
      const buffer = new Uint8Array(1 << 16);
      for (let n = 1; n > 0; received += n) n = await p.libc.recv(fd, buffer);
      await p.libc.close(fd);
      await p.libc.close(listener);
      done = true;
      return 0;
    },
    ['server'],
  );
  const sender = lab.start(
    'a',
    async (p) => {
      await p.libc.sleep(1);
      const fd = p.libc.socket(AF_INET, SOCK_STREAM);
      p.libc.setsockopt(fd, SOL_TCP, TCP_USER_TIMEOUT, Uint8Array.of(0x88, 0x13, 0, 0));
      try {
        client(p.libc, fd, B);
        await p.libc.connect(fd, encodeSockaddr4(B, PORT));
        const file = sender.program.task.files.get(fd);
        options.sockets?.((file!.privateData as Socket).sk as TcpSock);
        const half = new Uint8Array(BYTES / 2);
        await p.libc.send(fd, half);
        await p.libc.sleep(1);
        options.halfway?.(p.libc, fd);
        await p.libc.send(fd, half);
      } catch (cause) {
        error = (cause as { code?: string }).code ?? String(cause);
        done = true;
      }
      await p.libc.close(fd);
      return 0;
    },
    ['client'],
  );
  await world.runPrograms({ untilNs: world.nowNs + 60e9, until: () => done });
  const [a, b] = world.machines as [Machine, Machine];
  await world.runPrograms({ untilNs: world.nowNs + 70e9 });
  const mib = { a, b };
  return { received, error, ...mib, drops, live: error === '' ? world.halt() : {} };
}

const count = (machine: Machine, index: number): number =>
  machine.initNet.mib.netStatistics[index] as number;

describe('MD5 signatures', () => {
  it('carry a connection from its SYN to its end, without timestamps beside SACK', async () => {
    const seen: boolean[] = [];
    const out = await talk(md5('sesame'), md5('sesame'), {
      sockets: (sk) => seen.push(sk.rxOpt.tstampOk, sk.skGsoDisabled),
    });
    expect(out.received).toBe(BYTES);
    expect(seen).toEqual([false, true]);
    expect(count(out.b, LINUX_MIB_TCPMD5FAILURE)).toBe(0);
    expect(out.live).toEqual({});
  }, 60_000);

  it('carry a connection that begins with a SYN cookie', async () => {
    const sysctls = { 'net.ipv4.tcp_syncookies': 2 };
    const out = await talk(md5('sesame'), md5('sesame'), { sysctls });
    expect(out.received).toBe(BYTES);
    expect(out.live).toEqual({});
  }, 60_000);

  it.each([
    [
      'another key',
      md5('other'),
      md5('sesame'),
      LINUX_MIB_TCPMD5FAILURE,
      SKB_DROP_REASON_TCP_MD5FAILURE,
    ],
    ['no key', plain, md5('sesame'), LINUX_MIB_TCPMD5NOTFOUND, SKB_DROP_REASON_TCP_MD5NOTFOUND],
    [
      'a key that the server does not expect',
      md5('sesame'),
      plain,
      LINUX_MIB_TCPMD5UNEXPECTED,
      SKB_DROP_REASON_TCP_MD5UNEXPECTED,
    ],
  ])(
    'are not heard with %s',
    async (_what, client, server, mib, reason) => {
      const out = await talk(client, server);
      expect(out.error).toBe('ETIMEDOUT');
      expect(out.received).toBe(0);
      expect(count(out.b, mib)).toBeGreaterThan(0);
      expect(out.drops).toContain(reason);
    },
    60_000,
  );
});

describe('the authentication option', () => {
  it.each([
    ['HMAC-SHA-1', {}],
    ['AES-128-CMAC', { alg: 'cmac(aes128)' }],
    ['AES-128-CMAC with a key of 16 octets', { alg: 'cmac(aes128)', key: '0123456789abcdef' }],
    ['other options left out', { keyflags: 2 }],
    ['a code of 16 octets', { maclen: 16 }],
  ])(
    'carries a connection: %s',
    async (_what, key) => {
      const out = await talk(ao(key), ao(key));
      expect(out.error).toBe('');
      expect(out.received).toBe(BYTES);
      expect(count(out.b, LINUX_MIB_TCPAOGOOD)).toBeGreaterThan(40);
      expect(count(out.b, LINUX_MIB_TCPAOBAD) + count(out.a, LINUX_MIB_TCPAOBAD)).toBe(0);
      expect(out.live).toEqual({});
    },
    60_000,
  );

  it('carries a connection that begins with a SYN cookie', async () => {
    const sysctls = { 'net.ipv4.tcp_syncookies': 2 };
    const out = await talk(ao({}), ao({}), { sysctls });
    expect(out.received).toBe(BYTES);
    expect(out.live).toEqual({});
  }, 60_000);

  it('changes keys at the request of the other side, without losing a byte', async () => {
    const keys = [
      { sndid: 1, rcvid: 1, key: 'first' },
      { sndid: 2, rcvid: 2, key: 'second' },
    ];
    let first = -1;
    let peerKey: TcpAoKey | null = null;
    let sk: TcpSock | null = null;
    const out = await talk(ao(...keys), ao(...keys), {
      sockets: (client) => {
        sk = client;
        first = client.aoInfo?.rnextKey?.rcvid ?? -1;
      },
      halfway: (libc, fd) => {
        // Ask the server for the key that is not in use.
        const other = first === 1 ? 2 : 1;
        const cmd = new Uint8Array(tcpAoInfoOpt.LEN);
        cmd.set([2, 0, 0, 0, 0, 0, 0, other]);
        libc.setsockopt(fd, SOL_TCP, TCP_AO_INFO, cmd);
        peerKey = sk?.aoInfo?.rnextKey ?? null;
        expect(peerKey?.rcvid).toBe(other);
        expect(peerKey?.pktGood).toBe(0);
      },
    });
    expect(out.received).toBe(BYTES);
    // The server has followed: its ACKs came under the new key.
    expect((peerKey as TcpAoKey | null)?.pktGood).toBeGreaterThan(5);
    expect(out.live).toEqual({});
  }, 60_000);

  it.each([
    [
      'another key',
      ao({ key: 'other' }),
      ao({}),
      LINUX_MIB_TCPAOBAD,
      SKB_DROP_REASON_TCP_AOFAILURE,
    ],
    [
      'another KeyID',
      ao({ sndid: 7 }),
      ao({}),
      LINUX_MIB_TCPAOKEYNOTFOUND,
      SKB_DROP_REASON_TCP_AOKEYNOTFOUND,
    ],
    [
      'another length of the code',
      ao({ maclen: 8 }),
      ao({}),
      LINUX_MIB_TCPAOBAD,
      SKB_DROP_REASON_TCP_AOFAILURE,
    ],
    ['no key', plain, ao({}), LINUX_MIB_TCPAOREQUIRED, SKB_DROP_REASON_TCP_AONOTFOUND],
    [
      'a key that the server does not expect',
      ao({}),
      plain,
      LINUX_MIB_TCPAOKEYNOTFOUND,
      SKB_DROP_REASON_TCP_AOUNEXPECTED,
    ],
    [
      'an MD5 signature instead',
      md5('sesame'),
      ao({}),
      LINUX_MIB_TCPMD5UNEXPECTED,
      SKB_DROP_REASON_TCP_MD5UNEXPECTED,
    ],
  ])(
    'is not heard with %s',
    async (_what, client, server, mib, reason) => {
      const out = await talk(client, server);
      expect(out.error).toBe('ETIMEDOUT');
      expect(out.received).toBe(0);
      expect(count(out.b, mib)).toBeGreaterThan(0);
      expect(out.drops).toContain(reason);
    },
    60_000,
  );

  it('refuses a second key of the same KeyID, and keys of both kinds for a peer', async () => {
    const twice = await talk(ao({}, {}), ao({}));
    expect(twice.error).toBe('EEXIST');
    const both: Setup = (libc, fd, peer) => {
      md5('sesame')(libc, fd, peer);
      ao({})(libc, fd, peer);
    };
    expect((await talk(both, ao({}))).error).toBe('EKEYREJECTED');
  }, 60_000);
});
