/** What a machine says about itself at the moment of a drop: what advice rests on. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Machine } from '#kernel/machine.ts';
import { inNtop4 } from '#lib/parse_addr.ts';
import { hostView as view } from '#mm/memory.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { iphdr } from '#uapi/ip.ts';
import { tcphdr } from '#uapi/tcp.ts';

/** The value of a setting, of the namespace or of the machine; empty when there is none. */
export function readSetting(machine: Machine, name: string): string {
  for (const table of [machine.initNet.sysctl, machine.sysctl]) {
    if (table.find(name) !== null) {
      const value = table.read(name);
      return typeof value === 'string' ? value.trim() : '';
    }
  }
  return '';
}

export function factsOf(machine: Machine, skb: SkBuff): Readonly<Record<string, string>> {
  const facts: Record<string, string> = {
    forward: readSetting(machine, 'net.ipv4.ip_forward'),
    device: skb.dev?.name ?? '',
  };
  if (skb.protocol !== ETH_P_IP) return facts;
  const nh =
    skb.networkHeader >= skb.head && skb.networkHeader <= skb.tail ? skb.networkHeader : -1;
  if (nh < 0 || nh + iphdr.LEN > skb.end) return facts;
  facts['source'] = inNtop4(iphdr.saddr(view, nh));
  facts['target'] = inNtop4(iphdr.daddr(view, nh));
  facts['ttl'] = String(iphdr.ttl(view, nh));
  const protocol = iphdr.protocol(view, nh);
  const th = nh + iphdr.hdrlen(view, nh);
  if ((protocol === 6 || protocol === 17) && th + 4 <= skb.end) {
    facts['protocol'] = protocol === 6 ? 'TCP' : 'UDP';
    facts['port'] = String(tcphdr.dest(view, th));
  }
  return facts;
}
