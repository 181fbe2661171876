/**
 * The place of a case: a host or router with two TAP devices and what is configured on it, and the means
 * to make random choices. Every case has the same addresses, so that frames can be about them.
 */
import { Prandom } from '#lib/prandom.ts';
import { address, concat, ether, type Ipv4Fields, ipv4, macOf, put16, put32 } from './packets.ts';
import { type Step, toHex } from './steps.ts';

export const OWN: number = address('10.9.0.1');
export const OWN_SECOND: number = address('10.9.0.9');
export const OWN_RIGHT: number = address('10.9.1.1');
export const OWN_LO: number = address('10.9.8.1');
export const PEER: number = address('10.9.0.2');
export const PEER_THREE: number = address('10.9.0.3');
export const PEER_RIGHT: number = address('10.9.1.2');
export const BROADCAST: number = address('10.9.0.255');
export const GROUP: number = address('239.1.2.3');

export const MAC: readonly number[] = macOf('02:00:00:00:00:01');
export const MAC_RIGHT: readonly number[] = macOf('02:00:00:00:00:02');
export const PEER_MAC: readonly number[] = macOf('02:00:00:00:01:02');
export const PEER_RIGHT_MAC: readonly number[] = macOf('02:00:00:00:02:02');
export const EVERYONE: readonly number[] = macOf('ff:ff:ff:ff:ff:ff');

/** Ports of sockets and of those that send to them: few, so that they meet. */
export const PORTS: readonly number[] = [7000, 7001, 7002, 7003];

const SOURCES: readonly number[] = [
  ...[PEER, PEER, PEER, PEER, PEER, PEER_THREE, PEER_RIGHT, OWN, BROADCAST, GROUP],
  ...['0.0.0.0', '255.255.255.255', '127.0.0.1', '0.1.2.3', '240.0.0.1', '10.9.2.7'].map(address),
  ...['10.9.0.0', '172.16.5.5', '10.9.3.1', '224.0.0.5', '10.9.4.4', '10.9.5.5'].map(address),
];
const TARGETS: readonly number[] = [
  ...[OWN, OWN, OWN, OWN, OWN_SECOND, OWN_RIGHT, OWN_LO, BROADCAST, GROUP, PEER_RIGHT, PEER],
  ...['255.255.255.255', '10.9.1.255', '10.9.0.0', '0.0.0.0', '127.0.0.1', '240.0.0.1'].map(
    address,
  ),
  ...['10.9.2.7', '10.9.3.7', '10.9.4.7', '10.9.5.7', '10.9.6.7', '10.9.7.7'].map(address),
  ...['224.0.0.1', '224.0.0.22', '172.16.0.1', '10.9.1.77', '10.9.0.77', '0.0.0.9'].map(address),
];

/** Values of the settings below net.ipv4.conf that decide something about packets. */
const DEVICE_SETTINGS: Readonly<Record<string, readonly number[]>> = {
  rp_filter: [0, 1, 2],
  accept_local: [0, 1],
  accept_source_route: [0, 1],
  accept_redirects: [0, 1],
  secure_redirects: [0, 1],
  shared_media: [0, 1],
  send_redirects: [0, 1],
  log_martians: [0, 1],
  arp_ignore: [0, 1, 2, 3, 8],
  arp_announce: [0, 1, 2],
  arp_filter: [0, 1],
  arp_accept: [0, 1, 2],
  arp_notify: [0, 1],
  arp_evict_nocarrier: [0, 1],
  proxy_arp: [0, 1],
  proxy_arp_pvlan: [0, 1],
  route_localnet: [0, 1],
  src_valid_mark: [0, 1],
  drop_gratuitous_arp: [0, 1],
  drop_unicast_in_l2_multicast: [0, 1],
  force_igmp_version: [0, 1, 2, 3],
  forwarding: [0, 1],
  bc_forwarding: [0, 1],
  medium_id: [0, 0, 1, -1],
  promote_secondaries: [0, 1],
  ignore_routes_with_linkdown: [0, 1],
  disable_policy: [0, 1],
};

