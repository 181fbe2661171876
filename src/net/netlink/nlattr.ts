/**
 * Building and reading netlink messages and their attributes.
 *
 * Counterpart of include/net/netlink.h and lib/nlattr.c. Messages lie in packet memory and are
 * appended at `skb.tail`; everything is in the machine's host order, little-endian.
 *
 *    0        4      6      8        12       16
 *    +--------+------+------+--------+--------+--- payload, attributes ...
 *    | length | type | flags|  seq   | portid |
 *    +--------+------+------+--------+--------+
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbTailroom } from '#include/linux/skbuff.ts';
import type { NetlinkExtAck, NlattrTable } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem } from '#mm/memory.ts';
import { allocSkb, skbPut } from '#net/core/skbuff.ts';
import { EINVAL, EMSGSIZE, ERANGE } from '#uapi/errno.ts';
import { NLA_F_NESTED, NLA_HDRLEN, NLA_TYPE_MASK, NLMSG_HDRLEN } from '#uapi/netlink.ts';

/** Payload room of a new message. @kernel NLMSG_GOODSIZE include/linux/netlink.h */
export const NLMSG_GOODSIZE = 3776;

/** @kernel NLMSG_ALIGN include/uapi/linux/netlink.h */
export function nlmsgAlign(len: number): number {
  return (len + 3) & ~3;
}

function setU16(addr: number, value: number): void {
  mem[addr] = value & 0xff;
  mem[addr + 1] = (value >>> 8) & 0xff;
}

function setU32(addr: number, value: number): void {
  setU16(addr, value & 0xffff);
  setU16(addr + 2, value >>> 16);
}

/** A message buffer with room for `payload` bytes, or null. @kernel nlmsg_new include/net/netlink.h */
export function nlmsgNew(machine: Machine, payload: number): SkBuff | null {
  return allocSkb(machine, NLMSG_HDRLEN + nlmsgAlign(payload));
}

/**
 * Appends a message header with `payload` zeroed bytes behind it. Returns the header's address, or
 * -EMSGSIZE when the buffer is full. @kernel nlmsg_put include/net/netlink.h
 */
export function nlmsgPut(
  skb: SkBuff,
  portid: number,
  seq: number,
  type: number,
  payload: number,
  flags: number,
): number {
  const size = nlmsgAlign(NLMSG_HDRLEN + payload);
  if (skbTailroom(skb) < size) return -EMSGSIZE;
  const nlh = skbPut(skb, size);
  mem.fill(0, nlh, nlh + size);
  setU32(nlh, NLMSG_HDRLEN + payload);
  setU16(nlh + 4, type);
  setU16(nlh + 6, flags);
  setU32(nlh + 8, seq);
  setU32(nlh + 12, portid);
  return nlh;
}

/** Sets the final length. @kernel nlmsg_end include/net/netlink.h */
export function nlmsgEnd(skb: SkBuff, nlh: number): void {
  setU32(nlh, skb.tail - nlh);
}

/** Takes the message back from the buffer. @kernel nlmsg_cancel include/net/netlink.h */
export function nlmsgCancel(skb: SkBuff, nlh: number): void {
  if (nlh < 0) return;
  skb.len -= skb.tail - nlh;
  skb.tail = nlh;
}

/**
 * Appends an attribute header and `len` zeroed bytes. Returns the payload's address, or -EMSGSIZE.
 * @kernel nla_reserve lib/nlattr.c
 */
export function nlaReserve(skb: SkBuff, type: number, len: number): number {
  const size = nlmsgAlign(NLA_HDRLEN + len);
  if (skbTailroom(skb) < size) return -EMSGSIZE;
  const nla = skbPut(skb, size);
  mem.fill(0, nla, nla + size);
  setU16(nla, NLA_HDRLEN + len);
  setU16(nla + 2, type);
  return nla + NLA_HDRLEN;
}

/** @kernel nla_put lib/nlattr.c */
export function nlaPut(skb: SkBuff, type: number, data: Uint8Array): number {
  const at = nlaReserve(skb, type, data.length);
  if (at < 0) return at;
  mem.set(data, at);
  return 0;
}

/** @kernel nla_put_u8 include/net/netlink.h */
export function nlaPutU8(skb: SkBuff, type: number, value: number): number {
  const at = nlaReserve(skb, type, 1);
  if (at < 0) return at;
  mem[at] = value;
  return 0;
}

