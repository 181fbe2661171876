/**
 * Static tracepoints. Counterpart of kernel/tracepoint.c.
 *
 * A call site reads `if (tp.probe !== null) tp.probe(...)`, which costs nothing measurable while
 * nobody listens. Probes observe; they must not change the machine.
 */
export class Tracepoint<Args extends unknown[]> {
  /** `system:event`, spelt as in Linux's tracefs, e.g. `skb:kfree_skb`. */
  readonly name: string;
  /** What call sites invoke: null when nobody listens. */
  probe: ((...args: Args) => void) | null;
  private probes: readonly ((...args: Args) => void)[];

  constructor(name: string) {
    this.name = name;
    this.probe = null;
    this.probes = [];
  }

  /** @kernel tracepoint_probe_register kernel/tracepoint.c */
  register(probe: (...args: Args) => void): void {
    this.probes = [...this.probes, probe];
    this.update();
  }

  /** @kernel tracepoint_probe_unregister kernel/tracepoint.c */
  unregister(probe: (...args: Args) => void): void {
    this.probes = this.probes.filter((p) => p !== probe);
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
