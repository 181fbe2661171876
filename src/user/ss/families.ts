/*
 * Sockets of AF_UNIX, AF_PACKET and AF_NETLINK. Counterpart of unix_show, packet_show and netlink_show in
 * iproute2's misc/ss.c.
 */
import { latin1Decode } from '#lib/utf8.ts';
import { ENOENT, EPROTONOSUPPORT } from '#uapi/errno.ts';
import { NETLINK_SOCK_DIAG } from '#uapi/netlink.ts';
import {
  NDIAG_PROTO_ALL,
  NDIAG_SHOW_GROUPS,
  NDIAG_SHOW_MEMINFO,
  NETLINK_DIAG_GROUPS,
  NETLINK_DIAG_MEMINFO,
  netlinkDiagMsg,
  netlinkDiagReq,
  PACKET_DIAG_INFO,
  PACKET_DIAG_MEMINFO,
  PACKET_DIAG_UID,
  PACKET_SHOW_INFO,
  PACKET_SHOW_MEMINFO,
  PDI_AUXDATA,
  PDI_LOSS,
  PDI_ORIGDEV,
  PDI_RUNNING,
  PDI_VNETHDR,
  packetDiagMsg,
  packetDiagReq,
  SK_MEMINFO_RMEM_ALLOC,
  SK_MEMINFO_WMEM_ALLOC,
  SOCK_DIAG_BY_FAMILY,
  UDIAG_SHOW_ICONS,
  UDIAG_SHOW_MEMINFO,
  UDIAG_SHOW_NAME,
  UDIAG_SHOW_PEER,
  UDIAG_SHOW_RQLEN,
  UDIAG_SHOW_VFS,
  UNIX_DIAG_ICONS,
  UNIX_DIAG_MEMINFO,
  UNIX_DIAG_NAME,
  UNIX_DIAG_PEER,
  UNIX_DIAG_RQLEN,
  UNIX_DIAG_SHUTDOWN,
  UNIX_DIAG_VFS,
  unixDiagMsg,
  unixDiagReq,
} from '#uapi/sock_diag.ts';
import { AF_NETLINK, AF_PACKET, AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from '#uapi/socket.ts';
import { TCP_CLOSE } from '#uapi/tcp.ts';
import { errnoOf } from '#user/lib/errors.ts';
import { readText } from '#user/lib/files.ts';
import { indexToName } from '#user/lib/ifaddrs.ts';
import type { Libc } from '#user/lib/libc.ts';
import { NetlinkClient } from '#user/lib/netlink.ts';
import { type NlAttrs, NlBuilder, type NlMessage } from '#user/lib/nlmsg.ts';
import type { Row } from '#user/ss/columns.ts';
import { skmemText } from '#user/ss/details.ts';
import { numberBytes, type Predicate, type Subject } from '#user/ss/filter.ts';
import { ethertypeName, netlinkProtocolName } from '#user/ss/names.ts';
import { STATE_NAMES } from '#user/ss/record.ts';

export type OtherFamily = 'unix' | 'packet' | 'netlink';

/** Options that these families heed. */
export interface OtherOptions {
  readonly extended: boolean;
  readonly memory: boolean;
  readonly oneline: boolean;
  /** Numbers instead of names. */
  readonly numeric: boolean;
  readonly states: number;
  readonly matches: Predicate;
}

/** The messages of a dump; none where the kernel cannot be asked so. */
async function dump(libc: Libc, request: NlBuilder): Promise<NlMessage[]> {
  const messages: NlMessage[] = [];
  let client: NetlinkClient | null = null;
  try {
    client = new NetlinkClient(libc, NETLINK_SOCK_DIAG);
    await client.dump(request, (message) => messages.push(message));
  } catch (error) {
    if (errnoOf(error) !== ENOENT && errnoOf(error) !== EPROTONOSUPPORT) throw error;
  } finally {
    client?.close();
  }
  return messages;
}

/** 32-bit words of an attribute. */
function words(attrs: NlAttrs, type: number): number[] | null {
  const bytes = attrs.bytes(type);
  if (bytes === null) return null;
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length >> 2 }, (_, i) => v.getUint32(4 * i, true));
}

const cookieText = (view: DataView, at: number): string => {
  const lo = view.getUint32(at, true);
  const hi = view.getUint32(at + 4, true);
  return hi === 0 ? lo.toString(16) : hi.toString(16) + lo.toString(16).padStart(8, '0');
};

/** What conditions look at: the other end has no more than a number. */
function subject(
  family: number,
  bytes: Uint8Array,
  port: number,
  peerPort: number,
  device = '',
): Subject {
  return {
    local: { family, bytes, port },
    peer: { family, bytes: new Uint8Array(0), port: peerPort },
    device,
  };
}

const queue = (bytes: number): string => String(bytes).padEnd(6);

// AF_UNIX.

