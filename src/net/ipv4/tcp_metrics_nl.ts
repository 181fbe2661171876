/**
 * The metrics cache through generic netlink: listing, asking, forgetting.
 *
 * Counterpart: the tcp_metrics_nl_* functions of net/ipv4/tcp_metrics.c.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { GenlFamily, GenlOps } from '#include/net/genetlink.ts';
import type { NetlinkCallback, NetlinkExtAck } from '#include/net/rtnetlink.ts';
import {
  TCP_METRIC_COUNT,
  TCP_METRIC_RTT,
  TCP_METRIC_RTTVAR,
  type TcpMetricsBlock,
} from '#include/net/tcp_metrics.ts';
import type { Machine } from '#kernel/machine.ts';
import { tcpMetricsDelete, tcpMetricsFind, tcpMetricsFlushAll } from '#net/ipv4/tcp_metrics.ts';
import { netlinkRequester } from '#net/netlink/af_netlink.ts';
import { genlmsgPut, genlRegisterFamily, genlReply } from '#net/netlink/genetlink.ts';
import {
  nlaGetInAddr,
  nlaNestEnd,
  nlaNestStart,
  nlaPut,
  nlaPutInAddr,
  nlaPutU16,
  nlaPutU32,
  nlaPutU64,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgParse,
} from '#net/netlink/nlattr.ts';
import { EINVAL, EMSGSIZE, ESRCH } from '#uapi/errno.ts';
import { GENL_ADMIN_PERM, GENL_HDRLEN } from '#uapi/genetlink.ts';
import { NLM_F_MULTI } from '#uapi/netlink.ts';
import {
  TCP_METRIC_RTT_US,
  TCP_METRIC_RTTVAR_US,
  TCP_METRICS_ATTR_ADDR_IPV4,
  TCP_METRICS_ATTR_AGE,
  TCP_METRICS_ATTR_FOPEN_COOKIE,
  TCP_METRICS_ATTR_FOPEN_MSS,
  TCP_METRICS_ATTR_FOPEN_SYN_DROP_TS,
  TCP_METRICS_ATTR_FOPEN_SYN_DROPS,
  TCP_METRICS_ATTR_MAX,
  TCP_METRICS_ATTR_SADDR_IPV4,
  TCP_METRICS_ATTR_VALS,
  TCP_METRICS_CMD_DEL,
  TCP_METRICS_CMD_GET,
  TCP_METRICS_GENL_NAME,
  TCP_METRICS_GENL_VERSION,
} from '#uapi/tcp_metrics.ts';

/** Times go out in us, and in ms of at least 1 for old readers. */
function fillVals(skb: SkBuff, tm: TcpMetricsBlock): void {
  const nest = nlaNestStart(skb, TCP_METRICS_ATTR_VALS);
  for (let i = 0; i < TCP_METRIC_COUNT; i++) {
    let val = tm.vals[i] as number;
    if (val === 0) continue;
    if (i === TCP_METRIC_RTT || i === TCP_METRIC_RTTVAR) {
      nlaPutU32(skb, (i === TCP_METRIC_RTT ? TCP_METRIC_RTT_US : TCP_METRIC_RTTVAR_US) + 1, val);
      val = Math.max(Math.floor(val / 1000), 1);
    }
    nlaPutU32(skb, i + 1, val);
  }
  nlaNestEnd(skb, nest);
}

/** 0 or -EMSGSIZE. @kernel tcp_metrics_fill_info net/ipv4/tcp_metrics.c */
function fillInfo(skb: SkBuff, tm: TcpMetricsBlock, now: number): number {
  let err = nlaPutInAddr(skb, TCP_METRICS_ATTR_ADDR_IPV4, tm.daddr);
  err ||= nlaPutInAddr(skb, TCP_METRICS_ATTR_SADDR_IPV4, tm.saddr);
  err ||= nlaPutU64(skb, TCP_METRICS_ATTR_AGE, (now - tm.stamp) >>> 0);
  if (err < 0) return err;
  fillVals(skb, tm);
  const { fastopen } = tm;
  if (fastopen.mss !== 0) err ||= nlaPutU16(skb, TCP_METRICS_ATTR_FOPEN_MSS, fastopen.mss);
  if (fastopen.synLoss !== 0) {
    err ||= nlaPutU16(skb, TCP_METRICS_ATTR_FOPEN_SYN_DROPS, fastopen.synLoss);
    const ago = (now - fastopen.lastSynLoss) >>> 0;
    err ||= nlaPutU64(skb, TCP_METRICS_ATTR_FOPEN_SYN_DROP_TS, ago);
  }
  const { cookie } = fastopen;
  if (cookie.len > 0) {
    err ||= nlaPut(skb, TCP_METRICS_ATTR_FOPEN_COOKIE, cookie.val.subarray(0, cookie.len));
  }
  return err;
}

