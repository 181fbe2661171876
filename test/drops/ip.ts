/** Rows of received, forwarded and sent IPv4 datagrams. */
import { icmpBytes, ipPacket, udpBytes } from '#net/ipv4/testing/ip_machine.ts';
import { nfRegisterNetHook } from '#net/netfilter/core.ts';
import { IPPROTO_ICMP } from '#uapi/in.ts';
import {
  IP_DF,
  IP_MF,
  IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST,
  IPV4_DEVCONF_RP_FILTER,
} from '#uapi/ip.ts';
import {
  NF_ACCEPT,
  NF_DROP,
  NF_INET_FORWARD,
  NF_INET_PRE_ROUTING,
  NFPROTO_IPV4,
} from '#uapi/netfilter.ts';
import { type DropRow, FAR, HERE, type IpBench, onIp, PEER, takeMemory } from './table.ts';

const BROADCAST = [255, 255, 255, 255, 255, 255];

/** A datagram of the peer's; to a port that nobody listens on unless `fields` says otherwise. */
function from(dst: string, fields: Partial<Parameters<typeof ipPacket>[0]> = {}): Uint8Array {
  return ipPacket({ src: PEER, dst, payload: udpBytes(PEER, dst, 1, 6000, [1]), ...fields });
}

function icmp(payload: Uint8Array, dst: string = HERE): Uint8Array {
  return ipPacket({ src: PEER, dst, proto: IPPROTO_ICMP, payload });
}

/** A fragment with 8 octets at `offset` (in units of 8). */
function fragment(id: number, word: number): Uint8Array {
  return from(HERE, { id, frag: word, payload: new Uint8Array(8) });
}

function conf({ m, eth0 }: IpBench, index: number): void {
  m.net.ipv4.devconfAll[index] = 1;
  if (eth0.dev.ipPtr !== null) eth0.dev.ipPtr.cnf[index] = 1;
}

/** Has every packet that passes a hook answered by `hook`. */
function hooked({ m }: IpBench, hooknum: number, hook: () => number): void {
  nfRegisterNetHook(m.net, { hook, priv: null, pf: NFPROTO_IPV4, hooknum, priority: 0 });
}

const header: readonly DropRow[] = [
  onIp('OTHERHOST', 'ip_rcv_core', 'a frame to another host, seen in promiscuous mode', (b) => {
    b.m.rx(b.eth0, from(HERE), [2, 8, 8, 8, 8, 8]);
  }),
  onIp('PKT_TOO_SMALL', 'ip_rcv_core', 'a frame that ends inside the IP header', (b) => {
    b.m.rx(b.eth0, from(HERE).slice(0, 12));
  }),
  onIp('IP_INHDR', 'ip_rcv_core', 'version 5', (b) => {
    b.m.rx(b.eth0, from(HERE, { version: 5 }));
  }),
  onIp('IP_CSUM', 'ip_rcv_core', 'a wrong header checksum', (b) => {
    b.m.rx(b.eth0, from(HERE, { check: 7 }));
  }),
  onIp('NETFILTER_DROP', 'nf_hook_slow', 'a hook says NF_DROP', (b) => {
    hooked(b, NF_INET_PRE_ROUTING, () => NF_DROP);
    b.m.rx(b.eth0, from(HERE));
  }),
];

const addresses: readonly DropRow[] = [
  onIp('IP_INVALID_SOURCE', 'ip_rcv_finish', 'a multicast source', (b) => {
    b.m.rx(b.eth0, from(HERE, { src: '224.0.0.1' }));
  }),
  onIp('IP_LOCALNET', 'ip_rcv_finish', '127.0.0.1 from the wire', (b) => {
    b.m.rx(b.eth0, from(HERE, { src: '127.0.0.1' }));
  }),
  onIp('IP_INVALID_DEST', 'ip_rcv_finish', 'to 0.0.0.0', (b) => {
    b.m.rx(b.eth0, from('0.0.0.0'));
  }),
  onIp('IP_LOCAL_SOURCE', 'ip_rcv_finish', 'our own address as source', (b) => {
    b.m.rx(b.eth0, from(HERE, { src: HERE }));
  }),
  onIp('IP_RPFILTER', 'ip_rcv_finish', 'a source that lives on the other link', (b) => {
    conf(b, IPV4_DEVCONF_RP_FILTER);
    b.m.rx(b.eth0, from(HERE, { src: '10.1.0.9' }));
  }),
  onIp('UNICAST_IN_L2_MULTICAST', 'ip_rcv_finish', 'unicast in a broadcast frame', (b) => {
    conf(b, IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST);
    b.m.rx(b.eth0, from(HERE), BROADCAST);
  }),
  onIp('IP_INADDRERRORS', 'ip_error', 'for another host, and we are no router', (b) => {
    b.m.rx(b.eth0, from(FAR));
  }),
  onIp('IP_INNOROUTES', 'ip_error', 'a router that knows no way', (b) => {
    b.m.sysctl('ip_forward', 1);
    b.m.rx(b.eth0, from('192.168.9.9'));
  }),
];

