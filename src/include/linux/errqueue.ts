/** What an entry of a socket's error queue carries. Counterpart of include/linux/errqueue.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { KernelBug } from '#kernel/bug.ts';

/** @kernel sock_exterr_skb include/linux/errqueue.h */
export class SockExterrSkb {
  /** Positive errno. */
  eeErrno = 0;
  /** SO_EE_ORIGIN_* */
  eeOrigin = 0;
  eeType = 0;
  eeCode = 0;
  eeInfo = 0;
  eeData = 0;
  /** Offset from the network header of the address that the datagram was sent to. */
  addrOffset = 0;
  /** Port that the datagram was sent to, host order. */
  port = 0;
  optStats = false;
}

/** Gives a packet its error entry. Clones share it, so each queued packet gets its own. */
export function skbSetExtErr(skb: SkBuff, ext: SockExterrSkb): void {
  skb.cbRef = ext;
}

/** @kernel SKB_EXT_ERR include/linux/errqueue.h */
export function skbExtErr(skb: SkBuff): SockExterrSkb {
  const ext = skb.cbRef;
  if (!(ext instanceof SockExterrSkb)) {
    throw new KernelBug('skb-ext-err', 'a packet on an error queue says nothing of its error');
  }
  return ext;
}
