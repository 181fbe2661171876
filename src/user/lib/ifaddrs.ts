/*
 * Interfaces and their addresses, by rtnetlink. Counterpart of getifaddrs(3) and if_nametoindex(3).
 */
import { IFA_ADDRESS, IFA_LOCAL, ifaddrmsg } from '#uapi/if_addr.ts';
import { IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU } from '#uapi/if_link.ts';
import { NETLINK_ROUTE } from '#uapi/netlink.ts';
import { ifinfomsg, RTM_GETADDR, RTM_GETLINK } from '#uapi/rtnetlink.ts';
import type { Libc } from '#user/lib/libc.ts';
import { NetlinkClient } from '#user/lib/netlink.ts';
import { NlBuilder } from '#user/lib/nlmsg.ts';

export interface InterfaceAddress {
  readonly family: number;
  readonly bytes: Uint8Array;
  readonly prefixlen: number;
}

export interface InterfaceInfo {
  readonly index: number;
  readonly name: string;
  readonly flags: number;
  readonly mtu: number;
  readonly lladdr: Uint8Array;
  readonly addresses: readonly InterfaceAddress[];
}

/** All interfaces with their addresses. @throws NetlinkError */
export async function getifaddrs(libc: Libc): Promise<InterfaceInfo[]> {
  const client = new NetlinkClient(libc, NETLINK_ROUTE);
  try {
    const found: (InterfaceInfo & { addresses: InterfaceAddress[] })[] = [];
    await client.dump(
      new NlBuilder(RTM_GETLINK, 0).header(ifinfomsg.LEN, () => {}),
      (message) => {
        const attrs = message.attrs(ifinfomsg.LEN);
        found.push({
          index: ifinfomsg.index(message.view, message.payload),
          name: attrs.string(IFLA_IFNAME) ?? '',
          flags: ifinfomsg.flags(message.view, message.payload),
          mtu: attrs.u32(IFLA_MTU) ?? 0,
          lladdr: attrs.bytes(IFLA_ADDRESS) ?? new Uint8Array(0),
          addresses: [],
        });
      },
    );
    await client.dump(
      new NlBuilder(RTM_GETADDR, 0).header(ifaddrmsg.LEN, () => {}),
      (message) => {
        const attrs = message.attrs(ifaddrmsg.LEN);
        const index = ifaddrmsg.index(message.view, message.payload);
        const bytes = attrs.bytes(IFA_LOCAL) ?? attrs.bytes(IFA_ADDRESS);
        if (bytes === null) return;
        found
          .find((info) => info.index === index)
          ?.addresses.push({
            family: ifaddrmsg.family(message.view, message.payload),
            bytes,
            prefixlen: ifaddrmsg.prefixlen(message.view, message.payload),
          });
      },
    );
    return found;
  } finally {
    client.close();
  }
}

/** Names of interfaces by their index. */
export async function indexToName(libc: Libc): Promise<Map<number, string>> {
  const all = await getifaddrs(libc);
  return new Map(all.map(({ index, name }) => [index, name]));
}