const GLOBAL_SETTINGS: Readonly<Record<string, readonly number[]>> = {
  icmp_echo_ignore_all: [0, 0, 0, 1],
  icmp_echo_ignore_broadcasts: [0, 1],
  icmp_echo_enable_probe: [0, 1],
  icmp_ignore_bogus_error_responses: [0, 1],
  icmp_errors_use_inbound_ifaddr: [0, 1],
  icmp_errors_extension_mask: [0, 0, 1],
  icmp_ratelimit: [0, 0, 1000],
  icmp_ratemask: [6168, 0, 0xffffffff, 8],
  ip_default_ttl: [64, 1, 255],
  ip_no_pmtu_disc: [0, 0, 1, 2, 3],
  ip_forward_use_pmtu: [0, 1],
  ip_forward_update_priority: [0, 1],
  ip_nonlocal_bind: [0, 0, 1],
  ip_dynaddr: [0, 1],
  fwmark_reflect: [0, 1],
  igmp_max_memberships: [20, 1],
  igmp_link_local_mcast_reports: [0, 1],
  ipfrag_max_dist: [64, 0, 1],
  ipfrag_time: [30, 1],
  udp_early_demux: [0, 1],
  ip_early_demux: [0, 1],
};

/** A random choice after another. */
export class Scene {
  readonly random: Prandom;
  readonly steps: Step[];
  /** Identification of the next packet, one that stacks do not draw. */
  private id: number;

  constructor(seed: string) {
    this.random = new Prandom(seed);
    this.steps = [];
    this.id = 0;
  }

  below(count: number): number {
    return this.random.below(count);
  }

  /** True once in `count`. */
  once(count: number): boolean {
    return this.random.below(count) === 0;
  }

  of<T>(list: readonly T[]): T {
    return list[this.random.below(list.length)] as T;
  }

  bytes(length: number): Uint8Array {
    // Octets that tell where they came from, and never look like a time of day.
    const first = 0x80 + this.below(0x70);
    return Uint8Array.from({ length }, (_, i) => (first + i) | 0x80);
  }

  add(...steps: readonly Step[]): void {
    this.steps.push(...steps);
  }

  source(): number {
    return this.once(3) ? this.of(SOURCES) : PEER;
  }

  target(): number {
    return this.once(2) ? this.of(TARGETS) : OWN;
  }

  nextId(): number {
    if (this.once(4)) this.id = (this.id + 1) & 15;
    return 0x4000 | this.id;
  }

  /** Devices, addresses, neighbours and routes. */
  setUp({ neighbours = true }: { readonly neighbours?: boolean } = {}): void {
    // Reports of groups are sent once, and not again after a random time.
    this.add(['sysctl', 'net.ipv4.igmp_qrv', '1'], ['tap', 't0'], ['tap', 't1']);
    this.add(
      ['sysctl', 'net.ipv4.ping_group_range', '0 1000'],
      // A port of its own choice is this one.
      ['sysctl', 'net.ipv4.ip_local_port_range', '7777 7777'],
    );
    const lines = [
      'link set lo up',
      'link set t0 address 02:00:00:00:00:01',
      'link set t1 address 02:00:00:00:00:02',
      'addr add 10.9.0.1/24 brd + dev t0',
      'addr add 10.9.0.9/24 brd + dev t0',
      'addr add 10.9.1.1/24 brd + dev t1',
      'addr add 10.9.8.1/32 dev lo',
    ];
    const mtu = this.of([1500, 1500, 1500, 600, 68, 576]);
    lines.push(`link set t1 mtu ${mtu}`, 'link set t0 up', 'link set t1 up');
    if (neighbours) {
      lines.push(
        'neigh add 10.9.0.2 lladdr 02:00:00:00:01:02 nud permanent dev t0',
        'neigh add 10.9.0.3 lladdr 02:00:00:00:01:03 nud permanent dev t0',
        'neigh add 10.9.1.2 lladdr 02:00:00:00:02:02 nud permanent dev t1',
      );
    }
    const routes = [
      'route add 10.9.2.0/24 via 10.9.1.2',
      'route add 10.9.3.0/24 via 10.9.0.3',
      'route add blackhole 10.9.4.0/24',
      'route add unreachable 10.9.5.0/24',
      'route add prohibit 10.9.6.0/24',
      'route add throw 10.9.7.0/24',
    ];
    lines.push(...routes.filter(() => !this.once(4)));
    if (this.once(2)) {
      lines.push(
        this.of([
          'route add default via 10.9.1.2',
          'route add default via 10.9.0.3 mtu 1000',
          'route add default via 10.9.1.2 src 10.9.8.1',
          'route add unreachable default',
          'route add default dev t1 scope link',
          'route add default via 10.9.0.2 mtu lock 700',
        ]),
      );
    }
    this.add(['ip', ...lines]);
    this.settings();
  }

