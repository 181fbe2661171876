/*
 * Sockets of AF_UNIX, AF_PACKET and AF_NETLINK. Counterpart of unix_show, packet_show and netlink_show in
 * iproute2's misc/ss.c.
 */
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
import { errnoOf } from '#user/lib/errors.ts';
import { indexToName } from '#user/lib/ifaddrs.ts';
import type { Libc } from '#user/lib/libc.ts';
import { NetlinkClient } from '#user/lib/netlink.ts';
import { type NlAttrs, NlBuilder, type NlMessage } from '#user/lib/nlmsg.ts';
import type { Row } from '#user/ss/columns.ts';
import { skmemText } from '#user/ss/details.ts';
import { CONNECTED_STATES, STATE_NAMES } from '#user/ss/record.ts';

export type OtherFamily = 'unix' | 'packet' | 'netlink';

/** Options that these families heed. */
export interface OtherOptions {
  readonly extended: boolean;
  readonly memory: boolean;
  readonly oneline: boolean;
  /** Null: the family's own. */
  readonly states: number | null;
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

const queue = (bytes: number): string => String(bytes).padEnd(6);

// AF_UNIX.

function unixName(bytes: Uint8Array | null): string {
  if (bytes === null) return '*';
  return Array.from(bytes, (octet) => (octet === 0 ? '@' : String.fromCharCode(octet))).join('');
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
  if (ino !== 0) text += ` ino:${ino} dev:${dev >>> 20}/${dev & 0xfffff}`;
  const peers = words(attrs, UNIX_DIAG_ICONS) ?? [];
  if (peers.length > 0) text += ` peers:${peers.map((peer) => ` ${peer}`).join('')}`;
  return text;
}

async function unixRows(libc: Libc, options: OtherOptions): Promise<Row[]> {
  const { extended, memory } = options;
  let show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN;
  if (memory) show |= UDIAG_SHOW_MEMINFO;
  if (extended) show |= UDIAG_SHOW_VFS | UDIAG_SHOW_ICONS;
  const states = options.states ?? CONNECTED_STATES;
  const request = new NlBuilder(SOCK_DIAG_BY_FAMILY, 0).header(unixDiagReq.LEN, (v, o) => {
    unixDiagReq.setFamily(v, o, AF_UNIX);
    unixDiagReq.setStates(v, o, states);
    unixDiagReq.setCookie(v, o, 0xffffffff, 0xffffffff);
    unixDiagReq.setShow(v, o, show);
  });
  return (await dump(libc, request)).map((message): Row => {
    const { view, payload } = message;
    const attrs = message.attrs(unixDiagMsg.LEN);
    const [recvQ = 0, sendQ = 0] = words(attrs, UNIX_DIAG_RQLEN) ?? [];
    const held = words(attrs, UNIX_DIAG_MEMINFO);
    return [
      UNIX_TYPES[unixDiagMsg.type(view, payload)] ?? 'u_seq',
      STATE_NAMES[unixDiagMsg.state(view, payload)] ?? 'UNKNOWN',
      queue(recvQ),
      queue(sendQ),
      `${unixName(attrs.bytes(UNIX_DIAG_NAME))} `,
      String(unixDiagMsg.ino(view, payload)),
      '* ',
      String(attrs.u32(UNIX_DIAG_PEER) ?? 0),
      (held === null ? '' : ` ${skmemText(held)}`) + (extended ? unixExtended(attrs) : ''),
    ];
  });
}

// AF_PACKET.

const ETHERTYPES: Readonly<Record<number, string>> = {
  [0x0003]: '*',
  [0x0800]: 'ip',
  [0x0806]: 'arp',
  [0x86dd]: 'ipv6',
};

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

async function packetRows(libc: Libc, { extended, memory, oneline }: OtherOptions): Promise<Row[]> {
  const request = new NlBuilder(SOCK_DIAG_BY_FAMILY, 0).header(packetDiagReq.LEN, (v, o) => {
    packetDiagReq.setFamily(v, o, AF_PACKET);
    packetDiagReq.setShow(v, o, PACKET_SHOW_INFO | PACKET_SHOW_MEMINFO);
  });
  const messages = await dump(libc, request);
  const names = messages.length > 0 ? await indexToName(libc) : new Map<number, string>();
  return messages.map((message): Row => {
    const { view, payload } = message;
    const attrs = message.attrs(packetDiagMsg.LEN);
    const [index = 0] = words(attrs, PACKET_DIAG_INFO) ?? [];
    const held = words(attrs, PACKET_DIAG_MEMINFO) ?? [];
    const num = packetDiagMsg.num(view, payload);
    return [
      packetDiagMsg.type(view, payload) === SOCK_RAW ? 'p_raw' : 'p_dgr',
      'UNCONN',
      queue(held[SK_MEMINFO_RMEM_ALLOC] ?? 0),
      queue(held[SK_MEMINFO_WMEM_ALLOC] ?? 0),
      `${ETHERTYPES[num] ?? `[${num}]`}:`,
      index === 0 ? '*' : (names.get(index) ?? `if${index}`),
      '*',
      '',
      (extended ? packetExtended(message, attrs, oneline) : '') +
        (memory ? ` ${skmemText(held)}` : ''),
    ];
  });
}

// AF_NETLINK.

/** @see /etc/iproute2/nl_protos */
const PROTOCOLS: readonly string[] = [
  ...['rtnl', 'unused', 'usersock', 'fw', 'tcpdiag', 'nflog', 'xfrm', 'selinux', 'iscsi', 'audit'],
  ...['fiblookup', 'connector', 'nft', 'ip6fw', 'dec-rt', 'uevent', 'genl', '17', 'scsi-trans'],
  ...['ecryptfs', 'rdma', 'crypto'],
];

const NETLINK_CONNECTED = 1;

const hex8 = (value: number): string => value.toString(16).padStart(8, '0');

async function netlinkRows(libc: Libc, { extended, memory }: OtherOptions): Promise<Row[]> {
  const request = new NlBuilder(SOCK_DIAG_BY_FAMILY, 0).header(netlinkDiagReq.LEN, (v, o) => {
    netlinkDiagReq.setFamily(v, o, AF_NETLINK);
    netlinkDiagReq.setProtocol(v, o, NDIAG_PROTO_ALL);
    netlinkDiagReq.setShow(v, o, NDIAG_SHOW_GROUPS | NDIAG_SHOW_MEMINFO);
  });
  return (await dump(libc, request)).map((message): Row => {
    const { view, payload } = message;
    const attrs = message.attrs(netlinkDiagMsg.LEN);
    const held = words(attrs, NETLINK_DIAG_MEMINFO) ?? [];
    const [groups = 0] = words(attrs, NETLINK_DIAG_GROUPS) ?? [];
    const protocol = netlinkDiagMsg.protocol(view, payload);
    const portid = netlinkDiagMsg.portid(view, payload);
    const connected = netlinkDiagMsg.state(view, payload) === NETLINK_CONNECTED;
    const group = netlinkDiagMsg.dstGroup(view, payload);
    return [
      'nl',
      'UNCONN',
      queue(held[SK_MEMINFO_RMEM_ALLOC] ?? 0),
      queue(held[SK_MEMINFO_WMEM_ALLOC] ?? 0),
      `${PROTOCOLS[protocol] ?? protocol}:`,
      portid === 0 ? 'kernel' : String(portid),
      connected ? `${group}:` : '*',
      connected ? String(netlinkDiagMsg.dstPortid(view, payload)) : '',
      (memory ? `\t ${skmemText(held)}` : '') +
        (extended ? ` sk=0 cb=0 groups=0x${hex8(groups)}` : ''),
    ];
  });
}

/** What ss prints of a family; netlink's and packet's sockets are all unconnected. */
export async function otherRows(
  libc: Libc,
  family: OtherFamily,
  options: OtherOptions,
): Promise<Row[]> {
  if (family === 'unix') return unixRows(libc, options);
  const shown = options.states === null || (options.states & UNCONNECTED) !== 0;
  if (!shown) return [];
  return family === 'packet' ? packetRows(libc, options) : netlinkRows(libc, options);
}

/** State 7, TCP_CLOSE, is that of sockets without a connection. */
const UNCONNECTED: number = 1 << 7;
