/** Lets the worker's event loop turn once, so that programs run and messages of the page come in. */
export function makeTurn(): () => Promise<void> {
  const channel = new MessageChannel();
  let resolveTurn: (() => void) | null = null;
  channel.port1.onmessage = () => {
    const resolve = resolveTurn;
    resolveTurn = null;
    resolve?.();
  };
  return () =>
    new Promise((resolve) => {
      resolveTurn = resolve;
      channel.port2.postMessage(null);
    });
}
