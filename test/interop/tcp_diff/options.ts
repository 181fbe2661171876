/*
 * Settings that scenarios draw from.
 */

import type { Prandom } from '#lib/prandom.ts';
import {
  SO_KEEPALIVE,
  SO_LINGER,
  SO_OOBINLINE,
  SO_RCVBUF,
  SO_RCVLOWAT,
  SO_SNDBUF,
  SOL_SOCKET,
  SOL_TCP,
} from '#uapi/socket.ts';
import * as tcp from '#uapi/tcp.ts';
import type { Call, Which } from './events.ts';

/** Values as they are written; the first stands for what is there by default. */
const SYSCTLS: readonly (readonly [name: string, values: readonly string[]])[] = [
  ['tcp_sack', ['0']],
  ['tcp_dsack', ['0']],
  ['tcp_timestamps', ['0', '2']],
  ['tcp_window_scaling', ['0']],
  ['tcp_ecn', ['0', '1']],
  ['tcp_ecn_fallback', ['0']],
  ['tcp_fastopen', ['0', '1543', '519']],
  ['tcp_recovery', ['0', '2', '4', '3']],
  ['tcp_early_retrans', ['0', '4']],
  ['tcp_frto', ['0']],
  ['tcp_slow_start_after_idle', ['0']],
  ['tcp_abort_on_overflow', ['1']],
  ['tcp_rfc1337', ['1']],
  ['tcp_syncookies', ['0', '2']],
  ['tcp_thin_linear_timeouts', ['1']],
  ['tcp_no_metrics_save', ['1']],
  ['tcp_mtu_probing', ['1', '2']],
  ['tcp_min_snd_mss', ['500']],
  ['tcp_autocorking', ['0']],
  ['tcp_invalid_ratelimit', ['0', '2000']],
  ['tcp_adv_win_scale', ['-2', '2']],
  ['tcp_shrink_window', ['1']],
  ['tcp_moderate_rcvbuf', ['0']],
  ['tcp_reordering', ['2', '10']],
  ['tcp_max_reordering', ['4']],
  ['tcp_stdurg', ['1']],
  ['tcp_notsent_lowat', ['4000']],
  ['tcp_pingpong_thresh', ['3']],
  ['tcp_retries1', ['1']],
  ['tcp_retries2', ['2', '3']],
  ['tcp_syn_retries', ['1']],
  ['tcp_synack_retries', ['1']],
  ['tcp_orphan_retries', ['1']],
  ['tcp_fin_timeout', ['1']],
  ['tcp_rto_min_us', ['50000', '300000']],
  ['tcp_rto_max_ms', ['1000']],
  ['tcp_rmem', ['4096 8192 16384', '4096 65536 131072', '4096 4096 4096']],
  ['tcp_wmem', ['4096 8192 16384', '4096 65536 131072']],
  ['tcp_workaround_signed_windows', ['1']],
  ['tcp_retrans_collapse', ['0']],
  ['tcp_limit_output_bytes', ['10000']],
  ['tcp_reflect_tos', ['1']],
  ['ip_no_pmtu_disc', ['1', '2', '3']],
  ['tcp_tw_reuse', ['0']],
  ['tcp_challenge_ack_limit', ['3']],
  ['tcp_syn_linear_timeouts', ['0']],
];

/** A few settings that are not the default; mostly none. @param roomy send buffers shall never fill */
export function randomSysctls(rng: Prandom, roomy: boolean): (readonly [string, string])[] {
  const count = rng.chance(0.4) ? 0 : rng.between(1, 4);
  // Compressed ACKs come after a share of the RTT that differs between versions.
  const drawn = new Map([['tcp_comp_sack_nr', '0']]);
  for (let i = 0; i < count; i++) {
    const [name, values] = SYSCTLS[rng.below(SYSCTLS.length)] as (typeof SYSCTLS)[number];
    drawn.set(name, values[rng.below(values.length)] as string);
  }
  if (roomy) drawn.set('tcp_wmem', '4096 4194304 4194304');
  return [...drawn];
}

type Value = readonly number[] | string;

