/**
 * Setting the chip up: memory of the rings, receive and transmit units, address filters. Counterpart
 * of those parts of drivers/net/ethernet/intel/e1000/e1000_main.c.
 */

import {
  E1000_RXBUFFER_2048,
  type E1000Adapter,
  E1000RxBuffer,
  type E1000RxRing,
  E1000TxBuffer,
  type E1000TxRing,
  e1000Adapter,
  e1000DescUnused,
  er32,
  ew32,
  MAXIMUM_ETHERNET_VLAN_SIZE,
} from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import {
  e1000ConfigCollisionDist,
  e1000HashMcAddr,
  e1000RarSet,
} from '#drivers/net/ethernet/intel/e1000/e1000_hw.ts';
import { e1000WriteItr } from '#drivers/net/ethernet/intel/e1000/e1000_main_irq.ts';
import { e1000AllocRxBuffers } from '#drivers/net/ethernet/intel/e1000/e1000_main_rx.ts';
import { dmaAllocCoherent, dmaFreeCoherent } from '#drivers/pci/dma.ts';
import {
  E1000_COLLISION_THRESHOLD,
  E1000_CT_SHIFT,
  E1000_CTRL,
  E1000_CTRL_VME,
  E1000_DESC_SIZE,
  E1000_MTA,
  E1000_NUM_MTA_REGISTERS,
  E1000_RADV,
  E1000_RAH,
  E1000_RAL,
  E1000_RAR_ENTRIES,
  E1000_RCTL,
  E1000_RCTL_BAM,
  E1000_RCTL_EN,
  E1000_RCTL_LPE,
  E1000_RCTL_MPE,
  E1000_RCTL_RDMTS_HALF,
  E1000_RCTL_SECRC,
  E1000_RCTL_SZ_2048,
  E1000_RCTL_UPE,
  E1000_RDBAH,
  E1000_RDBAL,
  E1000_RDH,
  E1000_RDLEN,
  E1000_RDT,
  E1000_RDTR,
  E1000_RXCSUM,
  E1000_RXCSUM_TUOFL,
  E1000_TADV,
  E1000_TCTL,
  E1000_TCTL_CT,
  E1000_TCTL_EN,
  E1000_TCTL_PSP,
  E1000_TCTL_RTLC,
  E1000_TDBAH,
  E1000_TDBAL,
  E1000_TDH,
  E1000_TDLEN,
  E1000_TDT,
  E1000_TIDV,
  E1000_TIPG,
  E1000_TXD_CMD_EOP,
  E1000_TXD_CMD_IDE,
  E1000_TXD_CMD_IFCS,
  E1000_TXD_CMD_RS,
} from '#hardware/e1000/e1000_regs.ts';
import {
  NETIF_F_HW_VLAN_CTAG_RX,
  NETIF_F_HW_VLAN_CTAG_TX,
  NETIF_F_RXCSUM,
} from '#include/linux/netdev_features.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { ENOMEM } from '#uapi/errno.ts';
import { IFF_ALLMULTI, IFF_PROMISC } from '#uapi/if.ts';
import { ETH_DATA_LEN } from '#uapi/if_ether.ts';

/** Gaps between frames for copper, in units of the line's clock. */
const TIPG_COPPER: number = 8 | (8 << 10) | (6 << 20);
/** Rings are given memory by whole pages. */
const RING_ALIGN = 4096;

function ringBytes(count: number): number {
  return Math.ceil((count * E1000_DESC_SIZE) / RING_ALIGN) * RING_ALIGN;
}

