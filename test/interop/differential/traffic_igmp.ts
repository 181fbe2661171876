/** Members of groups, and queries of all versions: who reports what, within the time that the query gives. */
import { checksum, put16, put32 } from './packets.ts';
import { GROUP, OWN, OWN_RIGHT, PEER, type Scene } from './scene.ts';
import { toHex } from './steps.ts';

const GROUPS: readonly number[] = [GROUP, 0xefffff01, 0xe0000009, 0xe1010101];
const ALL_HOSTS = 0xe0000001;
const IP_ADD_MEMBERSHIP = 35;
const IP_DROP_MEMBERSHIP = 36;

function changeMembership(s: Scene, sockets: number): void {
  const request = new Uint8Array(8);
  put32(request, 0, s.of(GROUPS));
  put32(request, 4, s.of([OWN, OWN, OWN_RIGHT]));
  const option = s.once(3) ? IP_DROP_MEMBERSHIP : IP_ADD_MEMBERSHIP;
  s.add(['setsockopt', s.below(sockets), 0, option, toHex(request)], ['sleep', 60]);
}

/** A query whose answers are due within 200 ms, or a report by another member. */
function message(s: Scene): void {
  const group = s.once(2) ? 0 : s.of(GROUPS);
  const isQuery = !s.once(4);
  const isThird = s.once(2);
  const p = new Uint8Array(isThird ? 12 : 8);
  p[0] = isQuery ? 0x11 : s.of([0x12, 0x16, 0x17]);
  // No time at all is a query of version 1, whose answers are due within ten seconds.
  p[1] = s.of([1, 2]);
  put32(p, 4, group);
  put16(p, 2, checksum(p, 0, p.length));
  s.receive({
    src: s.once(8) ? 0 : PEER,
    dst: isQuery && group === 0 ? ALL_HOSTS : group === 0 ? GROUP : group,
    protocol: 2,
    payload: p,
    ttl: 1,
    options: s.once(4) ? new Uint8Array(0) : Uint8Array.of(148, 4, 0, 0),
  });
  s.add(['sleep', 400]);
}

export function igmpTraffic(s: Scene): void {
  s.setUp();
  const sockets = 1 + s.below(3);
  for (let slot = 0; slot < sockets; slot++) s.add(['socket', slot, 2, 2, 0]);
  for (let i = 0; i < 3; i++) changeMembership(s, sockets);
  for (let i = 4 + s.below(6); i > 0; i--) {
    if (s.once(3)) changeMembership(s, sockets);
    else message(s);
  }
  s.add(['read', '/proc/net/snmp'], ['read', '/proc/net/netstat']);
}