const SOCKET_OPTIONS: readonly (readonly [
  level: number,
  optname: number,
  values: readonly Value[],
])[] = [
  [SOL_TCP, tcp.TCP_NODELAY, [[1], [0]]],
  [SOL_TCP, tcp.TCP_CORK, [[1], [0]]],
  [SOL_TCP, tcp.TCP_MAXSEG, [[500], [1000], [88], [87], [40000]]],
  [SOL_TCP, tcp.TCP_KEEPIDLE, [[1], [2], [0]]],
  [SOL_TCP, tcp.TCP_KEEPINTVL, [[1]]],
  [SOL_TCP, tcp.TCP_KEEPCNT, [[1], [2], [128]]],
  [SOL_TCP, tcp.TCP_SYNCNT, [[1], [2], [0]]],
  [SOL_TCP, tcp.TCP_LINGER2, [[1], [-1], [0]]],
  [SOL_TCP, tcp.TCP_DEFER_ACCEPT, [[1], [3]]],
  [SOL_TCP, tcp.TCP_WINDOW_CLAMP, [[1000], [5000], [0], [100000]]],
  [SOL_TCP, tcp.TCP_QUICKACK, [[1], [0], [2]]],
  [SOL_TCP, tcp.TCP_CONGESTION, ['reno', 'cubic', 'bbr', 'none']],
  [SOL_TCP, tcp.TCP_USER_TIMEOUT, [[500], [2000], [-1]]],
  [SOL_TCP, tcp.TCP_THIN_LINEAR_TIMEOUTS, [[1]]],
  [SOL_TCP, tcp.TCP_NOTSENT_LOWAT, [[1000], [10000]]],
  [SOL_TCP, tcp.TCP_FASTOPEN, [[5]]],
  [SOL_TCP, tcp.TCP_SAVE_SYN, [[1]]],
  [SOL_SOCKET, SO_KEEPALIVE, [[1], [0]]],
  [
    SOL_SOCKET,
    SO_LINGER,
    [
      [1, 0],
      [0, 0],
    ],
  ],
  [SOL_SOCKET, SO_OOBINLINE, [[1]]],
  [SOL_SOCKET, SO_RCVBUF, [[1000], [5000], [20000], [200000]]],
  [SOL_SOCKET, SO_SNDBUF, [[1000], [10000], [50000]]],
  [SOL_SOCKET, SO_RCVLOWAT, [[1], [500], [10000], [100000]]],
];

const READ_OPTIONS: readonly (readonly [level: number, optname: number])[] = [
  [SOL_TCP, tcp.TCP_MAXSEG],
  [SOL_TCP, tcp.TCP_WINDOW_CLAMP],
  [SOL_TCP, tcp.TCP_DEFER_ACCEPT],
  [SOL_TCP, tcp.TCP_LINGER2],
  [SOL_TCP, tcp.TCP_KEEPIDLE],
  [SOL_TCP, tcp.TCP_USER_TIMEOUT],
  [SOL_TCP, tcp.TCP_QUICKACK],
  [SOL_TCP, tcp.TCP_SYNCNT],
  [SOL_TCP, tcp.TCP_NOTSENT_LOWAT],
  [SOL_SOCKET, SO_RCVBUF],
  [SOL_SOCKET, SO_SNDBUF],
  [SOL_SOCKET, SO_RCVLOWAT],
  [SOL_SOCKET, 4],
];

/** A socket option set, or read. @param roomy send buffers stay as they are */
export function randomSocketOption(rng: Prandom, which: Which, roomy: boolean): Call {
  if (which === 'socket' && rng.chance(0.25)) {
    const [level, optname] = READ_OPTIONS[rng.below(READ_OPTIONS.length)] as readonly [
      number,
      number,
    ];
    return { name: 'getsockopt', level, optname };
  }
  const [level, optname, values] = SOCKET_OPTIONS[
    rng.below(SOCKET_OPTIONS.length)
  ] as (typeof SOCKET_OPTIONS)[number];
  const value = values[rng.below(values.length)] as Value;
  if (roomy && level === SOL_SOCKET && optname === SO_SNDBUF) {
    return { name: 'getsockopt', level, optname };
  }
  return { name: 'setsockopt', which, level, optname, value };
}