const fragments: readonly DropRow[] = [
  onIp('DUP_FRAG', 'ip_frag_queue', 'the same fragment twice', (b) => {
    for (let i = 0; i < 2; i++) b.m.rx(b.eth0, fragment(1, IP_MF));
  }),
  onIp('FRAG_REASM_TIMEOUT', 'ip_expire', 'the rest never comes', (b) => {
    b.m.rx(b.eth0, fragment(1, IP_MF));
    b.m.advance(30_000);
  }),
  onIp('FRAG_TOO_FAR', 'inet_frag_rbtree_purge', 'too many others between two fragments', (b) => {
    b.m.sysctl('ipfrag_max_dist', 1);
    for (const id of [1, 2, 3, 4]) b.m.rx(b.eth0, fragment(id, IP_MF));
    b.m.rx(b.eth0, fragment(1, IP_MF | 2));
  }),
  onIp('NOT_SPECIFIED', 'ip_frag_queue', 'two different last fragments', (b) => {
    b.m.rx(b.eth0, fragment(1, 10));
    b.m.rx(b.eth0, fragment(1, 20));
  }),
  onIp('NOMEM', 'ip_defrag', 'no memory is left for fragments', (b) => {
    b.m.sysctl('ipfrag_low_thresh', 0);
    b.m.sysctl('ipfrag_high_thresh', 0);
    b.m.rx(b.eth0, fragment(1, IP_MF));
  }),
];

const onward: readonly DropRow[] = [
  onIp('IP_INHDR', 'ip_forward', 'the TTL runs out here', (b) => {
    b.m.sysctl('ip_forward', 1);
    b.m.rx(b.eth0, from(FAR, { ttl: 1 }));
  }),
  onIp('PKT_TOO_BIG', 'ip_forward', 'does not fit the next link and must not be cut', (b) => {
    b.m.sysctl('ip_forward', 1);
    b.eth1.dev.mtu = 500;
    b.m.rx(b.eth0, from(FAR, { frag: IP_DF, payload: new Uint8Array(600) }));
  }),
  onIp('NOMEM', 'ip_do_fragment', 'no memory to cut it up in', (b) => {
    b.m.sysctl('ip_forward', 1);
    b.eth1.dev.mtu = 500;
    let giveBack = (): void => {};
    hooked(b, NF_INET_FORWARD, () => {
      giveBack = takeMemory();
      return NF_ACCEPT;
    });
    b.m.rx(b.eth0, from(FAR, { payload: new Uint8Array(600) }));
    giveBack();
  }),
];

const upward: readonly DropRow[] = [
  onIp('IP_NOPROTO', 'ip_protocol_deliver_rcu', 'a protocol that nobody speaks', (b) => {
    b.m.rx(b.eth0, from(HERE, { proto: 200 }));
  }),
  onIp('ICMP_CSUM', 'icmp_rcv', 'a wrong ICMP checksum', (b) => {
    b.m.rx(b.eth0, icmp(Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0)));
  }),
  onIp('UNHANDLED_PROTO', 'icmp_rcv', 'an unknown type of ICMP', (b) => {
    b.m.rx(b.eth0, icmp(icmpBytes(99, 0, 0)));
  }),
  onIp('INVALID_PROTO', 'icmp_rcv', 'an ICMP error to a broadcast address', (b) => {
    b.m.rx(b.eth0, icmp(icmpBytes(3, 1, 0, new Uint8Array(28)), '10.0.0.255'));
  }),
  onIp('NO_SOCKET', 'ping_rcv', 'an echo reply that nobody waits for', (b) => {
    b.m.rx(b.eth0, icmp(icmpBytes(0, 0, 5)));
  }),
  onIp('NO_SOCKET', '__udp4_lib_rcv', 'a port that nobody listens on', (b) => {
    b.m.rx(b.eth0, from(HERE));
  }),
  onIp('UDP_CSUM', '__udp4_lib_rcv', 'a wrong UDP checksum', (b) => {
    b.m.rx(b.eth0, from(HERE, { payload: udpBytes(PEER, HERE, 1, 6000, [1], 99) }));
  }),
];

export const ipRows: readonly DropRow[] = [
  ...header,
  ...addresses,
  ...fragments,
  ...onward,
  ...upward,
];
