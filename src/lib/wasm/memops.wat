;; Sums and copies packet octets in place. Compiled by scripts/build-wasm.ts into memops_wasm.ts.
;;
;; Every sum is the wsum of lib/checksum.ts: folded to 16 bits, network order, the first octet of the run the
;; high half of a word. Vectors hold words low octet first, so the octets of the folded sum are exchanged once
;; at the end. 16-bit lanes are added in pairs into 32-bit lanes: a lane gains at most 2 * 0xffff from each
;; vector, so 2^15 vectors fit; the outer loop ends a block long before (64 KiB in each of four accumulators)
;; and drains the lanes into a 64-bit scalar.
(module
  (import "env" "memory" (memory 0))

  ;; The four lanes of a vector, added without loss.
  (func $drain (param $v v128) (result i64)
    (i64.add
      (i64.add
        (i64.extend_i32_u (i32x4.extract_lane 0 (local.get $v)))
        (i64.extend_i32_u (i32x4.extract_lane 1 (local.get $v))))
      (i64.add
        (i64.extend_i32_u (i32x4.extract_lane 2 (local.get $v)))
        (i64.extend_i32_u (i32x4.extract_lane 3 (local.get $v))))))

  ;; A scalar sum in the machine's order, folded, its octets exchanged, plus a wsum; folded again.
  (func $finish (param $acc i64) (param $sum i32) (result i32)
    (local $s i32)
    ;; 64 -> 33 -> 32 bits and a carry -> 17 -> 16
    (local.set $acc
      (i64.add
        (i64.and (local.get $acc) (i64.const 0xffffffff))
        (i64.shr_u (local.get $acc) (i64.const 32))))
    (local.set $acc
      (i64.add
        (i64.and (local.get $acc) (i64.const 0xffff))
        (i64.shr_u (local.get $acc) (i64.const 16))))
    (local.set $s (i32.wrap_i64 (local.get $acc)))
    (local.set $s (call $fold (local.get $s)))
    (local.set $s
      (i32.or
        (i32.shl (i32.and (local.get $s) (i32.const 0xff)) (i32.const 8))
        (i32.shr_u (local.get $s) (i32.const 8))))
    (call $fold (i32.add (local.get $s) (call $fold (local.get $sum)))))

  (func $fold (param $s i32) (result i32)
    (local.set $s
      (i32.add
        (i32.and (local.get $s) (i32.const 0xffff))
        (i32.shr_u (local.get $s) (i32.const 16))))
    (i32.add
      (i32.and (local.get $s) (i32.const 0xffff))
      (i32.shr_u (local.get $s) (i32.const 16))))

  (func $csum_partial (export "csum_partial")
    (param $p i32) (param $len i32) (param $sum i32) (result i32)
    (local $acc i64) (local $block i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (block $wide_done
      (loop $wide
        (br_if $wide_done (i32.lt_u (local.get $len) (i32.const 64)))
        (local.set $block
          (i32.and
            (select (local.get $len) (i32.const 0x40000)
              (i32.lt_u (local.get $len) (i32.const 0x40000)))
            (i32.const 0xffffffc0)))
        (local.set $len (i32.sub (local.get $len) (local.get $block)))
        (local.set $a (v128.const i32x4 0 0 0 0))
        (local.set $b (v128.const i32x4 0 0 0 0))
        (local.set $c (v128.const i32x4 0 0 0 0))
        (local.set $d (v128.const i32x4 0 0 0 0))
        (loop $next
          (local.set $a (i32x4.add (local.get $a)
            (i32x4.extadd_pairwise_i16x8_u (v128.load (local.get $p)))))
          (local.set $b (i32x4.add (local.get $b)
            (i32x4.extadd_pairwise_i16x8_u (v128.load offset=16 (local.get $p)))))
          (local.set $c (i32x4.add (local.get $c)
            (i32x4.extadd_pairwise_i16x8_u (v128.load offset=32 (local.get $p)))))
          (local.set $d (i32x4.add (local.get $d)
            (i32x4.extadd_pairwise_i16x8_u (v128.load offset=48 (local.get $p)))))
          (local.set $p (i32.add (local.get $p) (i32.const 64)))
          (local.set $block (i32.sub (local.get $block) (i32.const 64)))
          (br_if $next (local.get $block)))
        (local.set $acc (i64.add (local.get $acc)
          (i64.add
            (i64.add (call $drain (local.get $a)) (call $drain (local.get $b)))
            (i64.add (call $drain (local.get $c)) (call $drain (local.get $d))))))
        (br $wide)))
    ;; Fewer than 64 octets are left: words, then the ends. A last odd octet is the low half of a word here.
    (block $words_done
      (loop $words
        (br_if $words_done (i32.lt_u (local.get $len) (i32.const 4)))
        (local.set $acc (i64.add (local.get $acc) (i64.load32_u (local.get $p))))
        (local.set $p (i32.add (local.get $p) (i32.const 4)))
        (local.set $len (i32.sub (local.get $len) (i32.const 4)))
        (br $words)))
    (if (i32.and (local.get $len) (i32.const 2))
      (then
        (local.set $acc (i64.add (local.get $acc) (i64.load16_u (local.get $p))))
        (local.set $p (i32.add (local.get $p) (i32.const 2)))))
    (if (i32.and (local.get $len) (i32.const 1))
      (then
        (local.set $acc (i64.add (local.get $acc) (i64.load8_u (local.get $p))))))
    (call $finish (local.get $acc) (local.get $sum)))

  ;; The same, and each vector is stored as it goes by. The runs must not overlap.
  (func $csum_and_copy (export "csum_and_copy")
    (param $p i32) (param $q i32) (param $len i32) (param $sum i32) (result i32)
    (local $acc i64) (local $block i32) (local $v v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (block $wide_done
      (loop $wide
        (br_if $wide_done (i32.lt_u (local.get $len) (i32.const 64)))
        (local.set $block
          (i32.and
            (select (local.get $len) (i32.const 0x40000)
              (i32.lt_u (local.get $len) (i32.const 0x40000)))
            (i32.const 0xffffffc0)))
        (local.set $len (i32.sub (local.get $len) (local.get $block)))
        (local.set $a (v128.const i32x4 0 0 0 0))
        (local.set $b (v128.const i32x4 0 0 0 0))
        (local.set $c (v128.const i32x4 0 0 0 0))
        (local.set $d (v128.const i32x4 0 0 0 0))
        (loop $next
          (v128.store (local.get $q) (local.tee $v (v128.load (local.get $p))))
          (local.set $a (i32x4.add (local.get $a)
            (i32x4.extadd_pairwise_i16x8_u (local.get $v))))
          (v128.store offset=16 (local.get $q) (local.tee $v (v128.load offset=16 (local.get $p))))
          (local.set $b (i32x4.add (local.get $b)
            (i32x4.extadd_pairwise_i16x8_u (local.get $v))))
          (v128.store offset=32 (local.get $q) (local.tee $v (v128.load offset=32 (local.get $p))))
          (local.set $c (i32x4.add (local.get $c)
            (i32x4.extadd_pairwise_i16x8_u (local.get $v))))
          (v128.store offset=48 (local.get $q) (local.tee $v (v128.load offset=48 (local.get $p))))
          (local.set $d (i32x4.add (local.get $d)
            (i32x4.extadd_pairwise_i16x8_u (local.get $v))))
          (local.set $p (i32.add (local.get $p) (i32.const 64)))
          (local.set $q (i32.add (local.get $q) (i32.const 64)))
          (local.set $block (i32.sub (local.get $block) (i32.const 64)))
          (br_if $next (local.get $block)))
        (local.set $acc (i64.add (local.get $acc)
          (i64.add
            (i64.add (call $drain (local.get $a)) (call $drain (local.get $b)))
            (i64.add (call $drain (local.get $c)) (call $drain (local.get $d))))))
        (br $wide)))
    (block $words_done
      (loop $words
        (br_if $words_done (i32.lt_u (local.get $len) (i32.const 4)))
        (local.set $acc (i64.add (local.get $acc) (i64.load32_u (local.get $p))))
        (i32.store (local.get $q) (i32.load (local.get $p)))
        (local.set $p (i32.add (local.get $p) (i32.const 4)))
        (local.set $q (i32.add (local.get $q) (i32.const 4)))
        (local.set $len (i32.sub (local.get $len) (i32.const 4)))
        (br $words)))
    (if (i32.and (local.get $len) (i32.const 2))
      (then
        (local.set $acc (i64.add (local.get $acc) (i64.load16_u (local.get $p))))
        (i32.store16 (local.get $q) (i32.load16_u (local.get $p)))
        (local.set $p (i32.add (local.get $p) (i32.const 2)))
        (local.set $q (i32.add (local.get $q) (i32.const 2)))))
    (if (i32.and (local.get $len) (i32.const 1))
      (then
        (local.set $acc (i64.add (local.get $acc) (i64.load8_u (local.get $p))))
        (i32.store8 (local.get $q) (i32.load8_u (local.get $p)))))
    (call $finish (local.get $acc) (local.get $sum)))

  ;; memmove: the runs may overlap.
  (func $copy (export "copy") (param $dst i32) (param $src i32) (param $len i32)
    (memory.copy (local.get $dst) (local.get $src) (local.get $len))))
