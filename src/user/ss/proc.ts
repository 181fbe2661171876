/*
 * Sockets as /proc/net/tcp and its like list them.
 */
import { AF_INET, AF_INET6 } from '#uapi/socket.ts';
import { USER_HZ } from '#uapi/time.ts';
import { readText } from '#user/lib/files.ts';
import type { Libc } from '#user/lib/libc.ts';
import { type Endpoint, type Netid, NO_DETAILS, type SocketRecord } from '#user/ss/record.ts';

/** `0100007F:1F90`: an address as the words of a little-endian machine, and a port. */
function endpointOf(text: string): Endpoint | null {
  const match = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4,5})$/i.exec(text);
  if (match === null) return null;
  const [, hex = '', port = ''] = match;
  const bytes = new Uint8Array(hex.length / 2);
  const v = new DataView(bytes.buffer);
  for (let i = 0; i < hex.length / 8; i++) {
    v.setUint32(i * 4, Number.parseInt(hex.slice(i * 8, i * 8 + 8), 16), true);
  }
  return {
    family: bytes.length === 4 ? AF_INET : AF_INET6,
    bytes,
    port: Number.parseInt(port, 16),
  };
}

/** A line of the file; null for the heading, and for what is none. */
function recordOf(netid: Netid, line: string): SocketRecord | null {
  const fields = line.trim().split(/\s+/);
  const [, local = '', peer = '', state = '', queues = '', timer = '', retrans = ''] = fields;
  const from = endpointOf(local);
  const to = endpointOf(peer);
  if (from === null || to === null) return null;
  const [tx = '0', rx = '0'] = queues.split(':');
  const [kind = '0', when = '0'] = timer.split(':');
  const hex = (text: string): number => Number.parseInt(text, 16);
  return {
    netid,
    state: hex(state),
    recvQ: hex(rx),
    sendQ: hex(tx),
    local: from,
    peer: to,
    device: '',
    timer: hex(kind),
    timeout: (hex(when) * 1000) / USER_HZ,
    retrans: hex(retrans),
    uid: Number(fields[7] ?? 0),
    inode: Number(fields[9] ?? 0),
    cookie: (fields[11] ?? '0').replace(/^0+(?=.)/, ''),
    id: null,
    details: NO_DETAILS,
  };
}

/** The sockets of one kind; a file that is not there lists none. */
export async function readProcSockets(
  libc: Libc,
  netid: Netid,
  family: number,
): Promise<SocketRecord[]> {
  const path = `/proc/net/${netid}${family === AF_INET6 ? '6' : ''}`;
  let text: string;
  try {
    text = await readText(libc, path);
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    const record = recordOf(netid, line);
    return record === null ? [] : [record];
  });
}
