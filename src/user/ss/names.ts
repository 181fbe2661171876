/*
 * Names of the protocols of packet and netlink sockets. Counterpart of iproute2's lib/ll_proto.c and lib/rt_names.c,
 * as far as ss needs them.
 */

const ETHERTYPES: readonly (readonly [num: number, name: string])[] = [
  [0x0003, 'all'],
  [0x0800, 'ip'],
  [0x0806, 'arp'],
  [0x86dd, 'ipv6'],
];

/** A protocol of packets by name or number (hexadecimal too); null: there is none such. */
export function ethertype(text: string): number | null {
  const known = ETHERTYPES.find(([, name]) => name === text.toLowerCase());
  if (known !== undefined) return known[0];
  return /^(0x[0-9a-f]+|\d+)$/i.test(text) && Number(text) <= 0xffff ? Number(text) : null;
}

/** As ss shows it: all of them are a star. */
export function ethertypeName(num: number, numeric: boolean): string {
  if (num === 3) return '*';
  if (numeric) return `[${num}]`;
  return ETHERTYPES.find(([known]) => known === num)?.[1] ?? `[${num}]`;
}

/** @see /etc/iproute2/nl_protos */
const PROTOCOLS: readonly string[] = [
  ...['rtnl', 'unused', 'usersock', 'fw', 'tcpdiag', 'nflog', 'xfrm', 'selinux', 'iscsi', 'audit'],
  ...['fiblookup', 'connector', 'nft', 'ip6fw', 'dec-rt', 'uevent', 'genl', '17', 'scsi-trans'],
  ...['ecryptfs', 'rdma', 'crypto'],
];

/** A protocol of netlink by name or number; null: there is none such. */
export function netlinkProtocol(text: string): number | null {
  const known = PROTOCOLS.indexOf(text);
  if (known >= 0) return known;
  return /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : null;
}

export function netlinkProtocolName(protocol: number): string {
  return PROTOCOLS[protocol] ?? String(protocol);
}
