/** Rows of datagram, raw and packet sockets. */
import { icmpBytes, int32, ipPacket, sin, udpBytes } from '#net/ipv4/testing/ip_machine.ts';
import { BPF_K, BPF_RET, sockFilter } from '#uapi/filter.ts';
import { IPPROTO_ICMP } from '#uapi/in.ts';
import {
  AF_INET,
  AF_PACKET,
  SO_ATTACH_FILTER,
  SO_RCVBUF,
  SOCK_DGRAM,
  SOCK_RAW,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { type DropRow, HERE, type IpBench, onIp, PEER } from './table.ts';

/** ETH_P_ALL as protocol argument of socket(): in network order. */
const ALL = 0x0300;

function listen({ m }: IpBench): number {
  const fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
  m.sys.bind(fd, sin('0.0.0.0', 6000));
  return fd;
}

/** The peer sends `count` datagrams to port 6000. */
function receive(
  { m, eth0 }: IpBench,
  count: number,
  data = new Uint8Array(1),
  check?: number,
): void {
  const payload = udpBytes(PEER, HERE, 1, 6000, data, check);
  for (let i = 0; i < count; i++) m.rx(eth0, ipPacket({ src: PEER, dst: HERE, payload }));
}

/** A filter that refuses everything. */
function refuseAll(): Uint8Array {
  const prog = new Uint8Array(8);
  sockFilter.setCode(new DataView(prog.buffer), 0, BPF_RET | BPF_K);
  return prog;
}

export const socketRows: readonly DropRow[] = [
  onIp('SOCKET_RCVBUFF', '__udp_queue_rcv_skb', 'the receive buffer is full', (b) => {
    b.m.sys.setsockopt(listen(b), SOL_SOCKET, SO_RCVBUF, int32(1));
    receive(b, 9);
  }),
  onIp('PROTO_MEM', '__udp_queue_rcv_skb', 'UDP has used up its memory', (b) => {
    listen(b);
    b.m.sysctl('udp_mem', '0 0 0');
    b.m.sysctl('udp_rmem_min', 1);
    receive(b, 9, new Uint8Array(1000));
  }),
  onIp('SOCKET_FILTER', 'udp_queue_rcv_one_skb', "the socket's filter returns 0", (b) => {
    b.m.sys.setsockopt(listen(b), SOL_SOCKET, SO_ATTACH_FILTER, refuseAll());
    receive(b, 1);
  }),
  onIp('SOCKET_CLOSE', 'udp_destruct_common', 'closed with a datagram unread', (b) => {
    const fd = listen(b);
    receive(b, 1);
    b.m.sys.close(fd);
  }),
  onIp('UDP_CSUM', 'udp_recvmsg', 'a wrong checksum shows while it is copied', (b) => {
    const fd = listen(b);
    receive(b, 1, new Uint8Array(200), 99);
    b.m.sys.recvfrom(fd, new Uint8Array(500), 0, null);
  }),
  onIp('QUEUE_PURGE', 'skb_queue_purge_reason', 'a raw socket closed with packets unread', (b) => {
    const fd = b.m.sys.socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    const payload = icmpBytes(8, 0, 1);
    b.m.rx(b.eth0, ipPacket({ src: PEER, dst: HERE, proto: IPPROTO_ICMP, payload }));
    b.m.sys.close(fd);
  }),
  onIp('PACKET_SOCK_ERROR', 'packet_rcv', 'a capture that nobody reads', (b) => {
    const fd = b.m.sys.socket(AF_PACKET, SOCK_RAW, ALL);
    b.m.sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, int32(1));
    receive(b, 9);
  }),
];