  private settings(): void {
    // Forwarding first: a change of it resets others.
    this.add(['sysctl', 'net.ipv4.ip_forward', String(this.below(2))]);
    for (const device of ['all', 't0', 't1']) {
      for (const [name, values] of Object.entries(DEVICE_SETTINGS)) {
        const isReset = name === 'rp_filter' && device === 'all';
        if (!isReset && !this.once(device === 'all' ? 12 : 5)) continue;
        const value = isReset && !this.once(4) ? 0 : this.of(values);
        this.add(['sysctl', `net.ipv4.conf.${device}.${name}`, String(value)]);
      }
    }
    // No more than this is about time.
    this.add(
      ['sysctl', 'net.ipv4.icmp_msgs_per_sec', '100000'],
      ['sysctl', 'net.ipv4.icmp_msgs_burst', '10000'],
    );
    for (const [name, values] of Object.entries(GLOBAL_SETTINGS)) {
      if (this.once(6)) this.add(['sysctl', `net.ipv4.${name}`, String(this.of(values))]);
    }
  }

  /** An IPv4 packet comes in, by default at the left device from the left peer. */
  receive(
    fields: Ipv4Fields,
    how: { readonly padding?: number; readonly cut?: number } = {},
  ): void {
    const packet = ipv4({ id: this.nextId(), ...fields });
    const cut = packet.subarray(0, how.cut ?? packet.length);
    const right = this.once(12);
    let to: readonly number[] = right ? MAC_RIGHT : MAC;
    const top = fields.dst >>> 28;
    if (top === 14 && !this.once(6)) to = multicastMac(fields.dst);
    else if ((fields.dst & 255) === 255 && !this.once(4)) to = EVERYONE;
    else if (this.once(25)) to = this.of([EVERYONE, PEER_MAC, multicastMac(GROUP)]);
    const from = right ? PEER_RIGHT_MAC : PEER_MAC;
    const payload = concat(cut, new Array<number>(how.padding ?? 0).fill(0));
    this.add(['frame', right ? 't1' : 't0', toHex(ether(to, from, 0x0800, payload))]);
  }

  /** How it ends: counters, neighbours, routes. */
  ending(): void {
    this.add(
      ['read', '/proc/net/snmp'],
      ['read', '/proc/net/netstat'],
      ['ip', 'neigh show'],
      ['ip', 'route get 10.9.0.2', 'route get 10.9.1.2'],
    );
  }
}

export function multicastMac(group: number): readonly number[] {
  const bytes = new Uint8Array(4);
  put32(bytes, 0, group);
  return [1, 0, 0x5e, (bytes[1] ?? 0) & 0x7f, bytes[2] ?? 0, bytes[3] ?? 0];
}

export function words(...values: readonly number[]): Uint8Array {
  const out = new Uint8Array(2 * values.length);
  values.forEach((value, i) => {
    put16(out, 2 * i, value);
  });
  return out;
}
