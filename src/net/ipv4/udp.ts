/**
 * UDP's place among the protocols: socket operations, options, /proc/net/udp. Counterpart of the
 * rest of net/ipv4/udp.c; see udp_send.ts, udp_recv.ts and udp_table.ts. RFC 768.
 */
import { SOCKADDR_IN_LEN } from '#include/linux/in.ts';
import type { Socket } from '#include/linux/net.ts';
import { __skbDequeue } from '#include/linux/skbuff_queue.ts';
import { dstRelease } from '#include/net/dst.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Proto, Sock } from '#include/net/sock.ts';
import { ProtoMemory, RCV_SHUTDOWN, SOCK_DEAD } from '#include/net/sock.ts';
import { UdpSock } from '#include/net/udp.ts';
import { ARENA_BYTES } from '#kernel/config.ts';
import type { Machine } from '#kernel/machine.ts';
import type { File, PollTable } from '#kernel/sched/file.ts';
import { datagramPoll } from '#net/core/datagram.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import {
  lockSock,
  releaseSock,
  skCommonRelease,
  skErrorReport,
  sockDefCallbacks,
  sockSetFlag,
} from '#net/core/sock.ts';
import { inetSockDestruct } from '#net/ipv4/af_inet.ts';
import { ip4DatagramConnect, ip4DatagramReleaseCb } from '#net/ipv4/datagram.ts';
import { ipSetsockopt } from '#net/ipv4/ip_sockglue.ts';
import { ipGetsockopt } from '#net/ipv4/ip_sockglue_get.ts';
import {
  __udpQueueRcvSkb,
  udpFirstPacketLength,
  udpRecvmsg,
  udpRmemRelease,
} from '#net/ipv4/udp_recv.ts';
import { udpFlushPendingFrames, udpPushPendingFrames, udpSendmsg } from '#net/ipv4/udp_send.ts';
import {
  __udpDisconnect,
  udpDisconnect,
  udpLibUnhash,
  udpTableOf,
  udpV4GetPort,
  udpV4Rehash,
} from '#net/ipv4/udp_table.ts';
import { EFAULT, EINVAL, ENOIOCTLCMD, ENOPROTOOPT } from '#uapi/errno.ts';
import { SKB_DROP_REASON_SOCKET_CLOSE } from '#uapi/net_dropreason.ts';
import { POLLIN, POLLRDNORM } from '#uapi/poll.ts';
import { SOL_UDP } from '#uapi/socket.ts';
import { SIOCINQ, SIOCOUTQ } from '#uapi/sockios.ts';
import {
  UDP_CORK,
  UDP_ENCAP,
  UDP_GRO,
  UDP_NO_CHECK6_RX,
  UDP_NO_CHECK6_TX,
  UDP_SEGMENT,
  UDPLITE_RECV_CSCOV,
  UDPLITE_SEND_CSCOV,
} from '#uapi/udp.ts';

/** Name of the protocol and of its memory accounting. */
const UDP = 'UDP';

/** @kernel udp_init_sock net/ipv4/udp.c */
function udpInitSock(sock: Sock): number {
  const sk = sock as UdpSock;
  sk.forwardThreshold = sk.skRcvbuf >> 2;
  sk.skDestruct = udpDestructSock;
  return 0;
}

/** @kernel udp_destruct_sock net/ipv4/udp.c */
function udpDestructSock(sock: Sock): void {
  const sk = sock as UdpSock;
  let total = 0;
  for (let skb = __skbDequeue(sk.skReceiveQueue); skb !== null; ) {
    total += skb.truesize;
    kfreeSkb(skb, SKB_DROP_REASON_SOCKET_CLOSE, 'udp_destruct_common');
    skb = __skbDequeue(sk.skReceiveQueue);
  }
  udpRmemRelease(sk, total, false);
  if (sk.rxDst !== null) {
    dstRelease(sk.rxDst);
    sk.rxDst = null;
  }
  inetSockDestruct(sk);
}

