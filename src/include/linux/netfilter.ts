/** Netfilter hooks. Counterpart of include/linux/netfilter.h; functions in net/netfilter/core.ts. */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';

/** What a hook is told. @kernel nf_hook_state include/linux/netfilter.h */
export class NfHookState {
  hook = 0;
  pf = 0;
  in: NetDevice | null = null;
  out: NetDevice | null = null;
  sk: Sock | null = null;
  net: Net | null = null;
  okfn: ((net: Net, sk: Sock | null, skb: SkBuff) => number) | null = null;
}

/** Returns NF_ACCEPT, NF_DROP (the core frees), NF_STOLEN, NF_QUEUE or NF_REPEAT. */
export type NfHookFn = (priv: unknown, skb: SkBuff, state: NfHookState) => number;

/** @kernel nf_hook_ops include/linux/netfilter.h */
export interface NfHookOps {
  readonly hook: NfHookFn;
  readonly priv: unknown;
  readonly pf: number;
  readonly hooknum: number;
  readonly priority: number;
}

/** Hooks of one point, by ascending priority. @kernel nf_hook_entries include/linux/netfilter.h */
export interface NfHookEntries {
  readonly hooks: readonly NfHookOps[];
}