/** 0 or -ENOMEM. @kernel e1000_setup_tx_resources drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000SetupTxResources(adapter: E1000Adapter, ring: E1000TxRing): number {
  ring.size = ringBytes(ring.count);
  ring.desc = dmaAllocCoherent(adapter.pdev, ring.size);
  if (ring.desc === 0) return -ENOMEM;
  ring.bufferInfo = Array.from({ length: ring.count }, () => new E1000TxBuffer());
  ring.nextToUse = 0;
  ring.nextToClean = 0;
  return 0;
}

/** 0 or -ENOMEM. @kernel e1000_setup_rx_resources drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000SetupRxResources(adapter: E1000Adapter, ring: E1000RxRing): number {
  ring.size = ringBytes(ring.count);
  ring.desc = dmaAllocCoherent(adapter.pdev, ring.size);
  if (ring.desc === 0) return -ENOMEM;
  ring.bufferInfo = Array.from({ length: ring.count }, () => new E1000RxBuffer());
  ring.nextToUse = 0;
  ring.nextToClean = 0;
  ring.rxSkbTop = null;
  return 0;
}

/** Gives a ring's memory back; it holds nothing any more. @kernel e1000_free_tx_resources drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000FreeRing(adapter: E1000Adapter, ring: E1000TxRing | E1000RxRing): void {
  if (ring.desc === 0) return;
  dmaFreeCoherent(adapter.pdev, ring.size, ring.desc);
  ring.desc = 0;
  ring.bufferInfo = [];
}

/** @kernel e1000_configure_tx drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000ConfigureTx(adapter: E1000Adapter): void {
  const { hw, txRing: ring } = adapter;
  ew32(hw, E1000_TDLEN, ring.count * E1000_DESC_SIZE);
  ew32(hw, E1000_TDBAH, 0);
  ew32(hw, E1000_TDBAL, ring.desc);
  ew32(hw, E1000_TDT, 0);
  ew32(hw, E1000_TDH, 0);
  ew32(hw, E1000_TIPG, TIPG_COPPER);
  ew32(hw, E1000_TIDV, adapter.txIntDelay);
  ew32(hw, E1000_TADV, adapter.txAbsIntDelay);
  const tctl = er32(hw, E1000_TCTL) & ~E1000_TCTL_CT;
  ew32(
    hw,
    E1000_TCTL,
    tctl | E1000_TCTL_PSP | E1000_TCTL_RTLC | (E1000_COLLISION_THRESHOLD << E1000_CT_SHIFT),
  );
  e1000ConfigCollisionDist(hw);
  adapter.txdCmd = E1000_TXD_CMD_EOP | E1000_TXD_CMD_IFCS | E1000_TXD_CMD_RS;
  // Only with a delay may the report of a packet wait.
  if (adapter.txIntDelay > 0) adapter.txdCmd |= E1000_TXD_CMD_IDE;
  ew32(hw, E1000_TCTL, er32(hw, E1000_TCTL) | E1000_TCTL_EN);
}

/** @kernel e1000_setup_rctl drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000SetupRctl(adapter: E1000Adapter): void {
  const { hw, netdev } = adapter;
  const rctl =
    E1000_RCTL_BAM |
    E1000_RCTL_RDMTS_HALF |
    E1000_RCTL_SZ_2048 |
    E1000_RCTL_SECRC |
    (netdev.mtu > ETH_DATA_LEN ? E1000_RCTL_LPE : 0);
  ew32(hw, E1000_RCTL, rctl);
}

/** @kernel e1000_configure_rx drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000ConfigureRx(adapter: E1000Adapter): void {
  const { hw, rxRing: ring, netdev } = adapter;
  adapter.jumbo = netdev.mtu > ETH_DATA_LEN;
  const rctl = er32(hw, E1000_RCTL);
  ew32(hw, E1000_RCTL, rctl & ~E1000_RCTL_EN);
  ew32(hw, E1000_RDTR, adapter.rxIntDelay);
  ew32(hw, E1000_RADV, adapter.rxAbsIntDelay);
  if (adapter.itrSetting !== 0) e1000WriteItr(adapter);
  ew32(hw, E1000_RDLEN, ring.count * E1000_DESC_SIZE);
  ew32(hw, E1000_RDBAH, 0);
  ew32(hw, E1000_RDBAL, ring.desc);
  ew32(hw, E1000_RDT, 0);
  ew32(hw, E1000_RDH, 0);
  e1000SetRxCsum(adapter, netdev.features);
  ew32(hw, E1000_RCTL, rctl | E1000_RCTL_EN);
}

/** Has the chip check TCP and UDP checksums, or not. */
export function e1000SetRxCsum(adapter: E1000Adapter, features: number): void {
  const { hw } = adapter;
  const rxcsum = er32(hw, E1000_RXCSUM) & ~E1000_RXCSUM_TUOFL;
  const on = (features & NETIF_F_RXCSUM) !== 0;
  ew32(hw, E1000_RXCSUM, on ? rxcsum | E1000_RXCSUM_TUOFL : rxcsum);
}

