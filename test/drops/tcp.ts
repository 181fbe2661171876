/** Rows of TCP: segments that a peer, played by hand, sends to a socket. */

import { __skbDequeue } from '#include/linux/skbuff_queue.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { devClose } from '#net/core/dev.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { lockSock, releaseSock } from '#net/core/sock.ts';
import type { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { IP_MINTTL } from '#uapi/in.ts';
import { SO_RCVBUF, SOL_IP, SOL_SOCKET, SOL_TCP } from '#uapi/socket.ts';
import { TCP_FASTOPEN } from '#uapi/tcp.ts';
import { type DropRow, onTcp } from './table.ts';

const TS = 'mss 1460,sackOK,TS 100:0,nop,wscale 7';

/** An accepted connection whose receive buffer is the smallest there is. */
function acceptedSmall(rig: TcpRig): number {
  const lfd = rig.listen();
  rig.setInt(lfd, SOL_SOCKET, SO_RCVBUF, 1);
  rig.inject({ flags: 'S', options: 'mss 1460,sackOK' });
  rig.sent();
  rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
  return rig.accept(lfd);
}

/** A listener that has answered the peer's SYN. */
function requested(rig: TcpRig, options = 'mss 1460'): void {
  rig.listen();
  rig.inject({ flags: 'S', options });
  rig.sent();
}

function owned(rig: TcpRig, fd: number, fn: (sk: TcpSock) => void): void {
  const sk = rig.sock(fd);
  lockSock(sk);
  fn(sk);
  releaseSock(sk);
}

const header: readonly DropRow[] = [
  onTcp('TCP_CSUM', 'tcp_v4_rcv', 'a wrong checksum', (rig) => {
    rig.accepted();
    rig.inject({ flags: '.', seq: 1, ack: 1, badChecksum: true });
  }),
  onTcp('TCP_AUTH_HDR', 'tcp_v4_rcv', 'two signatures', (rig) => {
    rig.accepted();
    const signature = `hex 1312${'00'.repeat(16)}`;
    rig.inject({ flags: '.', seq: 1, ack: 1, options: `${signature},${signature}` });
  }),
  onTcp('NO_SOCKET', 'tcp_v4_rcv', 'a port that nobody listens on', (rig) => {
    rig.inject({ flags: 'S' });
  }),
  onTcp('TCP_MINTTL', 'tcp_v4_rcv', 'fewer hops left than IP_MINTTL wants', (rig) => {
    const { fd } = rig.accepted();
    rig.setInt(fd, SOL_IP, IP_MINTTL, 255);
    rig.inject({ flags: '.', seq: 1, ack: 1 });
  }),
  onTcp('TCP_FLAGS', 'tcp_rcv_established', 'neither ACK nor SYN nor RST', (rig) => {
    rig.accepted();
    rig.inject({ flags: 'P', seq: 1, data: 1 });
  }),
  onTcp('TCP_FLAGS', 'tcp_rcv_state_process', 'SYN and FIN together to a listener', (rig) => {
    rig.listen();
    rig.inject({ flags: 'SF' });
  }),
];

const windows: readonly DropRow[] = [
  onTcp('TCP_INVALID_SYN', 'tcp_validate_incoming', 'SYN within a connection', (rig) => {
    rig.accepted();
    rig.inject({ flags: 'S', seq: 1 });
  }),
  onTcp('TCP_RESET', 'tcp_validate_incoming', 'a RST that hits the window, no more', (rig) => {
    rig.accepted();
    rig.inject({ flags: 'R', seq: 100 });
  }),
  onTcp('TCP_OLD_SEQUENCE', 'tcp_validate_incoming', 'data from long before', (rig) => {
    rig.accepted();
    rig.inject({ flags: '.', seq: -1000, ack: 1, data: 10 });
  }),
  onTcp('TCP_INVALID_SEQUENCE', 'tcp_validate_incoming', 'data beyond the window', (rig) => {
    rig.accepted();
    rig.inject({ flags: '.', seq: 1_000_000, ack: 1, data: 10 });
  }),
  onTcp('TCP_INVALID_END_SEQUENCE', 'tcp_validate_incoming', 'reaches over the edge', (rig) => {
    const sk = rig.sock(acceptedSmall(rig));
    rig.inject({ flags: '.', seq: 1, ack: 1, data: 10 });
    rig.inject({ flags: '.', seq: 11, ack: 1, data: sk.rcvWnd + 1 });
  }),
  onTcp('TCP_OVERWINDOW', 'tcp_v4_rcv', 'outside the window of a request', (rig) => {
    requested(rig);
    rig.inject({ flags: '.', seq: 1_000_000, ack: 1 });
  }),
  onTcp('TCP_ZEROWINDOW', 'tcp_data_queue', 'read, but the new window not yet told', (rig) => {
    const fd = acceptedSmall(rig);
    const sk = rig.sock(fd);
    const room = sk.rcvWnd;
    rig.inject({ flags: '.', seq: 1, ack: 1, data: room });
    rig.advance(1000);
    owned(rig, fd, () => {
      // A task reads in the middle of a call: what comes now waits on the backlog.
      rig.inject({ flags: '.', seq: 1 + room, ack: 1, data: 10 });
      for (let skb = __skbDequeue(sk.skReceiveQueue); skb !== null; ) {
        sk.copiedSeq = (sk.copiedSeq + skb.len) | 0;
        consumeSkb(skb, 'test');
        skb = __skbDequeue(sk.skReceiveQueue);
      }
    });
  }),
];

const acks: readonly DropRow[] = [
  onTcp('TCP_ACK_UNSENT_DATA', 'tcp_rcv_established', 'acknowledges what was not sent', (rig) => {
    rig.accepted();
    rig.inject({ flags: '.', seq: 1, ack: 100_000 });
  }),
  onTcp('TCP_TOO_OLD_ACK', 'tcp_rcv_established', 'an ACK from many windows ago', (rig) => {
    const { fd } = rig.accepted();
    rig.write(fd, 1000);
    rig.inject({ flags: '.', seq: 1, ack: 1001, win: 1000 });
    rig.inject({ flags: '.', seq: 1, ack: -100_000, win: 999 });
  }),
  onTcp('TCP_INVALID_ACK_SEQUENCE', 'tcp_v4_do_rcv', 'the SYN-ACK of another connection', (rig) => {
    rig.connect();
    rig.sent();
    rig.inject({ flags: 'S.', ack: 500 });
  }),
];

const stamps: readonly DropRow[] = [
  onTcp('TCP_RFC7323_PAWS', 'tcp_validate_incoming', 'data with an old time stamp', (rig) => {
    rig.accepted(TS);
    rig.inject({ flags: '.', seq: 1, ack: 1, data: 10, options: 'nop,nop,TS 50:0' });
  }),
  onTcp('TCP_RFC7323_PAWS_ACK', 'tcp_validate_incoming', 'an ACK that was overtaken', (rig) => {
    rig.accepted(TS);
    rig.inject({ flags: '.', seq: 1, ack: 1, data: 10, options: 'nop,nop,TS 200:0' });
    rig.inject({ flags: '.', seq: 1, ack: 1, options: 'nop,nop,TS 50:0' });
  }),
  onTcp('TCP_RFC7323_TSECR', 'tcp_v4_rcv', 'echoes a stamp that was never sent', (rig) => {
    requested(rig, TS);
    rig.inject({ flags: '.', seq: 1, ack: 1, options: 'nop,nop,TS 101:1' });
  }),
  onTcp('TCP_RFC7323_TW_PAWS', 'tcp_v4_rcv', 'an old stamp to a time-wait socket', (rig) => {
    const { fd } = rig.accepted(TS);
    rig.close(fd);
    rig.inject({ flags: 'F.', seq: 1, ack: 2, options: 'nop,nop,TS 102:0' });
    rig.inject({ flags: '.', seq: 2, ack: 2, options: 'nop,nop,TS 50:0' });
  }),
];

const queues: readonly DropRow[] = [
  onTcp('TCP_OLD_DATA', 'tcp_data_queue', 'the same data again', (rig) => {
    rig.accepted();
    for (let i = 0; i < 2; i++) rig.inject({ flags: '.', seq: 1, ack: 1, data: 100 });
  }),
  onTcp('TCP_OFOMERGE', 'tcp_data_queue_ofo', 'the same data again, out of order', (rig) => {
    rig.accepted();
    for (let i = 0; i < 2; i++) rig.inject({ flags: '.', seq: 101, ack: 1, data: 100 });
  }),
  onTcp('TCP_OFO_DROP', 'tcp_ofo_queue', 'data out of order comes again, in order', (rig) => {
    rig.accepted();
    rig.inject({ flags: '.', seq: 501, ack: 1, data: 100 });
    rig.inject({ flags: '.', seq: 1, ack: 1, data: 1000 });
  }),
  onTcp('TCP_OFO_QUEUE_PRUNE', 'tcp_data_queue_ofo', 'no room for what fills a hole', (rig) => {
    acceptedSmall(rig);
    for (let seq = 600; seq > 1; seq -= 100) rig.inject({ flags: '.', seq, ack: 1, data: 1 });
  }),
  onTcp('PROTO_MEM', 'tcp_data_queue', 'more in the window than the buffer holds', (rig) => {
    const { fd } = rig.accepted();
    rig.setInt(fd, SOL_SOCKET, SO_RCVBUF, 1);
    for (let seq = 1; seq < 10_000; seq += 1000) {
      rig.inject({ flags: 'P.', seq, ack: 1, data: 1000 });
    }
  }),
  onTcp('SOCKET_BACKLOG', 'tcp_v4_rcv', 'a task holds the socket for too long', (rig) => {
    const fd = acceptedSmall(rig);
    owned(rig, fd, () => {
      for (let i = 0; i < 400; i++) rig.inject({ flags: '.', seq: 1 + 7 * i, ack: 1, data: 1400 });
    });
  }),
  onTcp('SOCKET_CLOSE', 'skb_rbtree_purge', 'disconnected with data out of order', (rig) => {
    const { fd } = rig.accepted();
    rig.inject({ flags: '.', seq: 101, ack: 1, data: 100 });
    rig.sys.connect(fd, new Uint8Array(16));
    rig.settle();
  }),
];

const life: readonly DropRow[] = [
  onTcp('TCP_FASTOPEN', 'tcp_rcv_state_process', 'the SYN of a Fast Open again', (rig) => {
    // Server side, no cookie wanted.
    rig.machine.initNet.ipv4.sysctlTcpFastopen = 0x202;
    const lfd = rig.listen();
    rig.setInt(lfd, SOL_TCP, TCP_FASTOPEN, 5);
    for (let i = 0; i < 2; i++) rig.inject({ flags: 'S', data: 10, options: 'mss 1460,FO' });
  }),
  onTcp('TCP_LISTEN_OVERFLOW', 'tcp_v4_rcv', 'nobody accepts', (rig) => {
    rig.listen(2);
    // Two connections wait to be accepted; of the two that follow the queue takes one.
    for (const ports of [
      [40_000, 40_001],
      [40_002, 40_003],
    ]) {
      const isns = ports.map((port) => {
        rig.remotePort = port;
        rig.inject({ flags: 'S', options: 'mss 1460' });
        rig.sent();
        return rig.isn;
      });
      ports.forEach((port, i) => {
        rig.remotePort = port;
        rig.isn = isns[i] ?? 0;
        rig.inject({ flags: '.', seq: 1, ack: 1 });
      });
    }
  }),
  onTcp('TCP_ABORT_ON_DATA', 'tcp_v4_do_rcv', 'data for a socket that is closed', (rig) => {
    const { fd } = rig.accepted();
    rig.close(fd);
    rig.inject({ flags: '.', seq: 1, ack: 1, data: 10 });
  }),
  onTcp('TCP_CLOSE', 'tcp_rcv_state_process', 'data behind a RST, both on the backlog', (rig) => {
    const { fd } = rig.accepted();
    owned(rig, fd, () => {
      rig.inject({ flags: 'R', seq: 1 });
      rig.inject({ flags: '.', seq: 1, ack: 1, data: 10 });
    });
  }),
  onTcp('IP_OUTNOROUTES', '__ip_queue_xmit', 'the way to the peer is gone', (rig) => {
    const { fd } = rig.accepted();
    const { dev } = rig.tun;
    if (dev === null) throw new Error('no tun device');
    rtnlLock(rig.machine);
    devClose(dev);
    rtnlUnlock(rig.machine);
    rig.write(fd, 10);
  }),
];

export const tcpRows: readonly DropRow[] = [
  ...header,
  ...windows,
  ...acks,
  ...stamps,
  ...queues,
  ...life,
];
