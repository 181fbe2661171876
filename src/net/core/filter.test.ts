import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { type SkBuff, skbResetNetworkHeader } from '#include/linux/skbuff.ts';
import { mem } from '#mm/memory.ts';
import { bpfPrepareFilter } from '#net/core/filter.ts';
import { allocSkb, allocSkbWithFrags, consumeSkb, skbPutData } from '#net/core/skbuff.ts';
import {
  BPF_A,
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_B,
  BPF_DIV,
  BPF_H,
  BPF_IMM,
  BPF_IND,
  BPF_JA,
  BPF_JEQ,
  BPF_JMP,
  BPF_JSET,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_LEN,
  BPF_LSH,
  BPF_MEM,
  BPF_MISC,
  BPF_MSH,
  BPF_RET,
  BPF_ST,
  BPF_TAX,
  BPF_TXA,
  BPF_W,
  BPF_X,
  SKF_AD_OFF,
  SKF_AD_PKTTYPE,
  SKF_AD_PROTOCOL,
  SKF_NET_OFF,
  sockFilter,
} from '#uapi/filter.ts';

type Insn = readonly [code: number, jt: number, jf: number, k: number];

function program(...insns: Insn[]): Uint8Array {
  const prog = new Uint8Array(insns.length * sockFilter.LEN);
  const v = new DataView(prog.buffer);
  for (const [i, [code, jt, jf, k]] of insns.entries()) {
    const o = i * sockFilter.LEN;
    sockFilter.setCode(v, o, code);
    sockFilter.setJt(v, o, jt);
    sockFilter.setJf(v, o, jf);
    sockFilter.setK(v, o, k);
  }
  return prog;
}

const stmt = (code: number, k: number): Insn => [code, 0, 0, k];
const ret = (k: number): Insn => stmt(BPF_RET | BPF_K, k);

let m: BareMachine;
let skb: SkBuff;

beforeEach(() => {
  m = new BareMachine();
  skb = allocSkb(m.machine, 64) as SkBuff;
  // An IPv4 header with options (24 bytes), then 00 50 as a port.
  skbPutData(
    skb,
    Uint8Array.from([0x46, 0, 0, 28, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]),
  );
  skbPutData(skb, Uint8Array.from([1, 1, 1, 1, 0, 80, 0xff, 0xff]));
  skbResetNetworkHeader(skb);
  skb.protocol = 0x0800;
  skb.pktType = 4;
});

afterEach(() => {
  consumeSkb(skb);
  expect(m.end()).toEqual({});
});

function run(...insns: Insn[]): number {
  const filter = bpfPrepareFilter(program(...insns));
  expect(filter).not.toBeNull();
  return filter === null ? -1 : filter.run(skb);
}

