/**
 * What the administrator can set of CUBIC: /sys/module/tcp_cubic/parameters. Counterpart of the
 * module parts of net/ipv4/tcp_cubic.c. A change counts from the next ACK on, for all connections.
 */
import type { TcpCubicParams } from '#include/net/tcp_cubic.ts';
import type { Machine } from '#kernel/machine.ts';
import { intEntry } from '#kernel/sysctl.ts';
import { tcpRegisterCongestionControl } from '#net/ipv4/tcp_cong.ts';
import { cubictcp } from '#net/ipv4/tcp_cubic.ts';

const INT_MAX = 0x7fffffff;

/** Name, field, lowest and highest value. The largest value of beta keeps its formula positive. */
type Param = readonly [name: string, key: keyof TcpCubicParams, min: number, max: number];

const WRITABLE: readonly Param[] = [
  ['fast_convergence', 'fastConvergence', 0, INT_MAX],
  ['beta', 'beta', 1, 1023],
  ['initial_ssthresh', 'initialSsthresh', 0, INT_MAX],
  ['tcp_friendliness', 'tcpFriendliness', 0, INT_MAX],
  ['hystart', 'hystart', 0, INT_MAX],
  ['hystart_detect', 'hystartDetect', 0, INT_MAX],
  ['hystart_low_window', 'hystartLowWindow', 0, INT_MAX],
  ['hystart_ack_delta_us', 'hystartAckDeltaUs', 0, INT_MAX],
];

/**
 * Registers CUBIC and its parameters; 0 or a negative errno.
 * @kernel cubictcp_register net/ipv4/tcp_cubic.c
 * @deviation beta above 1023 is refused; in Linux it makes a division by zero.
 */
export function cubictcpRegister(machine: Machine): number {
  const params = machine.netGlobals.tcpCubicParams;
  const entries = WRITABLE.map(([name, key, min, max]) =>
    intEntry(
      name,
      () => params[key],
      (value) => {
        params[key] = value;
      },
      min,
      max,
    ),
  );
  entries.push(intEntry('bic_scale', () => params.bicScale, null));
  machine.params.register('tcp_cubic', entries);
  return tcpRegisterCongestionControl(machine, cubictcp);
}
