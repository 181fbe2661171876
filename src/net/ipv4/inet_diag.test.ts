import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Socket } from '#include/linux/net.ts';
import type { InetBindBucket } from '#include/net/inet_connection_sock.ts';
import type { File } from '#kernel/sched/file.ts';
import { allocPages, getPage, putPage, virtToHeadPage } from '#mm/page_alloc.ts';
import {
  ehashShrink,
  inetBindBucketCreate,
  inetBindBucketDestroy,
  tcpGetHashinfo,
} from '#net/ipv4/inet_hashtables_bind.ts';
import { LOCAL, REMOTE, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { NLMSG_GOODSIZE } from '#net/netlink/nlattr.ts';
import { EAGAIN, ECONNABORTED, EINVAL, ENOBUFS, ENOENT, ESTALE } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import { IPPROTO_RAW, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import {
  INET_DIAG_BBRINFO,
  INET_DIAG_BC_AUTO,
  INET_DIAG_BC_D_COND,
  INET_DIAG_BC_D_EQ,
  INET_DIAG_BC_JMP,
  INET_DIAG_BC_MARK_COND,
  INET_DIAG_BC_S_COND,
  INET_DIAG_BC_S_EQ,
  INET_DIAG_BC_S_GE,
  INET_DIAG_BC_S_LE,
  INET_DIAG_CONG,
  INET_DIAG_INFO,
  INET_DIAG_MD5SIG,
  INET_DIAG_MEMINFO,
  INET_DIAG_NOCOOKIE,
  INET_DIAG_PROTOCOL,
  INET_DIAG_REQ_BYTECODE,
  INET_DIAG_SKMEMINFO,
  INET_DIAG_SOCKOPT,
  INET_DIAG_VEGASINFO,
  inetDiagMsg,
  inetDiagReqV2,
  inetDiagSockid,
  TIMER_KEEPALIVE,
  TIMER_RETRANS,
  TIMER_TIMEWAIT,
} from '#uapi/inet_diag.ts';
import {
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_SOCK_DIAG,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  nlmsgerr,
} from '#uapi/netlink.ts';
import {
  SK_MEMINFO_RMEM_ALLOC,
  SKNLGRP_INET_TCP_DESTROY,
  SOCK_DESTROY,
  SOCK_DIAG_BY_FAMILY,
} from '#uapi/sock_diag.ts';
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  MSG_TRUNC,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_MARK,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  SOL_NETLINK,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { SIOCSIFFLAGS } from '#uapi/sockios.ts';
import {
  TCP_BOUND_INACTIVE,
  TCP_CLOSE,
  TCP_CONGESTION,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT2,
  TCP_LISTEN,
  TCP_MD5SIG,
  TCP_SYN_RECV,
  TCP_TIME_WAIT,
} from '#uapi/tcp.ts';
import { getTcpInfo } from '#uapi/tcp_info.ts';
import { splitMessages } from '#user/lib/netlink.ts';
import { NlBuilder, type NlMessage } from '#user/lib/nlmsg.ts';
import { encodeSockaddrNl } from '#user/lib/sockaddr.ts';
import { encodeText } from '#user/lib/streams.ts';

const ALL = 0xfff;
const bit = (attr: number): number => 1 << (attr - 1);

let rig: TcpRig;
let nl: number;

beforeEach(() => {
  rig = new TcpRig();
  nl = rig.sys.socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  expect(rig.sys.bind(nl, encodeSockaddrNl(0, 0))).toBe(0);
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

interface Asked {
  readonly type?: number;
  readonly flags?: number;
  readonly family?: number;
  readonly protocol?: number;
  readonly states?: number;
  readonly ext?: number;
  readonly bytecode?: Uint8Array;
  /** Own end and the other's, as address and port. */
  readonly src?: readonly [number, number];
  readonly dst?: readonly [number, number];
  readonly cookie?: number;
}

function sendRequest(asked: Asked): void {
  const b = new NlBuilder(
    asked.type ?? SOCK_DIAG_BY_FAMILY,
    asked.flags ?? NLM_F_REQUEST | NLM_F_DUMP,
  );
  b.header(inetDiagReqV2.LEN, (v, o) => {
    inetDiagReqV2.setFamily(v, o, asked.family ?? AF_INET);
    inetDiagReqV2.setProtocol(v, o, asked.protocol ?? IPPROTO_TCP);
    inetDiagReqV2.setStates(v, o, asked.states ?? ALL);
    inetDiagReqV2.setExt(v, o, asked.ext ?? 0);
    const id = o + inetDiagReqV2.ID;
    const [src, sport] = asked.src ?? [0, 0];
    const [dst, dport] = asked.dst ?? [0, 0];
    inetDiagSockid.setSrc(v, id, 0, src);
    inetDiagSockid.setSport(v, id, sport);
    inetDiagSockid.setDst(v, id, 0, dst);
    inetDiagSockid.setDport(v, id, dport);
    const none = INET_DIAG_NOCOOKIE;
    inetDiagSockid.setCookie(v, id, asked.cookie ?? none, asked.cookie === undefined ? none : 0);
  });
  if (asked.bytecode !== undefined) b.attr(INET_DIAG_REQ_BYTECODE, asked.bytecode);
  sendBytes(b.finish());
}

function sendBytes(bytes: Uint8Array): void {
  expect(rig.sys.sendto(nl, bytes, 0, null)).toBe(bytes.length);
}

/** All messages that come back, without the end of the dump. */
function ask(asked: Asked): NlMessage[] {
  sendRequest(asked);
  return read(nl);
}

function send(bytes: Uint8Array): NlMessage[] {
  sendBytes(bytes);
  return read(nl);
}

function read(fd: number): NlMessage[] {
  const messages: NlMessage[] = [];
  for (;;) {
    const buf = new Uint8Array(65536);
    const n = rig.sys.recvfrom(fd, buf, 0, null);
    if (n < 0) return messages;
    messages.push(...splitMessages(buf.subarray(0, n)).filter(({ type }) => type !== NLMSG_DONE));
  }
}

/** The errno of an answer that is nothing else. */
function errnoOf(messages: readonly NlMessage[]): number {
  expect(messages.map(({ type }) => type)).toEqual([NLMSG_ERROR]);
  const [message] = messages as [NlMessage];
  return nlmsgerr.error(message.view, message.payload);
}

const stateOf = ({ view, payload }: NlMessage): number => inetDiagMsg.state(view, payload);
const sportOf = ({ view, payload }: NlMessage): number =>
  inetDiagSockid.sport(view, payload + inetDiagMsg.ID);
const cookieOf = ({ view, payload }: NlMessage): number =>
  inetDiagSockid.cookieLo(view, payload + inetDiagMsg.ID);
const attrsOf = (message: NlMessage): ReturnType<NlMessage['attrs']> =>
  message.attrs(inetDiagMsg.LEN);

const timerOf = ({ view, payload }: NlMessage): readonly [timer: number, expires: number] => [
  inetDiagMsg.timer(view, payload),
  inetDiagMsg.expires(view, payload),
];
const queuesOf = ({ view, payload }: NlMessage): readonly [receive: number, send: number] => [
  inetDiagMsg.rqueue(view, payload),
  inetDiagMsg.wqueue(view, payload),
];

/** Both ports of a connection. */
function portsOf({ view, payload }: NlMessage): number[] {
  const id = payload + inetDiagMsg.ID;
  return [inetDiagSockid.sport(view, id), inetDiagSockid.dport(view, id)];
}

/** The whole cookie. */
const cookieTextOf = ({ view, payload }: NlMessage): string => {
  const id = payload + inetDiagMsg.ID;
  return `${inetDiagSockid.cookieHi(view, id)}:${inetDiagSockid.cookieLo(view, id)}`;
};

const LOOPBACK = 0x7f000001;

function loopbackUp(): void {
  const ifr = new Uint8Array(40);
  ifr.set([0x6c, 0x6f]);
  new DataView(ifr.buffer).setInt16(16, IFF_UP, true);
  const fd = rig.open();
  expect(rig.sys.ioctl(fd, SIOCSIFFLAGS, ifr)).toBe(0);
  rig.close(fd);
}

function loopbackListener(port: number): number {
  const fd = rig.open();
  expect(rig.sys.bind(fd, rig.sockaddr(LOOPBACK, port))).toBe(0);
  expect(rig.sys.listen(fd, 1)).toBe(0);
  return fd;
}

/** Both ends of so many connections in the machine. */
function loopbackPairs(listener: number, port: number, count: number): number[] {
  const fds: number[] = [];
  for (let i = 0; i < count; i++) {
    const near = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
    rig.sys.connect(near, rig.sockaddr(LOOPBACK, port));
    const far = rig.sys.accept4(listener, null, 0);
    expect(far).toBeGreaterThanOrEqual(0);
    fds.push(near, far);
  }
  return fds;
}

/** Closes without a trace: SO_LINGER of no time. */
function reset(fd: number): void {
  rig.sys.setsockopt(fd, SOL_SOCKET, SO_LINGER, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
  rig.close(fd);
}

const CONNECTION: Pick<Asked, 'src' | 'dst'> = { src: [LOCAL, 8080], dst: [REMOTE, 40000] };
const EXACT = { flags: NLM_F_REQUEST | NLM_F_ACK };

function udp(port: number): number {
  const fd = rig.sys.socket(AF_INET, SOCK_DGRAM, 0);
  expect(rig.sys.bind(fd, rig.sockaddr(LOCAL, port))).toBe(0);
  return fd;
}

function soError(fd: number): number {
  const val = new Uint8Array(4);
  expect(rig.sys.getsockopt(fd, SOL_SOCKET, SO_ERROR, val)).toBe(4);
  return new DataView(val.buffer).getInt32(0, true);
}

describe('a listing of TCP', () => {
  it('has listeners with their queues, and connections with what waits in them', () => {
    const { fd } = rig.accepted();
    rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 7 });
    rig.write(fd, 500);
    const [listener, connection, ...more] = ask({});
    expect(more).toEqual([]);
    expect([listener, connection].map((m) => stateOf(m as NlMessage))).toEqual([
      TCP_LISTEN,
      TCP_ESTABLISHED,
    ]);
    expect(queuesOf(listener as NlMessage)).toEqual([0, 5]);
    expect(queuesOf(connection as NlMessage)).toEqual([7, 500]);
    const [timer, expires] = timerOf(connection as NlMessage);
    expect(timer).toBe(TIMER_RETRANS);
    expect(expires).toBeGreaterThan(0);
    rig.sent();
  });

  it('keeps to the states that are asked for', () => {
    rig.accepted();
    expect(ask({ states: 1 << TCP_LISTEN }).map(stateOf)).toEqual([TCP_LISTEN]);
    expect(ask({ states: 1 << TCP_ESTABLISHED }).map(stateOf)).toEqual([TCP_ESTABLISHED]);
    expect(ask({ states: 1 << TCP_TIME_WAIT })).toEqual([]);
  });

  it('has requests as SYN_RECV, and time-wait sockets in their true state', () => {
    const { fd } = rig.accepted();
    rig.close(fd);
    rig.inject({ flags: '.', seq: 1, ack: 2, win: 1000 });
    const [waiting] = ask({ states: 1 << TCP_FIN_WAIT2 });
    expect(waiting && stateOf(waiting)).toBe(TCP_FIN_WAIT2);
    rig.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000 });
    expect(ask({ states: 1 << TCP_FIN_WAIT2 })).toEqual([]);
    const [gone] = ask({ states: 1 << TCP_TIME_WAIT });
    expect(gone && timerOf(gone)).toEqual([TIMER_TIMEWAIT, 60_000]);
    rig.remotePort = 40001;
    rig.inject({ flags: 'S', options: 'mss 1000' });
    const [request] = ask({ states: 1 << TCP_SYN_RECV });
    expect(request && [stateOf(request), timerOf(request)]).toEqual([
      TCP_SYN_RECV,
      [TIMER_RETRANS, 1000],
    ]);
    rig.sent();
  });

  it('tells of the keepalive timer', () => {
    const { fd } = rig.accepted();
    rig.setInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    const [connection] = ask({ states: 1 << TCP_ESTABLISHED });
    expect(connection && timerOf(connection)).toEqual([TIMER_KEEPALIVE, 7_200_000]);
  });

  it('tells the inner state only to those who ask', () => {
    const { fd } = rig.accepted();
    rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 100 });
    const value = encodeText('bbr');
    expect(rig.sys.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, value)).toBe(0);
    const states = 1 << TCP_ESTABLISHED;
    const [plain] = ask({ states }) as [NlMessage];
    for (const attr of [INET_DIAG_INFO, INET_DIAG_MEMINFO, INET_DIAG_SKMEMINFO, INET_DIAG_CONG]) {
      expect(attrsOf(plain).has(attr)).toBe(false);
    }
    // Multicast goes back to the sender, and is taken from all groups, as ever.
    expect(attrsOf(plain).bytes(INET_DIAG_SOCKOPT)).toEqual(Uint8Array.of(0b01010010, 0));
    const ext = bit(INET_DIAG_INFO) | bit(INET_DIAG_SKMEMINFO) | bit(INET_DIAG_CONG);
    const [full] = ask({ states, ext: ext | bit(INET_DIAG_VEGASINFO) }) as [NlMessage];
    const attrs = attrsOf(full);
    expect(attrs.string(INET_DIAG_CONG)).toBe('bbr');
    expect(attrs.bytes(INET_DIAG_BBRINFO)?.length).toBe(20);
    const info = attrs.bytes(INET_DIAG_INFO) as Uint8Array;
    const v = new DataView(info.buffer, info.byteOffset, info.length);
    expect(getTcpInfo(v, 0, info.length)).toMatchObject({ bytesReceived: 100, sndMss: 1460 });
    const memory = attrs.bytes(INET_DIAG_SKMEMINFO) as Uint8Array;
    const words = new DataView(memory.buffer, memory.byteOffset, memory.length);
    expect(words.getUint32(4 * SK_MEMINFO_RMEM_ALLOC, true)).toBe(rig.sock(fd).skRmemAlloc);
  });

  it('tells keys only to those who ask for the inner state', () => {
    const { fd } = rig.accepted();
    const key = new Uint8Array(216);
    key.set(rig.sockaddr(REMOTE, 0));
    new DataView(key.buffer).setUint16(130, 3, true);
    key.set(encodeText('abc'), 136);
    expect(rig.sys.setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, key)).toBe(0);
    const states = 1 << TCP_ESTABLISHED;
    const [plain] = ask({ states }) as [NlMessage];
    expect(attrsOf(plain).has(INET_DIAG_MD5SIG)).toBe(false);
    const [full] = ask({ states, ext: bit(INET_DIAG_INFO) }) as [NlMessage];
    // As Linux 6.18 tells of a key: family, prefix, length in the machine's order, address, key.
    const told = attrsOf(full).bytes(INET_DIAG_MD5SIG) as Uint8Array;
    const v = new DataView(told.buffer, told.byteOffset, told.length);
    expect([...told.subarray(0, 4), v.getUint32(4)]).toEqual([AF_INET, 32, 3, 0, REMOTE]);
    expect(told.subarray(20)).toEqual(Uint8Array.from({ length: 80 }, (_, i) => key[136 + i] ?? 0));
  });

  it('goes on where the packet before it was full', () => {
    for (let i = 0; i < 300; i++) {
      const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
      rig.sys.bind(fd, rig.sockaddr(LOCAL, 1000 + i));
      rig.sys.listen(fd, 1);
    }
    const ports = ask({ ext: bit(INET_DIAG_INFO) }).map(sportOf);
    expect(ports.sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, i) => 1000 + i));
  });

  it('is packed into what its reader has room for', () => {
    for (let i = 0; i < 200; i++) {
      const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
      rig.sys.bind(fd, rig.sockaddr(LOCAL, 1000 + i));
      rig.sys.listen(fd, 1);
    }
    sendRequest({ ext: bit(INET_DIAG_INFO) });
    const buf = new Uint8Array(8192);
    const lengths: number[] = [];
    for (;;) {
      const n = rig.sys.recvfrom(nl, buf, MSG_TRUNC, null);
      if (n < 0) break;
      lengths.push(n);
    }
    expect(lengths.length).toBeGreaterThan(5);
    // The first is made before any buffer was seen.
    expect(lengths[0]).toBeLessThanOrEqual(NLMSG_GOODSIZE);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(buf.length);
    expect(Math.max(...lengths)).toBeGreaterThan(NLMSG_GOODSIZE);
  });

  it('that finds no memory for its next packet says so, and another can be asked for', () => {
    for (let i = 0; i < 200; i++) {
      const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
      rig.sys.bind(fd, rig.sockaddr(LOCAL, 1000 + i));
      rig.sys.listen(fd, 1);
    }
    sendRequest({ ext: bit(INET_DIAG_INFO) });
    // The packet that was read makes no room for the next: somebody holds its memory.
    const { sk } = (rig.task.files.get(nl) as File).privateData as Socket;
    const held = virtToHeadPage(sk?.skReceiveQueue.next?.head ?? 0);
    getPage(held);
    const taken = [held];
    for (let addr = allocPages(2048); addr !== 0; addr = allocPages(2048)) taken.push(addr);
    const buf = new Uint8Array(8192);
    const got = [0, 1, 2].map(() => Math.min(rig.sys.recvfrom(nl, buf, 0, null), 1));
    for (const addr of taken) putPage(addr);
    expect(got).toEqual([1, -ENOBUFS, -EAGAIN]);
    expect(ask({ ext: bit(INET_DIAG_INFO) })).toHaveLength(200);
  });

  it('has what is bound and waits, for those who ask, as closed', () => {
    const tcp = (port: number): number => {
      const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
      if (port !== 0) expect(rig.sys.bind(fd, rig.sockaddr(LOCAL, port))).toBe(0);
      return fd;
    };
    tcp(0);
    tcp(5000);
    rig.sys.listen(tcp(5001), 1);
    const over = tcp(5003);
    rig.sys.listen(over, 1);
    rig.sys.shutdown(over, 2);
    rig.accepted();
    // As Linux 6.18 answers: the state in the message is TCP_CLOSE, and that alone asks for nothing.
    const bound = [
      [TCP_CLOSE, 5000],
      [TCP_CLOSE, 5003],
    ];
    const told = (states: number): number[][] =>
      ask({ states })
        .map((message) => [stateOf(message), sportOf(message)])
        .sort(([, a], [, b]) => (a as number) - (b as number));
    expect(told(1 << TCP_BOUND_INACTIVE)).toEqual(bound);
    expect(told(1 << TCP_CLOSE)).toEqual([]);
    expect(told((1 << TCP_BOUND_INACTIVE) | (1 << TCP_CLOSE))).toEqual(bound);
    const others = [
      [TCP_LISTEN, 5001],
      [TCP_LISTEN, 8080],
      [TCP_ESTABLISHED, 8080],
    ];
    const all = told(ALL | (1 << TCP_BOUND_INACTIVE));
    expect(all).toEqual(expect.arrayContaining([...bound, ...others]));
    expect(all).toHaveLength(5);
  });

  it('has each socket once, though the table grows and shrinks between two packets', () => {
    const net = rig.machine.initNet;
    for (let i = 0; i < 900; i++) {
      const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
      expect(rig.sys.bind(fd, rig.sockaddr(LOCAL, 1000 + i))).toBe(0);
    }
    let others: InetBindBucket[] = [];
    const ports: number[] = [];
    const buf = new Uint8Array(65536);
    const sizes = new Set<number>([tcpGetHashinfo(net).bhash.length]);
    sendRequest({ states: 1 << TCP_BOUND_INACTIVE, ext: bit(INET_DIAG_INFO) });
    for (let round = 0; ; round++) {
      const n = rig.sys.recvfrom(nl, buf, 0, null);
      if (n < 0) break;
      const messages = splitMessages(buf.subarray(0, n));
      ports.push(...messages.filter(({ type }) => type !== NLMSG_DONE).map(sportOf));
      if (messages.some(({ type }) => type === NLMSG_DONE)) break;
      if (round % 4 === 1) {
        others = Array.from({ length: 6000 }, (_, i) => inetBindBucketCreate(net, 10_000 + i, 0));
      } else if (round % 4 === 3) {
        for (const tb of others.splice(0)) inetBindBucketDestroy(tb);
      }
      sizes.add(tcpGetHashinfo(net).bhash.length);
    }
    for (const tb of others) inetBindBucketDestroy(tb);
    expect(sizes.size).toBeGreaterThan(1);
    expect(ports.sort((a, b) => a - b)).toEqual(Array.from({ length: 900 }, (_, i) => 1000 + i));
  });

  it('has each connection that lives throughout once, though others come and go between two packets', () => {
    const net = rig.machine.initNet;
    rig.task.files.rlimit = 4096;
    loopbackUp();
    const [kept, passing] = [loopbackListener(9000), loopbackListener(9001)];
    const lived = loopbackPairs(kept, 9000, 50);
    let others = loopbackPairs(passing, 9001, 10);
    const cookies = (port: number): string[] =>
      ask({ states: 1 << TCP_ESTABLISHED })
        .filter((message) => portsOf(message).includes(port))
        .map(cookieTextOf)
        .sort();
    const expected = cookies(9000);
    expect(expected).toHaveLength(lived.length);
    const told: string[] = [];
    const sizes = new Set<number>();
    // A reader of little: the kernel makes no larger packets than it has seen buffers.
    rig.close(nl);
    nl = rig.sys.socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
    const buf = new Uint8Array(8192);
    let packets = 0;
    sendRequest({ states: 1 << TCP_ESTABLISHED, ext: bit(INET_DIAG_INFO) });
    for (let over = false; !over && packets < 100; packets++) {
      const n = rig.sys.recvfrom(nl, buf, 0, null);
      expect(n).toBeGreaterThan(0);
      const messages = splitMessages(buf.subarray(0, n));
      over = messages.some(({ type }) => type === NLMSG_DONE);
      const some = messages.filter(({ type }) => type !== NLMSG_DONE);
      told.push(...some.filter((message) => portsOf(message).includes(9000)).map(cookieTextOf));
      for (const fd of others.splice(0)) reset(fd);
      // The table becomes twice, then four times as large, and as small as ever.
      others = loopbackPairs(passing, 9001, [110, 230, 0][packets] ?? 5);
      ehashShrink(tcpGetHashinfo(net));
      sizes.add(tcpGetHashinfo(net).ehash.length);
    }
    expect(packets).toBeGreaterThan(5);
    expect(sizes.size).toBeGreaterThan(2);
    expect(told.sort()).toEqual(expected);
    for (const fd of [...lived, ...others]) reset(fd);
  });

  it('leaves out other namespaces and families', () => {
    rig.accepted();
    expect(errnoOf(ask({ family: AF_INET6 }))).toBe(-ENOENT);
    expect(errnoOf(ask({ ...EXACT, protocol: 132 }))).toBe(-ENOENT);
  });
});

