/** What a command of SIOCETHTOOL is. Counterpart of the switch in net/ethtool/ioctl.c. */
import type { EthtoolOps } from '#include/linux/ethtool.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';

/** Carries a command out: reads `arg` (`v` is a view of it) and writes its answer there. 0 or more, or a negative errno. */
export type EthtoolHandler = (
  dev: NetDevice,
  ops: EthtoolOps | null,
  v: DataView,
  arg: Uint8Array,
) => number;

/** A command whose structure is `length` bytes long at least. */
export interface EthtoolCommand {
  readonly length: number;
  readonly run: EthtoolHandler;
}
