/**
 * The AccECN option of outgoing segments: whether, how long, and its bytes.
 *
 * Counterpart: the AccECN part of net/ipv4/tcp_output.c. RFC 9768#3.2.3. The fields go in order 1,
 * ECT(1), CE, ECT(0), so that what a low-latency flow changes comes first and the rest may be cut.
 * The option has 2, 5, 8 or 11 octets; what it lacks to a word may replace the NOPs of another one.
 */
import type { TcpSock } from '#include/linux/tcp.ts';
import {
  TCP_ACCECN_CEB_INIT_OFFSET,
  TCP_ACCECN_E0B_INIT_OFFSET,
  TCP_ACCECN_E1B_INIT_OFFSET,
  TCP_ACCECN_MAXSIZE,
  TCP_ACCECN_NUMFIELDS,
  TCP_ACCECN_OPT_FAIL_SEND,
  TCP_ACCECN_OPT_NOT_SEEN,
  TCP_ACCECN_OPTION_DISABLED,
  TCP_ACCECN_OPTION_FULL,
  TCP_ACCECN_OPTION_PERSIST,
  tcpAccecnOptionBeaconCheck,
  tcpEcnModeAccecn,
} from '#include/net/tcp_ecn.ts';
import {
  OPTION_ACCECN,
  OPTION_SACK_ADVERTISE,
  OPTION_TS,
  OPTION_WSCALE,
  type TcpOutOptions,
} from '#include/net/tcp_out_options.ts';
import { view } from '#mm/memory.ts';
import {
  TCPOLEN_ACCECN_BASE,
  TCPOLEN_ACCECN_PERFIELD,
  TCPOLEN_SACK_PERBLOCK,
  TCPOPT_ACCECN1,
  TCPOPT_NOP,
} from '#uapi/tcp.ts';

/** Octets of padding in front of the options behind that may be used. @kernel tcp_synack_options_combine_saving net/ipv4/tcp_output.c */
function combineSaving(opts: TcpOutOptions): number {
  if (!opts.useSynackEcnBytes) return opts.numSackBlocks > 0 ? 2 : 0;
  const two = OPTION_SACK_ADVERTISE | OPTION_TS;
  if ((opts.options & two) === OPTION_SACK_ADVERTISE) return 2;
  return (opts.options & OPTION_WSCALE) !== 0 ? 1 : 0;
}

/**
 * Fits as many fields as possible, at least `required`, into `remaining` octets, at the cost of SACK
 * blocks beyond two where there is no other way. Returns the octets that are taken, net of the blocks
 * given up; 0: it does not fit.
 * @kernel tcp_options_fit_accecn net/ipv4/tcp_output.c
 */
export function tcpOptionsFitAccecn(
  opts: TcpOutOptions,
  required: number,
  remaining: number,
): number {
  const saving = combineSaving(opts);
  let size = TCP_ACCECN_MAXSIZE;
  let fields = TCP_ACCECN_NUMFIELDS;
  let blocks = opts.numSackBlocks;
  let room = remaining;
  while (fields >= required) {
    // What does not fill a word goes into somebody else's padding, or is padded itself.
    const aligned = (size & 3) > saving ? (size + 3) & ~3 : size & ~3;
    if (room >= aligned) {
      opts.numAccecnFields = fields;
      opts.options |= OPTION_ACCECN;
      const given = opts.numSackBlocks - blocks;
      opts.numSackBlocks = blocks;
      return aligned - given * TCPOLEN_SACK_PERBLOCK;
    }
    if (fields === required && required > 0 && blocks > 2) {
      blocks--;
      room += TCPOLEN_SACK_PERBLOCK;
      fields = TCP_ACCECN_NUMFIELDS;
      size = TCP_ACCECN_MAXSIZE;
    } else {
      fields--;
      size -= TCPOLEN_ACCECN_PERFIELD;
    }
  }
  opts.numAccecnFields = 0;
  return 0;
}

/** Does the next segment of an open connection want the option? @kernel tcp_established_options net/ipv4/tcp_output.c */
export function tcpAccecnOptionDue(tp: TcpSock): boolean {
  if (!tcpEcnModeAccecn(tp)) return false;
  const setting = tp.net.ipv4.sysctlTcpEcnOption;
  // Where the peer's options do not come through, ours would not either.
  if (setting === TCP_ACCECN_OPTION_DISABLED || tp.sawAccecnOpt === TCP_ACCECN_OPT_NOT_SEEN) {
    return false;
  }
  const failed = (tp.accecnFailMode & TCP_ACCECN_OPT_FAIL_SEND) !== 0;
  if (failed && setting < TCP_ACCECN_OPTION_PERSIST) return false;
  return (
    setting >= TCP_ACCECN_OPTION_FULL || tp.accecnOptDemand > 0 || tcpAccecnOptionBeaconCheck(tp)
  );
}

/** Notes for the rules of sending that an option has gone out, or not. */
function optionSent(tp: TcpSock): void {
  tp.accecnMinlen = 0;
  tp.accecnOptTstamp = tp.tcpMstamp;
  tp.accecnOptSentWDsack = tp.rxOpt.dsack;
  if (tp.accecnOptDemand > 0) tp.accecnOptDemand--;
}

/**
 * Writes the whole words of the option; what is left over goes to `opts.leftoverHigh` and `Low`, NOP
 * where nothing is. `tp` null: a SYN-ACK, whose counters are at their start. Returns the next free
 * address.
 * @kernel tcp_options_write net/ipv4/tcp_output.c
 */
export function writeAccecn(ptr: number, tp: TcpSock | null, opts: TcpOutOptions): number {
  const fresh = tp === null || opts.useSynackEcnBytes;
  const e1b = (fresh ? 0 : tp.receivedEct1Bytes) + TCP_ACCECN_E1B_INIT_OFFSET;
  const ceb = (fresh ? 0 : tp.receivedCeBytes) + TCP_ACCECN_CEB_INIT_OFFSET;
  const e0b = (fresh ? 0 : tp.receivedEct0Bytes) + TCP_ACCECN_E0B_INIT_OFFSET;
  const fields = opts.numAccecnFields;
  const len = TCPOLEN_ACCECN_BASE + fields * TCPOLEN_ACCECN_PERFIELD;
  let at = ptr;
  opts.leftoverHigh = TCPOPT_NOP;
  opts.leftoverLow = TCPOPT_NOP;
  if (fields === 0) {
    opts.leftoverHigh = TCPOPT_ACCECN1;
    opts.leftoverLow = len;
  } else {
    view.setInt32(at, (TCPOPT_ACCECN1 << 24) | (len << 16) | ((e1b >>> 8) & 0xffff));
    at += 4;
    if (fields === 1) {
      opts.leftoverHigh = e1b & 0xff;
    } else {
      view.setInt32(at, ((e1b & 0xff) << 24) | (ceb & 0xffffff));
      at += 4;
    }
    if (fields === 3) {
      view.setInt32(at, ((e0b & 0xffffff) << 8) | TCPOPT_NOP);
      at += 4;
    }
  }
  if (tp !== null) optionSent(tp);
  return at;
}
