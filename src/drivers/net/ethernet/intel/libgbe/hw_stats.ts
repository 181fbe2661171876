/**
 * The statistics of the 8254x and of its descendants: what the chip counts, its sums, and what a network
 * device reports of them. Counterpart of those parts of drivers/net/ethernet/intel/e1000/e1000_main.c and
 * drivers/net/ethernet/intel/igb/igb_main.c, which are alike.
 */
import type { GbeHw, ReadRegister } from '#drivers/net/ethernet/intel/libgbe/hw.ts';
import {
  E1000_ALGNERRC,
  E1000_BPRC,
  E1000_BPTC,
  E1000_CEXTERR,
  E1000_COLC,
  E1000_CRCERRS,
  E1000_DC,
  E1000_ECOL,
  E1000_GORCH,
  E1000_GORCL,
  E1000_GOTCH,
  E1000_GOTCL,
  E1000_GPRC,
  E1000_GPTC,
  E1000_LATECOL,
  E1000_MCC,
  E1000_MPC,
  E1000_MPRC,
  E1000_MPTC,
  E1000_PRC64,
  E1000_PRC127,
  E1000_PRC255,
  E1000_PRC511,
  E1000_PRC1023,
  E1000_PRC1522,
  E1000_PTC64,
  E1000_PTC127,
  E1000_PTC255,
  E1000_PTC511,
  E1000_PTC1023,
  E1000_PTC1522,
  E1000_RFC,
  E1000_RJC,
  E1000_RLEC,
  E1000_RNBC,
  E1000_ROC,
  E1000_RUC,
  E1000_RXERRC,
  E1000_SCC,
  E1000_SEC,
  E1000_SYMERRS,
  E1000_TNCRS,
  E1000_TORH,
  E1000_TORL,
  E1000_TOTH,
  E1000_TOTL,
  E1000_TPR,
  E1000_TPT,
  E1000_TSCTC,
  E1000_TSCTFC,
  E1000_XOFFRXC,
  E1000_XOFFTXC,
  E1000_XONRXC,
  E1000_XONTXC,
} from '#hardware/e1000/e1000_regs.ts';
import type { RtnlLinkStats64 } from '#include/linux/netdevice.ts';

/** Sums of the chip's statistics registers. @kernel e1000_hw_stats drivers/net/ethernet/intel/e1000/e1000_hw.h */
export class HwStats {
  crcerrs = 0;
  algnerrc = 0;
  symerrs = 0;
  rxerrc = 0;
  mpc = 0;
  scc = 0;
  ecol = 0;
  mcc = 0;
  latecol = 0;
  colc = 0;
  dc = 0;
  tncrs = 0;
  sec = 0;
  cexterr = 0;
  rlec = 0;
  xonrxc = 0;
  xontxc = 0;
  xoffrxc = 0;
  xofftxc = 0;
  fcruc = 0;
  prc64 = 0;
  prc127 = 0;
  prc255 = 0;
  prc511 = 0;
  prc1023 = 0;
  prc1522 = 0;
  gprc = 0;
  bprc = 0;
  mprc = 0;
  gptc = 0;
  gorc = 0;
  gotc = 0;
  rnbc = 0;
  ruc = 0;
  rfc = 0;
  roc = 0;
  rjc = 0;
  tor = 0;
  tot = 0;
  tpr = 0;
  tpt = 0;
  ptc64 = 0;
  ptc127 = 0;
  ptc255 = 0;
  ptc511 = 0;
  ptc1023 = 0;
  ptc1522 = 0;
  mptc = 0;
  bptc = 0;
  tsctc = 0;
  tsctfc = 0;
}

const TWO_TO_32 = 4294967296;

/** Where each counter of 32 bits comes from. */
const COUNTERS: readonly (readonly [keyof HwStats, number])[] = [
  ['crcerrs', E1000_CRCERRS],
  ['algnerrc', E1000_ALGNERRC],
  ['symerrs', E1000_SYMERRS],
  ['rxerrc', E1000_RXERRC],
  ['mpc', E1000_MPC],
  ['scc', E1000_SCC],
  ['ecol', E1000_ECOL],
  ['mcc', E1000_MCC],
  ['latecol', E1000_LATECOL],
  ['colc', E1000_COLC],
  ['dc', E1000_DC],
  ['tncrs', E1000_TNCRS],
  ['sec', E1000_SEC],
  ['cexterr', E1000_CEXTERR],
  ['rlec', E1000_RLEC],
  ['xonrxc', E1000_XONRXC],
  ['xontxc', E1000_XONTXC],
  ['xoffrxc', E1000_XOFFRXC],
  ['xofftxc', E1000_XOFFTXC],
  ['prc64', E1000_PRC64],
  ['prc127', E1000_PRC127],
  ['prc255', E1000_PRC255],
  ['prc511', E1000_PRC511],
  ['prc1023', E1000_PRC1023],
  ['prc1522', E1000_PRC1522],
  ['gprc', E1000_GPRC],
  ['bprc', E1000_BPRC],
  ['mprc', E1000_MPRC],
  ['gptc', E1000_GPTC],
  ['rnbc', E1000_RNBC],
  ['ruc', E1000_RUC],
  ['rfc', E1000_RFC],
  ['roc', E1000_ROC],
  ['rjc', E1000_RJC],
  ['tpr', E1000_TPR],
  ['tpt', E1000_TPT],
  ['ptc64', E1000_PTC64],
  ['ptc127', E1000_PTC127],
  ['ptc255', E1000_PTC255],
  ['ptc511', E1000_PTC511],
  ['ptc1023', E1000_PTC1023],
  ['ptc1522', E1000_PTC1522],
  ['mptc', E1000_MPTC],
  ['bptc', E1000_BPTC],
  ['tsctc', E1000_TSCTC],
  ['tsctfc', E1000_TSCTFC],
];

/** A counter of 64 bits; the low half must be read first. */
function readPair<H extends GbeHw>(
  hw: H,
  rd32: ReadRegister<H>,
  low: number,
  high: number,
): number {
  const octets = rd32(hw, low) >>> 0;
  return octets + (rd32(hw, high) >>> 0) * TWO_TO_32;
}

/** Adds what the chip has counted since it was read last; reading clears its counters. */
export function readHwStats<H extends GbeHw>(hw: H, rd32: ReadRegister<H>, stats: HwStats): void {
  for (const [name, register] of COUNTERS) stats[name] += rd32(hw, register) >>> 0;
  stats.gorc += readPair(hw, rd32, E1000_GORCL, E1000_GORCH);
  stats.gotc += readPair(hw, rd32, E1000_GOTCL, E1000_GOTCH);
  stats.tor += readPair(hw, rd32, E1000_TORL, E1000_TORH);
  stats.tot += readPair(hw, rd32, E1000_TOTL, E1000_TOTH);
}

/** Fills in what the chip alone knows of a network device: multicast, collisions, errors. */
export function reportHwStats(stats: HwStats, out: RtnlLinkStats64): void {
  out.multicast = stats.mprc;
  out.collisions = stats.colc;
  out.rxErrors =
    stats.rxerrc + stats.crcerrs + stats.algnerrc + stats.ruc + stats.roc + stats.cexterr;
  out.rxLengthErrors = stats.ruc + stats.roc;
  out.rxCrcErrors = stats.crcerrs;
  out.rxFrameErrors = stats.algnerrc;
  out.rxMissedErrors = stats.mpc;
  out.txErrors = stats.ecol + stats.latecol;
  out.txAbortedErrors = stats.ecol;
  out.txWindowErrors = stats.latecol;
  out.txCarrierErrors = stats.tncrs;
}
