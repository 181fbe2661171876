/*
 * What the parts of `ip` share: options, the netlink connection, names of links, and how it complains.
 * Counterparts: iproute2's ip/ip_common.h, lib/utils.c, lib/ll_map.c.
 */

import { strerror } from '#uapi/errno.ts';
import {
  IFLA_ADDRESS,
  IFLA_ALT_IFNAME,
  IFLA_EXT_MASK,
  IFLA_IFNAME,
  IFLA_PROP_LIST,
} from '#uapi/if_link.ts';
import { NETLINK_ROUTE } from '#uapi/netlink.ts';
import { ifinfomsg, RTEXT_FILTER_SKIP_STATS, RTM_GETLINK } from '#uapi/rtnetlink.ts';
import { AF_UNSPEC } from '#uapi/socket.ts';
import { Printer } from '#user/ip/print.ts';
import { NetlinkClient, NetlinkError } from '#user/lib/netlink.ts';
import { type NlAttrs, NlBuilder, type NlMessage } from '#user/lib/nlmsg.ts';
import type { Process } from '#user/lib/process.ts';

/** Ends the command; the words were printed already. */
export class Failure extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.name = 'Failure';
    this.status = status;
  }
}

/** exit(-1): an argument that cannot be. */
const USAGE_STATUS = 255;

export interface Options {
  family: number;
  details: number;
  stats: number;
  brief: boolean;
  json: boolean;
  pretty: boolean;
  oneline: boolean;
  resolve: boolean;
  numeric: boolean;
  human: boolean;
  iec: boolean;
  force: boolean;
  all: boolean;
  timestamp: number;
}

export const DEFAULT_OPTIONS: Options = {
  family: AF_UNSPEC,
  details: 0,
  stats: 0,
  brief: false,
  json: false,
  pretty: false,
  oneline: false,
  resolve: false,
  numeric: false,
  human: false,
  iec: false,
  force: false,
  all: false,
  timestamp: 0,
};

/** What is remembered of a link. */
export interface LinkName {
  readonly index: number;
  readonly name: string;
  readonly altNames: readonly string[];
  readonly type: number;
  readonly flags: number;
  readonly address: Uint8Array | null;
}

export class Context {
  readonly p: Process;
  readonly options: Options;
  out: Printer;
  private client: NetlinkClient | null;
  private links: Map<number, LinkName> | null;

  constructor(p: Process, options: Options) {
    this.p = p;
    this.options = options;
    this.out = this.printer();
    this.client = null;
    this.links = null;
  }

  printer(): Printer {
    const { json, pretty, oneline } = this.options;
    return new Printer({ json, pretty, oneline });
  }

  get nl(): NetlinkClient {
    if (this.client === null) {
      this.client = new NetlinkClient(this.p.libc, NETLINK_ROUTE);
      this.client.onWarning = (text) => this.p.warn(`Warning: ${sentence(text)}\n`);
    }
    return this.client;
  }

  close(): void {
    this.client?.close();
    this.client = null;
  }

  /** Prints what was collected. */
  async flush(): Promise<void> {
    const text = this.out.take();
    this.out = this.printer();
    if (text !== '') await this.p.pour(new TextEncoder().encode(text));
  }

  /** Sends a request; a refusal is printed and ends the command with status 2. */
  async talk(builder: NlBuilder): Promise<void> {
    try {
      await this.nl.request(builder);
    } catch (error) {
      throw this.refusal(error, 2);
    }
  }

  /** Sends a request for one answer. */
  async ask(builder: NlBuilder, status = 2): Promise<NlMessage> {
    try {
      return await this.nl.get(builder);
    } catch (error) {
      throw this.refusal(error, status);
    }
  }

  /** A dump; what it cannot give ends the command with status 1. */
  async dump(builder: NlBuilder, onMessage: (message: NlMessage) => void): Promise<void> {
    this.nl.interrupted = false;
    try {
      await this.nl.dump(builder, onMessage);
    } catch (error) {
      if (error instanceof NetlinkError) {
        this.complain(error);
        this.p.warn('Dump terminated\n');
        throw new Failure(1);
      }
      throw error;
    }
    if (this.nl.interrupted) {
      this.p.warn('Dump was interrupted and may be inconsistent.\n');
    }
  }

