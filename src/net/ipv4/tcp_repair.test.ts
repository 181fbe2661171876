/** A live connection is taken out of one socket and put into another; the peer notices nothing. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tcpSendRcvq } from '#net/ipv4/tcp_input_data.ts';
import { REMOTE, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { sockMessage } from '#net/socket.ts';
import { EADDRINUSE, EAGAIN, EFAULT, EFBIG, EINVAL, EPERM } from '#uapi/errno.ts';
import { SKB_DROP_REASON_SKB_UCOPY_FAULT } from '#uapi/net_dropreason.ts';
import { LINUX_MIB_TCPWINPROBE } from '#uapi/snmp.ts';
import { MSG_PEEK, SOL_TCP } from '#uapi/socket.ts';
import {
  TCP_ESTABLISHED,
  TCP_NO_QUEUE,
  TCP_QUEUE_SEQ,
  TCP_RECV_QUEUE,
  TCP_REPAIR,
  TCP_REPAIR_OFF,
  TCP_REPAIR_OFF_NO_WP,
  TCP_REPAIR_ON,
  TCP_REPAIR_OPTIONS,
  TCP_REPAIR_QUEUE,
  TCP_REPAIR_WINDOW,
  TCP_SEND_QUEUE,
  TCP_TIMESTAMP,
  TCPOPT_MSS,
  TCPOPT_SACK_PERM,
  TCPOPT_TIMESTAMP,
  TCPOPT_WINDOW,
  tcpRepairOpt,
  tcpRepairWindow,
} from '#uapi/tcp.ts';

let r: TcpRig;

beforeEach(() => {
  r = new TcpRig();
});

afterEach(() => {
  expect(r.end()).toEqual({});
});

const text = (s: string): Uint8Array => new TextEncoder().encode(s);

function set(fd: number, name: number, value: number): number {
  const val = new Uint8Array(4);
  new DataView(val.buffer).setInt32(0, value, true);
  return r.sys.setsockopt(fd, SOL_TCP, name, val);
}

/** The value, or undefined and the errno. */
function get(fd: number, name: number): number | { err: number } {
  const val = new Uint8Array(4);
  const n = r.sys.getsockopt(fd, SOL_TCP, name, val);
  return n < 0 ? { err: n } : new DataView(val.buffer).getInt32(0, true);
}

function peek(fd: number): Uint8Array | number {
  const buf = new Uint8Array(1 << 16);
  const n = r.sys.recvfrom(fd, buf, MSG_PEEK, null);
  return n < 0 ? n : buf.slice(0, n);
}

function options(...pairs: readonly (readonly [number, number])[]): Uint8Array {
  const out = new Uint8Array(pairs.length * tcpRepairOpt.LEN);
  const v = new DataView(out.buffer);
  pairs.forEach(([code, val], i) => {
    tcpRepairOpt.setCode(v, i * tcpRepairOpt.LEN, code);
    tcpRepairOpt.setVal(v, i * tcpRepairOpt.LEN, val);
  });
  return out;
}

interface Image {
  readonly queues: readonly { readonly seq: number; readonly data: Uint8Array }[];
  readonly window: Uint8Array;
  readonly timestamp: number;
}

/** What is in a socket, as CRIU takes it out; the socket is gone then. */
function takeOut(fd: number): Image {
  expect(set(fd, TCP_REPAIR, TCP_REPAIR_ON)).toBe(0);
  const queues = [TCP_RECV_QUEUE, TCP_SEND_QUEUE].map((queue) => {
    expect(set(fd, TCP_REPAIR_QUEUE, queue)).toBe(0);
    const data = peek(fd);
    // An empty receive queue has one wait.
    return {
      seq: get(fd, TCP_QUEUE_SEQ) as number,
      data: data === -EAGAIN ? text('') : (data as Uint8Array),
    };
  });
  const window = new Uint8Array(tcpRepairWindow.LEN);
  expect(r.sys.getsockopt(fd, SOL_TCP, TCP_REPAIR_WINDOW, window)).toBe(tcpRepairWindow.LEN);
  const timestamp = get(fd, TCP_TIMESTAMP) as number;
  r.close(fd);
  return { queues, window, timestamp };
}

/** Puts it into a new socket. */
function putIn({ queues, window, timestamp }: Image, opts: Uint8Array): number {
  const fd = r.open();
  expect(set(fd, TCP_REPAIR, TCP_REPAIR_ON)).toBe(0);
  expect(set(fd, TCP_TIMESTAMP, timestamp)).toBe(0);
  expect(r.sys.bind(fd, r.sockaddr(0, r.localPort))).toBe(0);
  [TCP_RECV_QUEUE, TCP_SEND_QUEUE].forEach((queue, i) => {
    const { seq, data } = queues[i] as Image['queues'][number];
    expect(set(fd, TCP_REPAIR_QUEUE, queue)).toBe(0);
    expect(set(fd, TCP_QUEUE_SEQ, (seq - data.length) | 0)).toBe(0);
  });
  expect(r.sys.connect(fd, r.sockaddr(REMOTE, r.remotePort))).toBe(0);
  expect(r.sys.setsockopt(fd, SOL_TCP, TCP_REPAIR_OPTIONS, opts)).toBe(0);
  [TCP_RECV_QUEUE, TCP_SEND_QUEUE].forEach((queue, i) => {
    const { data } = queues[i] as Image['queues'][number];
    expect(set(fd, TCP_REPAIR_QUEUE, queue)).toBe(0);
    expect(r.write(fd, data)).toBe(data.length);
  });
  expect(r.sys.setsockopt(fd, SOL_TCP, TCP_REPAIR_WINDOW, window)).toBe(0);
  return fd;
}