/** @kernel nla_put_u16 include/net/netlink.h */
export function nlaPutU16(skb: SkBuff, type: number, value: number): number {
  const at = nlaReserve(skb, type, 2);
  if (at < 0) return at;
  setU16(at, value);
  return 0;
}

/** @kernel nla_put_u32 include/net/netlink.h */
export function nlaPutU32(skb: SkBuff, type: number, value: number): number {
  const at = nlaReserve(skb, type, 4);
  if (at < 0) return at;
  setU32(at, value);
  return 0;
}

/** A 64-bit value given as a double below 2^53. @kernel nla_put_u64_64bit lib/nlattr.c */
export function nlaPutU64(skb: SkBuff, type: number, value: number): number {
  const at = nlaReserve(skb, type, 8);
  if (at < 0) return at;
  setU32(at, value % 0x100000000);
  setU32(at + 4, Math.floor(value / 0x100000000));
  return 0;
}

/** An IPv4 address, in network order on the wire. @kernel nla_put_in_addr include/net/netlink.h */
export function nlaPutInAddr(skb: SkBuff, type: number, addr: number): number {
  const at = nlaReserve(skb, type, 4);
  if (at < 0) return at;
  mem[at] = addr >>> 24;
  mem[at + 1] = (addr >>> 16) & 0xff;
  mem[at + 2] = (addr >>> 8) & 0xff;
  mem[at + 3] = addr & 0xff;
  return 0;
}

/** A zero-terminated string; one byte a character. @kernel nla_put_string include/net/netlink.h */
export function nlaPutString(skb: SkBuff, type: number, text: string): number {
  const at = nlaReserve(skb, type, text.length + 1);
  if (at < 0) return at;
  for (let i = 0; i < text.length; i++) mem[at + i] = text.charCodeAt(i);
  return 0;
}

/** @kernel nla_put_flag include/net/netlink.h */
export function nlaPutFlag(skb: SkBuff, type: number): number {
  const at = nlaReserve(skb, type, 0);
  return at < 0 ? at : 0;
}

/** Opens a nest; returns its address for {@link nlaNestEnd}, or -EMSGSIZE. @kernel nla_nest_start include/net/netlink.h */
export function nlaNestStart(skb: SkBuff, type: number, flagNested = true): number {
  const at = nlaReserve(skb, flagNested ? type | NLA_F_NESTED : type, 0);
  return at < 0 ? at : at - NLA_HDRLEN;
}

/** @kernel nla_nest_end include/net/netlink.h */
export function nlaNestEnd(skb: SkBuff, nest: number): void {
  setU16(nest, skb.tail - nest);
}

/** @kernel nla_nest_cancel include/net/netlink.h */
export function nlaNestCancel(skb: SkBuff, nest: number): void {
  nlmsgCancel(skb, nest);
}

// Reading. Messages from users are copied out of packet memory once and then read as plain bytes.

/** @kernel nla_get_u8 include/net/netlink.h */
export function nlaGetU8(nla: Uint8Array): number {
  return nla[0] ?? 0;
}

/** @kernel nla_get_u16 include/net/netlink.h */
export function nlaGetU16(nla: Uint8Array): number {
  return (nla[0] ?? 0) | ((nla[1] ?? 0) << 8);
}

/** @kernel nla_get_u32 include/net/netlink.h */
export function nlaGetU32(nla: Uint8Array): number {
  return (nlaGetU16(nla) | ((nla[2] ?? 0) << 16) | ((nla[3] ?? 0) << 24)) >>> 0;
}

/** @kernel nla_get_s32 include/net/netlink.h */
export function nlaGetS32(nla: Uint8Array): number {
  return nlaGetU32(nla) | 0;
}

/** An IPv4 address as a number. @kernel nla_get_in_addr include/net/netlink.h */
export function nlaGetInAddr(nla: Uint8Array): number {
  return (
    (((nla[0] ?? 0) << 24) | ((nla[1] ?? 0) << 16) | ((nla[2] ?? 0) << 8) | (nla[3] ?? 0)) >>> 0
  );
}

