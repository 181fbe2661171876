/**
 * Queues and how flows are spread over them, for ethtool. Counterpart of those parts of
 * drivers/net/ethernet/intel/igb/igb_ethtool.c.
 */
import {
  IGB_FLAG_RSS_FIELD_IPV4_UDP,
  IGB_FLAG_RSS_FIELD_IPV6_UDP,
  igbAdapter,
  NON_Q_VECTORS,
} from '#drivers/net/ethernet/intel/igb/igb.ts';
import {
  igbSetupMrqc,
  igbWriteRssIndirTbl,
  igbWriteRssKey,
} from '#drivers/net/ethernet/intel/igb/igb_main_config.ts';
import { igbReinitQueues } from '#drivers/net/ethernet/intel/igb/igb_main_open.ts';
import {
  igbGetMaxRssQueues,
  igbSetFlagQueuePairs,
} from '#drivers/net/ethernet/intel/igb/igb_main_vectors.ts';
import type { EthtoolChannels, EthtoolRxfhParam } from '#include/linux/ethtool.ts';
import { type NetDevice, netifRunning } from '#include/linux/netdevice.ts';
import { EINVAL, EOPNOTSUPP } from '#uapi/errno.ts';
import {
  AH_ESP_V4_FLOW,
  AH_ESP_V6_FLOW,
  ETH_RSS_HASH_NO_CHANGE,
  ETH_RSS_HASH_TOP,
  IPV4_FLOW,
  IPV6_FLOW,
  RXH_IP_DST,
  RXH_IP_SRC,
  RXH_L4_B_0_1,
  RXH_L4_B_2_3,
  SCTP_V4_FLOW,
  SCTP_V6_FLOW,
  TCP_V4_FLOW,
  TCP_V6_FLOW,
  UDP_V4_FLOW,
  UDP_V6_FLOW,
} from '#uapi/ethtool.ts';

const ADDRESSES: number = RXH_IP_SRC | RXH_IP_DST;
const PORTS: number = RXH_L4_B_0_1 | RXH_L4_B_2_3;

/** @kernel igb_get_channels drivers/net/ethernet/intel/igb/igb_ethtool.c */
export function igbGetChannels(dev: NetDevice): EthtoolChannels {
  const adapter = igbAdapter(dev);
  return {
    maxRx: 0,
    maxTx: 0,
    maxOther: NON_Q_VECTORS,
    maxCombined: igbGetMaxRssQueues(),
    rxCount: 0,
    txCount: 0,
    otherCount: NON_Q_VECTORS,
    combinedCount: adapter.rssQueues,
  };
}

/** @kernel igb_set_channels drivers/net/ethernet/intel/igb/igb_ethtool.c */
export function igbSetChannels(dev: NetDevice, channels: EthtoolChannels): number {
  const adapter = igbAdapter(dev);
  const { combinedCount: count } = channels;
  if (channels.rxCount !== 0 || channels.txCount !== 0) return -EINVAL;
  if (channels.otherCount !== NON_Q_VECTORS) return -EINVAL;
  const most = igbGetMaxRssQueues();
  if (count === 0 || count > most) return -EINVAL;
  if (count === adapter.rssQueues) return 0;
  adapter.rssQueues = count;
  igbSetFlagQueuePairs(adapter, most);
  return igbReinitQueues(adapter);
}

/** @kernel igb_get_rxfh drivers/net/ethernet/intel/igb/igb_ethtool.c */
export function igbGetRxfh(dev: NetDevice): EthtoolRxfhParam {
  const { rssIndirTbl: indir, rssKey: key } = igbAdapter(dev);
  return { indir, key, hfunc: ETH_RSS_HASH_TOP };
}

/** 0, -EOPNOTSUPP for another hash, -EINVAL for a queue that there is not. @kernel igb_set_rxfh drivers/net/ethernet/intel/igb/igb_ethtool.c */
export function igbSetRxfh(dev: NetDevice, rxfh: EthtoolRxfhParam): number {
  const adapter = igbAdapter(dev);
  const { indir, key, hfunc } = rxfh;
  if (hfunc !== ETH_RSS_HASH_NO_CHANGE && hfunc !== ETH_RSS_HASH_TOP) return -EOPNOTSUPP;
  if (indir !== null) {
    const queues = Array.from(indir);
    if (queues.some((queue) => queue >= adapter.rssQueues)) return -EINVAL;
    adapter.rssIndirTbl.set(queues);
    igbWriteRssIndirTbl(adapter);
  }
  if (key !== null) {
    adapter.rssKey.set(key);
    igbWriteRssKey(adapter);
  }
  return 0;
}

/** What is hashed of a kind of flow: RXH_* bits, or -EINVAL. @kernel igb_get_rxfh_fields drivers/net/ethernet/intel/igb/igb_ethtool.c */
export function igbGetRxfhFields(dev: NetDevice, flowType: number): number {
  const { flags } = igbAdapter(dev);
  switch (flowType) {
    case TCP_V4_FLOW:
    case TCP_V6_FLOW:
      return ADDRESSES | PORTS;
    case UDP_V4_FLOW:
      return (flags & IGB_FLAG_RSS_FIELD_IPV4_UDP) !== 0 ? ADDRESSES | PORTS : ADDRESSES;
    case UDP_V6_FLOW:
      return (flags & IGB_FLAG_RSS_FIELD_IPV6_UDP) !== 0 ? ADDRESSES | PORTS : ADDRESSES;
    case SCTP_V4_FLOW:
    case AH_ESP_V4_FLOW:
    case IPV4_FLOW:
    case SCTP_V6_FLOW:
    case AH_ESP_V6_FLOW:
    case IPV6_FLOW:
      return ADDRESSES;
    default:
      return -EINVAL;
  }
}

/** Only of UDP can the ports be left out or taken in. @kernel igb_set_rxfh_fields drivers/net/ethernet/intel/igb/igb_ethtool.c */
export function igbSetRxfhFields(dev: NetDevice, flowType: number, data: number): number {
  const adapter = igbAdapter(dev);
  const now = igbGetRxfhFields(dev, flowType);
  if (now < 0) return now;
  if (data !== ADDRESSES && data !== (ADDRESSES | PORTS)) return -EINVAL;
  if (data === now) return 0;
  let flag = 0;
  if (flowType === UDP_V4_FLOW) flag = IGB_FLAG_RSS_FIELD_IPV4_UDP;
  else if (flowType === UDP_V6_FLOW) flag = IGB_FLAG_RSS_FIELD_IPV6_UDP;
  else return -EINVAL;
  if (data === ADDRESSES) adapter.flags &= ~flag;
  else adapter.flags |= flag;
  if (netifRunning(dev)) igbSetupMrqc(adapter);
  return 0;
}