describe('one socket', () => {
  it('is found by its ends, and by its cookie', () => {
    rig.accepted();
    const [found] = ask({ ...EXACT, ...CONNECTION }) as [NlMessage];
    expect(stateOf(found)).toBe(TCP_ESTABLISHED);
    const cookie = cookieOf(found);
    expect(cookie).toBeGreaterThan(0);
    expect(ask({ ...EXACT, ...CONNECTION, cookie })[0]).toMatchObject({
      type: SOCK_DIAG_BY_FAMILY,
    });
    expect(errnoOf(ask({ ...EXACT, ...CONNECTION, cookie: cookie + 1 }))).toBe(-ENOENT);
    expect(errnoOf(ask({ ...EXACT, src: [LOCAL, 1], dst: [REMOTE, 2] }))).toBe(-ENOENT);
  });

  it('keeps the cookie that it had as a request', () => {
    const lfd = rig.listen();
    rig.inject({ flags: 'S', options: 'mss 1000' });
    rig.sent();
    const [request] = ask({ states: 1 << TCP_SYN_RECV }) as [NlMessage];
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    rig.accept(lfd);
    const [connection] = ask({ states: 1 << TCP_ESTABLISHED }) as [NlMessage];
    expect(cookieOf(connection)).toBe(cookieOf(request));
  });

  it('of UDP is asked for with its ends the wrong way round', () => {
    udp(53);
    const protocol = IPPROTO_UDP;
    const [found] = ask({ ...EXACT, protocol, src: [REMOTE, 9], dst: [LOCAL, 53] }) as [NlMessage];
    expect(sportOf(found)).toBe(53);
    expect(errnoOf(ask({ ...EXACT, protocol, src: [LOCAL, 53] }))).toBe(-ENOENT);
    const stale = { protocol, dst: [LOCAL, 53], cookie: cookieOf(found) + 1 } as const;
    expect(errnoOf(ask({ ...EXACT, ...stale }))).toBe(-ESTALE);
  });

  it('must be asked for in whole', () => {
    const short = new NlBuilder(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST);
    short.header(4, (v, o) => v.setUint8(o, AF_INET));
    expect(errnoOf(send(short.finish()))).toBe(-EINVAL);
    const empty = new NlBuilder(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST).finish();
    expect(errnoOf(send(empty))).toBe(-EINVAL);
    expect(errnoOf(ask({ type: 19 }))).toBe(-EINVAL);
  });
});