/** Text up to the first zero byte. @kernel nla_strscpy lib/nlattr.c */
export function nlaGetString(nla: Uint8Array): string {
  let text = '';
  for (const byte of nla) {
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** What a type's payload must look like. `len` is the least length, or for strings the most. @kernel nla_policy include/net/netlink.h */
export interface NlaPolicy {
  readonly kind:
    | 'u8'
    | 'u16'
    | 'u32'
    | 's32'
    | 'u64'
    | 'string'
    | 'binary'
    | 'nested'
    | 'flag'
    | 'inAddr'
    | 'reject';
  readonly len?: number;
}

const MIN_LEN: Readonly<Record<NlaPolicy['kind'], number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  s32: 4,
  u64: 8,
  string: 0,
  binary: 0,
  nested: 0,
  flag: 0,
  inAddr: 4,
  reject: 0,
};

function validate(payload: Uint8Array, policy: NlaPolicy): number {
  if (policy.kind === 'reject') return -EINVAL;
  if (policy.kind === 'string') {
    let length = payload.indexOf(0);
    if (length < 0) length = payload.length;
    return policy.len !== undefined && length > policy.len ? -ERANGE : 0;
  }
  const min = policy.kind === 'binary' ? (policy.len ?? 0) : MIN_LEN[policy.kind];
  return payload.length < min ? -ERANGE : 0;
}

/**
 * Splits `attrs` into payloads by type. Types above `maxtype` are ignored, as Linux does for old
 * families. Returns the table, or a negative errno with the text in `extack`. `base` is the offset
 * of `attrs` in its message, for the error report.
 * @kernel nla_parse_deprecated lib/nlattr.c
 */
export function nlaParse(
  attrs: Uint8Array,
  maxtype: number,
  policy: readonly (NlaPolicy | undefined)[] | null,
  extack: NetlinkExtAck | null,
  base = 0,
): NlattrTable | number {
  const table: (Uint8Array | undefined)[] = new Array<Uint8Array | undefined>(maxtype + 1).fill(
    undefined,
  );
  let at = 0;
  while (attrs.length - at >= NLA_HDRLEN) {
    const len = (attrs[at] ?? 0) | ((attrs[at + 1] ?? 0) << 8);
    const type = ((attrs[at + 2] ?? 0) | ((attrs[at + 3] ?? 0) << 8)) & NLA_TYPE_MASK;
    if (len < NLA_HDRLEN || at + len > attrs.length) break;
    if (type > 0 && type <= maxtype) {
      const payload = attrs.subarray(at + NLA_HDRLEN, at + len);
      const rule = policy?.[type];
      const err = rule === undefined ? 0 : validate(payload, rule);
      if (err < 0) {
        if (extack !== null) {
          extack.badAttrOffset = base + at;
          extack.msg = 'Attribute failed policy validation';
        }
        return err;
      }
      table[type] = payload;
    }
    at += nlmsgAlign(len);
  }
  return table;
}

/** Attributes of a nested one. @kernel nla_parse_nested_deprecated include/net/netlink.h */
export function nlaParseNested(
  nla: Uint8Array,
  maxtype: number,
  policy: readonly (NlaPolicy | undefined)[] | null,
  extack: NetlinkExtAck | null,
): NlattrTable | number {
  return nlaParse(nla, maxtype, policy, extack);
}

/** Attributes behind a family header of `hdrlen` bytes of a whole message. @kernel nlmsg_parse_deprecated include/net/netlink.h */
export function nlmsgParse(
  msg: Uint8Array,
  hdrlen: number,
  maxtype: number,
  policy: readonly (NlaPolicy | undefined)[] | null,
  extack: NetlinkExtAck | null,
): NlattrTable | number {
  const start = NLMSG_HDRLEN + nlmsgAlign(hdrlen);
  if (msg.length < NLMSG_HDRLEN + hdrlen) {
    if (extack !== null) extack.msg = 'Invalid header length';
    return -EINVAL;
  }
  return nlaParse(msg.subarray(Math.min(start, msg.length)), maxtype, policy, extack, start);
}

// The message header, read from plain bytes.

/** @kernel nlmsg_len include/uapi/linux/netlink.h */
export function nlmsgLen(msg: Uint8Array): number {
  return nlaGetU32(msg);
}

/** @kernel nlmsg_type include/uapi/linux/netlink.h */
export function nlmsgType(msg: Uint8Array): number {
  return nlaGetU16(msg.subarray(4));
}

/** @kernel nlmsg_flags include/uapi/linux/netlink.h */
export function nlmsgFlags(msg: Uint8Array): number {
  return nlaGetU16(msg.subarray(6));
}

/** @kernel nlmsg_seq include/uapi/linux/netlink.h */
export function nlmsgSeq(msg: Uint8Array): number {
  return nlaGetU32(msg.subarray(8));
}

/** @kernel nlmsg_pid include/uapi/linux/netlink.h */
export function nlmsgPid(msg: Uint8Array): number {
  return nlaGetU32(msg.subarray(12));
}
