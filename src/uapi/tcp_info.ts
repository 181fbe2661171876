/*
 * The layout of struct tcp_info, field by field, for getsockopt(TCP_INFO), inet_diag and the tools.
 * Kernel counterpart: include/uapi/linux/tcp.h (Linux 7.0, x86-64). Little-endian. New fields are only
 * ever added at the end, so a shorter buffer gets the front part.
 */

/** A field: its name without the tcpi_ prefix, its offset in octets, width and shift in bits. */
export interface TcpInfoField {
  readonly name: keyof TcpInfo;
  readonly offset: number;
  /** 8, 16, 24, 32 or 64; less than 8 is a bit field at `shift` of the octet at `offset`. */
  readonly bits: number;
  readonly shift: number;
}

/** sizeof(struct tcp_info). */
export const TCP_INFO_LEN = 280;

/**
 * The values by name. Times are in microseconds, but the lastX group and totalRtoTime in milliseconds;
 * rates are in octets a second, and a rate without limit (2^64 - 1) is Infinity.
 */
export interface TcpInfo {
  state: number;
  caState: number;
  retransmits: number;
  probes: number;
  backoff: number;
  options: number;
  sndWscale: number;
  rcvWscale: number;
  deliveryRateAppLimited: number;
  fastopenClientFail: number;
  rto: number;
  ato: number;
  sndMss: number;
  rcvMss: number;
  unacked: number;
  sacked: number;
  lost: number;
  retrans: number;
  fackets: number;
  lastDataSent: number;
  lastAckSent: number;
  lastDataRecv: number;
  lastAckRecv: number;
  pmtu: number;
  rcvSsthresh: number;
  rtt: number;
  rttvar: number;
  sndSsthresh: number;
  sndCwnd: number;
  advmss: number;
  reordering: number;
  rcvRtt: number;
  rcvSpace: number;
  totalRetrans: number;
  pacingRate: number;
  maxPacingRate: number;
  bytesAcked: number;
  bytesReceived: number;
  segsOut: number;
  segsIn: number;
  notsentBytes: number;
  minRtt: number;
  dataSegsIn: number;
  dataSegsOut: number;
  deliveryRate: number;
  busyTime: number;
  rwndLimited: number;
  sndbufLimited: number;
  delivered: number;
  deliveredCe: number;
  bytesSent: number;
  bytesRetrans: number;
  dsackDups: number;
  reordSeen: number;
  rcvOoopack: number;
  sndWnd: number;
  rcvWnd: number;
  rehash: number;
  totalRto: number;
  totalRtoRecoveries: number;
  totalRtoTime: number;
  receivedCe: number;
  deliveredE1Bytes: number;
  deliveredE0Bytes: number;
  deliveredCeBytes: number;
  receivedE1Bytes: number;
  receivedE0Bytes: number;
  receivedCeBytes: number;
  ecnMode: number;
  accecnOptSeen: number;
  accecnFailMode: number;
  options2: number;
}

