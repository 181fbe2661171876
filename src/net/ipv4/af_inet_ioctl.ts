/** ioctl() of Internet sockets. Counterpart of inet_ioctl of net/ipv4/af_inet.c. */
import type { Socket } from '#include/linux/net.ts';
import type { Sock } from '#include/net/sock.ts';
import { arpIoctl } from '#net/ipv4/arp_user.ts';
import { devinetIoctl } from '#net/ipv4/devinet_ioctl.ts';
import { ipRtIoctl } from '#net/ipv4/fib_frontend_config.ts';
import { EINVAL, ENOIOCTLCMD } from '#uapi/errno.ts';
import {
  SIOCADDRT,
  SIOCDARP,
  SIOCDELRT,
  SIOCGARP,
  SIOCGIFADDR,
  SIOCGIFBRDADDR,
  SIOCGIFDSTADDR,
  SIOCGIFNETMASK,
  SIOCGIFPFLAGS,
  SIOCRTMSG,
  SIOCSARP,
  SIOCSIFADDR,
  SIOCSIFBRDADDR,
  SIOCSIFDSTADDR,
  SIOCSIFFLAGS,
  SIOCSIFNETMASK,
  SIOCSIFPFLAGS,
} from '#uapi/sockios.ts';

/**
 * Routes, ARP entries and addresses, then the protocol's own; -ENOIOCTLCMD: not ours.
 * @kernel inet_ioctl net/ipv4/af_inet.c
 */
export function inetIoctl(sock: Socket, cmd: number, arg: Uint8Array): number {
  const sk = sock.sk as Sock;
  const net = sk.net;
  switch (cmd) {
    case SIOCADDRT:
    case SIOCDELRT:
      return ipRtIoctl(net, cmd, arg);
    case SIOCRTMSG:
      return -EINVAL;
    case SIOCDARP:
    case SIOCGARP:
    case SIOCSARP:
      return arpIoctl(net, cmd, arg);
    case SIOCGIFADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFDSTADDR:
    case SIOCGIFPFLAGS:
    case SIOCSIFADDR:
    case SIOCSIFBRDADDR:
    case SIOCSIFNETMASK:
    case SIOCSIFDSTADDR:
    case SIOCSIFPFLAGS:
    case SIOCSIFFLAGS:
      return devinetIoctl(net, cmd, arg);
    default:
      return sk.skProt.ioctl?.(sk, cmd, arg) ?? -ENOIOCTLCMD;
  }
}
