/**
 * Socket filters: classic BPF, checked when attached and interpreted for each packet.
 *
 * Counterpart of the classic part of net/core/filter.c. A program that passes bpfCheckClassic()
 * only jumps forward, ends in a return and reads no memory word before writing it, so running it
 * needs no further checks but those of packet offsets: a load beyond the packet drops it.
 */

import { CORE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { HEADER_UNSET, type SkBuff, skbHeadlen } from '#include/linux/skbuff.ts';
import type { SkFilter } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem } from '#mm/memory.ts';
import { EINVAL } from '#uapi/errno.ts';
import {
  BPF_A,
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_AND,
  BPF_B,
  BPF_DIV,
  BPF_H,
  BPF_IMM,
  BPF_IND,
  BPF_JA,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JMP,
  BPF_JSET,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_LEN,
  BPF_LSH,
  BPF_MAXINSNS,
  BPF_MEM,
  BPF_MEMWORDS,
  BPF_MISC,
  BPF_MOD,
  BPF_MSH,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RET,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_SUB,
  BPF_TAX,
  BPF_TXA,
  BPF_W,
  BPF_X,
  BPF_XOR,
  SKF_AD_ALU_XOR_X,
  SKF_AD_CPU,
  SKF_AD_HATYPE,
  SKF_AD_IFINDEX,
  SKF_AD_MARK,
  SKF_AD_MAX,
  SKF_AD_OFF,
  SKF_AD_PAY_OFFSET,
  SKF_AD_PKTTYPE,
  SKF_AD_PROTOCOL,
  SKF_AD_QUEUE,
  SKF_AD_RANDOM,
  SKF_AD_RXHASH,
  SKF_AD_VLAN_TAG,
  SKF_AD_VLAN_TAG_PRESENT,
  SKF_AD_VLAN_TPID,
  SKF_LL_OFF,
  SKF_NET_OFF,
  sockFilter,
} from '#uapi/filter.ts';

/** Fixed cost of a filter in option memory. */
const SK_FILTER_OVERHEAD = 64;

/** One program: its instructions in four parallel words each. */
class ClassicFilter implements SkFilter {
  readonly size: number;
  readonly len: number;
  /** code, jt, jf, k of each instruction. */
  readonly insns: Int32Array;
  readonly scratch: Int32Array;

  constructor(insns: Int32Array) {
    this.len = insns.length / 4;
    this.size = SK_FILTER_OVERHEAD + this.len * sockFilter.LEN;
    this.insns = insns;
    this.scratch = new Int32Array(BPF_MEMWORDS);
  }

  run(skb: SkBuff): number {
    return bpfRun(this, skb);
  }
}

/** True for the opcodes that classic BPF has. @kernel chk_code_allowed net/core/filter.c */
function chkCodeAllowed(code: number): boolean {
  const size = code & 0x18;
  const mode = code & 0xe0;
  switch (code & 7) {
    case BPF_LD:
      if (mode === BPF_ABS || mode === BPF_IND) return size <= BPF_B;
      return size === BPF_W && (mode === BPF_IMM || mode === BPF_MEM || mode === BPF_LEN);
    case BPF_LDX:
      if (mode === BPF_MSH) return size === BPF_B;
      return size === BPF_W && (mode === BPF_IMM || mode === BPF_MEM || mode === BPF_LEN);
    case BPF_ST:
    case BPF_STX:
      return (code & ~7) === 0;
    case BPF_ALU: {
      const op = code & 0xf0;
      return op === BPF_NEG ? code === (BPF_ALU | BPF_NEG) : op <= BPF_XOR;
    }
    case BPF_JMP: {
      const op = code & 0xf0;
      return op === BPF_JA ? code === (BPF_JMP | BPF_JA) : op <= BPF_JSET;
    }
    case BPF_RET:
      return code === (BPF_RET | BPF_K) || code === (BPF_RET | BPF_A);
    default:
      return code === (BPF_MISC | BPF_TAX) || code === (BPF_MISC | BPF_TXA);
  }
}

