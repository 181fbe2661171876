import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetdevMachine } from '#drivers/net/testing/netdev_machine.ts';
import type { NfHookOps } from '#include/linux/netfilter.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import {
  NF_HOOK,
  NF_HOOK_COND,
  nfRegisterNetHook,
  nfRegisterNetHooks,
  nfUnregisterNetHook,
  nfUnregisterNetHooks,
} from '#net/netfilter/core.ts';
import { EEXIST, EHOSTUNREACH, EINVAL, ENOENT, EPERM } from '#uapi/errno.ts';
import { SKB_DROP_REASON_NETFILTER_DROP } from '#uapi/net_dropreason.ts';
import {
  NF_ACCEPT,
  NF_DROP,
  NF_INET_FORWARD,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_FILTER,
  NF_IP_PRI_RAW,
  NF_QUEUE,
  NF_REPEAT,
  NF_STOLEN,
  NF_VERDICT_FLAG_QUEUE_BYPASS,
  NF_VERDICT_QBITS,
  NFPROTO_IPV4,
} from '#uapi/netfilter.ts';

let m: NetdevMachine;
let net: Net;
let log: string[];
let drops: number[];

const passed = (_net: Net, _sk: unknown, skb: SkBuff): number => {
  log.push('okfn');
  consumeSkb(skb);
  return 7;
};

function ops(name: string, verdict: number | (() => number), priority = 0): NfHookOps {
  return {
    hook: (_priv, skb) => {
      log.push(name);
      const v = typeof verdict === 'function' ? verdict() : verdict;
      if (v === NF_STOLEN) consumeSkb(skb);
      return v;
    },
    priv: null,
    pf: NFPROTO_IPV4,
    hooknum: NF_INET_PRE_ROUTING,
    priority,
  };
}

function run(): number {
  return NF_HOOK(NFPROTO_IPV4, NF_INET_PRE_ROUTING, net, null, m.packet([1]), null, null, passed);
}

beforeEach(() => {
  m = new NetdevMachine();
  net = m.machine.initNet;
  log = [];
  drops = [];
  m.machine.trace.skb.kfreeSkb.register((_skb, _at, reason) => drops.push(reason));
});

afterEach(() => m.end());

describe('nf_hook', () => {
  it('goes straight on where nobody hooked', () => {
    expect(run()).toBe(7);
    expect(log).toEqual(['okfn']);
  });

  it('asks by ascending priority, the older of equals first', () => {
    const late = ops('late', NF_ACCEPT, NF_IP_PRI_FILTER);
    const later = ops('later', NF_ACCEPT, NF_IP_PRI_FILTER);
    const early = ops('early', NF_ACCEPT, NF_IP_PRI_RAW);
    for (const o of [late, later, early]) expect(nfRegisterNetHook(net, o)).toBe(0);
    expect(run()).toBe(7);
    expect(log).toEqual(['early', 'late', 'later', 'okfn']);
    expect(nfUnregisterNetHook(net, late)).toBe(0);
    expect(nfUnregisterNetHook(net, late)).toBe(-ENOENT);
    log = [];
    expect(run()).toBe(7);
    expect(log).toEqual(['early', 'later', 'okfn']);
  });

  it.each([
    ['NF_DROP', NF_DROP, -EPERM, [SKB_DROP_REASON_NETFILTER_DROP]],
    [
      'NF_DROP with an errno',
      NF_DROP | (EHOSTUNREACH << NF_VERDICT_QBITS),
      -EHOSTUNREACH,
      [SKB_DROP_REASON_NETFILTER_DROP],
    ],
    ['NF_STOLEN', NF_STOLEN, 0, []],
    ['NF_QUEUE without a listener', NF_QUEUE, 0, [SKB_DROP_REASON_NETFILTER_DROP]],
  ])('%s ends the walk', (_name, verdict, result, reasons) => {
    nfRegisterNetHook(net, ops('a', verdict));
    nfRegisterNetHook(net, ops('b', NF_ACCEPT, 1));
    expect(run()).toBe(result);
    expect(log).toEqual(['a']);
    expect(drops).toEqual(reasons);
  });

  it('goes on after a queue that may be bypassed, and asks again on NF_REPEAT', () => {
    let times = 0;
    nfRegisterNetHook(net, ops('q', NF_QUEUE | NF_VERDICT_FLAG_QUEUE_BYPASS));
    nfRegisterNetHook(
      net,
      ops('r', () => (++times < 3 ? NF_REPEAT : NF_ACCEPT), 1),
    );
    expect(run()).toBe(7);
    expect(log).toEqual(['q', 'r', 'r', 'r', 'okfn']);
  });

  it('passes over the hooks when the condition does not hold', () => {
    nfRegisterNetHook(net, ops('a', NF_DROP));
    const skb = m.packet([1]);
    const point = NF_INET_PRE_ROUTING;
    expect(NF_HOOK_COND(NFPROTO_IPV4, point, net, null, skb, null, null, passed, false)).toBe(7);
    expect(log).toEqual(['okfn']);
  });

  it('registers all or none, and refuses nonsense', () => {
    const a = ops('a', NF_ACCEPT);
    const bad = { ...ops('b', NF_ACCEPT), pf: 99 };
    expect(nfRegisterNetHooks(net, [a, bad])).toBe(-EINVAL);
    expect(nfUnregisterNetHook(net, a)).toBe(-ENOENT);
    const c = { ...ops('c', NF_ACCEPT), hooknum: NF_INET_FORWARD };
    expect(nfRegisterNetHooks(net, [a, c])).toBe(0);
    expect(nfRegisterNetHook(net, a)).toBe(-EEXIST);
    nfUnregisterNetHooks(net, [a, c]);
    expect(run()).toBe(7);
    expect(log).toEqual(['okfn']);
  });
});
