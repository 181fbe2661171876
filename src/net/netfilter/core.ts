/**
 * Netfilter's hook points: registration by priority, and the walk over them. Counterpart of
 * net/netfilter/core.c and of NF_HOOK() in include/linux/netfilter.h.
 *
 * A point without hooks costs one comparison. The state handed to hooks lives for
 * one walk: a hook that keeps a packet (NF_STOLEN) may keep the state with it.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { NfHookEntries, NfHookOps } from '#include/linux/netfilter.ts';
import { NfHookState } from '#include/linux/netfilter.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { EEXIST, EINVAL, ENOENT, EPERM } from '#uapi/errno.ts';
import { SKB_DROP_REASON_NETFILTER_DROP } from '#uapi/net_dropreason.ts';
import {
  NF_ACCEPT,
  NF_DROP,
  NF_INET_NUMHOOKS,
  NF_QUEUE,
  NF_REPEAT,
  NF_STOLEN,
  NF_VERDICT_FLAG_QUEUE_BYPASS,
  NF_VERDICT_MASK,
  NF_VERDICT_QBITS,
  NFPROTO_NUMPROTO,
} from '#uapi/netfilter.ts';

/** Continues a packet's way after a hook point. */
export type NfOkfn = (net: Net, sk: Sock | null, skb: SkBuff) => number;

/** Hooks of one point are at most this many, as in Linux. */
const MAX_HOOK_COUNT = 1024;

/** @kernel nf_register_net_hook net/netfilter/core.c */
export function nfRegisterNetHook(net: Net, reg: NfHookOps): number {
  if (reg.pf < 0 || reg.pf >= NFPROTO_NUMPROTO) return -EINVAL;
  if (reg.hooknum < 0 || reg.hooknum > NF_INET_NUMHOOKS) return -EINVAL;
  const points = net.nfHooks[reg.pf];
  if (points === undefined) return -EINVAL;
  const old = points[reg.hooknum]?.hooks ?? [];
  if (old.includes(reg)) return -EEXIST;
  if (old.length >= MAX_HOOK_COUNT) return -EINVAL;
  // Among equals the older hook stays first.
  let at = old.length;
  while (at > 0 && (old[at - 1] as NfHookOps).priority > reg.priority) at--;
  points[reg.hooknum] = { hooks: [...old.slice(0, at), reg, ...old.slice(at)] };
  return 0;
}

/** @kernel nf_unregister_net_hook net/netfilter/core.c */
export function nfUnregisterNetHook(net: Net, reg: NfHookOps): number {
  const points = net.nfHooks[reg.pf];
  const old = points?.[reg.hooknum]?.hooks;
  if (points === undefined || old === undefined || !old.includes(reg)) return -ENOENT;
  const rest = old.filter((ops) => ops !== reg);
  points[reg.hooknum] = rest.length === 0 ? null : { hooks: rest };
  return 0;
}

/** All or none. @kernel nf_register_net_hooks net/netfilter/core.c */
export function nfRegisterNetHooks(net: Net, regs: readonly NfHookOps[]): number {
  for (let i = 0; i < regs.length; i++) {
    const err = nfRegisterNetHook(net, regs[i] as NfHookOps);
    if (err !== 0) {
      nfUnregisterNetHooks(net, regs.slice(0, i));
      return err;
    }
  }
  return 0;
}

/** @kernel nf_unregister_net_hooks net/netfilter/core.c */
export function nfUnregisterNetHooks(net: Net, regs: readonly NfHookOps[]): void {
  for (let i = regs.length - 1; i >= 0; i--) nfUnregisterNetHook(net, regs[i] as NfHookOps);
}

/**
 * Asks the hooks from index `from` on. 1: go on, the packet is still the caller's. 0: taken or
 * freed. Negative errno: freed.
 * @kernel nf_hook_slow net/netfilter/core.c
 * @deviation NF_QUEUE drops unless the bypass flag is set: there is no queue handler to take the packet
 */
export function nfHookSlow(
  skb: SkBuff,
  state: NfHookState,
  entries: NfHookEntries,
  from: number,
): number {
  const { hooks } = entries;
  let s = from;
  while (s < hooks.length) {
    const entry = hooks[s] as NfHookOps;
    const verdict = entry.hook(entry.priv, skb, state);
    const { hookVerdict } = skb.machine.trace.packet;
    // A packet that was taken may be gone.
    if (tracepointKey.enabled && (verdict & NF_VERDICT_MASK) !== NF_STOLEN) {
      hookVerdict.probe?.(skb, state.pf, state.hook, s, verdict & NF_VERDICT_MASK);
    }
    switch (verdict & NF_VERDICT_MASK) {
      case NF_ACCEPT:
        s++;
        break;
      case NF_REPEAT:
        break;
      case NF_STOLEN:
        return 0;
      case NF_QUEUE:
        if ((verdict & NF_VERDICT_FLAG_QUEUE_BYPASS) !== 0) {
          s++;
          break;
        }
        kfreeSkb(skb, SKB_DROP_REASON_NETFILTER_DROP, 'nf_hook_slow');
        return 0;
      case NF_DROP: {
        kfreeSkb(skb, SKB_DROP_REASON_NETFILTER_DROP, 'nf_hook_slow');
        const err = verdict >>> NF_VERDICT_QBITS;
        return err === 0 ? -EPERM : -err;
      }
      default:
        kfreeSkb(skb, SKB_DROP_REASON_NETFILTER_DROP, 'nf_hook_slow');
        return 0;
    }
  }
  return 1;
}

/**
 * 1: the packet passed and the caller goes on with it.
 * @kernel nf_hook include/linux/netfilter.h
 */
export function nfHook(
  pf: number,
  hook: number,
  net: Net,
  sk: Sock | null,
  skb: SkBuff,
  indev: NetDevice | null,
  outdev: NetDevice | null,
  okfn: NfOkfn,
): number {
  const entries = (net.nfHooks[pf] as (NfHookEntries | null)[])[hook];
  if (entries === null || entries === undefined) return 1;
  const state = new NfHookState();
  state.hook = hook;
  state.pf = pf;
  state.in = indev;
  state.out = outdev;
  state.sk = sk;
  state.net = net;
  state.okfn = okfn;
  return nfHookSlow(skb, state, entries, 0);
}

/** Asks the hooks, and continues with `okfn` when they agree. @kernel NF_HOOK include/linux/netfilter.h */
export function NF_HOOK(
  pf: number,
  hook: number,
  net: Net,
  sk: Sock | null,
  skb: SkBuff,
  indev: NetDevice | null,
  outdev: NetDevice | null,
  okfn: NfOkfn,
): number {
  const entries = (net.nfHooks[pf] as (NfHookEntries | null)[])[hook];
  if (entries === null || entries === undefined) return okfn(net, sk, skb);
  const ret = nfHook(pf, hook, net, sk, skb, indev, outdev, okfn);
  return ret === 1 ? okfn(net, sk, skb) : ret;
}

/** The hooks are only asked when `cond` holds. @kernel NF_HOOK_COND include/linux/netfilter.h */
export function NF_HOOK_COND(
  pf: number,
  hook: number,
  net: Net,
  sk: Sock | null,
  skb: SkBuff,
  indev: NetDevice | null,
  outdev: NetDevice | null,
  okfn: NfOkfn,
  cond: boolean,
): number {
  if (!cond) return okfn(net, sk, skb);
  return NF_HOOK(pf, hook, net, sk, skb, indev, outdev, okfn);
}