/** Every read of a memory word comes after a write on every path. @kernel check_load_and_stores net/core/filter.c */
function checkLoadAndStores(insns: Int32Array, len: number): boolean {
  const masks = new Int32Array(len).fill(-1);
  let valid = 0;
  for (let pc = 0; pc < len; pc++) {
    valid &= masks[pc] ?? 0;
    const code = insns[pc * 4] ?? 0;
    const jt = insns[pc * 4 + 1] ?? 0;
    const jf = insns[pc * 4 + 2] ?? 0;
    const k = insns[pc * 4 + 3] ?? 0;
    const cls = code & 7;
    if (cls === BPF_ST || cls === BPF_STX) valid |= 1 << k;
    else if ((cls === BPF_LD || cls === BPF_LDX) && (code & 0xe0) === BPF_MEM) {
      if ((valid & (1 << k)) === 0) return false;
    } else if (cls === BPF_JMP) {
      if (code === (BPF_JMP | BPF_JA)) masks[pc + 1 + k]! &= valid;
      else {
        masks[pc + 1 + jt]! &= valid;
        masks[pc + 1 + jf]! &= valid;
      }
      valid = -1;
    }
  }
  return true;
}

/** One instruction in itself: opcode, divisor, shift, memory word, jump targets, ancillary offset. */
function insnAllowed(insns: Int32Array, pc: number, len: number): boolean {
  const code = insns[pc * 4] ?? 0;
  const jt = insns[pc * 4 + 1] ?? 0;
  const jf = insns[pc * 4 + 2] ?? 0;
  const k = insns[pc * 4 + 3] ?? 0;
  if (!chkCodeAllowed(code)) return false;
  switch (code) {
    case BPF_ALU | BPF_DIV | BPF_K:
    case BPF_ALU | BPF_MOD | BPF_K:
      return k !== 0;
    case BPF_ALU | BPF_LSH | BPF_K:
    case BPF_ALU | BPF_RSH | BPF_K:
      return k >>> 0 < 32;
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
      return k >>> 0 < BPF_MEMWORDS;
    case BPF_JMP | BPF_JA:
      // Unsigned: a jump back would be an enormous jump ahead.
      return k >>> 0 < len - pc - 1;
    default:
      break;
  }
  if ((code & 7) === BPF_JMP) return pc + jt + 1 < len && pc + jf + 1 < len;
  const absolute = (code & 7) === BPF_LD && (code & 0xe0) === BPF_ABS;
  if (absolute && k >= SKF_AD_OFF && k < 0) return ancillaryKnown(k - SKF_AD_OFF);
  return true;
}

function ancillaryKnown(ad: number): boolean {
  return ad < SKF_AD_MAX && (ad & 3) === 0;
}

/** Is the whole program sound? @kernel bpf_check_classic net/core/filter.c */
function bpfCheckClassic(insns: Int32Array): boolean {
  const len = insns.length / 4;
  for (let pc = 0; pc < len; pc++) if (!insnAllowed(insns, pc, len)) return false;
  const last = insns[(len - 1) * 4] ?? 0;
  if (last !== (BPF_RET | BPF_K) && last !== (BPF_RET | BPF_A)) return false;
  return checkLoadAndStores(insns, len);
}

/** Address of byte `off` of the packet's data (before it: of its headers), or -1 outside. */
function byteAddress(skb: SkBuff, off: number): number {
  if (off < 0) return skb.data + off < skb.head ? -1 : skb.data + off;
  const headlen = skbHeadlen(skb);
  if (off < headlen) return skb.data + off;
  if (off >= skb.len) return -1;
  let at = off - headlen;
  const si = skb.shinfo;
  for (let i = 0; i < si.nrFrags; i++) {
    const size = si.fragSize[i] ?? 0;
    if (at < size) return (si.fragPage[i] ?? 0) + (si.fragOffset[i] ?? 0) + at;
    at -= size;
  }
  for (let frag = si.fragList; frag !== null; frag = frag.next) {
    if (at < frag.len) return byteAddress(frag, at);
    at -= frag.len;
  }
  return -1;
}

/** Offset from `data` that a load of `k` means; -1: outside of what is there. @kernel bpf_skb_load_helper net/core/filter.c */
function dataOffset(skb: SkBuff, k: number): number {
  if (k >= 0) return k;
  // Relative to a header, which may lie before `data`, but not before `head`.
  let base = HEADER_UNSET;
  let rel = 0;
  if (k >= SKF_NET_OFF) {
    base = skb.networkHeader;
    rel = k - SKF_NET_OFF;
  } else if (k >= SKF_LL_OFF) {
    base = skb.macHeader;
    rel = k - SKF_LL_OFF;
  }
  return base === HEADER_UNSET ? Number.NaN : base + rel - skb.data;
}

