/*
 * `ethtool -x`, `-X`: how a device spreads flows over its receive queues; `-n`, `-N` DEV rx-flow-hash:
 * what of a packet feeds the hash. Counterpart: those parts of ethtool's ethtool.c.
 */
import { strerror } from '#uapi/errno.ts';
import {
  ETH_RXFH_INDIR_NO_CHANGE,
  ETH_SS_RSS_HASH_FUNCS,
  ETHTOOL_GRSSH,
  ETHTOOL_GRXFH,
  ETHTOOL_GRXRINGS,
  ETHTOOL_SRSSH,
  ETHTOOL_SRXFH,
  ethtoolRxfh,
  ethtoolRxnfc,
  IPV4_FLOW,
  IPV6_FLOW,
  RXH_DISCARD,
  RXH_IP_DST,
  RXH_IP_SRC,
  RXH_L2DA,
  RXH_L3_PROTO,
  RXH_L4_B_0_1,
  RXH_L4_B_2_3,
  RXH_VLAN,
  SCTP_V4_FLOW,
  SCTP_V6_FLOW,
  TCP_V4_FLOW,
  TCP_V6_FLOW,
  UDP_V4_FLOW,
  UDP_V6_FLOW,
} from '#uapi/ethtool.ts';
import { BAD_COMMAND_LINE, type Run } from '#user/ethtool/command.ts';
import type { EthtoolDevice } from '#user/ethtool/request.ts';

/** Entries of the table in a line. */
const COLUMNS = 8;

/** Sizes of a device's table and key, the function in use; a negative errno. */
function head(device: EthtoolDevice): DataView | number {
  return device.get(ETHTOOL_GRSSH, ethtoolRxfh.LEN);
}

/** All of it: the structure with table and key behind. */
function whole(device: EthtoolDevice): DataView | number {
  const sizes = head(device);
  if (typeof sizes === 'number') return sizes;
  const indirSize = ethtoolRxfh.indirSize(sizes, 0);
  const keySize = ethtoolRxfh.keySize(sizes, 0);
  const v = new DataView(new ArrayBuffer(ethtoolRxfh.LEN + 4 * indirSize + keySize));
  ethtoolRxfh.setIndirSize(v, 0, indirSize);
  ethtoolRxfh.setKeySize(v, 0, keySize);
  const err = device.send(ETHTOOL_GRSSH, v);
  return err < 0 ? err : v;
}

function tableText(v: DataView, size: number): string {
  if (size === 0) return 'Operation not supported\n';
  let text = '';
  for (let i = 0; i < size; i++) {
    if (i % COLUMNS === 0) text += `${String(i).padStart(5)}: `;
    text += ` ${String(v.getUint32(ethtoolRxfh.LEN + 4 * i, true)).padStart(5)}`;
    if (i % COLUMNS === COLUMNS - 1 || i === size - 1) text += '\n';
  }
  return text;
}

export const showRxfh: Run = (p, device) => {
  const rings = device.get(ETHTOOL_GRXRINGS, ethtoolRxnfc.LEN);
  if (typeof rings === 'number') {
    p.warn(`Cannot get RX ring count: ${strerror(-rings)}\n`);
    return 1;
  }
  const v = whole(device);
  if (typeof v === 'number') {
    p.warn(`Cannot get RX flow hash indir size and/or key size: ${strerror(-v)}\n`);
    return 1;
  }
  const indirSize = ethtoolRxfh.indirSize(v, 0);
  const keySize = ethtoolRxfh.keySize(v, 0);
  const key = new Uint8Array(v.buffer, ethtoolRxfh.LEN + 4 * indirSize, keySize);
  const octets = Array.from(key, (octet) => octet.toString(16).padStart(2, '0')).join(':');
  const hfunc = ethtoolRxfh.hfunc(v, 0);
  const functions = device
    .strings(ETH_SS_RSS_HASH_FUNCS)
    .map((name, i) => `    ${name}: ${(hfunc & (1 << i)) !== 0 ? 'on' : 'off'}\n`);
  p.print(
    `RX flow hash indirection table for ${device.name} with ` +
      `${ethtoolRxnfc.data(rings, 0)} RX ring(s):\n${tableText(v, indirSize)}` +
      `RSS hash key:\n${keySize === 0 ? 'Operation not supported' : octets}\n` +
      `RSS hash function:\n${hfunc === 0 ? '    Operation not supported\n' : functions.join('')}`,
  );
  return 0;
};

