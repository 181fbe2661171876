/**
 * Transmission: from dev_queue_xmit() through the qdisc to the driver, and the NET_TX soft interrupt.
 * Counterpart of those parts of net/core/dev.c.
 *
 *   dev_queue_xmit -> pick queue -> qdisc -> sch_direct_xmit -> validate_xmit_skb (segmentation,
 *   checksum) -> dev_hard_start_xmit (taps) -> ndo_start_xmit
 *
 * A driver that answers NETDEV_TX_BUSY keeps nothing: the packet goes back to the front of the qdisc.
 */
import {
  __QUEUE_STATE_DRV_XOFF,
  __QUEUE_STATE_STACK_XOFF,
  devCoreStatsTxDroppedInc,
  IFF_XMIT_DST_RELEASE,
  NET_XMIT_DROP,
  NET_XMIT_MASK,
  NET_XMIT_SUCCESS,
  NETDEV_TX_BUSY,
  NETDEV_TX_OK,
  NETIF_F_LLTX,
  type NetDevice,
  type NetdevQueue,
  netdevGetTxQueue,
  netifXmitFrozenOrStopped,
  netifXmitStopped,
  type PacketType,
  type SoftnetData,
  XMIT_RECURSION_LIMIT,
} from '#include/linux/netdevice.ts';
import {
  type SkBuff,
  skbCheckLive,
  skbIsGso,
  skbIsGsoTcp,
  skbMarkNotOnList,
  skbResetMacHeader,
  skbResetNetworkHeader,
} from '#include/linux/skbuff.ts';
import { __skbDequeue } from '#include/linux/skbuff_queue.ts';
import { skbDstDrop, skbDstForce } from '#include/net/dst.ts';
import {
  __QDISC_STATE_DEACTIVATED,
  __QDISC_STATE_SCHED,
  __qdiscDrop,
  type Qdisc,
  qdiscBstatsUpdate,
  qdiscRunBegin,
  qdiscRunEnd,
  type SchedOps,
  TCQ_F_CAN_BYPASS,
} from '#include/net/sch_generic.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import type { Machine } from '#kernel/machine.ts';
import { localBhDisable, localBhEnable, NET_TX_SOFTIRQ, raiseSoftirqIrqoff } from '#kernel/softirq.ts';
import { reciprocalScale } from '#lib/jhash.ts';
import { mem, view } from '#mm/memory.ts';
import { netTimestampCheck } from '#net/core/dev_rx.ts';
import { validateXmitSkb } from '#net/core/dev_validate.ts';
import { skbGetHash } from '#net/core/flow_dissector.ts';
import { __kfreeSkb, kfreeSkb, kfreeSkbList, skbClone } from '#net/core/skbuff.ts';
import { ENETDOWN } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import { PACKET_OUTGOING } from '#uapi/if_packet.ts';
import {
  SKB_CONSUMED,
  SKB_DROP_REASON_DEV_READY,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_QDISC_DROP,
  SKB_DROP_REASON_RECURSION_LIMIT,
} from '#uapi/net_dropreason.ts';
import { tcphdr } from '#uapi/tcp.ts';
import { udphdr } from '#uapi/udp.ts';