describe('ending a socket', () => {
  const destroy = { type: SOCK_DESTROY, ...EXACT };

  it('leaves alone what has another cookie, as if it were not there', () => {
    const { fd } = rig.accepted();
    const bound = udp(53);
    expect(errnoOf(ask({ ...destroy, ...CONNECTION, cookie: 999 }))).toBe(-ENOENT);
    const datagrams = { protocol: IPPROTO_UDP, src: [LOCAL, 53] } as const;
    expect(errnoOf(ask({ ...destroy, ...datagrams, cookie: 999 }))).toBe(-ENOENT);
    expect([soError(fd), soError(bound)]).toEqual([0, 0]);
  });

  it('resets the connection and tells its owner', () => {
    const { fd, lfd } = rig.accepted();
    rig.close(lfd);
    expect(errnoOf(ask({ ...destroy, ...CONNECTION }))).toBe(0);
    expect(rig.texts()).toEqual([expect.stringMatching(/^R\. 1:1\(0\)/)]);
    expect(soError(fd)).toBe(ECONNABORTED);
    expect(errnoOf(ask({ ...destroy, ...CONNECTION }))).toBe(-ENOENT);
  });

  it('closes a listener with what waited in it', () => {
    const lfd = rig.listen();
    expect(errnoOf(ask({ ...destroy, src: [LOCAL, 8080] }))).toBe(0);
    expect(soError(lfd)).toBe(ECONNABORTED);
    expect(ask({ states: ALL })).toEqual([]);
  });

  it('takes time-wait sockets and requests away', () => {
    const { fd } = rig.accepted();
    rig.close(fd);
    rig.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000 });
    expect(errnoOf(ask({ ...destroy, ...CONNECTION }))).toBe(0);
    rig.remotePort = 40001;
    rig.inject({ flags: 'S', options: 'mss 1000' });
    expect(errnoOf(ask({ ...destroy, src: [LOCAL, 8080], dst: [REMOTE, 40001] }))).toBe(0);
    expect(ask({ states: ALL & ~(1 << TCP_LISTEN) })).toEqual([]);
    rig.sent();
  });

  it('of UDP has its ends the right way round', () => {
    const fd = udp(53);
    const protocol = IPPROTO_UDP;
    expect(errnoOf(ask({ ...destroy, protocol, src: [LOCAL, 53], dst: [REMOTE, 9] }))).toBe(0);
    expect(soError(fd)).toBe(ECONNABORTED);
  });

  it('of a raw socket goes by its protocol', () => {
    const fd = rig.sys.socket(AF_INET, SOCK_RAW, 89);
    const b = new NlBuilder(SOCK_DESTROY, EXACT.flags).header(inetDiagReqV2.LEN, (v, o) => {
      inetDiagReqV2.setFamily(v, o, AF_INET);
      inetDiagReqV2.setProtocol(v, o, IPPROTO_RAW);
      v.setUint8(o + 3, 89);
      // Of no raw socket, but that is not looked at.
      inetDiagSockid.setCookie(v, o + inetDiagReqV2.ID, 999, 0);
    });
    expect(ask({ protocol: IPPROTO_RAW }).map((m) => attrsOf(m).u8(INET_DIAG_PROTOCOL))).toEqual([
      89,
    ]);
    expect(errnoOf(send(b.finish()))).toBe(0);
    expect(soError(fd)).toBe(ECONNABORTED);
  });
});