/** @kernel udp_destroy_sock net/ipv4/udp.c */
function udpDestroySock(sock: Sock): void {
  const sk = sock as UdpSock;
  sockSetFlag(sk, SOCK_DEAD);
  lockSock(sk);
  udpFlushPendingFrames(sk);
  releaseSock(sk);
  if (sk.encapEnabled) sk.net.machine.netGlobals.udpEncapNeeded--;
  sk.encapEnabled = false;
}

/** From now on datagrams are looked up when they are received. @kernel udp_tunnel_encap_enable include/net/udp_tunnel.h */
function udpEncapEnable(sk: UdpSock): void {
  if (sk.encapEnabled) return;
  sk.encapEnabled = true;
  sk.net.machine.netGlobals.udpEncapNeeded++;
}

/** Ends the socket with an error, for ss -K. @kernel udp_abort net/ipv4/udp.c */
function udpAbort(sk: Sock, err: number): number {
  lockSock(sk);
  if ((sk.skFlags & (1 << SOCK_DEAD)) === 0) {
    sk.skErr = err;
    skErrorReport(sk);
    __udpDisconnect(sk, 0);
  }
  releaseSock(sk);
  return 0;
}

/** @kernel udp_poll net/ipv4/udp.c */
export function udpPoll(file: File | null, sock: Socket, wait: PollTable | null): number {
  const sk = sock.sk as UdpSock;
  const mask = datagramPoll(file, sock, wait);
  // What is readable only by a wrong checksum is not readable.
  if (
    (mask & POLLRDNORM) !== 0 &&
    (sk.skShutdown & RCV_SHUTDOWN) === 0 &&
    udpFirstPacketLength(sk) === -1
  ) {
    return mask & ~(POLLIN | POLLRDNORM);
  }
  return mask;
}

/** @kernel udp_ioctl net/ipv4/udp.c */
function udpIoctl(sock: Sock, cmd: number, arg: Uint8Array): number {
  if (cmd !== SIOCOUTQ && cmd !== SIOCINQ) return -ENOIOCTLCMD;
  if (arg.length < 4) return -EFAULT;
  const value =
    cmd === SIOCOUTQ ? sock.skWmemAlloc - 1 : Math.max(0, udpFirstPacketLength(sock as UdpSock));
  new DataView(arg.buffer, arg.byteOffset, 4).setInt32(0, value, true);
  return 0;
}

/** An int of the user, -EINVAL's stand-in NaN when it is too short. */
function intOf(optval: Uint8Array): number {
  if (optval.length < 4) return Number.NaN;
  return new DataView(optval.buffer, optval.byteOffset, 4).getInt32(0, true);
}

/** @kernel udp_lib_setsockopt net/ipv4/udp.c */
function udpSetsockopt(sock: Sock, level: number, optname: number, optval: Uint8Array): number {
  if (level !== SOL_UDP) return ipSetsockopt(sock, level, optname, optval);
  const sk = sock as UdpSock;
  const val = intOf(optval);
  if (Number.isNaN(val)) return -EINVAL;
  switch (optname) {
    case UDP_CORK:
      sk.corkflag = val !== 0 ? 1 : 0;
      if (val === 0) {
        lockSock(sk);
        if (sk.pending !== 0) udpPushPendingFrames(sk);
        releaseSock(sk);
      }
      return 0;
    case UDP_ENCAP:
      // Tunnels are set up by their own drivers; users may only say "none".
      return val === 0 ? 0 : -ENOPROTOOPT;
    case UDP_NO_CHECK6_TX:
      sk.noCheck6Tx = val !== 0;
      return 0;
    case UDP_NO_CHECK6_RX:
      sk.noCheck6Rx = val !== 0;
      return 0;
    case UDP_SEGMENT:
      if (val < 0 || val > 0xffff) return -EINVAL;
      sk.gsoSize = val;
      return 0;
    case UDP_GRO:
      if (val !== 0) udpEncapEnable(sk);
      sk.groEnabled = val !== 0;
      return 0;
    default:
      return -ENOPROTOOPT;
  }
}