/** @kernel tcp_metrics_nl_dump net/ipv4/tcp_metrics.c */
function dump(family: GenlFamily, skb: SkBuff, cb: NetlinkCallback): number {
  let index = 0;
  for (const head of cb.net.ipv4.tcpMetrics.slots.values()) {
    for (let tm: TcpMetricsBlock | null = head; tm !== null; tm = tm.next, index++) {
      if (index < (cb.args[0] as number)) continue;
      const nlh = genlmsgPut(skb, cb.portid, cb.seq, family, NLM_F_MULTI, TCP_METRICS_CMD_GET);
      if (nlh < 0) return 1;
      if (fillInfo(skb, tm, cb.net.machine.jiffies) === -EMSGSIZE) {
        nlmsgCancel(skb, nlh);
        return 1;
      }
      nlmsgEnd(skb, nlh);
      cb.args[0] = index + 1;
    }
  }
  return 0;
}

/** The addresses of a request: destination and source, each null when it is not given. */
function addresses(
  msg: Uint8Array,
  extack: NetlinkExtAck,
): { readonly daddr: number | null; readonly saddr: number | null } | number {
  const attrs = nlmsgParse(msg, GENL_HDRLEN, TCP_METRICS_ATTR_MAX, null, extack);
  if (typeof attrs === 'number') return attrs;
  const daddr = attrs[TCP_METRICS_ATTR_ADDR_IPV4];
  const saddr = attrs[TCP_METRICS_ATTR_SADDR_IPV4];
  return {
    daddr: daddr === undefined ? null : nlaGetInAddr(daddr),
    saddr: saddr === undefined ? null : nlaGetInAddr(saddr),
  };
}

/** @kernel tcp_metrics_nl_cmd_get net/ipv4/tcp_metrics.c */
function cmdGet(family: GenlFamily, skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const which = addresses(msg, extack);
  if (typeof which === 'number') return which;
  if (which.daddr === null) return -EINVAL;
  const { net } = netlinkRequester(skb);
  const tm = tcpMetricsFind(net, which.saddr, which.daddr);
  if (tm === null) return -ESRCH;
  return genlReply(skb, msg, family, TCP_METRICS_CMD_GET, (answer) => {
    fillInfo(answer, tm, net.machine.jiffies);
  });
}

/** Without an address: all of them. @kernel tcp_metrics_nl_cmd_del net/ipv4/tcp_metrics.c */
function cmdDel(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const which = addresses(msg, extack);
  if (typeof which === 'number') return which;
  const { net } = netlinkRequester(skb);
  if (which.daddr === null) {
    tcpMetricsFlushAll(net);
    return 0;
  }
  return tcpMetricsDelete(net, which.saddr, which.daddr) ? 0 : -ESRCH;
}

/** @kernel tcp_metrics_init net/ipv4/tcp_metrics.c */
function tcpMetricsNlInit(machine: Machine): number {
  const family: GenlFamily = {
    id: 0,
    name: TCP_METRICS_GENL_NAME,
    version: TCP_METRICS_GENL_VERSION,
    maxattr: TCP_METRICS_ATTR_MAX,
    ops: new Map<number, GenlOps>([
      [
        TCP_METRICS_CMD_GET,
        {
          doit: (skb, msg, extack) => cmdGet(family, skb, msg, extack),
          dumpit: (skb, cb) => dump(family, skb, cb),
        },
      ],
      [TCP_METRICS_CMD_DEL, { flags: GENL_ADMIN_PERM, doit: cmdDel, dumpit: null }],
    ]),
  };
  return genlRegisterFamily(machine, family);
}

export const tcpMetricsNlModule: KernelModule = {
  name: 'tcp_metrics_nl',
  config: null,
  depends: ['tcp_metrics', 'genetlink'],
  level: FS_INITCALL,
  init: tcpMetricsNlInit,
  exit: null,
};
