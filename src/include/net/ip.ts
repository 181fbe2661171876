/** IP's per-packet control block and cookies. Counterpart of include/net/ip.h and ipcm_cookie. */

export const IPSKB_FORWARDED = 0x0001;
export const IPSKB_XFRM_TUNNEL_SIZE = 0x0002;
export const IPSKB_FRAG_COMPLETE = 0x0008;
export const IPSKB_REROUTED = 0x0010;
export const IPSKB_DOREDIRECT = 0x0020;
export const IPSKB_FRAG_PMTU = 0x0040;
export const IPSKB_L3SLAVE = 0x0080;
export const IPSKB_NOPOLICY = 0x0100;

/** Parsed IP options of a packet. @kernel ip_options include/net/inet_sock.h */
export class IpOptions {
  /** First hop of a source route. */
  faddr: number;
  nexthop: number;
  /** Bytes of options, a multiple of 4; 0: none. */
  optlen: number;
  /** Offsets of each option from the start of the IP header; 0: absent. */
  srr: number;
  rr: number;
  ts: number;
  routerAlert: number;
  cipso: number;
  isStrictroute: boolean;
  srrIsHit: boolean;
  isChanged: boolean;
  rrNeedaddr: boolean;
  tsNeedtime: boolean;
  tsNeedaddr: boolean;
  /** The options themselves, when they belong to a socket or a reply; null for a packet's own. */
  data: Uint8Array | null;

  constructor() {
    this.faddr = 0;
    this.nexthop = 0;
    this.optlen = 0;
    this.srr = 0;
    this.rr = 0;
    this.ts = 0;
    this.routerAlert = 0;
    this.cipso = 0;
    this.isStrictroute = false;
    this.srrIsHit = false;
    this.isChanged = false;
    this.rrNeedaddr = false;
    this.tsNeedtime = false;
    this.tsNeedaddr = false;
    this.data = null;
  }
}

/** IPCB(skb). @kernel inet_skb_parm include/net/ip.h */
export class InetSkbParm {
  iif: number;
  readonly opt: IpOptions;
  /** IPSKB_* */
  flags: number;
  /** Largest fragment of a reassembled packet; 0: it came whole. */
  fragMaxSize: number;

  constructor() {
    this.iif = 0;
    this.opt = new IpOptions();
    this.flags = 0;
    this.fragMaxSize = 0;
  }
}
