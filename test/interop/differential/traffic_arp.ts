/** ARP of all kinds, right and wrong, and packets that make the stack ask. */
import { concat, ether, icmp, macOf, put16, put32 } from './packets.ts';
import {
  EVERYONE,
  GROUP,
  MAC,
  MAC_RIGHT,
  OWN,
  OWN_LO,
  OWN_RIGHT,
  OWN_SECOND,
  PEER,
  PEER_MAC,
  PEER_RIGHT,
  PEER_RIGHT_MAC,
  PEER_THREE,
  type Scene,
  words,
} from './scene.ts';
import { toHex } from './steps.ts';

const WHO: readonly number[] = [
  ...[OWN, OWN, OWN_SECOND, OWN_RIGHT, OWN_LO, PEER, PEER, PEER_THREE, PEER_RIGHT],
  ...[0, 0x0a090207, 0x0a090307, 0x7f000001, GROUP, 0xffffffff, 0x0a0900ff, 0x0a090077],
  ...[0x0a090407, 0x0a090507, 0x0a090607, 0xac100101],
];

function arp(s: Scene): void {
  const right = s.once(4);
  const p = new Uint8Array(28);
  const odd = s.once(10);
  p.set(words(odd ? s.of([1, 6, 0, 32]) : 1, odd ? s.of([0x800, 0x806, 0]) : 0x800));
  p[4] = odd ? s.of([6, 8, 0]) : 6;
  p[5] = odd ? s.of([4, 16, 0]) : 4;
  put16(p, 6, s.once(12) ? s.below(12) : s.of([1, 1, 1, 2]));
  const sender = s.once(12) ? macOf('02:00:00:00:01:77') : right ? PEER_RIGHT_MAC : PEER_MAC;
  p.set(s.once(25) ? MAC : sender, 8);
  const source = s.once(2) ? s.of([PEER, PEER_THREE, PEER_RIGHT]) : s.of(WHO);
  put32(p, 14, source);
  p.set(s.of([[0, 0, 0, 0, 0, 0], MAC, EVERYONE]), 18);
  const gratuitous = s.once(6);
  put32(p, 24, gratuitous ? source : s.once(2) ? OWN : s.of(WHO));
  const to = s.of([EVERYONE, EVERYONE, right ? MAC_RIGHT : MAC, PEER_MAC]);
  const length = s.once(20) ? s.below(28) : 28;
  const payload = concat(p.subarray(0, length), new Array<number>(s.once(3) ? 18 : 0).fill(0));
  s.add(['frame', right ? 't1' : 't0', toHex(ether(to, sender, 0x0806, payload))]);
}

/** A ping whose answer needs a neighbour. */
function ping(s: Scene): void {
  s.receive({
    src: s.of([PEER, PEER_THREE, 0x0a090077, PEER_RIGHT, 0x0a090207]),
    dst: s.of([OWN, OWN, OWN_SECOND, OWN_RIGHT, OWN_LO, PEER_RIGHT, 0x0a090207, 0x0a090177]),
    protocol: 1,
    payload: icmp(8, 0, 0x80010000 + s.below(9), s.bytes(8)),
  });
}

const CHANGES: readonly string[] = [
  'neigh add proxy 10.9.0.77 dev t0',
  'neigh add proxy 10.9.2.7 dev t0',
  'neigh del 10.9.0.2 dev t0',
  'neigh replace 10.9.0.2 lladdr 02:00:00:00:01:99 nud stale dev t0',
  'neigh replace 10.9.0.2 lladdr 02:00:00:00:01:99 nud reachable dev t0',
  'neigh replace 10.9.0.3 nud failed dev t0',
  'neigh replace 10.9.0.3 lladdr 02:00:00:00:01:03 nud permanent dev t0',
  'neigh replace 10.9.0.3 lladdr 02:00:00:00:01:03 nud noarp dev t0',
  'neigh replace 10.9.0.2 lladdr 02:00:00:00:01:02 nud delay dev t0',
  'neigh replace 10.9.0.2 lladdr 02:00:00:00:01:02 nud probe dev t0',
  'neigh replace 10.9.0.2 dev t0 use',
  'neigh replace 10.9.0.2 dev t0 managed',
  'neigh get 10.9.0.2 dev t0',
  'neigh get 10.9.0.77 dev t0',
  'neigh flush dev t0',
  'addr add 10.9.0.77/24 dev t0',
  'addr del 10.9.0.9/24 dev t0',
  'link set t0 down',
  'link set t0 up',
  'link set t0 arp off',
  'link set t0 arp on',
  'link set t0 address 02:00:00:00:00:11',
  'link set t0 carrier off',
  'link set t0 carrier on',
];

function changeSomething(s: Scene): void {
  const change = s.of(CHANGES);
  s.add(['ip', change]);
  // The link watch takes up to a second until it tells of a carrier.
  if (!change.includes('carrier')) s.add(['sleep', 20]);
  else if (s.once(4)) s.add(['sleep', 1100]);
  else s.steps.pop();
}

export function arpTraffic(s: Scene): void {
  s.setUp({ neighbours: s.once(4) });
  const isSlow = s.once(8);
  const neigh = 'net.ipv4.neigh.t0';
  // No reply of a proxy is held back, as that is for a random time.
  s.add(['sysctl', `${neigh}.proxy_delay`, '0'], ['sysctl', 'net.ipv4.neigh.t1.proxy_delay', '0']);
  s.add(['sysctl', `${neigh}.locktime`, s.of(['0', '0', '100'])]);
  if (isSlow) {
    s.add(
      ['sysctl', `${neigh}.retrans_time_ms`, '200'],
      ['sysctl', `${neigh}.delay_first_probe_time`, '1'],
    );
  }
  if (s.once(4)) {
    const name = s.of(['mcast_solicit', 'ucast_solicit', 'app_solicit', 'mcast_resolicit']);
    s.add(['sysctl', `${neigh}.${name}`, String(s.below(4))]);
  }
  if (s.once(4)) s.add(['sysctl', `${neigh}.unres_qlen`, String(s.below(4))]);
  if (s.once(4)) s.add(['sysctl', `${neigh}.unres_qlen_bytes`, s.of(['0', '700', '1400', '5000'])]);
  const count = 10 + s.below(30);
  for (let i = 0; i < count; i++) {
    const kind = s.below(20);
    if (kind < 5) ping(s);
    else if (kind === 5) changeSomething(s);
    else if (kind === 6 && isSlow && s.once(2)) s.add(['sleep', s.of([50, 330, 750])]);
    else if (kind === 7) s.add(['ip', 'neigh show', 'neigh show proxy']);
    else arp(s);
  }
  s.ending();
  s.add(['read', '/proc/net/arp']);
}