describe('classic BPF', () => {
  it('reads the packet in network order', () => {
    expect(run(stmt(BPF_LD | BPF_W | BPF_ABS, 12), stmt(BPF_RET | BPF_A, 0))).toBe(0x0a000001);
    expect(run(stmt(BPF_LD | BPF_H | BPF_ABS, 2), stmt(BPF_RET | BPF_A, 0))).toBe(28);
    expect(run(stmt(BPF_LD | BPF_B | BPF_ABS, 8), stmt(BPF_RET | BPF_A, 0))).toBe(64);
    expect(run(stmt(BPF_LD | BPF_LEN, 0), stmt(BPF_RET | BPF_A, 0))).toBe(28);
  });

  it('finds the port behind a header of any length, as tcpdump asks for it', () => {
    const code = (port: number): number =>
      run(
        stmt(BPF_LDX | BPF_B | BPF_MSH, 0),
        stmt(BPF_LD | BPF_H | BPF_IND, 0),
        [BPF_JMP | BPF_JEQ | BPF_K, 0, 1, port],
        ret(0xffffffff),
        ret(0),
      );
    expect(code(80)).toBe(0xffffffff);
    expect(code(81)).toBe(0);
  });

  it('drops where a load leaves the packet', () => {
    expect(run(stmt(BPF_LD | BPF_W | BPF_ABS, 25), ret(1))).toBe(0);
    expect(run(stmt(BPF_LD | BPF_B | BPF_ABS, 28), ret(1))).toBe(0);
    expect(
      run(stmt(BPF_LDX | BPF_IMM, 0x7fffffff), stmt(BPF_LD | BPF_B | BPF_IND, 2), ret(1)),
    ).toBe(0);
    expect(run(stmt(BPF_LD | BPF_B | BPF_ABS, SKF_NET_OFF + 9), stmt(BPF_RET | BPF_A, 0))).toBe(6);
    expect(run(stmt(BPF_LD | BPF_B | BPF_ABS, SKF_NET_OFF - 1), ret(1))).toBe(0);
  });

  it('knows what the head knows', () => {
    const ad = (what: number): number =>
      run(stmt(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + what), stmt(BPF_RET | BPF_A, 0));
    expect(ad(SKF_AD_PROTOCOL)).toBe(0x0800);
    expect(ad(SKF_AD_PKTTYPE)).toBe(4);
  });

  it('computes on 32 bits, unsigned where C does', () => {
    const alu = (op: number, a: number, k: number): number =>
      run(stmt(BPF_LD | BPF_IMM, a), stmt(BPF_ALU | op | BPF_K, k), stmt(BPF_RET | BPF_A, 0));
    expect(alu(BPF_ADD, 0xffffffff, 2)).toBe(1);
    expect(alu(BPF_DIV, 0xfffffffe, 2)).toBe(0x7fffffff);
    expect(alu(BPF_LSH, 1, 31)).toBe(0x80000000);
    // Division by X of zero ends the program.
    expect(run(stmt(BPF_LD | BPF_IMM, 7), stmt(BPF_ALU | BPF_DIV | BPF_X, 0), ret(1))).toBe(0);
    expect(
      run(
        stmt(BPF_LD | BPF_IMM, 9),
        stmt(BPF_ST, 3),
        stmt(BPF_MISC | BPF_TAX, 0),
        stmt(BPF_LD | BPF_IMM, 0),
        stmt(BPF_MISC | BPF_TXA, 0),
        stmt(BPF_LDX | BPF_MEM, 3),
        stmt(BPF_ALU | BPF_ADD | BPF_X, 0),
        stmt(BPF_RET | BPF_A, 0),
      ),
    ).toBe(18);
  });

  it('reads fragments like linear data', () => {
    const frags = allocSkbWithFrags(m.machine, 16, 40) as SkBuff;
    frags.len = 40;
    frags.dataLen = 40;
    const at = (frags.shinfo.fragPage[0] ?? 0) + (frags.shinfo.fragOffset[0] ?? 0);
    mem.set(Uint8Array.of(0xde, 0xad, 0xbe, 0xef), at);
    const filter = bpfPrepareFilter(
      program(stmt(BPF_LD | BPF_W | BPF_ABS, 0), stmt(BPF_RET | BPF_A, 0)),
    );
    expect(filter?.run(frags)).toBe(0xdeadbeef);
    consumeSkb(frags);
  });

  it('refuses programs that are not sound', () => {
    const unsound: [string, Insn[]][] = [
      ['nothing', []],
      ['no return at the end', [stmt(BPF_LD | BPF_IMM, 1)]],
      ['an unknown opcode', [stmt(0x07ff, 0), ret(1)]],
      ['a constant divisor of zero', [stmt(BPF_ALU | BPF_DIV | BPF_K, 0), ret(1)]],
      ['a shift by 32', [stmt(BPF_ALU | BPF_LSH | BPF_K, 32), ret(1)]],
      ['a memory word beyond the 16', [stmt(BPF_ST, 16), ret(1)]],
      ['a read before any write', [stmt(BPF_LD | BPF_MEM, 2), ret(1)]],
      ['a jump beyond the end', [[BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1], ret(1)]],
      ['a jump back', [stmt(BPF_JMP | BPF_JA, -1), ret(1)]],
      [
        'a write on one branch only',
        [[BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0], stmt(BPF_ST, 0), stmt(BPF_LD | BPF_MEM, 0), ret(1)],
      ],
      ['an ancillary load at an odd place', [stmt(BPF_LD | BPF_B | BPF_ABS, -1), ret(1)]],
      ['an unknown ancillary load', [stmt(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + 64), ret(1)]],
    ];
    for (const [why, insns] of unsound) {
      expect(bpfPrepareFilter(program(...insns)), why).toBeNull();
    }
    expect(bpfPrepareFilter(new Uint8Array(12))).toBeNull();
    expect(bpfPrepareFilter(new Uint8Array(4097 * 8))).toBeNull();
  });

  it('ends on every program that it accepts', () => {
    const insn = fc.tuple(
      fc.integer({ min: 0, max: 0xff }),
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 0, max: 3 }),
      fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer()),
    );
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(insn, { maxLength: 6 }), (insns) => {
        const filter = bpfPrepareFilter(program(...insns, ret(1)));
        if (filter === null) return;
        accepted++;
        const keep = filter.run(skb);
        expect(Number.isInteger(keep) && keep >= 0 && keep <= 0xffffffff).toBe(true);
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(50);
  });
});
