/**
 * What raw and ping sockets have in common: their calls, and how they join the family. Counterpart
 * of inet_sockraw_ops and of the last entries of inetsw_array in net/ipv4/af_inet.c.
 */
import type { ProtoOps } from '#include/linux/net.ts';
import { datagramPoll } from '#net/core/datagram.ts';
import {
  sockCommonGetsockopt,
  sockCommonSetsockopt,
  sockNoAccept,
  sockNoListen,
  sockNoSocketpair,
} from '#net/core/sock_proto.ts';
import { inetIoctl } from '#net/ipv4/af_inet_ioctl.ts';
import {
  inetBind,
  inetDgramConnect,
  inetGetname,
  inetRecvmsg,
  inetRelease,
  inetSendmsg,
  inetShutdown,
} from '#net/ipv4/af_inet_sock.ts';
import { AF_INET } from '#uapi/socket.ts';

/** Raw and ping sockets. @kernel inet_sockraw_ops net/ipv4/af_inet.c */
export const inetSockrawOps: ProtoOps = {
  family: AF_INET,
  release: inetRelease,
  bind: inetBind,
  connect: inetDgramConnect,
  socketpair: sockNoSocketpair,
  accept: sockNoAccept,
  getname: inetGetname,
  poll: datagramPoll,
  ioctl: inetIoctl,
  listen: sockNoListen,
  shutdown: inetShutdown,
  setsockopt: sockCommonSetsockopt,
  getsockopt: sockCommonGetsockopt,
  spliceRead: null,
  setPeekOff: null,
  setRcvlowat: null,
  sendmsg: inetSendmsg,
  recvmsg: inetRecvmsg,
};
