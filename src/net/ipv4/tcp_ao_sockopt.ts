/**
 * The socket options of the TCP authentication option: adding and removing keys, rotation, counters.
 *
 * Counterpart: the setsockopt and getsockopt part of net/ipv4/tcp_ao.c. RFC 5925#3 and #7.5.
 */
import { inetMakeMask } from '#include/linux/inetdevice.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import {
  TCP_AO_CMAC_AES,
  TCP_AO_HMAC_SHA1,
  TcpAoInfo,
  TcpAoKey,
  tcpAoLenAligned,
} from '#include/net/tcp_auth.ts';
import { AesCmac } from '#lib/aes_cmac.ts';
import { skGsoDisable } from '#net/core/sock_clone.ts';
import { sockKfreeS, sockKmalloc } from '#net/core/sock_mem.ts';
import {
  __tcpAoDoLookup,
  TCP_AO_KEY_SIZE,
  tcpAoCacheTrafficKeys,
  tcpAoEstablishedKey,
  tcpAoLinkMkt,
  tcpAoUnlink,
} from '#net/ipv4/tcp_ao.ts';
import { tcpMd5DoLookup } from '#net/ipv4/tcp_md5.ts';
import {
  E2BIG,
  EBUSY,
  EEXIST,
  EINVAL,
  EISCONN,
  EKEYREJECTED,
  EMSGSIZE,
  ENOENT,
  ENOMEM,
  EPERM,
} from '#uapi/errno.ts';
import { sockaddrIn } from '#uapi/in.ts';
import { AF_INET } from '#uapi/socket.ts';
import {
  TCP_AO_ADD_KEY,
  TCP_AO_DEL_KEY,
  TCP_AO_REPAIR,
  TCP_LISTEN,
  TCPF_CLOSE,
  TCPF_LISTEN,
  TCPOLEN_MSS_ALIGNED,
  TCPOLEN_TSTAMP_ALIGNED,
  TCPOLEN_WSCALE_ALIGNED,
} from '#uapi/tcp.ts';
import {
  SOCKADDR_STORAGE_LEN,
  TCP_AO_ALG_NAME_LEN,
  TCP_AO_DEL_ASYNC,
  TCP_AO_GET_ALL,
  TCP_AO_GET_IS_CURRENT,
  TCP_AO_GET_IS_RNEXT,
  TCP_AO_INFO_ACCEPT_ICMPS,
  TCP_AO_INFO_AO_REQUIRED,
  TCP_AO_INFO_SET_COUNTERS,
  TCP_AO_KEYF_ALL,
  TCP_AO_KEYF_IFINDEX,
  TCP_AO_MAXKEYLEN,
  TCP_AO_SET_CURRENT,
  TCP_AO_SET_RNEXT,
  tcpAoAdd,
  tcpAoDel,
  tcpAoGetsockopt,
  tcpAoInfoOpt,
  tcpAoRepair,
} from '#uapi/tcp_auth.ts';

const MAX_TCP_OPTION_SPACE = 40;
const DEFAULT_MACLEN = 12;
const AES_KEY_LEN = 16;
const SET_BITS = TCP_AO_SET_CURRENT | TCP_AO_SET_RNEXT;

/** A structure of `len` octets; one that is longer must end in zeros. */
function takeStruct(optval: Uint8Array, len: number): DataView | number {
  for (let i = len; i < optval.length; i++) if (optval[i] !== 0) return -E2BIG;
  return new DataView(optval.buffer, optval.byteOffset, Math.min(len, optval.length));
}

/** Listeners have no current key: each connection has. @kernel tcp_ao_can_set_current_rnext net/ipv4/tcp_ao.c */
const canSetCurrentRnext = (sk: Sock): boolean => sk.skcState !== TCP_LISTEN;

/** The octets of a field up to the first zero. */
function cString(optval: Uint8Array, at: number, len: number): string {
  let text = '';
  for (let i = at; i < at + len - 1 && optval[i] !== 0; i++)
    text += String.fromCharCode(optval[i]!);
  return text;
}

// ---- Adding ------------------------------------------------------------------------------------

