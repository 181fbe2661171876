/*
 * Sockets by inet_diag. Counterpart of inet_show_netlink in iproute2's misc/ss.c.
 */

import { ENOENT, EOPNOTSUPP, EPROTONOSUPPORT } from '#uapi/errno.ts';
import { IPPROTO_RAW, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import {
  INET_DIAG_CONG,
  INET_DIAG_INFO,
  INET_DIAG_MARK,
  INET_DIAG_NOCOOKIE,
  INET_DIAG_PROTOCOL,
  INET_DIAG_SHUTDOWN,
  INET_DIAG_SKMEMINFO,
  INET_DIAG_VEGASINFO,
  inetDiagMsg,
  inetDiagReqV2,
  inetDiagSockid,
} from '#uapi/inet_diag.ts';
import { NETLINK_SOCK_DIAG } from '#uapi/netlink.ts';
import {
  SK_MEMINFO_VARS,
  SKNLGRP_INET_TCP_DESTROY,
  SKNLGRP_MAX,
  SOCK_DESTROY,
  SOCK_DIAG_BY_FAMILY,
} from '#uapi/sock_diag.ts';
import { AF_INET } from '#uapi/socket.ts';
import { getTcpInfo, type TcpInfo } from '#uapi/tcp_info.ts';
import { errnoOf } from '#user/lib/errors.ts';
import { indexToName } from '#user/lib/ifaddrs.ts';
import type { Libc } from '#user/lib/libc.ts';
import { NetlinkClient } from '#user/lib/netlink.ts';
import { type NlAttrs, NlBuilder, type NlMessage } from '#user/lib/nlmsg.ts';
import type { Endpoint, Netid, SocketDetails, SocketRecord } from '#user/ss/record.ts';

const PROTOCOLS: Readonly<Record<Netid, number>> = {
  tcp: IPPROTO_TCP,
  udp: IPPROTO_UDP,
  raw: IPPROTO_RAW,
};

/** In the order in which they are looked for. */
const NETIDS: readonly Netid[] = ['tcp', 'udp', 'raw'];

/** What more is asked of each socket. */
export interface Wanted {
  readonly info: boolean;
  readonly memory: boolean;
  readonly states: number;
}

/** struct tcp_info; what an older kernel does not send is 0. */
function readInfo(bytes: Uint8Array): TcpInfo {
  return getTcpInfo(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
}

function detailsOf(attrs: NlAttrs): SocketDetails {
  const info = attrs.bytes(INET_DIAG_INFO);
  const memory = attrs.bytes(INET_DIAG_SKMEMINFO);
  let words: number[] | null = null;
  if (memory !== null) {
    const v = new DataView(memory.buffer, memory.byteOffset, memory.length);
    const count = Math.min(SK_MEMINFO_VARS, memory.length >> 2);
    words = Array.from({ length: count }, (_, i) => v.getUint32(i * 4, true));
  }
  return {
    info: info === null ? null : readInfo(info),
    congestion: attrs.string(INET_DIAG_CONG),
    memory: words,
    shutdown: attrs.u8(INET_DIAG_SHUTDOWN),
    mark: attrs.u32(INET_DIAG_MARK),
  };
}

function endpoint(view: DataView, family: number, at: number, port: number): Endpoint {
  const length = family === AF_INET ? 4 : 16;
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at, length);
  return { family, bytes, port };
}

/** Offsets of the two addresses in struct inet_diag_sockid. */
const SRC = 4;
const DST = 20;

function recordOf(
  netid: Netid,
  message: NlMessage,
  names: ReadonlyMap<number, string>,
): SocketRecord {
  const { view, payload } = message;
  const id = payload + inetDiagMsg.ID;
  const family = inetDiagMsg.family(view, payload);
  const index = inetDiagSockid.ifindex(view, id);
  const lo = inetDiagSockid.cookieLo(view, id);
  const hi = inetDiagSockid.cookieHi(view, id);
  return {
    netid,
    state: inetDiagMsg.state(view, payload),
    recvQ: inetDiagMsg.rqueue(view, payload),
    sendQ: inetDiagMsg.wqueue(view, payload),
    local: endpoint(view, family, id + SRC, inetDiagSockid.sport(view, id)),
    peer: endpoint(view, family, id + DST, inetDiagSockid.dport(view, id)),
    device: index === 0 ? '' : (names.get(index) ?? `if${index}`),
    timer: inetDiagMsg.timer(view, payload),
    timeout: inetDiagMsg.expires(view, payload),
    retrans: inetDiagMsg.retrans(view, payload),
    uid: inetDiagMsg.uid(view, payload),
    inode: inetDiagMsg.inode(view, payload),
    cookie: hi === 0 ? lo.toString(16) : hi.toString(16) + lo.toString(16).padStart(8, '0'),
    id: new Uint8Array(view.buffer, view.byteOffset + id, inetDiagSockid.LEN).slice(),
    details: detailsOf(message.attrs(inetDiagMsg.LEN)),
  };
}

function requestOf(type: number, netid: Netid, family: number): NlBuilder {
  return new NlBuilder(type, 0).header(inetDiagReqV2.LEN, (v, o) => {
    inetDiagReqV2.setFamily(v, o, family);
    inetDiagReqV2.setProtocol(v, o, PROTOCOLS[netid]);
    inetDiagSockid.setCookie(v, o + inetDiagReqV2.ID, INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE);
  });
}

/** Ends a socket; false when this kernel has none such, or cannot. @throws NetlinkError */
export async function destroySocket(libc: Libc, record: SocketRecord): Promise<boolean> {
  const { netid, local, id } = record;
  if (id === null) return false;
  const client = new NetlinkClient(libc, NETLINK_SOCK_DIAG);
  const request = requestOf(SOCK_DESTROY, netid, local.family).edit((v, o) => {
    new Uint8Array(v.buffer, v.byteOffset + o + inetDiagReqV2.ID, id.length).set(id);
    // Of a raw socket the port is its protocol.
    if (netid === 'raw') v.setUint8(o + 3, local.port);
  });
  try {
    await client.request(request);
    return true;
  } catch (error) {
    if (errnoOf(error) === EOPNOTSUPP || errnoOf(error) === ENOENT) return false;
    throw error;
  } finally {
    client.close();
  }
}

/** Tells of sockets as they end, until the program is interrupted. */
export async function watchDestroyed(
  libc: Libc,
  onRecord: (record: SocketRecord) => void,
): Promise<never> {
  const client = new NetlinkClient(libc, NETLINK_SOCK_DIAG);
  try {
    for (let group = SKNLGRP_INET_TCP_DESTROY; group <= SKNLGRP_MAX; group++) client.join(group);
    for (;;) {
      for (const message of await client.notifications()) {
        if (message.type !== SOCK_DIAG_BY_FAMILY) continue;
        const protocol = message.attrs(inetDiagMsg.LEN).u8(INET_DIAG_PROTOCOL);
        const netid = NETIDS.find((name) => PROTOCOLS[name] === protocol);
        if (netid !== undefined) onRecord(recordOf(netid, message, new Map()));
      }
    }
  } finally {
    client.close();
  }
}

/** The sockets of one kind; null when this kernel cannot be asked so. */
export async function readDiagSockets(
  libc: Libc,
  netid: Netid,
  family: number,
  wanted: Wanted,
): Promise<SocketRecord[] | null> {
  let client: NetlinkClient;
  try {
    client = new NetlinkClient(libc, NETLINK_SOCK_DIAG);
  } catch (error) {
    if (errnoOf(error) === EPROTONOSUPPORT) return null;
    throw error;
  }
  const bit = (extension: number): number => 1 << (extension - 1);
  let ext = 0;
  if (wanted.info) ext |= bit(INET_DIAG_INFO) | bit(INET_DIAG_VEGASINFO) | bit(INET_DIAG_CONG);
  if (wanted.memory) ext |= bit(INET_DIAG_SKMEMINFO);
  const request = requestOf(SOCK_DIAG_BY_FAMILY, netid, family).edit((v, o) => {
    inetDiagReqV2.setExt(v, o, ext);
    inetDiagReqV2.setStates(v, o, wanted.states);
  });
  const messages: NlMessage[] = [];
  try {
    await client.dump(request, (message) => messages.push(message));
  } catch (error) {
    // No handler of that family: it is a module of its own.
    if (errnoOf(error) === ENOENT || errnoOf(error) === EPROTONOSUPPORT) return null;
    throw error;
  } finally {
    client.close();
  }
  const bound = messages.some(({ view, payload }) => {
    return inetDiagSockid.ifindex(view, payload + inetDiagMsg.ID) !== 0;
  });
  const names = bound ? await indexToName(libc) : new Map<number, string>();
  return messages.map((message) => recordOf(netid, message, names));
}
