/** Policy rules: asked for by netlink, since they come before every look into a table. */
import { concat, put32 } from './packets.ts';
import { OWN, PEER, PEER_RIGHT, PORTS, type Scene } from './scene.ts';
import { toHex } from './steps.ts';

const AF_NETLINK = 16;
const RTM_NEWRULE = 32;
const NLM_F_REQUEST_CREATE = 0x401;
const SLOT = 20;
const TABLE = 100;

const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_GOTO = 4;
const FRA_PRIORITY = 6;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_OIFNAME = 17;
const FRA_IP_PROTO = 22;
const FRA_SPORT_RANGE = 23;
const FRA_DPORT_RANGE = 24;

const FR_ACT_TO_TBL = 1;
const FR_ACT_GOTO = 2;
const ACTIONS: readonly number[] = [1, 1, 1, 1, 2, 3, 6, 7, 8];
const FIB_RULE_INVERT = 2;

const u32 = (value: number): Uint8Array => {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value, true);
  return out;
};

const inAddr = (value: number): Uint8Array => {
  const out = new Uint8Array(4);
  put32(out, 0, value);
  return out;
};

function attribute(type: number, data: Uint8Array): Uint8Array {
  const length = 4 + data.length;
  return concat(
    [length, 0, type, 0],
    data,
    new Uint8Array(Math.ceil(data.length / 4) * 4 - data.length),
  );
}

const named = (name: string): Uint8Array => new TextEncoder().encode(`${name}\0`);

const range = (from: number, to: number): Uint8Array =>
  Uint8Array.of(from & 255, from >>> 8, to & 255, to >>> 8);

/** One rule, below the one of the local table or above it. */
export function someRule(s: Scene): Uint8Array {
  const action = s.of(ACTIONS);
  const priority = s.of([10, 20, 30, 1000]);
  const attributes = [attribute(FRA_PRIORITY, u32(priority))];
  let dstLength = 0;
  let srcLength = 0;
  if (s.once(2)) {
    srcLength = s.of([32, 24, 8]);
    attributes.push(attribute(FRA_SRC, inAddr(s.of([PEER, PEER_RIGHT, OWN]))));
  }
  if (s.once(2)) {
    dstLength = s.of([32, 24, 8]);
    attributes.push(attribute(FRA_DST, inAddr(s.of([0x0a090207, PEER_RIGHT, OWN, 0x0a090507]))));
  }
  if (s.once(4)) attributes.push(attribute(FRA_IIFNAME, named(s.of(['t0', 't1', 'lo', 'gone']))));
  if (s.once(6)) attributes.push(attribute(FRA_OIFNAME, named(s.of(['t0', 't1']))));
  if (s.once(5)) attributes.push(attribute(FRA_IP_PROTO, Uint8Array.of(s.of([1, 6, 17]))));
  if (s.once(8)) attributes.push(attribute(FRA_DPORT_RANGE, range(s.of(PORTS), 7002)));
  if (s.once(8)) attributes.push(attribute(FRA_SPORT_RANGE, range(s.of(PORTS), 7002)));
  if (s.once(6)) attributes.push(attribute(FRA_SUPPRESS_PREFIXLEN, u32(s.of([0, 8, 24]))));
  if (action === FR_ACT_GOTO) attributes.push(attribute(FRA_GOTO, u32(s.of([20, 1000, 32766]))));
  const tos = s.once(6) ? s.of([0x10, 0x08]) : 0;
  const table = action === FR_ACT_TO_TBL ? s.of([TABLE, TABLE, 254, 255, 101]) : 0;
  const flags = s.once(6) ? FIB_RULE_INVERT : 0;
  const header = Uint8Array.of(2, dstLength, srcLength, tos, table, 0, 0, action);
  const body = concat(header, u32(flags), ...attributes);
  const length = 16 + body.length;
  return concat(
    u32(length),
    [RTM_NEWRULE, 0, NLM_F_REQUEST_CREATE & 255, NLM_F_REQUEST_CREATE >>> 8],
    u32(1),
    u32(0),
    body,
  );
}

/** A few rules, and a table of their own. */
export function addRules(s: Scene): void {
  s.add([
    'ip',
    `route add 10.9.2.0/24 via 10.9.0.3 table ${TABLE}`,
    `route add prohibit 10.9.5.0/24 table ${TABLE}`,
    `route add throw 10.9.6.0/24 table ${TABLE}`,
    s.of([
      `route add default via 10.9.1.2 table ${TABLE}`,
      `route add default via 10.9.0.3 table ${TABLE}`,
      `route add blackhole default table ${TABLE}`,
      `route add unreachable default table ${TABLE}`,
    ]),
  ]);
  s.add(['socket', SLOT, AF_NETLINK, 3, 0]);
  for (let i = 1 + s.below(4); i > 0; i--)
    s.add(['sendmsg', SLOT, toHex(someRule(s)), 0, null, null]);
  s.add(['close', SLOT]);
}