  /** Prints why the kernel refused; what ends the command. */
  refusal(error: unknown, status: number): unknown {
    if (!(error instanceof NetlinkError)) return error;
    this.complain(error);
    return new Failure(status);
  }

  private complain(error: NetlinkError): void {
    if (error.extack !== '') this.p.warn(`Error: ${sentence(error.extack)}\n`);
    else this.p.warn(`RTNETLINK answers: ${strerror(error.errno)}\n`);
  }

  // Complaints about the command line.

  /** `Error: argument "x" is wrong: why` */
  wrong(why: string, argument: string): Failure {
    this.p.warn(`Error: argument "${argument}" is wrong: ${why}\n`);
    return new Failure(USAGE_STATUS);
  }

  /** `Error: duplicate "dev": "x" is the second value.` */
  duplicate(key: string, argument: string): Failure {
    this.p.warn(`Error: duplicate "${key}": "${argument}" is the second value.\n`);
    return new Failure(USAGE_STATUS);
  }

  /** `Error: either "x" is duplicate, or "y" is a garbage.` */
  duplicateOrGarbage(key: string, argument: string): Failure {
    this.p.warn(`Error: either "${key}" is duplicate, or "${argument}" is a garbage.\n`);
    return new Failure(USAGE_STATUS);
  }

  /** `Error: argument "x" is required` */
  required(key: string): Failure {
    this.p.warn(`Error: argument "${key}" is required\n`);
    return new Failure(USAGE_STATUS);
  }

  incomplete(): Failure {
    this.p.warn('Command line is not complete. Try option "help"\n');
    return new Failure(USAGE_STATUS);
  }

  /** Any other complaint. */
  fail(text: string, status: number = USAGE_STATUS): Failure {
    this.p.warn(text);
    return new Failure(status);
  }

  noDevice(name: string, status = 1): Failure {
    return this.fail(`Cannot find device "${name}"\n`, status);
  }

  // Names of links.

  /** Reads all links, so that indices have names. */
  async loadLinks(): Promise<ReadonlyMap<number, LinkName>> {
    if (this.links !== null) return this.links;
    const links = new Map<number, LinkName>();
    this.links = links;
    const request = new NlBuilder(RTM_GETLINK, 0)
      .header(ifinfomsg.LEN, (v, o) => ifinfomsg.setFamily(v, o, AF_UNSPEC))
      .u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    await this.dump(request, (message) => rememberLink(links, message));
    return links;
  }

  /** Forgets the links: they changed. */
  forgetLinks(): void {
    this.links = null;
  }

  remember(message: NlMessage): void {
    this.links ??= new Map();
    rememberLink(this.links, message);
  }

  /** Index of a link by name, alternative name, or `ifN`; 0 when there is none. */
  async linkIndex(name: string): Promise<number> {
    const links = await this.loadLinks();
    for (const link of links.values()) {
      if (link.name === name || link.altNames.includes(name)) return link.index;
    }
    const index = /^if(\d+)$/.exec(name);
    return index === null ? 0 : Number(index[1]);
  }

  /** Name of a link; `ifN` when it is not known. */
  linkName(index: number): string {
    if (index === 0) return '*';
    return this.links?.get(index)?.name ?? `if${index}`;
  }

  link(index: number): LinkName | null {
    return this.links?.get(index) ?? null;
  }
}

function rememberLink(links: Map<number, LinkName>, message: NlMessage): void {
  const { view, payload } = message;
  const attrs = message.attrs(ifinfomsg.LEN);
  const index = ifinfomsg.index(view, payload);
  links.set(index, {
    index,
    name: attrs.string(IFLA_IFNAME) ?? `if${index}`,
    altNames: altNamesOf(attrs),
    type: ifinfomsg.type(view, payload),
    flags: ifinfomsg.flags(view, payload),
    address: attrs.bytes(IFLA_ADDRESS),
  });
}

/** Alternative names of a link, in order. */
export function altNamesOf(attrs: NlAttrs): string[] {
  const list = attrs.nested(IFLA_PROP_LIST);
  return list === null ? [] : list.strings(IFLA_ALT_IFNAME);
}

/** With its full stop. */
export function sentence(text: string): string {
  return text.endsWith('.') || text.endsWith('\n') ? text : `${text}.`;
}
