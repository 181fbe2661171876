/**
 * The filter of a listing: a program of comparisons that `ss` writes and the kernel runs for each
 * socket. Counterpart: the bytecode part of net/ipv4/inet_diag.c. An instruction is four bytes: code,
 * how far to go on when it holds, how far when it does not; both count from the instruction itself.
 * A program that ends exactly at its end accepts; one that jumps four bytes past it refuses.
 */
import { inetSk, type RequestSock } from '#include/net/inet_connection_sock.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import { SOCK_BINDPORT_LOCK, type Sock } from '#include/net/sock.ts';
import { SOCK_KIND_FULL, SOCK_KIND_REQUEST, type SockCommon } from '#include/net/sock_common.ts';
import { EINVAL } from '#uapi/errno.ts';
import {
  INET_DIAG_BC_AUTO,
  INET_DIAG_BC_D_COND,
  INET_DIAG_BC_D_EQ,
  INET_DIAG_BC_D_GE,
  INET_DIAG_BC_D_LE,
  INET_DIAG_BC_DEV_COND,
  INET_DIAG_BC_JMP,
  INET_DIAG_BC_MARK_COND,
  INET_DIAG_BC_NOP,
  INET_DIAG_BC_S_COND,
  INET_DIAG_BC_S_EQ,
  INET_DIAG_BC_S_GE,
  INET_DIAG_BC_S_LE,
  inetDiagBcOp,
  inetDiagHostcond,
} from '#uapi/inet_diag.ts';
import { AF_INET, AF_INET6, AF_UNSPEC } from '#uapi/socket.ts';

const { LEN: OP } = inetDiagBcOp;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Can `left` bytes before the end be reached by going on where instructions hold? @kernel valid_cc net/ipv4/inet_diag.c */
function validCc(v: DataView, cc: number): boolean {
  for (let at = 0; ; ) {
    const len = v.byteLength - at;
    if (cc > len) return false;
    if (cc === len) return true;
    if (len < OP) return false;
    const yes = inetDiagBcOp.yes(v, at);
    if (yes < OP || (yes & 3) !== 0) return false;
    at += yes;
  }
}

/** Bytes of an address condition; 0: it is damaged. @kernel valid_hostcond net/ipv4/inet_diag.c */
function hostcondLen(v: DataView, at: number): number {
  const cond = at + OP;
  if (cond + inetDiagHostcond.LEN > v.byteLength) return 0;
  const family = inetDiagHostcond.family(v, cond);
  let addrLen = 0;
  if (family === AF_INET) addrLen = 4;
  else if (family === AF_INET6) addrLen = 16;
  else if (family !== AF_UNSPEC) return 0;
  const len = OP + inetDiagHostcond.LEN + addrLen;
  if (at + len > v.byteLength) return 0;
  return inetDiagHostcond.prefixLen(v, cond) > 8 * addrLen ? 0 : len;
}

/** Bytes that an instruction takes with its operand; 0: there is no such one. */
function opLen(v: DataView, at: number): number {
  switch (inetDiagBcOp.code(v, at)) {
    case INET_DIAG_BC_S_COND:
    case INET_DIAG_BC_D_COND:
      return hostcondLen(v, at);
    case INET_DIAG_BC_S_EQ:
    case INET_DIAG_BC_S_GE:
    case INET_DIAG_BC_S_LE:
    case INET_DIAG_BC_D_EQ:
    case INET_DIAG_BC_D_GE:
    case INET_DIAG_BC_D_LE:
      return 2 * OP;
    case INET_DIAG_BC_DEV_COND:
      return OP + 4;
    case INET_DIAG_BC_MARK_COND:
      return OP + 8;
    case INET_DIAG_BC_AUTO:
    case INET_DIAG_BC_JMP:
    case INET_DIAG_BC_NOP:
      return OP;
    default:
      return 0;
  }
}

/**
 * 0, or -EINVAL: a program that reads or jumps outside of itself, or might not end.
 * @kernel inet_diag_bc_audit net/ipv4/inet_diag.c
 */
export function inetDiagBcAudit(bytecode: Uint8Array): number {
  const v = viewOf(bytecode);
  let at = 0;
  if (bytecode.length < OP) return -EINVAL;
  while (at < bytecode.length) {
    const len = bytecode.length - at;
    if (len < OP) return -EINVAL;
    const min = opLen(v, at);
    if (min === 0 || min > len) return -EINVAL;
    const yes = inetDiagBcOp.yes(v, at);
    const no = inetDiagBcOp.no(v, at);
    if (inetDiagBcOp.code(v, at) !== INET_DIAG_BC_NOP) {
      if (no < min || no > len + 4 || (no & 3) !== 0) return -EINVAL;
      if (no < len && !validCc(v, len - no)) return -EINVAL;
    }
    if (yes < min || yes > len + 4 || (yes & 3) !== 0) return -EINVAL;
    at += yes;
  }
  return at === bytecode.length ? 0 : -EINVAL;
}

