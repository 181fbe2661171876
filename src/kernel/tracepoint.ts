/**
 * Static tracepoints. Counterpart of kernel/tracepoint.c.
 *
 * A call site reads `if (tracepointKey.enabled) trace.net.netifRx.probe?.(skb)`: nothing is left of it
 * in optimized code until somebody in the process listens to any tracepoint, two loads and comparisons
 * afterwards. Probes observe; they must not change the machine.
 */
import { StaticKey } from '#kernel/jump_label.ts';

/** Enabled while any tracepoint of any machine has a probe. */
export const tracepointKey: StaticKey = new StaticKey();

export class Tracepoint<Args extends unknown[]> {
  /** `system:event`, spelt as in Linux's tracefs, e.g. `skb:kfree_skb`. */
  readonly name: string;
  /** What call sites invoke: null when nobody listens. Set by register() and unregister(). */
  probe: ((...args: Args) => void) | null;
  private probes: readonly ((...args: Args) => void)[];

  constructor(name: string) {
    this.name = name;
    this.probe = null;
    this.probes = [];
  }

  /** @kernel tracepoint_probe_register kernel/tracepoint.c */
  register(probe: (...args: Args) => void): void {
    if (this.probes.length === 0) tracepointKey.slowInc();
    this.probes = [...this.probes, probe];
    this.update();
  }

  /** @kernel tracepoint_probe_unregister kernel/tracepoint.c */
  unregister(probe: (...args: Args) => void): void {
    const rest = this.probes.filter((p) => p !== probe);
    if (rest.length === 0 && this.probes.length !== 0) tracepointKey.slowDec();
    this.probes = rest;
    this.update();
  }

  private update(): void {
    const list = this.probes;
    const [only] = list;
    if (only === undefined) this.probe = null;
    else if (list.length === 1) this.probe = only;
    else {
      this.probe = (...args: Args): void => {
        for (const probe of list) probe(...args);
      };
    }
  }
}