/** The peer's address and prefix; a negative errno when they make no sense. @kernel tcp_ao_verify_ipv4 net/ipv4/tcp_ao.c */
function verifyIpv4(sk: Sock, cmd: DataView, prefix: number): number {
  if (sockaddrIn.family(cmd, 0) !== AF_INET) return -EINVAL;
  if (sockaddrIn.port(cmd, 0) !== 0) return -EINVAL;
  const addr = sockaddrIn.addr(cmd, 0);
  if (prefix === 0) return addr === 0 ? 0 : -EINVAL;
  if (addr === 0 || prefix > 32) return -EINVAL;
  const mask = inetMakeMask(prefix);
  if ((addr & ~mask) !== 0) return -EINVAL;
  // Only a key for the peer of the connection can be of use to it.
  const open = ((1 << sk.skcState) & (TCPF_CLOSE | TCPF_LISTEN)) === 0;
  return open && ((sk.skcDaddr ^ addr) & mask) !== 0 ? -EINVAL : 0;
}

/** The master key in the form that its algorithm takes. @kernel tcp_ao_parse_crypto net/ipv4/tcp_ao.c @rfc 5926#3.1.1.2 */
function cryptoKey(algorithm: string, key: Uint8Array): Uint8Array {
  if (algorithm !== TCP_AO_CMAC_AES || key.length === AES_KEY_LEN) return key.slice();
  const out = new Uint8Array(AES_KEY_LEN);
  const cmac = new AesCmac();
  cmac.setKey(out);
  cmac.update(key, 0, key.length);
  cmac.final(out, 0);
  return out;
}

/** Name of an algorithm as the kernel keeps it; null: not known. */
function algorithmOf(name: string): string | null {
  if (name === 'cmac(aes128)' || name === TCP_AO_CMAC_AES) return TCP_AO_CMAC_AES;
  return name === TCP_AO_HMAC_SHA1 ? name : null;
}

/** @kernel tcp_ao_key_alloc net/ipv4/tcp_ao.c */
function keyOf(cmd: DataView, optval: Uint8Array): TcpAoKey | number {
  const algorithm = algorithmOf(cString(optval, tcpAoAdd.ALG_NAME, TCP_AO_ALG_NAME_LEN));
  if (algorithm === null) return -ENOENT;
  const maclen = tcpAoAdd.maclen(cmd) || DEFAULT_MACLEN;
  if (maclen > (algorithm === TCP_AO_HMAC_SHA1 ? 20 : 16)) return -EINVAL;
  const master = optval.subarray(tcpAoAdd.KEY, tcpAoAdd.KEY + tcpAoAdd.keylen(cmd));
  const key = new TcpAoKey(
    {
      addr: sockaddrIn.addr(cmd, 0),
      prefixlen: tcpAoAdd.prefix(cmd),
      keyflags: tcpAoAdd.keyflags(cmd),
      sndid: tcpAoAdd.sndid(cmd),
      rcvid: tcpAoAdd.rcvid(cmd),
    },
    algorithm,
    maclen,
    cryptoKey(algorithm, master),
  );
  // A SYN must keep room for MSS, timestamps and window scale.
  const room =
    MAX_TCP_OPTION_SPACE - TCPOLEN_MSS_ALIGNED - TCPOLEN_TSTAMP_ALIGNED - TCPOLEN_WSCALE_ALIGNED;
  return tcpAoLenAligned(key) > room ? -EMSGSIZE : key;
}

/** The checks of tcp_ao_add_cmd() that need no key yet. */
function checkAdd(sk: Sock, cmd: DataView): number {
  const keyflags = tcpAoAdd.keyflags(cmd);
  const bits = tcpAoAdd.bits(cmd);
  if (tcpAoAdd.keylen(cmd) > TCP_AO_MAXKEYLEN) return -EINVAL;
  if ((bits & ~SET_BITS) !== 0 || tcpAoAdd.reserved2(cmd) !== 0) return -EINVAL;
  const err = verifyIpv4(sk, cmd, tcpAoAdd.prefix(cmd));
  if (err !== 0) return err;
  if ((keyflags & ~TCP_AO_KEYF_ALL) !== 0) return -EINVAL;
  if ((bits & SET_BITS) !== 0 && !canSetCurrentRnext(sk)) return -EINVAL;
  // The index must be that of an L3 master device, of which there is no kind here.
  if (tcpAoAdd.ifindex(cmd) !== 0) return -EINVAL;
  if (tcpMd5DoLookup(sk, sockaddrIn.addr(cmd, 0)) !== null) return -EKEYREJECTED;
  return 0;
}