/** What a filter may ask of a socket. @kernel inet_diag_entry net/ipv4/inet_diag.c */
interface InetDiagEntry {
  readonly family: number;
  readonly saddr: number;
  readonly daddr: number;
  readonly sport: number;
  readonly dport: number;
  readonly ifindex: number;
  readonly userlocks: number;
  readonly mark: number;
}

function entryOf(sk: SockCommon): InetDiagEntry {
  const full = sk.kind === SOCK_KIND_FULL ? inetSk(sk as Sock) : null;
  let mark: number;
  if (full !== null) mark = full.skMark;
  else if (sk.kind === SOCK_KIND_REQUEST) mark = (sk as RequestSock).irMark;
  else mark = (sk as InetTimewaitSock).twMark;
  return {
    family: sk.skcFamily,
    saddr: sk.skcRcvSaddr,
    daddr: sk.skcDaddr,
    sport: sk.skcNum,
    dport: sk.skcDport,
    ifindex: sk.skcBoundDevIf,
    userlocks: full === null ? 0 : full.skUserlocks,
    mark,
  };
}

/** Does an address condition at `cond` hold? @kernel inet_diag_bc_run net/ipv4/inet_diag.c */
function hostcondHolds(
  v: DataView,
  cond: number,
  family: number,
  addr: number,
  port: number,
): boolean {
  const wanted = inetDiagHostcond.port(v, cond);
  if (wanted !== -1 && wanted !== port) return false;
  const wantedFamily = inetDiagHostcond.family(v, cond);
  if (wantedFamily !== AF_UNSPEC && wantedFamily !== family) return false;
  const bits = inetDiagHostcond.prefixLen(v, cond);
  if (bits === 0) return true;
  const mask = bits >= 32 ? -1 : ~(0xffffffff >>> bits);
  return ((v.getUint32(cond + inetDiagHostcond.ADDR) ^ addr) & mask) === 0;
}

/** Does the instruction at `at` hold? @kernel inet_diag_bc_run net/ipv4/inet_diag.c */
function opHolds(v: DataView, at: number, entry: InetDiagEntry): boolean {
  // The port to compare with is in the second instruction's place.
  const port = (): number => inetDiagBcOp.no(v, at + OP);
  switch (inetDiagBcOp.code(v, at)) {
    case INET_DIAG_BC_JMP:
      return false;
    case INET_DIAG_BC_S_EQ:
      return entry.sport === port();
    case INET_DIAG_BC_S_GE:
      return entry.sport >= port();
    case INET_DIAG_BC_S_LE:
      return entry.sport <= port();
    case INET_DIAG_BC_D_EQ:
      return entry.dport === port();
    case INET_DIAG_BC_D_GE:
      return entry.dport >= port();
    case INET_DIAG_BC_D_LE:
      return entry.dport <= port();
    case INET_DIAG_BC_AUTO:
      return (entry.userlocks & SOCK_BINDPORT_LOCK) === 0;
    case INET_DIAG_BC_S_COND:
      return hostcondHolds(v, at + OP, entry.family, entry.saddr, entry.sport);
    case INET_DIAG_BC_D_COND:
      return hostcondHolds(v, at + OP, entry.family, entry.daddr, entry.dport);
    case INET_DIAG_BC_DEV_COND:
      return entry.ifindex === v.getUint32(at + OP, true);
    case INET_DIAG_BC_MARK_COND: {
      const mask = v.getUint32(at + OP + 4, true);
      return (entry.mark & mask) >>> 0 === v.getUint32(at + OP, true);
    }
    default:
      return true;
  }
}

/**
 * Does an audited program accept the socket?
 * @kernel inet_diag_bc_sk net/ipv4/inet_diag.c
 */
export function inetDiagBcSk(bytecode: Uint8Array | null, sk: SockCommon): boolean {
  if (bytecode === null) return true;
  const v = viewOf(bytecode);
  const entry = entryOf(sk);
  let at = 0;
  while (at < bytecode.length) {
    at += opHolds(v, at, entry) ? inetDiagBcOp.yes(v, at) : inetDiagBcOp.no(v, at);
  }
  return at === bytecode.length;
}
