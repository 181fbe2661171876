import { expect, test, vi } from 'vitest';
import {
  autonegotiate,
  clearHwCounters,
  GBE_ADVERTISE,
  type GbeHw,
  type PhyOps,
  readPhyReg,
  readSpeedAndDuplex,
  setLinkUp,
  writePhyReg,
} from '#drivers/net/ethernet/intel/libgbe/hw.ts';
import { HwStats, readHwStats } from '#drivers/net/ethernet/intel/libgbe/hw_stats.ts';
import { PciIomem } from '#hardware/pci/pci_bus.ts';
import { IgbRig } from '#hardware/testing/igb_rig.ts';

test("registers are read by the driver's own function, so that a trace shows each reading", () => {
  const rig = new IgbRig();
  const hwAddr = new PciIomem(rig.card.pci, rig.card);
  const readl = vi.spyOn(hwAddr, 'readl');
  const hw: GbeHw = { hwAddr, phyAddr: 1, getLinkStatus: true };
  let reads = 0;
  const rd32 = (_hw: GbeHw, register: number): number => {
    reads++;
    return hwAddr.readl(register);
  };
  const ops: PhyOps<GbeHw> = {
    readReg: (_hw, register) => readPhyReg(hw, rd32, register),
    writeReg: (_hw, register, data) => writePhyReg(hw, rd32, register, data),
  };
  const steps: readonly (() => unknown)[] = [
    () => setLinkUp(hw, rd32),
    () => autonegotiate(hw, ops, GBE_ADVERTISE),
    () => readSpeedAndDuplex(hw, rd32),
    () => clearHwCounters(hw, rd32),
    () => readHwStats(hw, rd32, new HwStats()),
  ];
  for (const step of steps) {
    const before = reads;
    step();
    expect(reads).toBeGreaterThan(before);
    expect(readl).toHaveBeenCalledTimes(reads);
  }
  rig.close();
});