function udpOption(sk: UdpSock, optname: number): number {
  switch (optname) {
    case UDP_CORK:
      return sk.corkflag;
    case UDP_ENCAP:
      return sk.encapType;
    case UDP_NO_CHECK6_TX:
      return Number(sk.noCheck6Tx);
    case UDP_NO_CHECK6_RX:
      return Number(sk.noCheck6Rx);
    case UDP_SEGMENT:
      return sk.gsoSize;
    case UDP_GRO:
      return Number(sk.groEnabled);
    case UDPLITE_SEND_CSCOV:
    case UDPLITE_RECV_CSCOV:
      // Any socket may ask how much of UDP-Lite's packets its checksum covers.
      return 0;
    default:
      return -ENOPROTOOPT;
  }
}

/** @kernel udp_lib_getsockopt net/ipv4/udp.c */
function udpGetsockopt(sock: Sock, level: number, optname: number, optval: Uint8Array): number {
  if (level !== SOL_UDP) return ipGetsockopt(sock, level, optname, optval);
  const val = udpOption(sock as UdpSock, optname);
  if (val < 0) return val;
  const len = Math.min(4, optval.length);
  for (let i = 0; i < len; i++) optval[i] = val >>> (8 * i);
  return len;
}

/** @kernel udp_pre_connect net/ipv4/udp.c */
function udpPreConnect(_sk: Sock, uaddr: Uint8Array): number {
  return uaddr.length < SOCKADDR_IN_LEN ? -EINVAL : 0;
}

/** UDP's accounting in this machine, made on first use. */
function udpMemory(net: Net): ProtoMemory {
  const { protoMemory } = net.machine.netGlobals;
  let memory = protoMemory.get(UDP);
  if (memory === undefined) {
    memory = new ProtoMemory();
    protoMemory.set(UDP, memory);
  }
  return memory;
}

/** @kernel udp_prot net/ipv4/udp.c */
export const udpProt: Proto = {
  name: UDP,
  alloc: (net, family, prot) => new UdpSock(net, family, prot, sockDefCallbacks),
  free: null,
  close: (sk) => skCommonRelease(sk),
  preConnect: udpPreConnect,
  connect: ip4DatagramConnect,
  disconnect: udpDisconnect,
  accept: null,
  ioctl: udpIoctl,
  init: udpInitSock,
  destroy: udpDestroySock,
  shutdown: null,
  setsockopt: udpSetsockopt,
  getsockopt: udpGetsockopt,
  keepalive: null,
  sendmsg: udpSendmsg,
  recvmsg: udpRecvmsg,
  bind: null,
  backlogRcv: __udpQueueRcvSkb,
  releaseCb: ip4DatagramReleaseCb,
  hash: null,
  unhash: udpLibUnhash,
  rehash: udpV4Rehash,
  getPort: udpV4GetPort,
  putPort: udpLibUnhash,
  streamMemoryFree: null,
  enterMemoryPressure: null,
  leaveMemoryPressure: null,
  diagDestroy: udpAbort,
  maxHeader: 0,
  noAutobind: false,
  memory: udpMemory,
  memoryMin: (net, kind) => (kind === 0 ? net.ipv4.sysctlUdpWmemMin : net.ipv4.sysctlUdpRmemMin),
};

/** Table, limits and /proc/net/udp. @kernel udp_init net/ipv4/udp.c */
export function udpInit(machine: Machine): number {
  // A eighth of memory for all queues together, in pages: pressure from there, the limit at half again.
  const limit = Math.max(128, ARENA_BYTES >> 15);
  return registerPernetSubsys(machine, {
    name: 'udp',
    init(net) {
      const mem = udpMemory(net).sysctlMem;
      if (mem[1] === 0) {
        mem[0] = (limit >> 2) * 3;
        mem[1] = limit;
        mem[2] = mem[0] * 2;
      }
      udpTableOf(net);
      return 0;
    },
    exit(net) {
      net.ipv4.udpTable = null;
    },
  });
}
