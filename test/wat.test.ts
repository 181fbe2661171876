import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MEMOPS_WASM } from '#lib/wasm/memops_wasm.ts';
import { webAssembly } from '#lib/wasm/webassembly.ts';
import { assembleWat } from '../scripts/wasm/wat.ts';

const wrap = (body: string): string =>
  `(module (func $f (export "f") (param $x i32) (result i32) ${body}))`;

describe('assembleWat', () => {
  it('gives the bytes that are checked in', () => {
    const source = readFileSync(new URL('../src/lib/wasm/memops.wat', import.meta.url), 'utf8');
    expect(Buffer.from(assembleWat(source)).toString('base64')).toBe(MEMOPS_WASM);
  });

  it('assembles loops, labels and constants of every size', () => {
    const source = wrap(`
      (local $n i32)
      (block $out
        (loop $again
          (br_if $out (i32.eqz (local.get $x)))
          (local.set $n (i32.add (local.get $n) (i32.const -100000)))
          (local.set $x (i32.sub (local.get $x) (i32.const 1)))
          (br $again)))
      (i32.add (local.get $n) (i32.const 0x7fffffff))`);
    const engine = webAssembly();
    if (engine === null) throw new Error('no WebAssembly here');
    const { exports } = new engine.Instance(new engine.Module(assembleWat(source)), {});
    const f = exports['f'] as (x: number) => number;
    expect(f(0)).toBe(0x7fffffff);
    expect(f(3)).toBe(0x7fffffff - 300000);
  });

  it.each([
    ['(local.get $y)', /line 1: no local \$y/],
    ['(br $nowhere)', /no label \$nowhere/],
    ['(call $g)', /no function \$g/],
    ['(i32.div_s (local.get $x) (local.get $x))', /unknown instruction i32\.div_s/],
    ['local.get', /only folded/],
    ['(if (local.get $x))', /if: a condition and \(then/],
    ['(v128.const i32x4 1 0 0 0)', /only zero/],
    ['(', /unbalanced/],
    [')))', /one \) too many/],
  ])('refuses %s', (body, message) => {
    expect(() => assembleWat(wrap(body))).toThrow(message);
  });
});