/** @kernel tcp_ao_add_cmd net/ipv4/tcp_ao.c */
function tcpAoAddCmd(sk: Sock, optval: Uint8Array): number {
  const tp = tcpSk(sk);
  if (optval.length < tcpAoAdd.LEN) return -EINVAL;
  const cmd = takeStruct(optval, tcpAoAdd.LEN);
  if (typeof cmd === 'number') return cmd;
  const err = checkAdd(sk, cmd);
  if (err !== 0) return err;
  const addr = sockaddrIn.addr(cmd, 0);
  const prefix = tcpAoAdd.prefix(cmd);
  const first = tp.aoInfo === null;
  // RFC 5925#3.1: the KeyIDs of keys for the same peer must differ, in both directions.
  if (__tcpAoDoLookup(sk, addr, prefix, -1, tcpAoAdd.rcvid(cmd)) !== null) return -EEXIST;
  if (__tcpAoDoLookup(sk, addr, prefix, tcpAoAdd.sndid(cmd), -1) !== null) return -EEXIST;
  const key = keyOf(cmd, optval);
  if (typeof key === 'number') return key;
  if (!sockKmalloc(sk, TCP_AO_KEY_SIZE)) return -ENOMEM;
  const info = tp.aoInfo ?? new TcpAoInfo();
  if (((1 << sk.skcState) & (TCPF_LISTEN | TCPF_CLOSE)) === 0) {
    tcpAoCacheTrafficKeys(sk, info, key);
    if (first) {
      info.currentKey = key;
      info.rnextKey = key;
    }
  }
  tcpAoLinkMkt(info, key);
  attach(sk, info);
  const bits = tcpAoAdd.bits(cmd);
  if ((bits & TCP_AO_SET_CURRENT) !== 0) info.currentKey = key;
  if ((bits & TCP_AO_SET_RNEXT) !== 0) info.rnextKey = key;
  return 0;
}

/** From now on the socket signs. */
function attach(sk: Sock, info: TcpAoInfo): void {
  const tp = tcpSk(sk);
  if (tp.aoInfo !== null) return;
  skGsoDisable(sk);
  tp.aoInfo = info;
}

// ---- Removing ----------------------------------------------------------------------------------

/** The keys that a command names as the next current and receive-next; a negative errno: not there. */
function namedKeys(
  info: TcpAoInfo,
  bits: number,
  currentId: number,
  rnextId: number,
): { current: TcpAoKey | null; rnext: TcpAoKey | null } | number {
  const setCurrent = (bits & TCP_AO_SET_CURRENT) !== 0;
  const setRnext = (bits & TCP_AO_SET_RNEXT) !== 0;
  const current = setCurrent ? tcpAoEstablishedKey(info, currentId, -1) : null;
  const rnext = setRnext ? tcpAoEstablishedKey(info, -1, rnextId) : null;
  if ((setCurrent && current === null) || (setRnext && rnext === null)) return -ENOENT;
  return { current, rnext };
}

/** A key that is in use stays. @kernel tcp_ao_delete_key net/ipv4/tcp_ao.c */
function deleteKey(
  sk: Sock,
  info: TcpAoInfo,
  key: TcpAoKey,
  named: { current: TcpAoKey | null; rnext: TcpAoKey | null },
): number {
  tcpAoUnlink(info, key);
  if (named.current !== null) info.currentKey = named.current;
  if (named.rnext !== null) info.rnextKey = named.rnext;
  if (info.currentKey === key || info.rnextKey === key) {
    tcpAoLinkMkt(info, key);
    return -EBUSY;
  }
  sockKfreeS(sk, TCP_AO_KEY_SIZE);
  return 0;
}

/** @kernel tcp_ao_del_cmd net/ipv4/tcp_ao.c */
function tcpAoDelCmd(sk: Sock, optval: Uint8Array): number {
  if (optval.length < tcpAoDel.LEN) return -EINVAL;
  const cmd = takeStruct(optval, tcpAoDel.LEN);
  if (typeof cmd === 'number') return cmd;
  const bits = tcpAoDel.bits(cmd);
  const asyncDel = (bits & TCP_AO_DEL_ASYNC) !== 0;
  const keyflags = tcpAoDel.keyflags(cmd);
  if ((bits & ~(SET_BITS | TCP_AO_DEL_ASYNC)) !== 0 || tcpAoDel.reserved2(cmd) !== 0) {
    return -EINVAL;
  }
  if ((bits & SET_BITS) !== 0 && !canSetCurrentRnext(sk)) return -EINVAL;
  if ((keyflags & ~TCP_AO_KEYF_ALL) !== 0) return -EINVAL;
  const info = tcpSk(sk).aoInfo;
  if (info === null) return -ENOENT;
  if (sockaddrIn.family(cmd, 0) !== AF_INET || sockaddrIn.port(cmd, 0) !== 0) return -EINVAL;
  const named = namedKeys(info, bits, tcpAoDel.currentKey(cmd), tcpAoDel.rnext(cmd));
  if (typeof named === 'number') return named;
  if (asyncDel && sk.skcState !== TCP_LISTEN) return -EINVAL;
  for (let key = info.head; key !== null; key = key.next) {
    if (key.sndid !== tcpAoDel.sndid(cmd) || key.rcvid !== tcpAoDel.rcvid(cmd)) continue;
    if (key.prefixlen !== tcpAoDel.prefix(cmd) || key.addr !== sockaddrIn.addr(cmd, 0)) continue;
    if (((key.keyflags ^ keyflags) & TCP_AO_KEYF_IFINDEX) !== 0) continue;
    if (key === named.current || key === named.rnext) continue;
    return deleteKey(sk, info, key, named);
  }
  return -ENOENT;
}

