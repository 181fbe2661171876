/*
 * struct tcp_info by the names of C, for the code of scripts: `tcpi_snd_cwnd`.
 */

import type { ScriptCalls } from '#packetdrill/backend.ts';
import { SOL_TCP } from '#uapi/socket.ts';
import { TCP_INFO } from '#uapi/tcp.ts';
import { getTcpInfo, TCP_INFO_FIELDS, TCP_INFO_LEN } from '#uapi/tcp_info.ts';

/** The fields of a socket's struct tcp_info; null when it has none. */
export function tcpInfoNames({ sys }: ScriptCalls, fd: number): ReadonlyMap<string, number> | null {
  const buf = new Uint8Array(TCP_INFO_LEN);
  const length = sys.getsockopt(fd, SOL_TCP, TCP_INFO, buf);
  if (length < 0) return null;
  const info = getTcpInfo(new DataView(buf.buffer), 0, length);
  const names = new Map<string, number>();
  for (const { name } of TCP_INFO_FIELDS) {
    const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    names.set(`tcpi_${snake}`, info[name]);
  }
  return names;
}