it('tells those who listen of a socket that ends', () => {
  const group = new Uint8Array(4);
  new DataView(group.buffer).setInt32(0, SKNLGRP_INET_TCP_DESTROY, true);
  expect(rig.sys.setsockopt(nl, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)).toBe(0);
  const { fd } = rig.accepted();
  rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 100 });
  expect(read(nl)).toEqual([]);
  rig.inject({ flags: 'R.', seq: 101, ack: 1 });
  rig.close(fd);
  const [ended, ...more] = read(nl) as [NlMessage];
  expect(more).toEqual([]);
  expect([ended.type, sportOf(ended)]).toEqual([SOCK_DIAG_BY_FAMILY, 8080]);
  expect(attrsOf(ended).u8(INET_DIAG_PROTOCOL)).toBe(IPPROTO_TCP);
  expect(attrsOf(ended).has(INET_DIAG_INFO)).toBe(true);
  rig.sent();
});

describe('a filter', () => {
  /** Instructions: code, how far when it holds, how far when not; and what stands behind. */
  const op = (code: number, yes: number, no: number, ...operand: number[]): number[] => [
    ...[code, yes, no & 0xff, no >> 8],
    ...operand,
  ];
  const port = (code: number, value: number, left: number): number[] =>
    op(code, 8, 8 + left + 4, ...op(0, 0, value));
  const host = (code: number, addr: number, bits: number, wanted: number): number[] =>
    op(code, 16, 20, ...[AF_INET, bits, 0, 0], ...le32(wanted), ...be32(addr));
  const host6 = (code: number): number[] =>
    op(code, 28, 32, ...[AF_INET6, 0, 0, 0], ...le32(-1), ...new Array<number>(16).fill(0));
  const le32 = (x: number): number[] => [x & 255, (x >> 8) & 255, (x >> 16) & 255, x >>> 24];
  const be32 = (x: number): number[] => le32(x).reverse();
  const chosen = (bytecode: readonly number[]): number[] =>
    ask({ bytecode: Uint8Array.from(bytecode) }).map(sportOf);

  beforeEach(() => {
    for (const p of [1000, 2000, 3000]) {
      const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
      if (p === 3000) rig.setInt(fd, SOL_SOCKET, SO_MARK, 0x17);
      rig.sys.bind(fd, rig.sockaddr(p === 1000 ? 0 : LOCAL, p));
      rig.sys.listen(fd, 1);
    }
  });

  it.each([
    ['one port', port(INET_DIAG_BC_S_EQ, 2000, 0), [2000]],
    ['ports from one on', port(INET_DIAG_BC_S_GE, 2000, 0), [2000, 3000]],
    ['ports up to one', port(INET_DIAG_BC_S_LE, 2000, 0), [1000, 2000]],
    ['the port of the other end', port(INET_DIAG_BC_D_EQ, 0, 0), [1000, 2000, 3000]],
    [
      'two conditions at once',
      [...port(INET_DIAG_BC_S_GE, 2000, 8), ...port(INET_DIAG_BC_S_LE, 2000, 0)],
      [2000],
    ],
    ['a network', host(INET_DIAG_BC_S_COND, 0xc0123456, 8, -1), [2000, 3000]],
    ['an address with a port', host(INET_DIAG_BC_S_COND, LOCAL, 32, 3000), [3000]],
    ['no address of another family', host6(INET_DIAG_BC_S_COND), []],
    ['no other end', host(INET_DIAG_BC_D_COND, 0x01020304, 32, -1), []],
    ['a port that was chosen for it', op(INET_DIAG_BC_AUTO, 4, 8), []],
    [
      'what has no port chosen for it',
      [...op(INET_DIAG_BC_AUTO, 4, 8), ...op(INET_DIAG_BC_JMP, 4, 8)],
      [1000, 2000, 3000],
    ],
    ['a mark', op(INET_DIAG_BC_MARK_COND, 12, 16, ...le32(0x10), ...le32(0xf0)), [3000]],
  ])('chooses %s', (_name, bytecode, wanted) => {
    expect(chosen(bytecode).sort((a, b) => a - b)).toEqual(wanted);
  });

  it.each([
    ['nothing', []],
    ['half an instruction', [INET_DIAG_BC_AUTO, 4]],
    ['an unknown one', op(99, 4, 4)],
    ['one without its operand', op(INET_DIAG_BC_S_EQ, 4, 8)],
    ['a step of nothing', op(INET_DIAG_BC_JMP, 0, 4)],
    ['a jump of nothing', op(INET_DIAG_BC_AUTO, 4, 0)],
    ['a jump past the refusal', op(INET_DIAG_BC_AUTO, 4, 12)],
    ['a crooked jump', op(INET_DIAG_BC_AUTO, 4, 6)],
    ['a jump into an operand', [...op(INET_DIAG_BC_AUTO, 4, 8), ...port(INET_DIAG_BC_S_EQ, 1, 0)]],
    ['a prefix that is too long', host(INET_DIAG_BC_S_COND, 0, 33, -1)],
  ])('is refused that has %s', (_name, bytecode) => {
    expect(errnoOf(ask({ bytecode: Uint8Array.from(bytecode) }))).toBe(-EINVAL);
  });
});
