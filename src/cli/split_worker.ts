/** Where a thread of a split world begins: the kernel's switches are set before the kernel is loaded. */
import { workerData } from 'node:worker_threads';

Object.assign(globalThis, { softnetConfig: (workerData as { config: unknown }).config });
const { runPart } = await import('#cli/split_part.ts');
await runPart();
