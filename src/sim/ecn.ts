/** Marks IP packets in Ethernet frames, as a router with active queue management does. RFC 3168. */
import type { WireFrame } from '#hardware/wire.ts';
import { mem } from '#mm/memory.ts';

const ETH_HLEN = 14;
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const ETH_P_8021Q = 0x8100;
const VLAN_HLEN = 4;
const CE = 3;

function word(at: number): number {
  return ((mem[at] ?? 0) << 8) | (mem[at + 1] ?? 0);
}

/** RFC 1624: the header checksum after one of the header's 16-bit words has changed. */
function fixChecksum(at: number, old: number, now: number): void {
  let sum = (~word(at) & 0xffff) + (~old & 0xffff) + now;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
  mem[at] = sum >> 8;
  mem[at + 1] = sum & 0xff;
}

/** Sets congestion experienced in a packet that says it can be marked. True: it is marked now. */
export function markCe(frame: WireFrame): boolean {
  let at = frame.addr + ETH_HLEN;
  let type = word(at - 2);
  if (type === ETH_P_8021Q) {
    at += VLAN_HLEN;
    type = word(at - 2);
  }
  if (at + 20 > frame.addr + frame.len) return false;
  // The two bits are the last of IPv4's second octet, and the third and fourth of IPv6's.
  const shift = type === ETH_P_IP ? 0 : 4;
  if (type !== ETH_P_IP && type !== ETH_P_IPV6) return false;
  const codepoint = ((mem[at + 1] ?? 0) >> shift) & CE;
  if (codepoint === 0 || codepoint === CE) return false;
  const old = word(at);
  mem[at + 1] = (mem[at + 1] ?? 0) | (CE << shift);
  if (type === ETH_P_IP) fixChecksum(at + 10, old, word(at));
  return true;
}
