/**
 * Keys by which segments are signed: MD5 signatures (RFC 2385) and the authentication option
 * (RFC 5925). Counterparts: tcp_md5sig_key of include/net/tcp.h, include/net/tcp_ao.h, the hashing
 * of net/ipv4/tcp_sigpool.c.
 */
import { AesCmac } from '#lib/aes_cmac.ts';
import { HmacSha1 } from '#lib/hmac_sha1.ts';
import { Md5 } from '#lib/md5.ts';

/** What the next segment is signed with. @kernel tcp_key include/net/tcp.h */
export const TCP_KEY_NONE = 0;
export const TCP_KEY_MD5 = 1;
export const TCP_KEY_AO = 2;

/** @kernel tcp_md5sig_key include/net/tcp.h */
export class TcpMd5sigKey {
  readonly addr: number;
  readonly prefixlen: number;
  /** TCP_MD5SIG_FLAG_IFINDEX, or 0. */
  readonly flags: number;
  key: Uint8Array;
  next: TcpMd5sigKey | null = null;

  constructor(addr: number, prefixlen: number, flags: number, key: Uint8Array) {
    this.addr = addr;
    this.prefixlen = prefixlen;
    this.flags = flags;
    this.key = key;
  }
}

/** The keys of a socket. @kernel tcp_md5sig_info include/net/tcp.h */
export class TcpMd5sigInfo {
  head: TcpMd5sigKey | null = null;
}

export const TCP_AO_HMAC_SHA1 = 'hmac(sha1)';
export const TCP_AO_CMAC_AES = 'cmac(aes)';

/** A master key tuple. @kernel tcp_ao_key include/net/tcp_ao.h @rfc 5925#3.1 */
export class TcpAoKey {
  readonly addr: number;
  readonly prefixlen: number;
  /** TCP_AO_KEYF_* */
  readonly keyflags: number;
  /** KeyIDs of what we send and of what we accept under this key. */
  readonly sndid: number;
  readonly rcvid: number;
  /** TCP_AO_HMAC_SHA1 or TCP_AO_CMAC_AES. */
  readonly algorithm: string;
  /** Octets of the code in the option. */
  readonly maclen: number;
  readonly key: Uint8Array;
  /** Traffic keys of an open connection. */
  readonly rcvOtherKey: Uint8Array;
  readonly sndOtherKey: Uint8Array;
  pktGood = 0;
  pktBad = 0;
  next: TcpAoKey | null = null;

  constructor(
    from: Pick<TcpAoKey, 'addr' | 'prefixlen' | 'keyflags' | 'sndid' | 'rcvid'>,
    algorithm: string,
    maclen: number,
    key: Uint8Array,
  ) {
    this.addr = from.addr;
    this.prefixlen = from.prefixlen;
    this.keyflags = from.keyflags;
    this.sndid = from.sndid;
    this.rcvid = from.rcvid;
    this.algorithm = algorithm;
    this.maclen = maclen;
    this.key = key;
    const size = algorithm === TCP_AO_HMAC_SHA1 ? 20 : 16;
    this.rcvOtherKey = new Uint8Array(size);
    this.sndOtherKey = new Uint8Array(size);
  }
}

/** @kernel tcp_ao_info include/net/tcp_ao.h */
export class TcpAoInfo {
  head: TcpAoKey | null = null;
  /** Of an open connection: the key we sign with, and the one we ask the peer to use. */
  currentKey: TcpAoKey | null = null;
  rnextKey: TcpAoKey | null = null;
  pktGood = 0;
  pktBad = 0;
  keyNotFound = 0;
  aoRequiredCount = 0;
  droppedIcmp = 0;
  /** Unsigned segments are refused even where no key matches. */
  aoRequired = false;
  acceptIcmps = false;
  /** Initial sequence numbers, ours and the peer's. */
  lisn = 0;
  risn = 0;
  /** Turns of the sequence numbers, uint32. */
  sndSne = 0;
  rcvSne = 0;
}

/** Octets of the option with its header. @kernel tcp_ao_len include/net/tcp_ao.h */
export const tcpAoLen = (key: TcpAoKey): number => key.maclen + 4;

/** @kernel tcp_ao_len_aligned include/net/tcp_ao.h */
export const tcpAoLenAligned = (key: TcpAoKey): number => (key.maclen + 4 + 3) & ~3;

/** Digests and scratch of a machine; nothing runs between beginning and end of a code. */
export class TcpSigpool {
  readonly md5: Md5 = new Md5();
  readonly hmac: HmacSha1 = new HmacSha1();
  readonly cmac: AesCmac = new AesCmac();
  readonly scratch: Uint8Array = new Uint8Array(96);
  readonly scratchView: DataView = new DataView(this.scratch.buffer);
  /** The code computed last. */
  readonly digest: Uint8Array = new Uint8Array(20);
  readonly trafficKey20: Uint8Array = new Uint8Array(20);
  readonly trafficKey16: Uint8Array = new Uint8Array(16);
}

/** Where the signatures of the segment being received are. */
export class TcpAuthOptions {
  /** Address of the MD5 digest, or of the head of the authentication option; 0: none. */
  md5 = 0;
  ao = 0;
}