describe('TCP_REPAIR', () => {
  it('moves a connection with all that is under way', () => {
    const lfd = r.listen();
    r.inject({ flags: 'S', options: 'mss 1000,sackOK,TS 100:0,nop,wscale 7' });
    const ts = r.sent()[0]?.tsval ?? 0;
    r.inject({ flags: '.', seq: 1, ack: 1, win: 200, options: `nop,nop,TS 101:${ts}` });
    const fd = r.accept(lfd);
    r.close(lfd);
    r.inject({
      flags: 'P.',
      seq: 1,
      ack: 1,
      data: text('unread'),
      options: `nop,nop,TS 102:${ts}`,
    });
    expect(r.write(fd, text('never acknowledged'))).toBe(18);
    r.advance(50);
    r.sent();

    const image = takeOut(fd);
    expect(image.queues.map(({ data }) => new TextDecoder().decode(data))).toEqual([
      'unread',
      'never acknowledged',
    ]);
    // No word of it to the peer.
    expect(r.sent()).toEqual([]);
    r.advance(30);
    const made = putIn(
      image,
      options(
        [TCPOPT_MSS, 1000],
        [TCPOPT_WINDOW, 7 | (10 << 16)],
        [TCPOPT_SACK_PERM, 0],
        [TCPOPT_TIMESTAMP, 0],
      ),
    );
    expect(r.sent()).toEqual([]);
    expect(r.sock(made).skcState).toBe(TCP_ESTABLISHED);
    expect(set(made, TCP_REPAIR, TCP_REPAIR_OFF)).toBe(0);
    r.settle();
    // Asks the peer how far it is.
    const probe = r.sent();
    expect(probe.map((s) => [s.flags, s.seq, s.ack, s.len])).toEqual([['.', 0, 7, 0]]);
    expect(r.mib(LINUX_MIB_TCPWINPROBE)).toBe(1);
    expect(((probe[0]?.tsval ?? 0) - ts) | 0).toBeGreaterThanOrEqual(30);

    expect(r.read(made)).toEqual(text('unread'));
    // What was not acknowledged is sent again.
    r.advance(1100);
    const [again] = r.sent().filter((s) => s.len > 0);
    expect([again?.seq, again?.len]).toEqual([1, 18]);
    r.inject({ flags: '.', seq: 7, ack: 19, win: 200, options: `nop,nop,TS 200:${ts}` });
    expect(r.write(made, text('more'))).toBe(4);
    expect(r.sent().map((s) => [s.flags, s.seq, s.len])).toEqual([['P.', 19, 4]]);
    r.inject({ flags: 'F.', seq: 7, ack: 23, win: 200, options: `nop,nop,TS 201:${ts}` });
    expect(r.read(made)).toHaveLength(0);
    r.close(made);
    expect(r.sent().at(-1)?.flags).toBe('F.');
    r.inject({ flags: '.', seq: 8, ack: 24, win: 200, options: `nop,nop,TS 202:${ts}` });
  });

  it('is silent with OFF_NO_WP, and a socket in repair is gone without a reset', () => {
    const { fd, lfd } = r.accepted();
    r.close(lfd);
    r.sent();
    const image = takeOut(fd);
    const made = putIn(image, options([TCPOPT_MSS, 1000]));
    expect(set(made, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP)).toBe(0);
    expect(get(made, TCP_REPAIR)).toBe(0);
    r.settle();
    expect(r.sent()).toEqual([]);
    expect(set(made, TCP_REPAIR, TCP_REPAIR_ON)).toBe(0);
    r.close(made);
    expect(r.sent()).toEqual([]);
    // Nobody knows of the connection now.
    r.inject({ flags: '.', seq: 1, ack: 1, data: 10 });
    expect(r.sent().map((s) => s.flags)).toEqual(['R']);
  });

  it('reads and writes only the queue that was chosen', () => {
    const { fd, lfd } = r.accepted();
    expect(r.sys.setsockopt(lfd, SOL_TCP, TCP_REPAIR, Uint8Array.of(1, 0, 0, 0))).toBe(-EPERM);
    r.close(lfd);
    expect(get(fd, TCP_REPAIR_QUEUE)).toEqual({ err: -EINVAL });
    expect(get(fd, TCP_QUEUE_SEQ)).toEqual({ err: -EINVAL });
    expect(set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE)).toBe(-EPERM);
    expect(set(fd, TCP_REPAIR, 2)).toBe(-EINVAL);
    expect(set(fd, TCP_REPAIR, TCP_REPAIR_ON)).toBe(0);
    expect(get(fd, TCP_REPAIR)).toBe(1);
    expect(get(fd, TCP_REPAIR_QUEUE)).toBe(TCP_NO_QUEUE);
    expect(set(fd, TCP_REPAIR_QUEUE, 3)).toBe(-EINVAL);
    expect(r.read(fd)).toBe(-EPERM);
    expect(peek(fd)).toBe(-EINVAL);
    expect(r.write(fd, 10)).toBe(-EINVAL);
    expect(set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE)).toBe(0);
    expect(r.write(fd, text('by hand'))).toBe(7);
    expect(peek(fd)).toEqual(text('by hand'));
    // Only before there is a connection.
    expect(set(fd, TCP_QUEUE_SEQ, 1)).toBe(-EPERM);
    expect(set(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP)).toBe(0);
    expect(r.read(fd)).toEqual(text('by hand'));
    expect(set(fd, TCP_TIMESTAMP, 1)).toBe(-EPERM);
    r.close(fd);
    r.sent();
  });

  it('refuses options and windows that cannot be', () => {
    const { fd, lfd } = r.accepted();
    r.close(lfd);
    const opt = (...pairs: readonly (readonly [number, number])[]): number =>
      r.sys.setsockopt(fd, SOL_TCP, TCP_REPAIR_OPTIONS, options(...pairs));
    expect(opt([TCPOPT_MSS, 1000])).toBe(-EINVAL);
    const window = new Uint8Array(tcpRepairWindow.LEN);
    expect(r.sys.getsockopt(fd, SOL_TCP, TCP_REPAIR_WINDOW, window)).toBe(-EPERM);
    expect(set(fd, TCP_REPAIR, TCP_REPAIR_ON)).toBe(0);
    expect(opt([TCPOPT_WINDOW, 15])).toBe(-EFBIG);
    expect(opt([TCPOPT_SACK_PERM, 1])).toBe(-EINVAL);
    expect(opt([TCPOPT_TIMESTAMP, 1])).toBe(-EINVAL);
    expect(r.sys.getsockopt(fd, SOL_TCP, TCP_REPAIR_WINDOW, new Uint8Array(19))).toBe(-EINVAL);
    expect(r.sys.getsockopt(fd, SOL_TCP, TCP_REPAIR_WINDOW, window)).toBe(tcpRepairWindow.LEN);
    const v = new DataView(window.buffer);
    const tries: ((v: DataView) => void)[] = [
      (w) => tcpRepairWindow.setMaxWindow(w, 0, tcpRepairWindow.sndWnd(w, 0) - 1),
      (w) => tcpRepairWindow.setRcvWup(w, 0, tcpRepairWindow.rcvWup(w, 0) + 1),
      (w) => tcpRepairWindow.setSndWl1(w, 0, tcpRepairWindow.sndWl1(w, 0) + (1 << 30)),
    ];
    for (const change of tries) {
      const wrong = window.slice();
      change(new DataView(wrong.buffer));
      expect(r.sys.setsockopt(fd, SOL_TCP, TCP_REPAIR_WINDOW, wrong)).toBe(-EINVAL);
    }
    tcpRepairWindow.setSndWnd(v, 0, 7);
    expect(r.sys.setsockopt(fd, SOL_TCP, TCP_REPAIR_WINDOW, window)).toBe(0);
    expect(r.sock(fd).sndWnd).toBe(7);
    expect(set(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP)).toBe(0);
    r.close(fd);
    r.sent();
  });

  it('may bind to a port that is taken', () => {
    const lfd = r.listen();
    const fd = r.open();
    expect(r.sys.bind(fd, r.sockaddr(0, r.localPort))).toBe(-EADDRINUSE);
    expect(set(fd, TCP_REPAIR, TCP_REPAIR_ON)).toBe(0);
    expect(r.sys.bind(fd, r.sockaddr(0, r.localPort))).toBe(0);
    r.close(fd);
    r.close(lfd);
  });
  it('drops what cannot be copied from its owner for that reason', () => {
    const { fd, lfd } = r.accepted();
    expect(set(fd, TCP_REPAIR, TCP_REPAIR_ON)).toBe(0);
    expect(set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE)).toBe(0);
    const lost: number[] = [];
    r.machine.trace.skb.kfreeSkb.register((_skb, _at, reason) => lost.push(reason));
    const msg = sockMessage(r.machine, text('short'));
    expect(tcpSendRcvq(r.sock(fd), msg, 6)).toBe(-EFAULT);
    expect(lost).toEqual([SKB_DROP_REASON_SKB_UCOPY_FAULT]);
    expect(r.sock(fd).skReceiveQueue.qlen).toBe(0);
    r.close(fd);
    r.close(lfd);
  });
});
