/*
 * Classic BPF: the instructions of socket filters and what tcpdump compiles to.
 * Kernel counterparts: include/uapi/linux/bpf_common.h, include/uapi/linux/filter.h. McCanne and Jacobson,
 * "The BSD Packet Filter".
 */

// Classes.
export const BPF_LD = 0x0;
export const BPF_LDX = 0x1;
export const BPF_ST = 0x2;
export const BPF_STX = 0x3;
export const BPF_ALU = 0x4;
export const BPF_JMP = 0x5;
export const BPF_RET = 0x6;
export const BPF_MISC = 0x7;

// Sizes of a load.
export const BPF_W = 0x0;
export const BPF_H = 0x8;
export const BPF_B = 0x10;

// Addressing modes.
export const BPF_IMM = 0x0;
export const BPF_ABS = 0x20;
export const BPF_IND = 0x40;
export const BPF_MEM = 0x60;
export const BPF_LEN = 0x80;
export const BPF_MSH = 0xa0;

// Arithmetic.
export const BPF_ADD = 0x0;
export const BPF_SUB = 0x10;
export const BPF_MUL = 0x20;
export const BPF_DIV = 0x30;
export const BPF_OR = 0x40;
export const BPF_AND = 0x50;
export const BPF_LSH = 0x60;
export const BPF_RSH = 0x70;
export const BPF_NEG = 0x80;
export const BPF_MOD = 0x90;
export const BPF_XOR = 0xa0;

// Jumps.
export const BPF_JA = 0x0;
export const BPF_JEQ = 0x10;
export const BPF_JGT = 0x20;
export const BPF_JGE = 0x30;
export const BPF_JSET = 0x40;

// Operands, and the moves of BPF_MISC.
export const BPF_K = 0x00;
export const BPF_X = 0x08;
export const BPF_A = 0x10;
export const BPF_TAX = 0x00;
export const BPF_TXA = 0x80;

// Limits: instructions of a program, words of scratch memory.
export const BPF_MAXINSNS = 4096;
export const BPF_MEMWORDS = 16;

// Loads from negative offsets: ancillary data, the network header, the link layer.
export const SKF_AD_OFF = -4096;
export const SKF_AD_PROTOCOL = 0;
export const SKF_AD_PKTTYPE = 4;
export const SKF_AD_IFINDEX = 8;
export const SKF_AD_NLATTR = 12;
export const SKF_AD_NLATTR_NEST = 16;
export const SKF_AD_MARK = 20;
export const SKF_AD_QUEUE = 24;
export const SKF_AD_HATYPE = 28;
export const SKF_AD_RXHASH = 32;
export const SKF_AD_CPU = 36;
export const SKF_AD_ALU_XOR_X = 40;
export const SKF_AD_VLAN_TAG = 44;
export const SKF_AD_VLAN_TAG_PRESENT = 48;
export const SKF_AD_PAY_OFFSET = 52;
export const SKF_AD_RANDOM = 56;
export const SKF_AD_VLAN_TPID = 60;
export const SKF_AD_MAX = 64;
export const SKF_NET_OFF = -1048576;
export const SKF_LL_OFF = -2097152;

/** The opcode's class: its low three bits. @kernel BPF_CLASS include/uapi/linux/bpf_common.h */
export const bpfClass = (code: number): number => code & 0x07;
/** Size of a load. @kernel BPF_SIZE include/uapi/linux/bpf_common.h */
export const bpfSize = (code: number): number => code & 0x18;
/** Addressing mode of a load. @kernel BPF_MODE include/uapi/linux/bpf_common.h */
export const bpfMode = (code: number): number => code & 0xe0;
/** Operation of arithmetic or a jump. @kernel BPF_OP include/uapi/linux/bpf_common.h */
export const bpfOp = (code: number): number => code & 0xf0;
/** Constant or register X as operand. @kernel BPF_SRC include/uapi/linux/bpf_common.h */
export const bpfSrc = (code: number): number => code & 0x08;
/** What a return gives: constant, X or A. @kernel BPF_RVAL include/uapi/linux/filter.h */
export const bpfRval = (code: number): number => code & 0x18;
/** A and X moved. @kernel BPF_MISCOP include/uapi/linux/filter.h */
export const bpfMiscop = (code: number): number => code & 0xf8;

/** struct sock_filter: one instruction. `jt` and `jf` are instructions to skip. */
export const sockFilter = {
  LEN: 8,
  code: (v: DataView, o: number): number => v.getUint16(o, true),
  jt: (v: DataView, o: number): number => v.getUint8(o + 2),
  jf: (v: DataView, o: number): number => v.getUint8(o + 3),
  k: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  setCode: (v: DataView, o: number, x: number): void => v.setUint16(o, x, true),
  setJt: (v: DataView, o: number, x: number): void => v.setUint8(o + 2, x),
  setJf: (v: DataView, o: number, x: number): void => v.setUint8(o + 3, x),
  setK: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
} as const;
