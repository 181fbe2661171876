/**
 * Extended echo: a query about an interface of this host, by name, index or address. Counterpart of
 * icmp_build_probe() in net/ipv4/icmp.c. RFC 8335. Off unless icmp_echo_enable_probe is set.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { IcmpProbeReply } from '#include/net/net_globals.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem, view } from '#mm/memory.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import {
  ICMP_AFI_IP,
  ICMP_EXT_CODE_MAL_QUERY,
  ICMP_EXT_CODE_NO_IF,
  ICMP_EXT_ECHO_CTYPE_ADDR,
  ICMP_EXT_ECHO_CTYPE_INDEX,
  ICMP_EXT_ECHO_CTYPE_NAME,
  ICMP_EXT_ECHOREPLY_ACTIVE,
  ICMP_EXT_ECHOREPLY_IPV4,
  icmphdr,
} from '#uapi/icmp.ts';
import { IFF_UP, IFNAMSIZ } from '#uapi/if.ts';

const EXT_HDR_LEN = 4;
const EXT_OBJ_HDR_LEN = 4;
/** Class of the interface identification object. */
const ICMP_EXT_ECHO_CLASS = 3;

function deviceByName(net: Net, at: number, len: number): NetDevice | null | undefined {
  if (len >= IFNAMSIZ) return undefined;
  let name = '';
  for (let i = 0; i < len; i++) {
    const c = mem[at + i] as number;
    if (c === 0) break;
    name += String.fromCharCode(c);
  }
  return net.devNameHead.get(name) ?? null;
}

function deviceByAddr(net: Net, at: number, len: number): NetDevice | null | undefined {
  if (len < 8) return undefined;
  const afi = view.getUint16(at);
  const addrlen = mem[at + 2] as number;
  if (afi !== ICMP_AFI_IP) return null;
  if (addrlen !== 4 || len !== 8) return undefined;
  const addr = view.getUint32(at + 4);
  for (const dev of net.devBaseHead) {
    if (dev.ipPtr?.ifaList.some((ifa) => ifa.ifaLocal === addr)) return dev;
  }
  return null;
}

/** The interface asked for; null: none such; undefined: the query is malformed. */
function queriedDevice(net: Net, skb: SkBuff): NetDevice | null | undefined {
  const head = EXT_HDR_LEN + EXT_OBJ_HDR_LEN;
  if (!pskbMayPull(skb, head)) return undefined;
  const obj = skb.data + EXT_HDR_LEN;
  const length = view.getUint16(obj);
  const ident = length - EXT_OBJ_HDR_LEN;
  if (mem[obj + 2] !== ICMP_EXT_ECHO_CLASS || ident <= 0) return undefined;
  if (!pskbMayPull(skb, EXT_HDR_LEN + length)) return undefined;
  const at = skb.data + head;
  switch (mem[skb.data + EXT_HDR_LEN + 3]) {
    case ICMP_EXT_ECHO_CTYPE_NAME:
      return deviceByName(net, at, ident);
    case ICMP_EXT_ECHO_CTYPE_INDEX:
      return ident === 4 ? (net.devIndexHead.get(view.getUint32(at)) ?? null) : undefined;
    case ICMP_EXT_ECHO_CTYPE_ADDR:
      return deviceByAddr(net, at, ident);
    default:
      return undefined;
  }
}

/**
 * What to answer an extended echo request with, or null: nothing.
 * @kernel icmp_build_probe net/ipv4/icmp.c
 * @rfc 8335#4
 * @deviation an IPv6 address is never found, there is no IPv6 yet
 */
export function icmpBuildProbe(net: Net, skb: SkBuff): IcmpProbeReply | null {
  if (net.ipv4.sysctlIcmpEchoEnableProbe === 0) return null;
  const rest = icmphdr.rest(view, skb.transportHeader);
  // Only questions about interfaces of our own are answered (the L bit).
  if ((rest & 1) === 0) return null;
  // Ident and sequence stay; the low octet carries state and status.
  const kept = (rest & 0xffffff00) >>> 0;
  const dev = queriedDevice(net, skb);
  if (dev === undefined) return { code: ICMP_EXT_CODE_MAL_QUERY, rest: kept };
  if (dev === null) return { code: ICMP_EXT_CODE_NO_IF, rest: kept };
  let status = 0;
  if ((dev.flags & IFF_UP) !== 0) status |= ICMP_EXT_ECHOREPLY_ACTIVE;
  if (dev.ipPtr !== null && dev.ipPtr.ifaList.length > 0) status |= ICMP_EXT_ECHOREPLY_IPV4;
  return { code: 0, rest: (kept | status) >>> 0 };
}

/** @kernel icmp_init net/ipv4/icmp.c */
function icmpProbeInit(machine: Machine): number {
  machine.netGlobals.icmpBuildProbe = icmpBuildProbe;
  return 0;
}

export const icmpProbeModule: KernelModule = {
  name: 'icmp_probe',
  config: null,
  depends: [],
  level: FS_INITCALL,
  init: icmpProbeInit,
  exit: null,
};
