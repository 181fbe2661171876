/**
 * Control messages that senders give with a datagram. Counterpart of ip_cmsg_send() in
 * net/ipv4/ip_sockglue.c.
 */
import type { Msghdr } from '#include/linux/net.ts';
import type { IpcmCookie } from '#include/net/ip.ts';
import { ipOptionsGet } from '#include/net/ip_options_ops.ts';
import type { Sock } from '#include/net/sock.ts';
import type { Cmsg } from '#net/core/scm.ts';
import { nextCmsg } from '#net/core/scm.ts';
import { __sockCmsgSend } from '#net/core/sock_alloc.ts';
import { rtTos2priority } from '#net/ipv4/route.ts';
import { EINVAL } from '#uapi/errno.ts';
import { IP_PKTINFO, IP_PROTOCOL, IP_RETOPTS, IP_TOS, IP_TTL, inPktinfo } from '#uapi/in.ts';
import { MAX_IPOPTLEN } from '#uapi/ip.ts';
import { SOL_IP, SOL_SOCKET } from '#uapi/socket.ts';

/** An int of 1 to 255, or -EINVAL. */
function octetOf(data: Uint8Array): number {
  if (data.length !== 4) return -EINVAL;
  const val = new DataView(data.buffer, data.byteOffset, 4).getInt32(0, true);
  return val < 1 || val > 255 ? -EINVAL : val;
}

function tosOf(data: Uint8Array): number {
  if (data.length === 1) return data[0] as number;
  if (data.length !== 4) return -EINVAL;
  const val = new DataView(data.buffer, data.byteOffset, 4).getInt32(0, true);
  return val < 0 || val > 255 ? -EINVAL : val;
}

function ipCmsgOne(sk: Sock, cmsg: Cmsg, ipc: IpcmCookie): number {
  const { data } = cmsg;
  switch (cmsg.type) {
    case IP_RETOPTS: {
      const opt = ipOptionsGet(sk.net, data.subarray(0, MAX_IPOPTLEN));
      if (typeof opt === 'number') return opt;
      ipc.opt = opt;
      return 0;
    }
    case IP_PKTINFO: {
      if (data.length !== inPktinfo.LEN) return -EINVAL;
      const v = new DataView(data.buffer, data.byteOffset, inPktinfo.LEN);
      const ifindex = inPktinfo.ifindex(v, 0);
      if (ifindex !== 0) ipc.oif = ifindex;
      ipc.addr = inPktinfo.specDst(v, 0);
      return 0;
    }
    case IP_TTL: {
      const ttl = octetOf(data);
      if (ttl < 0) return ttl;
      ipc.ttl = ttl;
      return 0;
    }
    case IP_TOS: {
      const tos = tosOf(data);
      if (tos < 0) return tos;
      ipc.tos = tos;
      ipc.priority = rtTos2priority(tos);
      return 0;
    }
    case IP_PROTOCOL: {
      const protocol = octetOf(data);
      if (protocol < 0) return protocol;
      ipc.protocol = protocol;
      return 0;
    }
    default:
      return -EINVAL;
  }
}

/** 0 or -EINVAL; messages of other levels are passed over. @kernel ip_cmsg_send net/ipv4/ip_sockglue.c */
export function ipCmsgSend(sk: Sock, msg: Msghdr, ipc: IpcmCookie): number {
  for (let cmsg = nextCmsg(msg, null); cmsg !== null; cmsg = nextCmsg(msg, cmsg)) {
    if (!cmsg.ok) return -EINVAL;
    let err = 0;
    if (cmsg.level === SOL_SOCKET) err = __sockCmsgSend(sk, cmsg.type, cmsg.data, ipc);
    else if (cmsg.level === SOL_IP) err = ipCmsgOne(sk, cmsg, ipc);
    if (err !== 0) return err;
  }
  return 0;
}
