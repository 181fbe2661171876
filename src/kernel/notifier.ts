/** Chains of callbacks by priority. Counterpart of kernel/notifier.c. */

export const NOTIFY_DONE = 0x0000;
export const NOTIFY_OK = 0x0001;
export const NOTIFY_STOP_MASK = 0x8000;
export const NOTIFY_BAD: number = NOTIFY_STOP_MASK | 0x0002;
export const NOTIFY_STOP: number = NOTIFY_OK | NOTIFY_STOP_MASK;

/** @kernel notifier_block include/linux/notifier.h */
export interface NotifierBlock<T> {
  call(event: number, data: T): number;
  /** Higher ones are called first. */
  readonly priority: number;
}

/** @kernel notifier_from_errno include/linux/notifier.h */
export function notifierFromErrno(err: number): number {
  return err === 0 ? NOTIFY_OK : NOTIFY_STOP_MASK | (NOTIFY_OK - err);
}

/** @kernel notifier_to_errno include/linux/notifier.h */
export function notifierToErrno(ret: number): number {
  const code = ret & ~NOTIFY_STOP_MASK;
  return code > NOTIFY_OK ? NOTIFY_OK - code : 0;
}

export class NotifierChain<T> {
  private blocks: readonly NotifierBlock<T>[];

  constructor() {
    this.blocks = [];
  }

  /** @kernel raw_notifier_chain_register kernel/notifier.c */
  register(block: NotifierBlock<T>): void {
    const at = this.blocks.findIndex((other) => other.priority < block.priority);
    const blocks = [...this.blocks];
    blocks.splice(at < 0 ? blocks.length : at, 0, block);
    this.blocks = blocks;
  }

  /** @kernel raw_notifier_chain_unregister kernel/notifier.c */
  unregister(block: NotifierBlock<T>): void {
    this.blocks = this.blocks.filter((other) => other !== block);
  }

  /** Calls all until one stops the chain; returns what the last one said. @kernel raw_notifier_call_chain kernel/notifier.c */
  call(event: number, data: T): number {
    let ret = NOTIFY_DONE;
    for (const block of this.blocks) {
      ret = block.call(event, data);
      if ((ret & NOTIFY_STOP_MASK) !== 0) break;
    }
    return ret;
  }
}
