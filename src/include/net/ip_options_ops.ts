/**
 * IP options as the rest of IPv4 sees them. Handling them is a module here; without it they stay in
 * packets as they came, nobody reads them, and setting any is -ENOPROTOOPT. RFC 1122, 3.2.1.8.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { type IpOptions, ipOptionsClear } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { ENOPROTOOPT } from '#uapi/errno.ts';

/** What the module ip_options provides. */
export interface IpOptionsOps {
  compile(net: Net, opt: IpOptions, skb: SkBuff): number;
  rcvSrr(skb: SkBuff, dev: NetDevice): number;
  build(skb: SkBuff, from: IpOptions, daddr: number, rt: Rtable): void;
  echo(net: Net, dopt: IpOptions, skb: SkBuff, sopt: IpOptions): number;
  fragment(skb: SkBuff): void;
  forward(skb: SkBuff): void;
  get(net: Net, data: Uint8Array): IpOptions | number;
  undo(opt: IpOptions): Uint8Array;
}

function optionsOf(net: Net): IpOptionsOps | null {
  return net.machine.netGlobals.ipOptions;
}

/**
 * Parses a received packet's options into IPCB(skb).opt; its header is writable. On -EINVAL the
 * sender has been told which octet is wrong.
 * @kernel ip_options_compile net/ipv4/ip_options.c
 */
export function ipOptionsCompile(net: Net, opt: IpOptions, skb: SkBuff): number {
  const ops = optionsOf(net);
  if (ops !== null) return ops.compile(net, opt, skb);
  ipOptionsClear(opt);
  return 0;
}

/** @kernel ip_options_rcv_srr net/ipv4/ip_options.c */
export function ipOptionsRcvSrr(skb: SkBuff, dev: NetDevice): number {
  return optionsOf(dev.net)?.rcvSrr(skb, dev) ?? 0;
}

/**
 * Writes options into a packet being built, whose header already has room for them.
 * @kernel ip_options_build net/ipv4/ip_options.c
 */
export function ipOptionsBuild(skb: SkBuff, from: IpOptions, daddr: number, rt: Rtable): void {
  rt.net.machine.netGlobals.ipOptions?.build(skb, from, daddr, rt);
}

/**
 * The options of an answer to `skb`, from those parsed in `sopt`, written to `dopt`. -EINVAL when
 * they cannot be echoed.
 * @kernel __ip_options_echo net/ipv4/ip_options.c
 */
export function __ipOptionsEcho(net: Net, dopt: IpOptions, skb: SkBuff, sopt: IpOptions): number {
  ipOptionsClear(dopt);
  return sopt.optlen === 0 ? 0 : (optionsOf(net)?.echo(net, dopt, skb, sopt) ?? 0);
}

/** @kernel ip_options_echo include/net/ip.h */
export function ipOptionsEcho(net: Net, dopt: IpOptions, skb: SkBuff): number {
  return __ipOptionsEcho(net, dopt, skb, skb.ipCb.opt);
}

/** Blanks the options that only the first fragment carries. @kernel ip_options_fragment net/ipv4/ip_options.c */
export function ipOptionsFragment(skb: SkBuff): void {
  skb.machine.netGlobals.ipOptions?.fragment(skb);
}

/** What a router writes into the options. @kernel ip_forward_options net/ipv4/ip_options.c */
export function ipForwardOptions(skb: SkBuff): void {
  skb.machine.netGlobals.ipOptions?.forward(skb);
}

/** A user's options, parsed. An empty list gives options of length 0. @kernel ip_options_get net/ipv4/ip_options.c */
export function ipOptionsGet(net: Net, data: Uint8Array): IpOptions | number {
  return optionsOf(net)?.get(net, data) ?? -ENOPROTOOPT;
}

/** Undoes what parsing changed, so that the user sees the options as given. @kernel ip_options_undo net/ipv4/ip_options.c */
export function ipOptionsUndo(net: Net, opt: IpOptions): Uint8Array {
  return optionsOf(net)?.undo(opt) ?? new Uint8Array(0);
}
