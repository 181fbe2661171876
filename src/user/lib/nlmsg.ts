/*
 * Building and taking apart netlink messages and their attributes.
 * Counterparts: lib/nlattr.c on the kernel's side, libnetlink and libmnl on that of programs. RFC 3549.
 */
import { getU64, setU64 } from '#lib/int64.ts';
import {
  NLA_F_NESTED,
  NLA_HDRLEN,
  NLMSG_HDRLEN,
  nlaAlign,
  nlattr,
  nlmsghdr,
} from '#uapi/netlink.ts';
import { decodeText, encodeText } from '#user/lib/streams.ts';

/** A message under construction. */
export class NlBuilder {
  private bytes: Uint8Array;
  private view: DataView;
  private used: number;

  constructor(type: number, flags: number) {
    this.bytes = new Uint8Array(512);
    this.view = new DataView(this.bytes.buffer);
    this.used = NLMSG_HDRLEN;
    nlmsghdr.setType(this.view, 0, type);
    nlmsghdr.setFlags(this.view, 0, flags);
  }

  get length(): number {
    return this.used;
  }

  addFlags(flags: number): this {
    nlmsghdr.setFlags(this.view, 0, nlmsghdr.flags(this.view, 0) | flags);
    return this;
  }

  /** Appends the family's header and lets `fill` set its fields. */
  header(length: number, fill: (v: DataView, o: number) => void): this {
    const o = this.reserve(length);
    fill(this.view, o);
    return this;
  }

  /** Sets fields of a header that is there already; the first starts at NLMSG_HDRLEN. */
  edit(fill: (v: DataView, o: number) => void): this {
    fill(this.view, NLMSG_HDRLEN);
    return this;
  }

  attr(type: number, value: Uint8Array): this {
    const o = this.start(type, value.length);
    this.bytes.set(value, o);
    return this;
  }

  u8(type: number, value: number): this {
    const o = this.start(type, 1);
    this.view.setUint8(o, value);
    return this;
  }

  u16(type: number, value: number): this {
    const o = this.start(type, 2);
    this.view.setUint16(o, value, true);
    return this;
  }

  u32(type: number, value: number): this {
    const o = this.start(type, 4);
    this.view.setUint32(o, value, true);
    return this;
  }

  /** 32 bits in network order, e.g. an IPv4 address. */
  be32(type: number, value: number): this {
    const o = this.start(type, 4);
    this.view.setUint32(o, value);
    return this;
  }

  u64(type: number, value: number): this {
    const o = this.start(type, 8);
    setU64(this.view, o, value, true);
    return this;
  }

  /** A text with its final zero. */
  string(type: number, text: string): this {
    const value = encodeText(text);
    const o = this.start(type, value.length + 1);
    this.bytes.set(value, o);
    return this;
  }

  flag(type: number): this {
    this.start(type, 0);
    return this;
  }

  /** Attributes inside an attribute. @param flagged with the bit that says so */
  nest(type: number, fill: (b: NlBuilder) => void, flagged = false): this {
    const at = this.used;
    this.start(flagged ? type | NLA_F_NESTED : type, 0);
    fill(this);
    nlattr.setLen(this.view, at, this.used - at);
    return this;
  }

  /** The attributes of a message without its headers, for code that only makes attributes. */
  get size(): number {
    return this.used;
  }

  /** The finished message; the client sets sequence and port. */
  finish(): Uint8Array {
    nlmsghdr.setLen(this.view, 0, this.used);
    return this.bytes.slice(0, this.used);
  }

  private start(type: number, length: number): number {
    const o = this.reserve(NLA_HDRLEN + length);
    nlattr.setLen(this.view, o, NLA_HDRLEN + length);
    nlattr.setRawType(this.view, o, type);
    return o + NLA_HDRLEN;
  }

  /** Appends zeros up to the alignment; where they begin. */
  private reserve(length: number): number {
    const o = this.used;
    const end = o + nlaAlign(length);
    if (end > this.bytes.length) {
      const larger = new Uint8Array(Math.max(end, this.bytes.length * 2));
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    this.used = end;
    return o;
  }
}

/** A message that came in. */
export class NlMessage {
  readonly view: DataView;
  /** Where the message begins in the view. */
  readonly offset: number;
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly pid: number;

