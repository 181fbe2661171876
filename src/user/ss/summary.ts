/*
 * `ss -s`: how many sockets there are. Counterpart of print_summary in iproute2's misc/ss.c.
 */
import { readText } from '#user/lib/files.ts';
import type { Libc } from '#user/lib/libc.ts';

type Counts = ReadonlyMap<string, number>;

/** `TCP: inuse 5 orphan 0` as `TCP.inuse` and `TCP.orphan`. */
async function readSockstat(libc: Libc, path: string): Promise<Counts> {
  const counts = new Map<string, number>();
  let text = '';
  try {
    text = await readText(libc, path);
  } catch {
    // No such family on this machine: nothing to count.
  }
  for (const line of text.split('\n')) {
    const [head = '', ...words] = line.split(/[:\s]+/);
    for (let i = 0; i + 1 < words.length; i += 2)
      counts.set(`${head}.${words[i]}`, Number(words[i + 1]));
  }
  return counts;
}

/** A counter of /proc/net/snmp, where one line has the names and the next the numbers. */
async function readSnmp(libc: Libc, group: string, name: string): Promise<number> {
  let text = '';
  try {
    text = await readText(libc, '/proc/net/snmp');
  } catch {
    return 0;
  }
  const rows = text.split('\n').filter((line) => line.startsWith(`${group}:`));
  const [names = [], values = []] = rows.map((line) => line.split(/\s+/));
  return Number(values[names.indexOf(name)] ?? 0);
}

export async function summaryText(libc: Libc): Promise<string> {
  const v4 = await readSockstat(libc, '/proc/net/sockstat');
  const v6 = await readSockstat(libc, '/proc/net/sockstat6');
  const established = await readSnmp(libc, 'Tcp', 'CurrEstab');
  const get = (name: string): number => v4.get(name) ?? 0;
  const get6 = (name: string): number => v6.get(name) ?? 0;
  const timewait = get('TCP.tw');
  const total = get('TCP.alloc');
  const closed = total - (get('TCP.inuse') + get6('TCP6.inuse') - timewait);
  const row = (label: string, a: number, b: number): string =>
    `${label}\t  ${String(a + b).padEnd(9)} ${String(a).padEnd(9)} ${String(b).padEnd(9)}\n`;
  const raw = [get('RAW.inuse'), get6('RAW6.inuse')] as const;
  const udp = [get('UDP.inuse'), get6('UDP6.inuse')] as const;
  const tcp = [get('TCP.inuse'), get6('TCP6.inuse')] as const;
  const frag = [get('FRAG.inuse'), get6('FRAG6.inuse')] as const;
  return (
    `Total: ${get('sockets.used')}\n` +
    `TCP:   ${total + timewait} (estab ${established}, closed ${closed}, ` +
    `orphaned ${get('TCP.orphan')}, timewait ${timewait})\n` +
    '\nTransport Total     IP        IPv6\n' +
    row('RAW', ...raw) +
    row('UDP', ...udp) +
    row('TCP', ...tcp) +
    row('INET', raw[0] + udp[0] + tcp[0], raw[1] + udp[1] + tcp[1]) +
    row('FRAG', ...frag) +
    '\n'
  );
}
