/** Node's; the explorer, whose labs bring a turn of their own, is checked without Node's types. */
interface NodeGlobals {
  readonly setImmediate: (fn: () => void) => unknown;
}

/** Lets Node's event loop turn once: by then, programs that were woken sleep again. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    (globalThis as unknown as NodeGlobals).setImmediate(resolve);
  });
}
