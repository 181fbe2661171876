/**
 * Programmer errors. Counterpart of BUG_ON() and WARN_ON() in include/asm-generic/bug.h.
 *
 * Packets never cause one of these: whatever arrives from outside is answered with a drop reason
 * or an errno. A KernelBug means that code of ours, or a driver of the embedder's, broke a rule.
 */
export class KernelBug extends Error {
  /** Short stable name of the broken rule, e.g. `double-free`, `skb-under-panic`. */
  readonly invariant: string;

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`);
    this.name = 'KernelBug';
    this.invariant = invariant;
  }
}

/** Throws a KernelBug when `condition` holds. @kernel BUG_ON include/asm-generic/bug.h */
export function bugOn(condition: boolean, invariant: string, detail: string): void {
  if (condition) throw new KernelBug(invariant, detail);
}