export const TCP_INFO_FIELDS: readonly TcpInfoField[] = Object.freeze([
  { name: 'state', offset: 0, bits: 8, shift: 0 },
  { name: 'caState', offset: 1, bits: 8, shift: 0 },
  { name: 'retransmits', offset: 2, bits: 8, shift: 0 },
  { name: 'probes', offset: 3, bits: 8, shift: 0 },
  { name: 'backoff', offset: 4, bits: 8, shift: 0 },
  { name: 'options', offset: 5, bits: 8, shift: 0 },
  { name: 'sndWscale', offset: 6, bits: 4, shift: 0 },
  { name: 'rcvWscale', offset: 6, bits: 4, shift: 4 },
  { name: 'deliveryRateAppLimited', offset: 7, bits: 1, shift: 0 },
  { name: 'fastopenClientFail', offset: 7, bits: 2, shift: 1 },
  { name: 'rto', offset: 8, bits: 32, shift: 0 },
  { name: 'ato', offset: 12, bits: 32, shift: 0 },
  { name: 'sndMss', offset: 16, bits: 32, shift: 0 },
  { name: 'rcvMss', offset: 20, bits: 32, shift: 0 },
  { name: 'unacked', offset: 24, bits: 32, shift: 0 },
  { name: 'sacked', offset: 28, bits: 32, shift: 0 },
  { name: 'lost', offset: 32, bits: 32, shift: 0 },
  { name: 'retrans', offset: 36, bits: 32, shift: 0 },
  { name: 'fackets', offset: 40, bits: 32, shift: 0 },
  { name: 'lastDataSent', offset: 44, bits: 32, shift: 0 },
  { name: 'lastAckSent', offset: 48, bits: 32, shift: 0 },
  { name: 'lastDataRecv', offset: 52, bits: 32, shift: 0 },
  { name: 'lastAckRecv', offset: 56, bits: 32, shift: 0 },
  { name: 'pmtu', offset: 60, bits: 32, shift: 0 },
  { name: 'rcvSsthresh', offset: 64, bits: 32, shift: 0 },
  { name: 'rtt', offset: 68, bits: 32, shift: 0 },
  { name: 'rttvar', offset: 72, bits: 32, shift: 0 },
  { name: 'sndSsthresh', offset: 76, bits: 32, shift: 0 },
  { name: 'sndCwnd', offset: 80, bits: 32, shift: 0 },
  { name: 'advmss', offset: 84, bits: 32, shift: 0 },
  { name: 'reordering', offset: 88, bits: 32, shift: 0 },
  { name: 'rcvRtt', offset: 92, bits: 32, shift: 0 },
  { name: 'rcvSpace', offset: 96, bits: 32, shift: 0 },
  { name: 'totalRetrans', offset: 100, bits: 32, shift: 0 },
  { name: 'pacingRate', offset: 104, bits: 64, shift: 0 },
  { name: 'maxPacingRate', offset: 112, bits: 64, shift: 0 },
  { name: 'bytesAcked', offset: 120, bits: 64, shift: 0 },
  { name: 'bytesReceived', offset: 128, bits: 64, shift: 0 },
  { name: 'segsOut', offset: 136, bits: 32, shift: 0 },
  { name: 'segsIn', offset: 140, bits: 32, shift: 0 },
  { name: 'notsentBytes', offset: 144, bits: 32, shift: 0 },
  { name: 'minRtt', offset: 148, bits: 32, shift: 0 },
  { name: 'dataSegsIn', offset: 152, bits: 32, shift: 0 },
  { name: 'dataSegsOut', offset: 156, bits: 32, shift: 0 },
  { name: 'deliveryRate', offset: 160, bits: 64, shift: 0 },
  { name: 'busyTime', offset: 168, bits: 64, shift: 0 },
  { name: 'rwndLimited', offset: 176, bits: 64, shift: 0 },
  { name: 'sndbufLimited', offset: 184, bits: 64, shift: 0 },
  { name: 'delivered', offset: 192, bits: 32, shift: 0 },
  { name: 'deliveredCe', offset: 196, bits: 32, shift: 0 },
  { name: 'bytesSent', offset: 200, bits: 64, shift: 0 },
  { name: 'bytesRetrans', offset: 208, bits: 64, shift: 0 },
  { name: 'dsackDups', offset: 216, bits: 32, shift: 0 },
  { name: 'reordSeen', offset: 220, bits: 32, shift: 0 },
  { name: 'rcvOoopack', offset: 224, bits: 32, shift: 0 },
  { name: 'sndWnd', offset: 228, bits: 32, shift: 0 },
  { name: 'rcvWnd', offset: 232, bits: 32, shift: 0 },
  { name: 'rehash', offset: 236, bits: 32, shift: 0 },
  { name: 'totalRto', offset: 240, bits: 16, shift: 0 },
  { name: 'totalRtoRecoveries', offset: 242, bits: 16, shift: 0 },
  { name: 'totalRtoTime', offset: 244, bits: 32, shift: 0 },
  { name: 'receivedCe', offset: 248, bits: 32, shift: 0 },
  { name: 'deliveredE1Bytes', offset: 252, bits: 32, shift: 0 },
  { name: 'deliveredE0Bytes', offset: 256, bits: 32, shift: 0 },
  { name: 'deliveredCeBytes', offset: 260, bits: 32, shift: 0 },
  { name: 'receivedE1Bytes', offset: 264, bits: 32, shift: 0 },
  { name: 'receivedE0Bytes', offset: 268, bits: 32, shift: 0 },
  { name: 'receivedCeBytes', offset: 272, bits: 32, shift: 0 },
  { name: 'ecnMode', offset: 276, bits: 2, shift: 0 },
  { name: 'accecnOptSeen', offset: 276, bits: 2, shift: 2 },
  { name: 'accecnFailMode', offset: 276, bits: 4, shift: 4 },
  { name: 'options2', offset: 277, bits: 24, shift: 0 },
] as const);

