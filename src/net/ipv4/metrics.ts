/**
 * Metrics of routes: reading RTA_METRICS and RTA_VIA.
 *
 * Counterpart of net/ipv4/metrics.c and of fib_metrics_match and fib_gw_from_via.
 */
import { DST_FEATURE_ECN_CA } from '#include/net/dst.ts';
import type { FibConfig, FibExtAck, FibInfo } from '#include/net/ip_fib.ts';
import { TCP_CONG_NEEDS_ECN } from '#include/net/tcp.ts';
import { tcpCaGetKeyByName } from '#net/ipv4/tcp_cong.ts';
import { nlaGetInAddr, nlaGetString, nlaGetU32 } from '#net/netlink/nlattr.ts';
import { EAFNOSUPPORT, EINVAL } from '#uapi/errno.ts';
import { NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign, nlattr } from '#uapi/netlink.ts';
import {
  RTAX_ADVMSS,
  RTAX_CC_ALGO,
  RTAX_FEATURE_MASK,
  RTAX_FEATURES,
  RTAX_HOPLIMIT,
  RTAX_MAX,
  RTAX_MTU,
} from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

function fail(extack: FibExtAck, err: number, msg: string): number {
  if (extack !== null && extack.msg === '') extack.msg = msg;
  return err;
}

/** One attribute of RTA_METRICS. */
interface MetricAttr {
  readonly type: number;
  readonly payload: Uint8Array;
}

function metricAttrs(mx: Uint8Array): MetricAttr[] {
  const v = new DataView(mx.buffer, mx.byteOffset, mx.byteLength);
  const list: MetricAttr[] = [];
  let at = 0;
  while (mx.length - at >= NLA_HDRLEN) {
    const len = nlattr.len(v, at);
    if (len < NLA_HDRLEN || at + len > mx.length) break;
    list.push({
      type: nlattr.rawType(v, at) & NLA_TYPE_MASK,
      payload: mx.subarray(at + NLA_HDRLEN, at + len),
    });
    at += nlaAlign(len);
  }
  return list;
}

/** Limits of what a metric may be. */
function clampMetric(type: number, value: number): number {
  if (type === RTAX_ADVMSS) return Math.min(value, 65535 - 40);
  if (type === RTAX_MTU) return Math.min(value, 65535 - 15);
  if (type === RTAX_HOPLIMIT) return Math.min(value, 255);
  return value;
}

/** Reads RTA_METRICS into the route. 0 or a negative errno. @kernel ip_metrics_convert net/ipv4/metrics.c */
export function ipFibMetricsInit(fi: FibInfo, mx: Uint8Array | null, extack: FibExtAck): number {
  if (mx === null) return 0;
  let ecnCa = false;
  for (const { type, payload } of metricAttrs(mx)) {
    if (type === 0) continue;
    if (type > RTAX_MAX) return fail(extack, -EINVAL, 'Invalid metric type');
    if (type === RTAX_CC_ALGO) {
      const name = nlaGetString(payload);
      const key = tcpCaGetKeyByName(fi.net.machine, name);
      if (key === 0) return fail(extack, -EINVAL, 'Unknown tcp congestion algorithm');
      fi.fibCongctl = name;
      fi.fibMetrics[type] = key;
      fi.fibHasMetrics = true;
      // Connections over the route are to agree on ECN, whatever the namespace says.
      ecnCa =
        ((fi.net.machine.netGlobals.tcpCongList[key - 1]?.flags ?? 0) & TCP_CONG_NEEDS_ECN) !== 0;
      continue;
    }
    if (payload.length !== 4) return fail(extack, -EINVAL, 'Invalid attribute in metrics');
    const value = nlaGetU32(payload);
    if (type === RTAX_FEATURES && (value & ~RTAX_FEATURE_MASK) !== 0) {
      return fail(extack, -EINVAL, 'Unknown flag set in feature mask in metrics attribute');
    }
    fi.fibMetrics[type] = clampMetric(type, value);
    fi.fibHasMetrics = true;
  }
  if (ecnCa)
    fi.fibMetrics[RTAX_FEATURES] = (fi.fibMetrics[RTAX_FEATURES] ?? 0) | DST_FEATURE_ECN_CA;
  return 0;
}

/** @kernel fib_metrics_match net/ipv4/fib_semantics.c */
export function fibMetricsMatch(mx: Uint8Array | null, fi: FibInfo): boolean {
  if (mx === null) return true;
  return metricAttrs(mx).every(({ type, payload }) => {
    if (type === 0) return true;
    if (type > RTAX_MAX) return false;
    if (type === RTAX_CC_ALGO) return nlaGetString(payload) === fi.fibCongctl;
    let value = fi.fibMetrics[type] as number;
    if (type === RTAX_FEATURES) value &= RTAX_FEATURE_MASK;
    return payload.length >= 4 && nlaGetU32(payload) === value;
  });
}

/** Reads RTA_VIA: a gateway of any family, of which we have one. @kernel fib_gw_from_via net/ipv4/fib_frontend.c */
export function fibGwFromVia(cfg: FibConfig, nla: Uint8Array, extack: FibExtAck): number {
  if (nla.length < 2) return fail(extack, -EINVAL, 'Invalid attribute length for RTA_VIA');
  const family = (nla[0] as number) | ((nla[1] as number) << 8);
  if (family !== AF_INET) {
    return fail(
      extack,
      family === 10 ? -EAFNOSUPPORT : -EINVAL,
      'Unsupported address family in RTA_VIA',
    );
  }
  if (nla.length !== 6) return fail(extack, -EINVAL, 'Invalid IPv4 address in RTA_VIA');
  cfg.fcGw4 = nlaGetInAddr(nla.subarray(2));
  cfg.fcGwFamily = AF_INET;
  return 0;
}
