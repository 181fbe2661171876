/**
 * Threads of Node (worker_threads) that run modules of this package, from what is built or, where that
 * is what runs, from the sources.
 */
import { Worker } from 'node:worker_threads';

/** Loads a module of the sources in a thread: there Node takes no `--import`. */
const LOADER = `
const { workerData } = require('node:worker_threads');
import('tsx/esm/api').then((tsx) => {
  tsx.register();
  return import(workerData.threadModule);
});
`;

/**
 * Starts a thread with the module at `url`, without its ending, e.g.
 * `new URL('./split_worker', import.meta.url)`; `data` is its `workerData`.
 */
export function startThread(url: URL, data: object): Worker {
  if (import.meta.url.endsWith('.ts')) {
    return new Worker(LOADER, {
      eval: true,
      execArgv: ['--conditions=softnet-source'],
      workerData: { ...data, threadModule: `${url.href}.ts` },
    });
  }
  return new Worker(new URL(`${url.href}.js`), { workerData: data });
}