/** What the words after `-X DEV` want. */
interface Wish {
  readonly start: number;
  /** Queues in turn, or shares of the table; null: leave it. */
  readonly equal: number | null;
  readonly weights: readonly number[] | null;
  readonly isDefault: boolean;
  readonly key: Uint8Array | null;
  readonly hfunc: string | null;
}

function parseKey(text: string): Uint8Array | null {
  const octets = text.split(':');
  if (!octets.every((octet) => /^[0-9a-fA-F]{2}$/.test(octet))) return null;
  return Uint8Array.from(octets, (octet) => Number.parseInt(octet, 16));
}

const NUMBER = /^[0-9]{1,9}$/;

/** The words as a wish; null when they make none. */
function parseWish(words: readonly string[]): Wish | null {
  let wish: Wish = {
    start: 0,
    equal: null,
    weights: null,
    isDefault: false,
    key: null,
    hfunc: null,
  };
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const next = words[i + 1] ?? '';
    if (word === 'default') {
      wish = { ...wish, isDefault: true };
    } else if (word === 'equal' || word === 'start') {
      if (!NUMBER.test(next) || (word === 'equal' && Number(next) === 0)) return null;
      wish = { ...wish, [word]: Number(next) };
      i++;
    } else if (word === 'weight') {
      const weights: number[] = [];
      while (NUMBER.test(words[i + 1] ?? '')) weights.push(Number(words[++i]));
      if (weights.length === 0) return null;
      wish = { ...wish, weights };
    } else if (word === 'hkey') {
      const key = parseKey(next);
      if (key === null) return null;
      wish = { ...wish, key };
      i++;
    } else if (word === 'hfunc' && next !== '') {
      wish = { ...wish, hfunc: next };
      i++;
    } else {
      return null;
    }
  }
  const tables = [wish.equal !== null, wish.weights !== null, wish.isDefault];
  if (tables.filter(Boolean).length > 1) return null;
  const empty = !tables.includes(true) && wish.key === null && wish.hfunc === null;
  return empty ? null : wish;
}

/** The table of a wish, or what is wrong with it. */
function fillTable(wish: Wish, size: number): number[] | string {
  const { start, equal, weights } = wish;
  if (equal !== null) return Array.from({ length: size }, (_, i) => start + (i % equal));
  const shares = weights ?? [];
  const sum = shares.reduce((total, weight) => total + weight, 0);
  if (sum === 0) return 'At least one weight must be non-zero\n';
  if (sum > size) return 'Total weight exceeds the size of the indirection table\n';
  const table: number[] = [];
  let queue = -1;
  let partial = 0;
  for (let i = 0; i < size; i++) {
    while (i >= Math.floor((size * partial) / sum)) partial += shares[++queue] ?? 0;
    table.push(start + queue);
  }
  return table;
}

export const changeRxfh: Run = (p, device, words) => {
  const wish = parseWish(words);
  if (wish === null) {
    p.warn(BAD_COMMAND_LINE);
    return 1;
  }
  const sizes = head(device);
  if (typeof sizes === 'number') {
    p.warn(`Cannot get RX flow hash indir size and hash key size: ${strerror(-sizes)}\n`);
    return 1;
  }
  let table: readonly number[] = [];
  if (wish.equal !== null || wish.weights !== null) {
    const filled = fillTable(wish, ethtoolRxfh.indirSize(sizes, 0));
    if (typeof filled === 'string') {
      p.warn(filled);
      return 1;
    }
    table = filled;
  }
  let hfunc = 0;
  if (wish.hfunc !== null) {
    const index = device.strings(ETH_SS_RSS_HASH_FUNCS).indexOf(wish.hfunc);
    if (index < 0) {
      p.warn(`Unknown hash function: ${wish.hfunc}\n`);
      return 1;
    }
    hfunc = 1 << index;
  }
  const keySize = wish.key?.length ?? 0;
  const v = new DataView(new ArrayBuffer(ethtoolRxfh.LEN + 4 * table.length + keySize));
  const leave = table.length === 0 && !wish.isDefault;
  ethtoolRxfh.setIndirSize(v, 0, leave ? ETH_RXFH_INDIR_NO_CHANGE : table.length);
  ethtoolRxfh.setKeySize(v, 0, keySize);
  ethtoolRxfh.setHfunc(v, 0, hfunc);
  table.forEach((queue, i) => {
    v.setUint32(ethtoolRxfh.LEN + 4 * i, queue, true);
  });
  if (wish.key !== null) new Uint8Array(v.buffer).set(wish.key, ethtoolRxfh.LEN + 4 * table.length);
  const err = device.send(ETHTOOL_SRSSH, v);
  if (err < 0) p.warn(`Cannot set RX flow hash configuration: ${strerror(-err)}\n`);
  return err < 0 ? 1 : 0;
};

