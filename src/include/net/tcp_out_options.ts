/**
 * The options of one outgoing segment, between their choice and their writing.
 * Counterpart of struct tcp_out_options in net/ipv4/tcp_output.c. One record per machine serves all
 * segments: nothing runs between filling and writing it.
 */

import { TCP_KEY_NONE, type TcpAoKey, type TcpMd5sigKey } from '#include/net/tcp_auth.ts';
import type { TcpFastopenCookie } from '#include/net/tcp_fastopen.ts';

export const OPTION_SACK_ADVERTISE = 0x1;
export const OPTION_TS = 0x2;
export const OPTION_MD5 = 0x4;
export const OPTION_WSCALE = 0x8;
export const OPTION_FAST_OPEN_COOKIE = 0x100;
export const OPTION_AO = 0x800;
export const OPTION_ACCECN = 0x1000;

export class TcpOutOptions {
  /** OPTION_* */
  options = 0;
  /** 0: no MSS option. */
  mss = 0;
  ws = 0;
  numSackBlocks = 0;
  /** Byte counters in the AccECN option. */
  numAccecnFields = 0;
  /** They are at their start: a SYN-ACK. */
  useSynackEcnBytes = false;
  /** Octets of an option that wait for the padding of the next one. */
  leftoverHigh = 1;
  leftoverLow = 1;
  /** TCP_KEY_*: what the segment is signed with. */
  keyType: number = TCP_KEY_NONE;
  md5Key: TcpMd5sigKey | null = null;
  aoKey: TcpAoKey | null = null;
  /** KeyIDs in the authentication option. */
  aoKeyid = 0;
  aoRnext = 0;
  /** Address of the code in the header. */
  hashLocation = 0;
  /** int32 */
  tsval = 0;
  tsecr = 0;
  /** A Fast Open cookie (of length 0: a request for one); null: none. */
  fastopenCookie: TcpFastopenCookie | null = null;

  /** Back to no options at all. */
  clear(): void {
    this.options = 0;
    this.mss = 0;
    this.ws = 0;
    this.numSackBlocks = 0;
    this.numAccecnFields = 0;
    this.useSynackEcnBytes = false;
    this.leftoverHigh = 1;
    this.leftoverLow = 1;
    this.tsval = 0;
    this.tsecr = 0;
    this.fastopenCookie = null;
  }
}