/** An all-zero TcpInfo to fill in. */
export function newTcpInfo(): TcpInfo {
  const info: Partial<Record<keyof TcpInfo, number>> = {};
  for (const f of TCP_INFO_FIELDS) info[f.name] = 0;
  return info as TcpInfo;
}

/** Stores a non-negative count of up to 64 bits, little-endian; Infinity is all ones. */
function setU64(v: DataView, o: number, x: number): void {
  const all = x === Number.POSITIVE_INFINITY;
  v.setUint32(o, all ? 0xffffffff : x % 0x100000000, true);
  v.setUint32(o + 4, all ? 0xffffffff : Math.floor(x / 0x100000000), true);
}

function setU24(v: DataView, o: number, x: number): void {
  v.setUint16(o, x & 0xffff, true);
  v.setUint8(o + 2, x >>> 16);
}

function getU64(v: DataView, o: number): number {
  const lo = v.getUint32(o, true);
  const hi = v.getUint32(o + 4, true);
  if (lo === 0xffffffff && hi === 0xffffffff) return Number.POSITIVE_INFINITY;
  return hi * 0x100000000 + lo;
}

/**
 * Writes the fields that lie wholly within `len` octets at `o`.
 * @returns the octets of the structure that were written: min(len, TCP_INFO_LEN)
 */
export function putTcpInfo(v: DataView, o: number, len: number, info: Readonly<TcpInfo>): number {
  const n = Math.min(len, TCP_INFO_LEN);
  for (let i = 0; i < n; i++) v.setUint8(o + i, 0);
  for (const f of TCP_INFO_FIELDS) {
    if (f.offset + Math.ceil(f.bits / 8) > n) continue;
    const at = o + f.offset;
    const x = info[f.name];
    if (f.bits === 64) setU64(v, at, x);
    else if (f.bits === 32) v.setUint32(at, x, true);
    else if (f.bits === 24) setU24(v, at, x);
    else if (f.bits === 16) v.setUint16(at, x, true);
    else if (f.bits === 8) v.setUint8(at, x);
    else v.setUint8(at, v.getUint8(at) | ((x & ((1 << f.bits) - 1)) << f.shift));
  }
  return n;
}

/** Reads what putTcpInfo() wrote; fields beyond `len` are 0, as from an older kernel. */
export function getTcpInfo(v: DataView, o: number, len: number): TcpInfo {
  const info = newTcpInfo();
  for (const f of TCP_INFO_FIELDS) {
    if (f.offset + Math.ceil(f.bits / 8) > len) continue;
    const at = o + f.offset;
    if (f.bits === 64) info[f.name] = getU64(v, at);
    else if (f.bits === 32) info[f.name] = v.getUint32(at, true);
    else if (f.bits === 24) info[f.name] = v.getUint16(at, true) | (v.getUint8(at + 2) << 16);
    else if (f.bits === 16) info[f.name] = v.getUint16(at, true);
    else info[f.name] = (v.getUint8(at) >> f.shift) & ((1 << f.bits) - 1);
  }
  return info;
}