// ---- State and counters ------------------------------------------------------------------------

/** A count of up to 2^53 from two halves. */
const getU64 = (v: DataView, at: number): number =>
  v.getUint32(at + 4, true) * 0x100000000 + v.getUint32(at, true);

function putU64(v: DataView, at: number, x: number): void {
  v.setUint32(at, x % 0x100000000, true);
  v.setUint32(at + 4, Math.floor(x / 0x100000000), true);
}

/** @kernel tcp_ao_info_cmd net/ipv4/tcp_ao.c */
function tcpAoInfoCmd(sk: Sock, optval: Uint8Array): number {
  const tp = tcpSk(sk);
  if (optval.length < tcpAoInfoOpt.LEN) return -EINVAL;
  const cmd = takeStruct(optval, tcpAoInfoOpt.LEN);
  if (typeof cmd === 'number') return cmd;
  const bits = tcpAoInfoOpt.bits(cmd);
  if ((bits & SET_BITS) !== 0 && !canSetCurrentRnext(sk)) return -EINVAL;
  const known =
    SET_BITS | TCP_AO_INFO_AO_REQUIRED | TCP_AO_INFO_SET_COUNTERS | TCP_AO_INFO_ACCEPT_ICMPS;
  if ((bits & ~known) !== 0 || tcpAoInfoOpt.reserved2(cmd) !== 0) return -EINVAL;
  const info = tp.aoInfo ?? new TcpAoInfo();
  const required = (bits & TCP_AO_INFO_AO_REQUIRED) !== 0;
  if (required && tp.md5sigInfo !== null && tp.md5sigInfo.head !== null) return -EKEYREJECTED;
  const named = namedKeys(info, bits, tcpAoInfoOpt.currentKey(cmd), tcpAoInfoOpt.rnext(cmd));
  if (typeof named === 'number') return named;
  if ((bits & TCP_AO_INFO_SET_COUNTERS) !== 0) {
    info.pktGood = getU64(cmd, tcpAoInfoOpt.PKT_GOOD);
    info.pktBad = getU64(cmd, tcpAoInfoOpt.PKT_GOOD + 8);
    info.keyNotFound = getU64(cmd, tcpAoInfoOpt.PKT_GOOD + 16);
    info.aoRequiredCount = getU64(cmd, tcpAoInfoOpt.PKT_GOOD + 24);
    info.droppedIcmp = getU64(cmd, tcpAoInfoOpt.PKT_GOOD + 32);
  }
  info.aoRequired = required;
  info.acceptIcmps = (bits & TCP_AO_INFO_ACCEPT_ICMPS) !== 0;
  if (named.current !== null) info.currentKey = named.current;
  if (named.rnext !== null) info.rnextKey = named.rnext;
  attach(sk, info);
  return 0;
}

/** @kernel tcp_ao_set_repair net/ipv4/tcp_ao.c */
function tcpAoSetRepair(sk: Sock, optval: Uint8Array): number {
  const tp = tcpSk(sk);
  if (optval.length < tcpAoRepair.LEN) return -EINVAL;
  const cmd = takeStruct(optval, tcpAoRepair.LEN);
  if (typeof cmd === 'number') return cmd;
  if (!tp.repair) return -EPERM;
  const info = tp.aoInfo;
  if (info === null) return -ENOENT;
  info.lisn = tcpAoRepair.sntIsn(cmd);
  info.risn = tcpAoRepair.rcvIsn(cmd);
  info.sndSne = tcpAoRepair.sndSne(cmd);
  info.rcvSne = tcpAoRepair.rcvSne(cmd);
  for (let key = info.head; key !== null; key = key.next) tcpAoCacheTrafficKeys(sk, info, key);
  return 0;
}