/** Loads `size` bytes in network order; NaN when they are not all there. */
function loadPacket(skb: SkBuff, k: number, size: number): number {
  const off = dataOffset(skb, k);
  if (Number.isNaN(off)) return off;
  let value = 0;
  for (let i = 0; i < size; i++) {
    const addr = byteAddress(skb, off + i);
    if (addr < 0) return Number.NaN;
    value = (value << 8) | (mem[addr] ?? 0);
  }
  return value;
}

/** What the packet's head knows. @kernel convert_bpf_extensions net/core/filter.c */
function loadAncillary(skb: SkBuff, ad: number, x: number, a: number): number {
  switch (ad) {
    case SKF_AD_PROTOCOL:
      return skb.protocol;
    case SKF_AD_PKTTYPE:
      return skb.pktType;
    case SKF_AD_IFINDEX:
      return skb.dev === null ? Number.NaN : skb.dev.ifindex;
    case SKF_AD_HATYPE:
      return skb.dev === null ? Number.NaN : skb.dev.type;
    case SKF_AD_MARK:
      return skb.mark | 0;
    case SKF_AD_QUEUE:
      return skb.queueMapping;
    case SKF_AD_RXHASH:
      return skb.hash | 0;
    case SKF_AD_CPU:
      return skb.machine.cpu.id;
    case SKF_AD_VLAN_TAG:
      return skb.vlanTci;
    case SKF_AD_VLAN_TAG_PRESENT:
      return skb.vlanPresent ? 1 : 0;
    case SKF_AD_VLAN_TPID:
      return skb.vlanProto;
    case SKF_AD_RANDOM:
      return skb.machine.random.u32() | 0;
    case SKF_AD_ALU_XOR_X:
      return a ^ x;
    case SKF_AD_PAY_OFFSET:
      return skb.transportHeader === HEADER_UNSET ? 0 : skb.transportHeader - skb.data;
    default:
      // Netlink attributes: no netlink packet carries what this asks for.
      return 0;
  }
}

function load(skb: SkBuff, code: number, k: number, x: number, a: number): number {
  const size = code & 0x18;
  const bytes = size === BPF_W ? 4 : size === BPF_H ? 2 : 1;
  if ((code & 0xe0) === BPF_ABS) {
    if (k < 0 && k >= SKF_AD_OFF) return loadAncillary(skb, k - SKF_AD_OFF, x, a);
    return loadPacket(skb, k, bytes);
  }
  return loadPacket(skb, (k + x) | 0, bytes);
}

/** NaN: division by zero, which ends the program with 0. */
function alu(op: number, a: number, v: number): number {
  switch (op) {
    case BPF_ADD:
      return (a + v) | 0;
    case BPF_SUB:
      return (a - v) | 0;
    case BPF_MUL:
      return Math.imul(a, v);
    case BPF_DIV:
      return v === 0 ? Number.NaN : ((a >>> 0) / (v >>> 0)) | 0;
    case BPF_MOD:
      return v === 0 ? Number.NaN : ((a >>> 0) % (v >>> 0)) | 0;
    case BPF_OR:
      return a | v;
    case BPF_AND:
      return a & v;
    case BPF_XOR:
      return a ^ v;
    case BPF_LSH:
      return a << v;
    case BPF_RSH:
      return (a >>> v) | 0;
    default:
      return -a | 0;
  }
}

function compare(op: number, a: number, v: number): boolean {
  switch (op) {
    case BPF_JEQ:
      return a === v;
    case BPF_JGT:
      return a >>> 0 > v >>> 0;
    case BPF_JGE:
      return a >>> 0 >= v >>> 0;
    default:
      return (a & v) !== 0;
  }
}