  constructor(view: DataView, offset: number) {
    this.view = view;
    this.offset = offset;
    this.length = nlmsghdr.len(view, offset);
    this.type = nlmsghdr.type(view, offset);
    this.flags = nlmsghdr.flags(view, offset);
    this.seq = nlmsghdr.seq(view, offset);
    this.pid = nlmsghdr.pid(view, offset);
  }

  /** Where the family's header begins. */
  get payload(): number {
    return this.offset + NLMSG_HDRLEN;
  }

  get end(): number {
    return this.offset + this.length;
  }

  /** The attributes behind a family's header. */
  attrs(headerLength: number): NlAttrs {
    return new NlAttrs(this.view, this.payload + nlaAlign(headerLength), this.end);
  }
}

/** One attribute: where its value lies in the view. */
export interface Attr {
  readonly type: number;
  readonly at: number;
  readonly length: number;
}

/** Attributes by type; of several with one type the last counts. */
export class NlAttrs {
  readonly view: DataView;
  /** Offset of the value and its length, by type. */
  private readonly found: Map<number, Attr>;
  /** All of them in the order of the message. */
  readonly list: Attr[];

  constructor(view: DataView, begin: number, end: number) {
    this.view = view;
    this.found = new Map();
    this.list = [];
    const limit = Math.min(end, view.byteLength);
    let o = begin;
    while (o + NLA_HDRLEN <= limit) {
      const length = nlattr.len(view, o);
      if (length < NLA_HDRLEN || o + length > limit) break;
      const type = nlattr.type(view, o);
      const attr: Attr = { type, at: o + NLA_HDRLEN, length: length - NLA_HDRLEN };
      this.found.set(type, attr);
      this.list.push(attr);
      o += nlaAlign(length);
    }
  }

  has(type: number): boolean {
    return this.found.has(type);
  }

  /** Offset in {@link view} of a value of at least `length` octets; -1 when there is none. */
  at(type: number, length: number): number {
    const attr = this.found.get(type);
    return attr === undefined || attr.length < length ? -1 : attr.at;
  }

  lengthOf(type: number): number {
    return this.found.get(type)?.length ?? -1;
  }

  u8(type: number): number | null {
    const o = this.at(type, 1);
    return o < 0 ? null : this.view.getUint8(o);
  }

  u16(type: number): number | null {
    const o = this.at(type, 2);
    return o < 0 ? null : this.view.getUint16(o, true);
  }

  u32(type: number): number | null {
    const o = this.at(type, 4);
    return o < 0 ? null : this.view.getUint32(o, true);
  }

  s32(type: number): number | null {
    const o = this.at(type, 4);
    return o < 0 ? null : this.view.getInt32(o, true);
  }

  be32(type: number): number | null {
    const o = this.at(type, 4);
    return o < 0 ? null : this.view.getUint32(o);
  }

  be16(type: number): number | null {
    const o = this.at(type, 2);
    return o < 0 ? null : this.view.getUint16(o);
  }

  u64(type: number): number | null {
    const o = this.at(type, 8);
    return o < 0 ? null : getU64(this.view, o, true);
  }

  bytes(type: number): Uint8Array | null {
    const attr = this.found.get(type);
    if (attr === undefined) return null;
    return new Uint8Array(this.view.buffer, this.view.byteOffset + attr.at, attr.length);
  }

  /** A text up to its zero. */
  string(type: number): string | null {
    const bytes = this.bytes(type);
    if (bytes === null) return null;
    const zero = bytes.indexOf(0);
    return decodeText(zero < 0 ? bytes : bytes.subarray(0, zero));
  }

  /** Texts of all attributes of a type, in order. */
  strings(type: number): string[] {
    return this.list.flatMap((attr) => {
      if (attr.type !== type) return [];
      const { buffer, byteOffset } = this.view;
      const bytes = new Uint8Array(buffer, byteOffset + attr.at, attr.length);
      const zero = bytes.indexOf(0);
      return [decodeText(zero < 0 ? bytes : bytes.subarray(0, zero))];
    });
  }

  nested(type: number): NlAttrs | null {
    const attr = this.found.get(type);
    return attr === undefined ? null : new NlAttrs(this.view, attr.at, attr.at + attr.length);
  }
}