/** Has the chip take VLAN tags out of frames and put them in, or not. @kernel __e1000_vlan_mode drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000VlanMode(adapter: E1000Adapter, features: number): void {
  const { hw } = adapter;
  const ctrl = er32(hw, E1000_CTRL) & ~E1000_CTRL_VME;
  const on = (features & (NETIF_F_HW_VLAN_CTAG_RX | NETIF_F_HW_VLAN_CTAG_TX)) !== 0;
  ew32(hw, E1000_CTRL, on ? ctrl | E1000_CTRL_VME : ctrl);
}

/** Brings the chip from reset to work. @kernel e1000_configure drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000Configure(adapter: E1000Adapter): void {
  e1000SetRxMode(adapter.netdev);
  e1000ConfigureTx(adapter);
  e1000SetupRctl(adapter);
  e1000ConfigureRx(adapter);
  e1000SetRxMode(adapter.netdev);
  e1000VlanMode(adapter, adapter.netdev.features);
  e1000AllocRxBuffers(adapter, e1000DescUnused(adapter.rxRing));
}

/** Bytes that the chip may write into a buffer, by the longest frame. @kernel e1000_change_mtu drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000RxBufferLen(mtu: number): number {
  return mtu > ETH_DATA_LEN ? E1000_RXBUFFER_2048 : MAXIMUM_ETHERNET_VLAN_SIZE;
}

/** Sets the filters by the device's flags and address lists. @kernel e1000_set_rx_mode drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000SetRxMode(netdev: NetDevice): void {
  const { hw } = e1000Adapter(netdev);
  const promisc = (netdev.flags & IFF_PROMISC) !== 0;
  // The first filter holds the device's own address.
  const exactUnicast = !promisc && netdev.uc.length < E1000_RAR_ENTRIES;
  let rctl = er32(hw, E1000_RCTL) & ~(E1000_RCTL_UPE | E1000_RCTL_MPE);
  if (promisc) rctl |= E1000_RCTL_UPE | E1000_RCTL_MPE;
  if ((netdev.flags & IFF_ALLMULTI) !== 0) rctl |= E1000_RCTL_MPE;
  if (!promisc && !exactUnicast) rctl |= E1000_RCTL_UPE;
  ew32(hw, E1000_RCTL, rctl);
  let i = 1;
  if (exactUnicast) for (const { addr } of netdev.uc) e1000RarSet(hw, addr, i++);
  hw.mcarray.fill(0);
  for (const { addr } of netdev.mc) {
    if (i < E1000_RAR_ENTRIES) {
      e1000RarSet(hw, addr, i++);
    } else {
      const hash = e1000HashMcAddr(hw, addr);
      hw.mcarray[hash >> 5] = (hw.mcarray[hash >> 5] as number) | (1 << (hash & 31));
    }
  }
  for (; i < E1000_RAR_ENTRIES; i++) {
    ew32(hw, E1000_RAL + 8 * i, 0);
    ew32(hw, E1000_RAH + 8 * i, 0);
  }
  for (let n = 0; n < E1000_NUM_MTA_REGISTERS; n++) {
    ew32(hw, E1000_MTA + 4 * n, hw.mcarray[n] as number);
  }
}