/** Value of a load into A or X; NaN: outside of the packet. */
function loadAny(
  filter: ClassicFilter,
  skb: SkBuff,
  code: number,
  k: number,
  x: number,
  a: number,
): number {
  switch (code & 0xe0) {
    case BPF_IMM:
      return k;
    case BPF_MEM:
      return filter.scratch[k] ?? 0;
    case BPF_LEN:
      return skb.len;
    case BPF_MSH: {
      const byte = loadPacket(skb, k, 1);
      return Number.isNaN(byte) ? byte : (byte & 0xf) << 2;
    }
    default:
      return load(skb, code, k, x, a);
  }
}

/** Runs the program: bytes of the packet to keep, 0 to drop. @kernel bpf_prog_run include/linux/filter.h */
function bpfRun(filter: ClassicFilter, skb: SkBuff): number {
  const { insns, scratch } = filter;
  let a = 0;
  let x = 0;
  for (let pc = 0; pc < filter.len; pc++) {
    const code = insns[pc * 4] ?? 0;
    const k = insns[pc * 4 + 3] ?? 0;
    switch (code & 7) {
      case BPF_LD:
        a = loadAny(filter, skb, code, k, x, a);
        if (Number.isNaN(a)) return 0;
        break;
      case BPF_LDX:
        x = loadAny(filter, skb, code, k, x, a);
        if (Number.isNaN(x)) return 0;
        break;
      case BPF_ST:
        scratch[k] = a;
        break;
      case BPF_STX:
        scratch[k] = x;
        break;
      case BPF_ALU:
        a = alu(code & 0xf0, a, (code & BPF_X) !== 0 ? x : k);
        if (Number.isNaN(a)) return 0;
        break;
      case BPF_JMP:
        if (code === (BPF_JMP | BPF_JA)) pc += k;
        else {
          const hit = compare(code & 0xf0, a, (code & BPF_X) !== 0 ? x : k);
          pc += insns[pc * 4 + (hit ? 1 : 2)] ?? 0;
        }
        break;
      case BPF_RET:
        return (code === (BPF_RET | BPF_K) ? k : a) >>> 0;
      default:
        if (code === (BPF_MISC | BPF_TAX)) x = a;
        else a = x;
    }
  }
  return 0;
}

/** A checked program from its bytes; null: it is not sound. @kernel bpf_prepare_filter net/core/filter.c */
export function bpfPrepareFilter(prog: Uint8Array): SkFilter | null {
  const len = prog.length / sockFilter.LEN;
  if (!Number.isInteger(len) || len === 0 || len > BPF_MAXINSNS) return null;
  const v = new DataView(prog.buffer, prog.byteOffset, prog.length);
  const insns = new Int32Array(len * 4);
  for (let i = 0; i < len; i++) {
    const o = i * sockFilter.LEN;
    insns[i * 4] = sockFilter.code(v, o);
    insns[i * 4 + 1] = sockFilter.jt(v, o);
    insns[i * 4 + 2] = sockFilter.jf(v, o);
    insns[i * 4 + 3] = sockFilter.k(v, o);
  }
  return bpfCheckClassic(insns) ? new ClassicFilter(insns) : null;
}

/** SO_GET_FILTER: the instructions; their number is the result, also when there is no room. @kernel sk_get_filter net/core/filter.c */
function getInstructions(filter: SkFilter, optval: Uint8Array): number {
  if (!(filter instanceof ClassicFilter)) return -EINVAL;
  if (optval.length === 0) return filter.len;
  if (optval.length < filter.len * sockFilter.LEN) return -EINVAL;
  const v = new DataView(optval.buffer, optval.byteOffset, optval.length);
  for (let i = 0; i < filter.len; i++) {
    const o = i * sockFilter.LEN;
    sockFilter.setCode(v, o, filter.insns[i * 4] ?? 0);
    sockFilter.setJt(v, o, filter.insns[i * 4 + 1] ?? 0);
    sockFilter.setJf(v, o, filter.insns[i * 4 + 2] ?? 0);
    sockFilter.setK(v, o, filter.insns[i * 4 + 3] ?? 0);
  }
  return filter.len;
}

function bpfInit(machine: Machine): number {
  machine.netGlobals.bpf = { prepare: bpfPrepareFilter, get: getInstructions };
  return 0;
}

export const bpfModule: KernelModule = {
  name: 'bpf',
  config: null,
  depends: [],
  level: CORE_INITCALL,
  init: bpfInit,
  exit: null,
};
