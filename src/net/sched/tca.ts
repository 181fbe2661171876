/** Options of disciplines as attributes in plain bytes. Counterpart: nla_put() into TCA_OPTIONS. */

const NLA_HDRLEN = 4;

/** 32-bit attributes one behind the other: pairs of type and value. */
export function u32Attrs(attrs: readonly (readonly [type: number, value: number])[]): Uint8Array {
  const out = new Uint8Array(attrs.length * (NLA_HDRLEN + 4));
  const v = new DataView(out.buffer);
  attrs.forEach(([type, value], i) => {
    const at = i * (NLA_HDRLEN + 4);
    v.setUint16(at, NLA_HDRLEN + 4, true);
    v.setUint16(at + 2, type, true);
    v.setUint32(at + 4, value, true);
  });
  return out;
}

/** One attribute of some bytes, padded to four. */
export function binaryAttr(type: number, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(NLA_HDRLEN + ((bytes.length + 3) & ~3));
  const v = new DataView(out.buffer);
  v.setUint16(0, NLA_HDRLEN + bytes.length, true);
  v.setUint16(2, type, true);
  out.set(bytes, NLA_HDRLEN);
  return out;
}
