/*
 * What an option of ethtool is.
 */
import type { EthtoolDevice } from '#user/ethtool/request.ts';
import type { Process } from '#user/lib/process.ts';

/** Does what an option says to a device, with the words behind its name; the exit status. */
export type Run = (p: Process, device: EthtoolDevice, words: readonly string[]) => number;

export const BAD_COMMAND_LINE =
  'ethtool: bad command line argument(s)\nFor more information run ethtool -h\n';
