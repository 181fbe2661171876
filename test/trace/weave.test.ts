import { expect, it } from 'vitest';
import { ftraceHook, traceFunctions } from '#trace/ftrace.ts';
import { Recorder } from '#trace/recorder.ts';
import { isTraced, weave } from '../../scripts/weave/weave.ts';

const SOURCE = `/** A file. */
import { x } from '#a/b.ts';

/** Takes it. @kernel ip_rcv net/ipv4/ip_input.c */
export function ipRcv(skb: object, n = 1): number {
  const each = [1, 2].map((i) => {
    return i * 2;
  });
  if (n > 5) return n;
  return (each[0] ?? 0) + n;
}

/** @kernel skb_push include/linux/skbuff.h */
export function inline(a: number): number {
  return a;
}

function helper(): void {}

/** @kernel ip_rcv net/ipv4/ip_input.c */
function partOfIt(): void {}
`;

it('weaves functions of .c files, on their own lines', () => {
  const woven = weave('src/net/ipv4/ip_input.ts', SOURCE);
  expect(woven?.functions).toEqual([['ip_rcv', 'ipRcv', 5, 'net/ipv4/ip_input.c']]);
  const lines = woven?.code.split('\n') ?? [];
  expect(lines).toHaveLength(SOURCE.split('\n').length);
  expect(lines[4]).toContain('__ft.enter(__fb+0,skb,n,undefined,undefined)');
  expect(lines[6]).toBe('    return i * 2;');
  expect(lines[8]).toContain('return __r=(n);');
  expect(lines[14]).toBe('  return a;');
});

it('weaves some functions only, and barely, for a script that must be small', () => {
  const only = new Set(['ip_rcv']);
  const woven = weave('src/net/ipv4/ip_input.ts', SOURCE, { only, bare: true });
  expect(woven?.functions).toHaveLength(1);
  expect(woven?.code).toContain('__ft.enter(__fb+0,skb,n):-1;try{');
  expect(woven?.code).toContain('}finally{if(__t>=0)__ft.leave(__fb+0,__t)}');
  expect(woven?.code).toContain('if (n > 5) return n;');
  expect(weave('src/net/ipv4/ip_input.ts', SOURCE, { only: new Set(['ip_forward']) })).toBeNull();
});

it('leaves modules without such functions alone', () => {
  expect(weave('src/net/x.ts', 'export const a = 1;\n')).toBeNull();
});

it('weaves the kernel and not its tests, its hardware or its tools', () => {
  expect(isTraced('src/net/ipv4/tcp_input.ts')).toBe(true);
  expect(isTraced('src/kernel/softirq.ts')).toBe(true);
  expect(isTraced('src/net/ipv4/tcp.test.ts')).toBe(false);
  expect(isTraced('src/net/ipv4/testing/tcp_rig.ts')).toBe(false);
  expect(isTraced('src/hardware/e1000/e1000_chip.ts')).toBe(false);
  expect(isTraced('src/user/ip/ip.ts')).toBe(false);
});

it('leaves nothing of it in a build that is not woven', () => {
  expect(ftraceHook()).toBeNull();
  expect(traceFunctions(new Recorder({ bytes: 1 << 20 }))).toBe(false);
});