/** Kinds of flows by their word, and how the answer begins. */
const FLOWS: Readonly<Record<string, readonly [type: number, title: string]>> = {
  tcp4: [TCP_V4_FLOW, 'TCP over IPV4 flows'],
  udp4: [UDP_V4_FLOW, 'UDP over IPV4 flows'],
  sctp4: [SCTP_V4_FLOW, 'SCTP over IPV4 flows'],
  tcp6: [TCP_V6_FLOW, 'TCP over IPV6 flows'],
  udp6: [UDP_V6_FLOW, 'UDP over IPV6 flows'],
  sctp6: [SCTP_V6_FLOW, 'SCTP over IPV6 flows'],
  ipv4: [IPV4_FLOW, 'IPV4 flows'],
  ipv6: [IPV6_FLOW, 'IPV6 flows'],
};

/** Fields by their letter, in the order in which they are shown. */
const HASHED: readonly (readonly [letter: string, bit: number, text: string])[] = [
  ['m', RXH_L2DA, 'L2DA'],
  ['v', RXH_VLAN, 'VLAN tag'],
  ['t', RXH_L3_PROTO, 'L3 proto'],
  ['s', RXH_IP_SRC, 'IP SA'],
  ['d', RXH_IP_DST, 'IP DA'],
  ['f', RXH_L4_B_0_1, 'L4 bytes 0 & 1 [TCP/UDP src port]'],
  ['n', RXH_L4_B_2_3, 'L4 bytes 2 & 3 [TCP/UDP dst port]'],
];

function flowOf(words: readonly string[]): readonly [type: number, title: string] | null {
  const [what, flow = ''] = words;
  if (what !== 'rx-flow-hash' || !Object.hasOwn(FLOWS, flow)) return null;
  return FLOWS[flow] ?? null;
}

export const showFlowHash: Run = (p, device, words) => {
  const flow = words.length === 2 ? flowOf(words) : null;
  if (flow === null) {
    p.warn(BAD_COMMAND_LINE);
    return 1;
  }
  const v = new DataView(new ArrayBuffer(ethtoolRxnfc.LEN));
  ethtoolRxnfc.setFlowType(v, 0, flow[0]);
  const err = device.send(ETHTOOL_GRXFH, v);
  if (err < 0) {
    p.warn(`Cannot get RX network flow hashing options: ${strerror(-err)}\n`);
    return 1;
  }
  const data = ethtoolRxnfc.data(v, 0);
  if ((data & RXH_DISCARD) !== 0) {
    p.print(`${flow[1]} - All matching flows discarded on RX\n`);
    return 0;
  }
  const fields = HASHED.filter(([, bit]) => (data & bit) !== 0).map(([, , text]) => `${text}\n`);
  const none = fields.length === 0 ? 'None' : '';
  p.print(`${flow[1]} use these fields for computing Hash flow key:\n${none}${fields.join('')}\n`);
  return 0;
};

export const changeFlowHash: Run = (p, device, words) => {
  const flow = words.length === 3 ? flowOf(words) : null;
  const letters = words[2] ?? '';
  let data = 0;
  for (const letter of letters) {
    const bit =
      HASHED.find(([known]) => known === letter)?.[1] ?? (letter === 'r' ? RXH_DISCARD : 0);
    if (bit === 0) data = -1;
    else data |= bit;
  }
  if (flow === null || letters === '' || data === -1) {
    p.warn(BAD_COMMAND_LINE);
    return 1;
  }
  const v = new DataView(new ArrayBuffer(ethtoolRxnfc.LEN));
  ethtoolRxnfc.setFlowType(v, 0, flow[0]);
  ethtoolRxnfc.setData(v, 0, data >>> 0);
  const err = device.send(ETHTOOL_SRXFH, v);
  if (err < 0) {
    p.warn(`Cannot change RX network flow hashing options: ${strerror(-err)}\n`);
    return 1;
  }
  return 0;
};
