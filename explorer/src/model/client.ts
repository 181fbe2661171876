/** The page's end of the worker: calls that answer with promises, and news as they come. */
import type { CallMessage, CallName, Calls, News, Problem, WorkerMessage } from '../protocol.ts';

/** A call that the worker refused, in words for people. */
export class CallError extends Error {
  override readonly name = 'CallError';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.title}: ${problem.detail}`);
    this.problem = problem;
  }
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class Client {
  private readonly worker: Worker;
  private readonly waiting: Map<number, Waiting>;
  private nextId: number;
  /** Told of the world with the number that its load gave. */
  onNews: (world: number, news: News) => void;
  onCrash: (problem: Problem) => void;

  constructor(worker: Worker) {
    this.worker = worker;
    this.waiting = new Map();
    this.nextId = 1;
    this.onNews = () => {};
    this.onCrash = () => {};
    worker.onmessage = (event: MessageEvent<WorkerMessage>) => this.receive(event.data);
    worker.onerror = (event) => {
      this.onCrash({ title: 'The worker has failed', detail: event.message });
    };
  }

  call<K extends CallName>(call: K, params: Calls[K]['params']): Promise<Calls[K]['result']> {
    const id = this.nextId++;
    const message: CallMessage = { id, call, params };
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.worker.postMessage(message);
    });
  }

  private receive(message: WorkerMessage): void {
    if (message.type === 'news') {
      this.onNews(message.world, message.news);
      return;
    }
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.type === 'result') waiting?.resolve(message.value);
    else waiting?.reject(new CallError(message.problem));
  }
}

declare global {
  /** Set by worker.js where it was loaded as a script of the page. */
  var softnetWorker: (() => void) | undefined;
}

export function loadScript(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = url;
    script.onload = () => resolve();
    script.onerror = () => reject(new Error(`${url} cannot be loaded`));
    document.head.append(script);
  });
}

/**
 * Starts the worker. A page opened from a folder may not start one from a file; there the same script is
 * loaded into the page, where it only defines a function, and the worker is made from that function's text.
 */
export async function startWorker(): Promise<Worker> {
  if (location.protocol !== 'file:') return new Worker('worker.js', { name: 'softnet' });
  await loadScript('worker.js');
  const { softnetWorker } = globalThis;
  if (softnetWorker === undefined) throw new Error('worker.js defines no worker');
  const blob = new Blob([`(${softnetWorker.toString()})()`], { type: 'text/javascript' });
  return new Worker(URL.createObjectURL(blob), { name: 'softnet' });
}
