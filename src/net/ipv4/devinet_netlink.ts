/**
 * Addresses by rtnetlink: `ip addr add|change|del|show`.
 *
 * Counterpart of inet_rtm_newaddr, inet_rtm_deladdr and inet_dump_ifaddr of net/ipv4/devinet.c.
 */
import type { InDevice } from '#include/linux/inetdevice.ts';
import { InIfaddr, inetIfaMatch, inetMakeMask } from '#include/linux/inetdevice.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkCallback, NetlinkExtAck, NlattrTable } from '#include/net/rtnetlink.ts';
import { rtnlRequestNet, rtnlRequestPortid } from '#net/core/rtnetlink.ts';
import { rtmsgIfa } from '#net/ipv4/devinet.ts';
import { inetDelIfa, inetInsertIfa, ipv4DevconfSetall } from '#net/ipv4/devinet_addr.ts';
import { inetFillIfaddr } from '#net/ipv4/devinet_dump.ts';
import { addrCheckSoon, setIfaLifetime } from '#net/ipv4/devinet_lifetime.ts';
import { fibModifyPrefixMetric } from '#net/ipv4/fib_frontend_ifaddr.ts';
import { ipMcAutojoinConfig } from '#net/ipv4/igmp_sock.ts';
import {
  type NlaPolicy,
  nlaGetInAddr,
  nlaGetString,
  nlaGetU8,
  nlaGetU32,
  nlmsgFlags,
  nlmsgParse,
} from '#net/netlink/nlattr.ts';
import { EADDRNOTAVAIL, EEXIST, EINVAL, ENOBUFS, ENODEV } from '#uapi/errno.ts';
import {
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_CACHEINFO,
  IFA_F_MCAUTOJOIN,
  IFA_FLAGS,
  IFA_LABEL,
  IFA_LOCAL,
  IFA_MAX,
  IFA_PROTO,
  IFA_RT_PRIORITY,
  INFINITY_LIFE_TIME,
  ifaCacheinfo,
  ifaddrmsg,
} from '#uapi/if_addr.ts';
import { ipv4IsMulticast } from '#uapi/in.ts';
import { NLM_F_EXCL, NLM_F_MULTI, NLM_F_REPLACE, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import { RTM_NEWADDR } from '#uapi/rtnetlink.ts';

/** @kernel ifa_ipv4_policy net/ipv4/devinet.c */
function ifaPolicy(): (NlaPolicy | undefined)[] {
  const policy: (NlaPolicy | undefined)[] = [];
  policy[IFA_LOCAL] = { kind: 'inAddr' };
  policy[IFA_ADDRESS] = { kind: 'inAddr' };
  policy[IFA_BROADCAST] = { kind: 'inAddr' };
  policy[IFA_LABEL] = { kind: 'string', len: 15 };
  policy[IFA_CACHEINFO] = { kind: 'binary', len: ifaCacheinfo.LEN };
  policy[IFA_FLAGS] = { kind: 'u32' };
  policy[IFA_RT_PRIORITY] = { kind: 'u32' };
  policy[IFA_PROTO] = { kind: 'u8' };
  return policy;
}

function fail(extack: NetlinkExtAck, err: number, msg: string): number {
  extack.msg = msg;
  return err;
}

/** The fixed part and the attributes of a request about an address. */
interface AddrRequest {
  readonly net: Net;
  readonly dev: NetDevice;
  readonly inDev: InDevice;
  readonly prefixlen: number;
  readonly scope: number;
  readonly flags: number;
  readonly tb: NlattrTable;
}

function parseRequest(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): AddrRequest | number {
  const net = rtnlRequestNet(skb);
  const tb = nlmsgParse(msg, ifaddrmsg.LEN, IFA_MAX, ifaPolicy(), extack);
  if (typeof tb === 'number') return tb;
  const v = new DataView(msg.buffer, msg.byteOffset, msg.byteLength);
  const prefixlen = ifaddrmsg.prefixlen(v, NLMSG_HDRLEN);
  if (prefixlen > 32) return fail(extack, -EINVAL, 'ipv4: Invalid prefix length');
  const dev = net.devIndexHead.get(ifaddrmsg.index(v, NLMSG_HDRLEN)) ?? null;
  if (dev === null) return fail(extack, -ENODEV, 'ipv4: Device not found');
  if (dev.ipPtr === null) return -ENOBUFS;
  const flags = tb[IFA_FLAGS];
  return {
    net,
    dev,
    inDev: dev.ipPtr,
    prefixlen,
    scope: ifaddrmsg.scope(v, NLMSG_HDRLEN),
    flags: flags === undefined ? ifaddrmsg.flags(v, NLMSG_HDRLEN) : nlaGetU32(flags),
    tb,
  };
}

/** Lifetimes of a request in seconds, or a negative errno. */
function lifetimes(
  tb: NlattrTable,
  extack: NetlinkExtAck,
): { valid: number; preferred: number } | number {
  const nla = tb[IFA_CACHEINFO];
  if (nla === undefined) return { valid: INFINITY_LIFE_TIME, preferred: INFINITY_LIFE_TIME };
  const v = new DataView(nla.buffer, nla.byteOffset, nla.byteLength);
  const valid = ifaCacheinfo.valid(v, 0);
  const preferred = ifaCacheinfo.prefered(v, 0);
  if (valid === 0) return fail(extack, -EINVAL, 'ipv4: valid_lft is zero');
  if (preferred > valid) {
    return fail(extack, -EINVAL, 'ipv4: preferred_lft is greater than valid_lft');
  }
  return { valid, preferred };
}

/** The address that a request describes, not linked yet. @kernel inet_rtm_to_ifa net/ipv4/devinet.c */
function rtmToIfaddr(req: AddrRequest, local: number): InIfaddr {
  const { tb, dev, inDev } = req;
  const ifa = new InIfaddr();
  const address = tb[IFA_ADDRESS];
  const broadcast = tb[IFA_BROADCAST];
  const label = tb[IFA_LABEL];
  const priority = tb[IFA_RT_PRIORITY];
  const proto = tb[IFA_PROTO];
  ipv4DevconfSetall(inDev);
  ifa.ifaDev = inDev;
  ifa.ifaPrefixlen = req.prefixlen;
  ifa.ifaMask = inetMakeMask(req.prefixlen);
  ifa.ifaFlags = req.flags;
  ifa.ifaScope = req.scope;
  ifa.ifaLocal = local;
  ifa.ifaAddress = address === undefined ? local : nlaGetInAddr(address);
  if (broadcast !== undefined) ifa.ifaBroadcast = nlaGetInAddr(broadcast);
  ifa.ifaLabel = label === undefined ? dev.name : nlaGetString(label);
  if (priority !== undefined) ifa.ifaRtPriority = nlaGetU32(priority);
  if (proto !== undefined) ifa.ifaProto = nlaGetU8(proto);
  return ifa;
}

/** @kernel find_matching_ifa net/ipv4/devinet.c */
function findMatchingIfa(ifa: InIfaddr, inDev: InDevice): InIfaddr | null {
  return (
    inDev.ifaList.find(
      (ifa1) =>
        ifa1.ifaMask === ifa.ifaMask &&
        inetIfaMatch(ifa1.ifaAddress, ifa) &&
        ifa1.ifaLocal === ifa.ifaLocal,
    ) ?? null
  );
}

/** RTM_NEWADDR. @kernel inet_rtm_newaddr net/ipv4/devinet.c */
export function inetRtmNewaddr(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const req = parseRequest(skb, msg, extack);
  if (typeof req === 'number') return req;
  const { net, tb, inDev } = req;
  const local = tb[IFA_LOCAL];
  if (local === undefined) return fail(extack, -EINVAL, 'ipv4: Local address is not supplied');
  const lft = lifetimes(tb, extack);
  if (typeof lft === 'number') return lft;
  const ifa = rtmToIfaddr(req, nlaGetInAddr(local));
  const portid = rtnlRequestPortid(skb);
  const existing = findMatchingIfa(ifa, inDev);
  if (existing === null) {
    setIfaLifetime(net, ifa, lft.valid, lft.preferred);
    if ((ifa.ifaFlags & IFA_F_MCAUTOJOIN) !== 0) {
      const err = ipMcAutojoinConfig(net, true, ifa);
      if (err < 0) return fail(extack, err, 'ipv4: Multicast auto join failed');
    }
    return inetInsertIfa(ifa, portid, extack);
  }
  const flags = nlmsgFlags(msg);
  if ((flags & NLM_F_EXCL) !== 0 || (flags & NLM_F_REPLACE) === 0) {
    return fail(extack, -EEXIST, 'ipv4: Address already assigned');
  }
  if (existing.ifaRtPriority !== ifa.ifaRtPriority) {
    fibModifyPrefixMetric(existing, ifa.ifaRtPriority);
    existing.ifaRtPriority = ifa.ifaRtPriority;
  }
  existing.ifaProto = ifa.ifaProto;
  setIfaLifetime(net, existing, lft.valid, lft.preferred);
  addrCheckSoon(net);
  rtmsgIfa(RTM_NEWADDR, existing, portid);
  return 0;
}

/** Is this the address that a request to delete names? */
function fitsDelete(ifa: InIfaddr, req: AddrRequest): boolean {
  const { tb } = req;
  const local = tb[IFA_LOCAL];
  const label = tb[IFA_LABEL];
  const address = tb[IFA_ADDRESS];
  if (local !== undefined && ifa.ifaLocal !== nlaGetInAddr(local)) return false;
  if (label !== undefined && nlaGetString(label) !== ifa.ifaLabel) return false;
  if (address === undefined) return true;
  return req.prefixlen === ifa.ifaPrefixlen && inetIfaMatch(nlaGetInAddr(address), ifa);
}

/** RTM_DELADDR. @kernel inet_rtm_deladdr net/ipv4/devinet.c */
export function inetRtmDeladdr(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const req = parseRequest(skb, msg, extack);
  if (typeof req === 'number') return req;
  const ifa = req.inDev.ifaList.find((a) => fitsDelete(a, req));
  if (ifa === undefined) return fail(extack, -EADDRNOTAVAIL, 'ipv4: Address not found');
  if (ipv4IsMulticast(ifa.ifaAddress)) ipMcAutojoinConfig(req.net, false, ifa);
  inetDelIfa(req.inDev, ifa, rtnlRequestPortid(skb));
  return 0;
}

/** RTM_GETADDR for all. args[0]: devices done, args[1]: addresses of the next. @kernel inet_dump_ifaddr net/ipv4/devinet.c */
export function inetDumpIfaddr(skb: SkBuff, cb: NetlinkCallback): number {
  const { net, msg } = cb;
  const v = new DataView(msg.buffer, msg.byteOffset, msg.byteLength);
  const whole = msg.length >= NLMSG_HDRLEN + ifaddrmsg.LEN;
  const ifindex = whole ? ifaddrmsg.index(v, NLMSG_HDRLEN) : 0;
  const devices = net.devBaseHead;
  for (let d = cb.args[0] as number; d < devices.length; d++) {
    const dev = devices[d] as NetDevice;
    const list = dev.ipPtr?.ifaList ?? [];
    if (ifindex === 0 || dev.ifindex === ifindex) {
      for (let i = cb.args[1] as number; i < list.length; i++) {
        const ifa = list[i] as InIfaddr;
        if (inetFillIfaddr(skb, ifa, cb.portid, cb.seq, RTM_NEWADDR, NLM_F_MULTI) < 0) {
          cb.args[0] = d;
          cb.args[1] = i;
          return skb.len;
        }
      }
    }
    cb.args[1] = 0;
  }
  cb.args[0] = devices.length;
  return 0;
}
