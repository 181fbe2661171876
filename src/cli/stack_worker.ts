/** Where the thread of a machine that shares its address begins: switches first, then the kernel. */
import { workerData } from 'node:worker_threads';

Object.assign(globalThis, { softnetConfig: (workerData as { config: unknown }).config });
const { runStack } = await import('#cli/stack_part.ts');
await runStack();
