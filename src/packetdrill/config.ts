/*
 * Settings of a run: from the command line, then from the head of each script.
 */

import { inPton4 } from '#lib/parse_addr.ts';
import type { OptionSpec } from '#packetdrill/ast.ts';
import { ScriptError } from '#packetdrill/ast.ts';

export interface Config {
  readonly localIp: number;
  readonly remoteIp: number;
  /** 0: an address of the local network that is nobody's. */
  readonly gatewayIp: number;
  readonly prefixLength: number;
  readonly mtu: number;
  /** Port of the local server and of the remote one. */
  readonly port: number;
  /** How far the time of an event may be off, in ns. */
  readonly toleranceNs: number;
  /** The same, in percent of the time since the event before. */
  readonly tolerancePercent: number;
  readonly tcpTsTickUs: number;
  readonly tcpTsEcrScaled: boolean;
  /** A packet must be one segment; otherwise several in a row may make it up. */
  readonly strictSegments: boolean;
  /** Payload of a segment of inbound super-packets; 0: inbound packets are what they are. */
  readonly mss: number;
  readonly defines: ReadonlyMap<string, string>;
}

/** What the public suite's runner defines for IPv4. */
const DEFAULT_DEFINES: readonly (readonly [string, string])[] = [
  ['TFO_COOKIE', '3021b9d889017eeb'],
  ['CODE', 'host_unreachable'],
  ['CMSG_LEVEL_IP', 'SOL_IP'],
  ['CMSG_TYPE_RECVERR', 'IP_RECVERR'],
];

export const DEFAULT_CONFIG: Config = {
  localIp: 0xc0a80001,
  remoteIp: 0xc0000201,
  gatewayIp: 0,
  prefixLength: 16,
  mtu: 1500,
  port: 8080,
  toleranceNs: 0,
  tolerancePercent: 0,
  tcpTsTickUs: 0,
  tcpTsEcrScaled: false,
  strictSegments: false,
  mss: 0,
  defines: new Map(DEFAULT_DEFINES),
};

/** A value that an option cannot have. */
class OptionError extends Error {}

type Change = Partial<Config>;

function integer(text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^(?:[0-9]+|0[xX][0-9a-fA-F]+)$/.test(text) || value < min || value > max) {
    throw new OptionError(`must be a number from ${min} to ${max}, not '${text}'`);
  }
  return value;
}

function percentage(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+(?:\.[0-9]+)?$/.test(text) || value > 100) {
    throw new OptionError(`must be a number from 0 to 100, not '${text}'`);
  }
  return value;
}

function address(text: string): number {
  const addr = inPton4(text);
  if (addr === null) throw new OptionError(`must be an IPv4 address, not '${text}'`);
  return addr;
}

/** Length of the prefix of a mask. */
function maskLength(text: string): number {
  const mask = address(text);
  const length = Math.clz32(~mask >>> 0);
  const made = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
  if (made !== mask) throw new OptionError(`must be a network mask, not '${text}'`);
  return length;
}

function define(text: string, config: Config): Change {
  const match = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(text);
  if (match === null) throw new OptionError(`must be written NAME=VALUE, not '${text}'`);
  return { defines: new Map([...config.defines, [match[1] as string, match[2] as string]]) };
}

const OPTIONS: Readonly<Record<string, (value: string, config: Config) => Change>> = {
  connect_port: (value) => ({ port: integer(value, 1, 65535) }),
  define,
  gateway_ip: (value) => ({ gatewayIp: address(value) }),
  ip_version: (value) => {
    if (value === 'ipv4') return {};
    const known = value === 'ipv6' || value === 'ipv4-mapped-ipv6';
    throw new OptionError(
      known
        ? `${value} needs sockets of IPv6, which are not there yet: only ipv4 works`
        : `must be ipv4, ipv4-mapped-ipv6 or ipv6, not '${value}'`,
    );
  },
  local_ip: (value) => ({ localIp: address(value) }),
  mss: (value) => ({ mss: integer(value, 1, 65535) }),
  mtu: (value) => ({ mtu: integer(value, 68, 65535) }),
  netmask_ip: (value) => ({ prefixLength: maskLength(value) }),
  remote_ip: (value) => ({ remoteIp: address(value) }),
  // Nothing of the machine outlives a script, so there is nothing to free.
  send_omit_free: () => ({}),
  strict_segments: () => ({ strictSegments: true }),
  tcp_ts_ecr_scaled: () => ({ tcpTsEcrScaled: true }),
  tcp_ts_tick_usecs: (value) => ({ tcpTsTickUs: integer(value, 0, 1e6) }),
  tolerance_percent: (value) => ({ tolerancePercent: percentage(value) }),
  tolerance_usecs: (value) => ({ toleranceNs: integer(value, 0, 1e9) * 1000 }),
};

/** Applies an option by its name. Throws RangeError with what is wrong. */
export function withOption(config: Config, name: string, value: string): Config {
  const apply = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
  if (apply === undefined) {
    throw new RangeError(`unknown option --${name}; known are ${Object.keys(OPTIONS).join(', ')}`);
  }
  try {
    return { ...config, ...apply(value, config) };
  } catch (error) {
    if (error instanceof OptionError) throw new RangeError(`--${name} ${error.message}`);
    throw error;
  }
}

/** Applies the options of a script's head. Throws ScriptError. */
export function withScriptOptions(config: Config, options: readonly OptionSpec[]): Config {
  let result = config;
  for (const { name, value, place } of options) {
    try {
      result = withOption(result, name, value);
    } catch (error) {
      if (error instanceof RangeError) throw new ScriptError(place, error.message);
      throw error;
    }
  }
  return result;
}

/** The next hop to the remote side: an address of the local network that is not the machine's. */
export function gatewayOf({ gatewayIp, localIp, prefixLength }: Config): number {
  const mask = prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
  const network = (localIp & mask) >>> 0;
  if (gatewayIp !== 0 && gatewayIp !== localIp) return gatewayIp;
  return localIp === network + 2 ? network + 1 : network + 2;
}