/**
 * TCP_AO_ADD_KEY, _DEL_KEY, _INFO, _REPAIR. The first of them comes before the connection, since
 * whether it is signed is settled by its SYN.
 * @kernel tcp_parse_ao net/ipv4/tcp_ao.c
 */
export function tcpParseAo(sk: Sock, optname: number, optval: Uint8Array): number {
  const tp = tcpSk(sk);
  if (optname === TCP_AO_REPAIR) return tcpAoSetRepair(sk, optval);
  const fresh = ((1 << sk.skcState) & (TCPF_LISTEN | TCPF_CLOSE)) !== 0;
  if (!tp.repair && !fresh && tp.aoInfo === null) return -EISCONN;
  if (optname === TCP_AO_ADD_KEY) return tcpAoAddCmd(sk, optval);
  if (optname === TCP_AO_DEL_KEY) return tcpAoDelCmd(sk, optval);
  return tcpAoInfoCmd(sk, optval);
}

// ---- Reading -----------------------------------------------------------------------------------

/** Writes one key at `at`; only what fits into `size` octets goes out. @kernel tcp_ao_copy_mkts_to_user net/ipv4/tcp_ao.c */
function putKey(
  info: TcpAoInfo,
  key: TcpAoKey,
  optval: Uint8Array,
  at: number,
  size: number,
): void {
  const out = new Uint8Array(tcpAoGetsockopt.LEN);
  const v = new DataView(out.buffer);
  v.setUint16(0, AF_INET, true);
  v.setUint32(4, key.addr);
  for (let i = 0; i < key.algorithm.length; i++) {
    out[tcpAoGetsockopt.ALG_NAME + i] = key.algorithm.charCodeAt(i);
  }
  out.set(key.key, tcpAoGetsockopt.KEY);
  tcpAoGetsockopt.setBits(
    v,
    (info.currentKey === key ? TCP_AO_GET_IS_CURRENT : 0) |
      (info.rnextKey === key ? TCP_AO_GET_IS_RNEXT : 0),
  );
  out[tcpAoGetsockopt.SNDID] = key.sndid;
  out[tcpAoGetsockopt.RCVID] = key.rcvid;
  out[tcpAoGetsockopt.PREFIX] = key.prefixlen;
  out[tcpAoGetsockopt.MACLEN] = key.maclen;
  out[tcpAoGetsockopt.KEYFLAGS] = key.keyflags;
  out[tcpAoGetsockopt.KEYLEN] = key.key.length;
  putU64(v, tcpAoGetsockopt.PKT_GOOD, key.pktGood);
  putU64(v, tcpAoGetsockopt.PKT_BAD, key.pktBad);
  optval.set(out.subarray(0, size), at);
}

/** Does the key answer the question in `cmd`? */
function keyAsked(info: TcpAoInfo, key: TcpAoKey, cmd: DataView): boolean {
  const bits = tcpAoGetsockopt.bits(cmd);
  if ((bits & TCP_AO_GET_ALL) !== 0) return true;
  if ((bits & (TCP_AO_GET_IS_CURRENT | TCP_AO_GET_IS_RNEXT)) !== 0) {
    return (
      ((bits & TCP_AO_GET_IS_CURRENT) !== 0 && key === info.currentKey) ||
      ((bits & TCP_AO_GET_IS_RNEXT) !== 0 && key === info.rnextKey)
    );
  }
  if (key.sndid !== tcpAoGetsockopt.sndid(cmd) || key.rcvid !== tcpAoGetsockopt.rcvid(cmd)) {
    return false;
  }
  const mask = inetMakeMask(Math.min(tcpAoGetsockopt.prefix(cmd), key.prefixlen));
  return ((key.addr ^ sockaddrIn.addr(cmd, 0)) & mask) === 0;
}

