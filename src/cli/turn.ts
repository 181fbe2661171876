/** Lets Node's event loop turn once: by then, programs that were woken sleep again. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
