/**
 * What the bundle for other engines runs: the rough world under one seed. It uses nothing of a
 * host but a MessageChannel, which lets the event loop turn in browsers, workers and Node alike.
 */
import { runScenario, type ScenarioResult } from '../support/scenario.ts';

const channel = new MessageChannel();
let resolveTurn: (() => void) | null = null;
channel.port1.onmessage = () => {
  const resolve = resolveTurn;
  resolveTurn = null;
  resolve?.();
};

function turn(): Promise<void> {
  return new Promise((resolve) => {
    resolveTurn = resolve;
    channel.port2.postMessage(null);
  });
}

export async function runInEngine(seed: string): Promise<ScenarioResult> {
  const result = await runScenario({ seed, turn, size: 100_000 });
  return result;
}

export function closeEngine(): void {
  channel.port1.close();
}
