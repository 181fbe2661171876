/*
 * `ip tcp_metrics`. Counterpart of iproute2's ip/tcp_metrics.c.
 */
import {
  CTRL_ATTR_FAMILY_ID,
  CTRL_ATTR_FAMILY_NAME,
  CTRL_CMD_GETFAMILY,
  GENL_HDRLEN,
  GENL_ID_CTRL,
  genlmsghdr,
} from '#uapi/genetlink.ts';
import { NETLINK_GENERIC } from '#uapi/netlink.ts';
import { AF_INET } from '#uapi/socket.ts';
import {
  TCP_METRIC_RTT_US,
  TCP_METRIC_RTTVAR_US,
  TCP_METRICS_ATTR_ADDR_IPV4,
  TCP_METRICS_ATTR_AGE,
  TCP_METRICS_ATTR_FOPEN_COOKIE,
  TCP_METRICS_ATTR_FOPEN_MSS,
  TCP_METRICS_ATTR_SADDR_IPV4,
  TCP_METRICS_ATTR_VALS,
  TCP_METRICS_CMD_DEL,
  TCP_METRICS_CMD_GET,
  TCP_METRICS_GENL_NAME,
  TCP_METRICS_GENL_VERSION,
} from '#uapi/tcp_metrics.ts';
import { formatAddress, getAddress, type Words } from '#user/ip/args.ts';
import type { Context } from '#user/ip/context.ts';
import { NetlinkClient } from '#user/lib/netlink.ts';
import { type NlAttrs, NlBuilder, type NlMessage } from '#user/lib/nlmsg.ts';

export const TCP_METRICS_USAGE: string =
  'Usage:\tip tcp_metrics/tcpmetrics { COMMAND | help }\n' +
  '\tip tcp_metrics { show | flush } SELECTOR\n' +
  '\tip tcp_metrics delete [ address ] ADDRESS\n' +
  'SELECTOR := [ all ] [ [ address ] ADDRESS ]\n';

/** Metrics shown by number, and their words. */
const NAMES: readonly (readonly [metric: number, name: string])[] = [
  [2, 'ssthresh'],
  [3, 'cwnd'],
  [4, 'reordering'],
];

function genl(type: number, cmd: number, version: number): NlBuilder {
  return new NlBuilder(type, 0).header(GENL_HDRLEN, (v, o) => {
    genlmsghdr.setCmd(v, o, cmd);
    genlmsghdr.setVersion(v, o, version);
  });
}

/** Runs `act` with a client and the number of the family. */
async function withFamily(
  context: Context,
  act: (client: NetlinkClient, family: number) => Promise<void>,
): Promise<void> {
  const client = new NetlinkClient(context.p.libc, NETLINK_GENERIC);
  try {
    const name = Uint8Array.from(`${TCP_METRICS_GENL_NAME}\0`, (c) => c.charCodeAt(0));
    const ask = genl(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1).attr(CTRL_ATTR_FAMILY_NAME, name);
    const answer = await client.get(ask);
    const attrs = attrsOf(answer);
    await act(client, attrs.u16(CTRL_ATTR_FAMILY_ID) ?? 0);
  } catch (error) {
    throw context.refusal(error, 2);
  } finally {
    client.close();
  }
}

function attrsOf(message: NlMessage): NlAttrs {
  return message.attrs(GENL_HDRLEN);
}

/** The address of the command line, as bytes; null for all. */
function selector(context: Context, words: Words): Uint8Array | null {
  let address: Uint8Array | null = null;
  while (!words.done) {
    if (words.word === 'address') words.advance();
    if (words.done) throw context.incomplete();
    if (words.word !== 'all') address = getAddress(context, words.word, AF_INET).bytes;
    words.advance();
  }
  return address;
}

/** `ip tcp_metrics flush` */
export async function flushTcpMetrics(context: Context, words: Words): Promise<void> {
  const address = selector(context, words);
  await withFamily(context, async (client, family) => {
    const del = genl(family, TCP_METRICS_CMD_DEL, TCP_METRICS_GENL_VERSION);
    if (address !== null) del.attr(TCP_METRICS_ATTR_ADDR_IPV4, address);
    await client.request(del);
  });
}

/** `ip tcp_metrics delete` */
export async function deleteTcpMetrics(context: Context, words: Words): Promise<void> {
  if (words.done) throw context.incomplete();
  await flushTcpMetrics(context, words);
}

/** Seconds with three digits. */
function seconds(ms: number): string {
  return `${Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, '0')}sec`;
}

/** An IPv4 address of the entry; a missing one reads as 0.0.0.0. */
function address(attrs: NlAttrs, type: number): string {
  return formatAddress(AF_INET, attrs.bytes(type) ?? new Uint8Array(4));
}

function line(attrs: NlAttrs): string {
  const words: string[] = [address(attrs, TCP_METRICS_ATTR_ADDR_IPV4)];
  words.push(`age ${seconds(Number(attrs.u64(TCP_METRICS_ATTR_AGE) ?? 0))}`);
  const vals = attrs.nested(TCP_METRICS_ATTR_VALS);
  for (const [metric, name] of NAMES) {
    const value = vals?.u32(metric + 1) ?? null;
    if (value !== null) words.push(`${name} ${value}`);
  }
  const rtt = vals?.u32(TCP_METRIC_RTT_US + 1) ?? null;
  if (rtt !== null) words.push(`rtt ${rtt >>> 3}us`);
  const rttvar = vals?.u32(TCP_METRIC_RTTVAR_US + 1) ?? null;
  if (rttvar !== null) words.push(`rttvar ${rttvar >>> 2}us`);
  const mss = attrs.u16(TCP_METRICS_ATTR_FOPEN_MSS);
  if (mss !== null) words.push(`fo_mss ${mss}`);
  const cookie = attrs.bytes(TCP_METRICS_ATTR_FOPEN_COOKIE);
  if (cookie !== null) {
    words.push(`fo_cookie ${[...cookie].map((b) => b.toString(16).padStart(2, '0')).join('')}`);
  }
  words.push(`source ${address(attrs, TCP_METRICS_ATTR_SADDR_IPV4)}`);
  return `${words.join(' ')}\n`;
}

/** `ip tcp_metrics show` */
export async function showTcpMetrics(context: Context, words: Words): Promise<void> {
  const address = selector(context, words);
  await withFamily(context, async (client, family) => {
    const get = genl(family, TCP_METRICS_CMD_GET, TCP_METRICS_GENL_VERSION);
    if (address !== null) {
      get.attr(TCP_METRICS_ATTR_ADDR_IPV4, address);
      context.p.print(line(attrsOf(await client.get(get))));
      return;
    }
    await client.dump(get, (message) => context.p.print(line(attrsOf(message))));
  });
}