/** Makes sense of the question; a negative errno when there is none. */
function checkGet(cmd: DataView): number {
  const bits = tcpAoGetsockopt.bits(cmd);
  const keyflags = tcpAoGetsockopt.keyflags(cmd);
  const one = TCP_AO_GET_IS_CURRENT | TCP_AO_GET_IS_RNEXT;
  if ((bits & ~(one | TCP_AO_GET_ALL)) !== 0) return -EINVAL;
  if (getU64(cmd, tcpAoGetsockopt.PKT_GOOD) !== 0) return -EINVAL;
  if (getU64(cmd, tcpAoGetsockopt.PKT_BAD) !== 0) return -EINVAL;
  if ((keyflags & ~TCP_AO_KEYF_IFINDEX) !== 0) return -EINVAL;
  if (tcpAoGetsockopt.ifindex(cmd) !== 0 && keyflags === 0) return -EINVAL;
  const all = (bits & TCP_AO_GET_ALL) !== 0;
  if (all || (bits & one) !== 0) {
    if (all && (bits & one) !== 0) return -EINVAL;
    return 0;
  }
  const family = sockaddrIn.family(cmd, 0);
  if (family !== AF_INET || sockaddrIn.port(cmd, 0) !== 0) return -EINVAL;
  return tcpAoGetsockopt.prefix(cmd) > 32 ? -EINVAL : 0;
}

/**
 * TCP_AO_GET_KEYS: `optval` holds the question, and gets as many keys as it asked for, one behind the
 * other. Returns the octets of one record.
 * @kernel tcp_ao_get_mkts net/ipv4/tcp_ao.c
 */
export function tcpAoGetMkts(sk: Sock, optval: Uint8Array): number {
  if (optval.length === 0) return -EINVAL;
  const question = new Uint8Array(tcpAoGetsockopt.LEN);
  const size = Math.min(optval.length, tcpAoGetsockopt.LEN);
  question.set(optval.subarray(0, size));
  const cmd = new DataView(question.buffer);
  const info = tcpSk(sk).aoInfo;
  if (info === null) return -ENOENT;
  const err = checkGet(cmd);
  if (err !== 0) return err;
  const max = tcpAoGetsockopt.nkeys(cmd);
  let matched = 0;
  for (let key = info.head; key !== null; key = key.next) {
    if (!keyAsked(info, key, cmd)) continue;
    const at = matched * size;
    if (matched++ < max && at + size <= optval.length) putKey(info, key, optval, at, size);
  }
  const v = new DataView(optval.buffer, optval.byteOffset, optval.byteLength);
  if (size >= SOCKADDR_STORAGE_LEN + 148) tcpAoGetsockopt.setNkeys(v, matched);
  return size;
}

/** TCP_AO_INFO. @kernel tcp_ao_get_sock_info net/ipv4/tcp_ao.c */
export function tcpAoGetSockInfo(sk: Sock, optval: Uint8Array): number {
  if (optval.length === 0) return -EINVAL;
  const info = tcpSk(sk).aoInfo;
  if (info === null) return -ENOENT;
  const out = new Uint8Array(tcpAoInfoOpt.LEN);
  const v = new DataView(out.buffer);
  let bits = info.aoRequired ? TCP_AO_INFO_AO_REQUIRED : 0;
  if (info.acceptIcmps) bits |= TCP_AO_INFO_ACCEPT_ICMPS;
  if (info.currentKey !== null) {
    bits |= TCP_AO_SET_CURRENT;
    tcpAoInfoOpt.setCurrentKey(v, info.currentKey.sndid);
  }
  if (info.rnextKey !== null) {
    bits |= TCP_AO_SET_RNEXT;
    tcpAoInfoOpt.setRnext(v, info.rnextKey.rcvid);
  }
  tcpAoInfoOpt.setBits(v, bits);
  const counts = [info.pktGood, info.pktBad, info.keyNotFound, info.aoRequiredCount];
  for (const [i, count] of [...counts, info.droppedIcmp].entries()) {
    putU64(v, tcpAoInfoOpt.PKT_GOOD + 8 * i, count);
  }
  const size = Math.min(optval.length, out.length);
  optval.set(out.subarray(0, size));
  return size;
}

/** TCP_AO_REPAIR. @kernel tcp_ao_get_repair net/ipv4/tcp_ao.c */
export function tcpAoGetRepair(sk: Sock, optval: Uint8Array): number {
  const tp = tcpSk(sk);
  if (optval.length === 0) return -EINVAL;
  if (!tp.repair) return -EPERM;
  const info = tp.aoInfo;
  const v = new DataView(new ArrayBuffer(tcpAoRepair.LEN));
  if (info !== null) {
    v.setInt32(0, info.lisn);
    v.setInt32(4, info.risn);
    v.setUint32(8, info.sndSne, true);
    v.setUint32(12, info.rcvSne, true);
  }
  const size = Math.min(optval.length, tcpAoRepair.LEN);
  optval.set(new Uint8Array(v.buffer, 0, size));
  return size;
}