/** Without the zero that a path ends with; null: it has no name. */
function unixName(bytes: Uint8Array | null): Uint8Array | null {
  if (bytes === null || bytes[0] === 0) return bytes;
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

const UNIX_TYPES: Readonly<Record<number, string>> = {
  [SOCK_STREAM]: 'u_str',
  [SOCK_DGRAM]: 'u_dgr',
};

/** `-e`: the directions that are shut, the file, and the clients that wait for accept(). */
function unixExtended(attrs: NlAttrs): string {
  const shut = attrs.u8(UNIX_DIAG_SHUTDOWN);
  let text = '';
  if (shut !== null) text += ` ${(shut & 1) !== 0 ? '-' : '<'}-${(shut & 2) !== 0 ? '-' : '>'}`;
  const [ino = 0, dev = 0] = words(attrs, UNIX_DIAG_VFS) ?? [];
  // The kernel's number, taken apart as if it were a program's.
  const minor = ((dev & 0xff) | ((dev >>> 12) & 0xffffff00)) >>> 0;
  if (ino !== 0) text += ` ino:${ino} dev:${(dev >>> 8) & 0xfff}/${minor}`;
  const peers = words(attrs, UNIX_DIAG_ICONS) ?? [];
  if (peers.length > 0) text += ` peers:${peers.map((peer) => ` ${peer}`).join('')}`;
  return text;
}

async function unixRows(libc: Libc, options: OtherOptions): Promise<Row[]> {
  const { extended, memory } = options;
  let show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN;
  if (memory) show |= UDIAG_SHOW_MEMINFO;
  if (extended) show |= UDIAG_SHOW_VFS | UDIAG_SHOW_ICONS;
  const request = new NlBuilder(SOCK_DIAG_BY_FAMILY, 0).header(unixDiagReq.LEN, (v, o) => {
    unixDiagReq.setFamily(v, o, AF_UNIX);
    unixDiagReq.setStates(v, o, options.states);
    unixDiagReq.setCookie(v, o, 0xffffffff, 0xffffffff);
    unixDiagReq.setShow(v, o, show);
  });
  return (await dump(libc, request)).flatMap((message): Row[] => {
    const { view, payload } = message;
    const attrs = message.attrs(unixDiagMsg.LEN);
    const ino = unixDiagMsg.ino(view, payload);
    const peer = attrs.u32(UNIX_DIAG_PEER) ?? 0;
    const name = unixName(attrs.bytes(UNIX_DIAG_NAME));
    if (!options.matches(subject(AF_UNIX, name ?? new Uint8Array(0), ino, peer))) return [];
    const [recvQ = 0, sendQ = 0] = words(attrs, UNIX_DIAG_RQLEN) ?? [];
    const held = words(attrs, UNIX_DIAG_MEMINFO);
    const row = [
      UNIX_TYPES[unixDiagMsg.type(view, payload)] ?? 'u_seq',
      STATE_NAMES[unixDiagMsg.state(view, payload)] ?? 'UNKNOWN',
      queue(recvQ),
      queue(sendQ),
      `${name === null ? '*' : latin1Decode(name).replaceAll('\0', '@')} `,
      String(ino),
      '* ',
      String(peer),
      (held === null ? '' : ` ${skmemText(held)}`) + (extended ? unixExtended(attrs) : ''),
    ];
    return [row];
  });
}

// AF_PACKET.

const PACKET_FLAGS: readonly (readonly [flag: number, name: string])[] = [
  [PDI_RUNNING, 'running'],
  [PDI_AUXDATA, 'auxdata'],
  [PDI_ORIGDEV, 'origdev'],
  [PDI_VNETHDR, 'vnethdr'],
  [PDI_LOSS, 'loss'],
];

function packetExtended(message: NlMessage, attrs: NlAttrs, oneline: boolean): string {
  const { view, payload } = message;
  const uid = attrs.u32(PACKET_DIAG_UID) ?? 0;
  const [, version = 0, , copyThresh = 0, , flags = 0] = words(attrs, PACKET_DIAG_INFO) ?? [];
  const names = PACKET_FLAGS.filter(([flag]) => (flags & flag) !== 0).map(([, name]) => ` ${name}`);
  return (
    `${uid === 0 ? '' : ` uid:${uid}`} ino:${packetDiagMsg.ino(view, payload)}` +
    ` sk:${cookieText(view, payload + 8)}${oneline ? ' ' : '\n\t'}ver:${version} cpy_thresh:${copyThresh}` +
    ` flags(${flags === 0 ? ' 0' : names.join('')} )`
  );
}

async function packetRows(libc: Libc, options: OtherOptions): Promise<Row[]> {
  const { extended, memory, oneline, numeric } = options;
  const request = new NlBuilder(SOCK_DIAG_BY_FAMILY, 0).header(packetDiagReq.LEN, (v, o) => {
    packetDiagReq.setFamily(v, o, AF_PACKET);
    packetDiagReq.setShow(v, o, PACKET_SHOW_INFO | PACKET_SHOW_MEMINFO);
  });
  const messages = await dump(libc, request);
  const names = messages.length > 0 ? await indexToName(libc) : new Map<number, string>();
  return messages.flatMap((message): Row[] => {
    const { view, payload } = message;
    const attrs = message.attrs(packetDiagMsg.LEN);
    const [index = 0] = words(attrs, PACKET_DIAG_INFO) ?? [];
    const held = words(attrs, PACKET_DIAG_MEMINFO) ?? [];
    const num = packetDiagMsg.num(view, payload);
    const device = index === 0 ? '' : (names.get(index) ?? `if${index}`);
    const self = subject(AF_PACKET, numberBytes(num), index, 0, device);
    if (!options.matches(self)) return [];
    const row = [
      packetDiagMsg.type(view, payload) === SOCK_RAW ? 'p_raw' : 'p_dgr',
      'UNCONN',
      queue(held[SK_MEMINFO_RMEM_ALLOC] ?? 0),
      queue(held[SK_MEMINFO_WMEM_ALLOC] ?? 0),
      `${ethertypeName(num, numeric)}:`,
      device === '' ? '*' : device,
      '*',
      '',
      (extended ? packetExtended(message, attrs, oneline) : '') +
        (memory ? ` ${skmemText(held)}` : ''),
    ];
    return [row];
  });
}

// AF_NETLINK.

const NETLINK_CONNECTED = 1;

const hex8 = (value: number): string => value.toString(16).padStart(8, '0');

/** Whose address a port is: the kernel, a program by its name and number, or just a number. */
async function ownerName(libc: Libc, portid: number): Promise<string> {
  if (portid === 0) return 'kernel';
  if (portid === -1) return '*';
  if (portid > 0) {
    try {
      // As far as the first bracket, wherever the name ends.
      const [, comm] = /^\d+ \(([^)]+)/.exec(await readText(libc, `/proc/${portid}/stat`)) ?? [];
      if (comm !== undefined) return `${comm}/${portid}`;
    } catch (error) {
      if (errnoOf(error) === 0) throw error;
    }
  }
  return String(portid);
}

/** The names of the owners of all sockets that are told, by address. */
async function ownerNames(
  libc: Libc,
  messages: readonly NlMessage[],
): Promise<Map<number, string>> {
  const names = new Map<number, string>();
  for (const { view, payload } of messages) {
    const portid = netlinkDiagMsg.portid(view, payload) | 0;
    if (!names.has(portid)) names.set(portid, await ownerName(libc, portid));
  }
  return names;
}

async function netlinkRows(libc: Libc, options: OtherOptions): Promise<Row[]> {
  const { extended, memory, numeric } = options;
  const request = new NlBuilder(SOCK_DIAG_BY_FAMILY, 0).header(netlinkDiagReq.LEN, (v, o) => {
    netlinkDiagReq.setFamily(v, o, AF_NETLINK);
    netlinkDiagReq.setProtocol(v, o, NDIAG_PROTO_ALL);
    netlinkDiagReq.setShow(v, o, NDIAG_SHOW_GROUPS | NDIAG_SHOW_MEMINFO);
  });
  const messages = await dump(libc, request);
  const owners = numeric ? new Map<number, string>() : await ownerNames(libc, messages);
  return messages.flatMap((message): Row[] => {
    const { view, payload } = message;
    const attrs = message.attrs(netlinkDiagMsg.LEN);
    const held = words(attrs, NETLINK_DIAG_MEMINFO) ?? [];
    const [groups = 0] = words(attrs, NETLINK_DIAG_GROUPS) ?? [];
    const protocol = netlinkDiagMsg.protocol(view, payload);
    const portid = netlinkDiagMsg.portid(view, payload);
    const connected = netlinkDiagMsg.state(view, payload) === NETLINK_CONNECTED;
    const group = netlinkDiagMsg.dstGroup(view, payload);
    if (!options.matches(subject(AF_NETLINK, numberBytes(protocol), portid | 0, -1))) return [];
    const row = [
      'nl',
      'UNCONN',
      queue(held[SK_MEMINFO_RMEM_ALLOC] ?? 0),
      queue(held[SK_MEMINFO_WMEM_ALLOC] ?? 0),
      `${numeric ? protocol : netlinkProtocolName(protocol)}:`,
      owners.get(portid | 0) ?? (portid === 0xffffffff ? '*' : String(portid | 0)),
      connected ? `${group}:` : '*',
      connected ? String(netlinkDiagMsg.dstPortid(view, payload)) : '',
      (memory ? `\t ${skmemText(held)}` : '') +
        (extended ? ` sk=0 cb=0 groups=0x${hex8(groups)}` : ''),
    ];
    return [row];
  });
}

/** What ss prints of a family; netlink's and packet's sockets are all unconnected. */
export async function otherRows(
  libc: Libc,
  family: OtherFamily,
  options: OtherOptions,
): Promise<Row[]> {
  if (family === 'unix') return unixRows(libc, options);
  if ((options.states & (1 << TCP_CLOSE)) === 0) return [];
  return family === 'packet' ? packetRows(libc, options) : netlinkRows(libc, options);
}
