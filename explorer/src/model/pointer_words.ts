/** How a packet's pointers moved from one step to the next, in the kernel's words. */
import type { StepInfo } from '../protocol.ts';

/** What happened to the pointers since the step before, in the kernel's words; empty: nothing. */
export function changeWords(before: StepInfo | null, now: StepInfo): string {
  if (before === null || before.skb !== now.skb) return '';
  if (before.pointers.end !== now.pointers.end) return 'another head, with more room';
  const data = now.pointers.data - before.pointers.data;
  const tail = now.pointers.tail - before.pointers.tail;
  const words: string[] = [];
  if (data < 0) words.push(`skb_push: ${-data} bytes of header were put in front`);
  // Room in front of nothing was reserved; of something, was taken off.
  if (data > 0 && tail === data && before.length === 0) {
    words.push(`skb_reserve: ${data} bytes of headroom`);
  } else {
    if (data > 0) words.push(`skb_pull: ${data} bytes of header are done with`);
    if (tail > 0) words.push(`skb_put: ${tail} bytes were added behind`);
    if (tail < 0) words.push(`skb_trim: ${-tail} bytes were cut off behind`);
  }
  if (now.users !== before.users) words.push(`users ${before.users} → ${now.users}`);
  if (now.dataref !== before.dataref) words.push(`dataref ${before.dataref} → ${now.dataref}`);
  return words.join('; ');
}

/** The step before one in which the same structure was seen. */
export function sightBefore(steps: readonly StepInfo[], index: number): StepInfo | null {
  const skb = steps[index]?.skb ?? 0;
  const machine = steps[index]?.machine;
  for (let i = index - 1; i >= 0 && skb !== 0; i--) {
    const step = steps[i];
    if (step?.skb === skb && step.machine === machine) return step;
  }
  return null;
}
