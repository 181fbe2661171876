/**
 * Static keys: branches of the code that cost nothing as long as nobody needs them. Counterpart of
 * kernel/jump_label.c and include/linux/jump_label.h.
 *
 * Linux writes a no-op where the branch stands and patches it into a jump when the key is enabled.
 * V8 does as much for a field of a constant object that was never written since its construction:
 * optimized code holds the value instead of reading it, and is thrown away when the field is written
 * for the first time. From then on the branch is one load and a comparison.
 */

/**
 * Is constructed at the top of a module and read there as `key.enabled`. All machines of the process
 * share it, as they share the code (docs/decisions/0023). It only says that a way is worth looking
 * at: what a machine does never depends on it. V8 keeps what it knows of `enabled` for all keys
 * together, so that one that is enabled makes each of them cost its load.
 */
export class StaticKey {
  /** Whether anybody needs the branch. */
  enabled: boolean;
  private count: number;

  constructor() {
    this.enabled = false;
    this.count = 0;
  }

  /** One more needs the branch. @kernel static_key_slow_inc kernel/jump_label.c */
  slowInc(): void {
    if (this.count++ === 0) this.enabled = true;
  }

  /** One less needs it. @kernel static_key_slow_dec kernel/jump_label.c */
  slowDec(): void {
    if (--this.count === 0) this.enabled = false;
  }
}
