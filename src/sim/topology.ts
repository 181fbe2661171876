/**
 * Descriptions of worlds: machines, cables, what they run. The shape is containerlab's
 * (`topology: nodes, links, exec`), so that its files can be read here; what it does not have, the
 * impairments of a link and the programs of a node, is added under keys of its own.
 *
 * This module checks a plain object, however it came about; reading YAML is the command's business.
 */
import type { CpuCosts } from '#kernel/sched/cpu_cost.ts';
import { inPton4 } from '#lib/parse_addr.ts';
import { checkImpairments, type Impairments } from '#sim/impairments.ts';
import { NIC_MAX_MTU, NIC_MAX_QUEUES, NIC_TYPES, type NicType } from '#sim/nic_types.ts';
import { parseProbability, parseRateBps, parseSizeBytes, parseTimeNs } from '#sim/units.ts';

export interface NodeSpec {
  readonly name: string;
  readonly cpus: number;
  /** What work costs its CPUs; null: nothing. */
  readonly costs: CpuCosts | null;
  /** False: drivers take frames in their interrupts, as before NAPI. */
  readonly napi: boolean;
  /** `name=value` settings applied before anything runs. */
  readonly sysctls: readonly (readonly [name: string, value: string])[];
  /** Commands run one after the other when all machines have booted; a failing one ends the run. */
  readonly exec: readonly string[];
  /** Commands that run beside the others from then on, e.g. servers. */
  readonly programs: readonly string[];
}

export interface EndpointSpec {
  readonly node: string;
  readonly ifname: string;
}

export interface LinkSpec {
  readonly endpoints: readonly [EndpointSpec, EndpointSpec];
  readonly impairments: Impairments;
  /** 0: the default. */
  readonly mtu: number;
  /** The cards at both ends. */
  readonly type: NicType;
  /** Queues of a card that has several; 0: one for each CPU. */
  readonly queues: number;
}

export interface TopologySpec {
  readonly name: string;
  readonly nodes: readonly NodeSpec[];
  readonly links: readonly LinkSpec[];
  /** Names for addresses, on every machine: /etc/hosts. */
  readonly hosts: Readonly<Record<string, string>>;
}

/** A description that makes no sense. The message begins with where, e.g. `topology.links[2].endpoints`. */
export class TopologyError extends Error {
  override readonly name = 'TopologyError';
  readonly where: string;

  constructor(where: string, problem: string) {
    super(`${where}: ${problem}`);
    this.where = where;
  }
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fields(value: unknown, where: string, known: readonly string[]): Fields {
  if (!isFields(value)) throw new TopologyError(where, `must be a mapping, not ${describe(value)}`);
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) {
      throw new TopologyError(`${where}.${key}`, `unknown key; known are ${known.join(', ')}`);
    }
  }
  return value;
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a mapping' : `'${String(value)}'`;
}

function texts(value: unknown, where: string): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value))
    throw new TopologyError(where, `must be a list, not ${describe(value)}`);
  return value.map((item: unknown, i) => {
    if (typeof item !== 'string' || item.trim() === '') {
      // YAML takes `true` and `7` for a truth and a number.
      const hint =
        typeof item === 'boolean' || typeof item === 'number' ? '; put it in quotes' : '';
      throw new TopologyError(`${where}[${i}]`, `must be a command, not ${describe(item)}${hint}`);
    }
    return item;
  });
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const IFNAME = /^[A-Za-z0-9_.-]{1,15}$/;
/** Names that mean something else: every machine's loopback, folders, and places in /proc/sys/net. */
const NO_IFNAME: ReadonlySet<string> = new Set(['lo', '.', '..', 'all', 'default']);

const NODE_KEYS: readonly string[] = [
  'kind',
  'image',
  'cpus',
  'costs',
  'napi',
  'sysctls',
  'exec',
  'programs',
];

const COST_KEYS: readonly string[] = ['hardirq', 'softirq', 'packet', 'syscall'];

/** Prices of work, each a time; what is not named costs nothing, but for a soft interrupt. */
function costsSpec(value: unknown, where: string): CpuCosts | null {
  if (value === undefined) return null;
  const given = fields(value, where, COST_KEYS);
  const read = (key: string, least: number): number => {
    const text = given[key];
    if (text === undefined) return least;
    try {
      return Math.max(least, parseTimeNs(String(text)));
    } catch (error) {
      throw new TopologyError(`${where}.${key}`, (error as Error).message);
    }
  };
  return {
    hardirqNs: read('hardirq', 0),
    // One that took no time could follow itself for ever.
    softirqNs: read('softirq', 1),
    packetNs: read('packet', 0),
    syscallNs: read('syscall', 0),
  };
}

function nodeSpec(name: string, value: unknown, where: string): NodeSpec {
  if (!NAME.test(name)) throw new TopologyError(where, `'${name}' is no name for a machine`);
  const node = fields(value ?? {}, where, NODE_KEYS);
  const kind = node['kind'] ?? 'linux';
  if (kind !== 'linux') {
    throw new TopologyError(
      `${where}.kind`,
      `only machines of kind 'linux' exist, not ${describe(kind)}`,
    );
  }
  const cpus = node['cpus'] ?? 1;
  if (typeof cpus !== 'number' || !Number.isInteger(cpus) || cpus < 1 || cpus > 64) {
    throw new TopologyError(
      `${where}.cpus`,
      `must be a whole number from 1 to 64, not ${describe(cpus)}`,
    );
  }
  const sysctls: [string, string][] = [];
  if (node['sysctls'] !== undefined) {
    const settings = node['sysctls'];
    if (!isFields(settings)) throw new TopologyError(`${where}.sysctls`, 'must be a mapping');
    for (const [key, setting] of Object.entries(settings)) sysctls.push([key, String(setting)]);
  }
  const napi = node['napi'] ?? true;
  if (typeof napi !== 'boolean') {
    throw new TopologyError(`${where}.napi`, `must be true or false, not ${describe(napi)}`);
  }
  return {
    name,
    cpus,
    costs: costsSpec(node['costs'], `${where}.costs`),
    napi,
    sysctls,
    exec: texts(node['exec'], `${where}.exec`),
    programs: texts(node['programs'], `${where}.programs`),
  };
}

function endpointSpec(value: unknown, where: string, nodes: ReadonlySet<string>): EndpointSpec {
  if (typeof value !== 'string')
    throw new TopologyError(where, 'must be written machine:interface');
  const [node, ifname, ...rest] = value.split(':');
  if (node === undefined || ifname === undefined || rest.length > 0) {
    throw new TopologyError(where, `'${value}' must be written machine:interface`);
  }
  if (!nodes.has(node)) throw new TopologyError(where, `there is no machine named '${node}'`);
  if (!IFNAME.test(ifname) || NO_IFNAME.has(ifname)) {
    throw new TopologyError(where, `'${ifname}' is no name for an interface with a cable`);
  }
  return { node, ifname };
}

const IMPAIRMENT_KEYS: readonly string[] = [
  'delay',
  'jitter',
  'loss',
  'duplicate',
  'reorder',
  'corrupt',
  'rate',
  'queue',
  'ecn',
  'crc',
];

function impairmentsSpec(value: unknown, where: string): Impairments {
  if (value === undefined) return checkImpairments({});
  const given = fields(value, where, IMPAIRMENT_KEYS);
  const read = (key: string, parse: (text: string) => number): number => {
    const text = given[key];
    if (text === undefined) return 0;
    try {
      return parse(String(text));
    } catch (error) {
      throw new TopologyError(`${where}.${key}`, (error as Error).message);
    }
  };
  return checkImpairments({
    delayNs: read('delay', parseTimeNs),
    jitterNs: read('jitter', parseTimeNs),
    loss: read('loss', parseProbability),
    duplicate: read('duplicate', parseProbability),
    reorder: read('reorder', parseProbability),
    corrupt: read('corrupt', parseProbability),
    rateBps: read('rate', parseRateBps),
    queueBytes: read('queue', parseSizeBytes),
    ecnMarkBytes: read('ecn', parseSizeBytes),
    // `crc: true`: the receiving card sees the damage, as real ones nearly always do.
    corruptSilently: given['crc'] !== true,
  });
}

/** A whole number from `min` to `max`; absent: 0. */
function numberSpec(value: unknown, where: string, min: number, max: number): number {
  if (value === undefined) return 0;
  const isOne = typeof value === 'number' && Number.isInteger(value);
  if (isOne && (value === 0 || (value >= min && value <= max))) return value;
  throw new TopologyError(
    where,
    `must be a whole number from ${min} to ${max}, not ${describe(value)}`,
  );
}

function nicType(value: unknown, where: string): NicType {
  const type = NIC_TYPES.find((known) => known === (value ?? 'e1000'));
  if (type !== undefined) return type;
  throw new TopologyError(where, `must be one of ${NIC_TYPES.join(', ')}, not ${describe(value)}`);
}

function linkSpec(value: unknown, where: string, nodes: ReadonlySet<string>): LinkSpec {
  const link = fields(value, where, ['endpoints', 'impairments', 'mtu', 'type', 'queues']);
  const { endpoints } = link;
  if (!Array.isArray(endpoints) || endpoints.length !== 2) {
    throw new TopologyError(`${where}.endpoints`, 'must name two ends, machine:interface');
  }
  const type = nicType(link['type'], `${where}.type`);
  const mtu = numberSpec(link['mtu'], `${where}.mtu`, 68, NIC_MAX_MTU[type]);
  const queues = numberSpec(link['queues'], `${where}.queues`, 1, NIC_MAX_QUEUES[type]);
  return {
    endpoints: [
      endpointSpec(endpoints[0], `${where}.endpoints[0]`, nodes),
      endpointSpec(endpoints[1], `${where}.endpoints[1]`, nodes),
    ],
    impairments: impairmentsSpec(link['impairments'], `${where}.impairments`),
    mtu,
    type,
    queues,
  };
}

/** Names of addresses; as in /etc/hosts, they need not be names of machines. */
function hostsSpec(value: unknown, where: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (!isFields(value)) throw new TopologyError(where, `must be a mapping, not ${describe(value)}`);
  const hosts: Record<string, string> = {};
  for (const [name, address] of Object.entries(value)) {
    if (!NAME.test(name)) throw new TopologyError(where, `'${name}' is no name for a host`);
    if (typeof address !== 'string' || inPton4(address) === null) {
      throw new TopologyError(
        `${where}.${name}`,
        `must be an address like 10.0.0.1, not ${describe(address)}`,
      );
    }
    hosts[name] = address;
  }
  return hosts;
}

/** Checks a description. Throws TopologyError that says what is wrong, and where. */
export function parseTopology(value: unknown): TopologySpec {
  const top = fields(value, 'file', ['name', 'prefix', 'topology']);
  const name = top['name'] ?? 'lab';
  if (typeof name !== 'string')
    throw new TopologyError('name', `must be a text, not ${describe(name)}`);
  const topology = fields(top['topology'], 'topology', ['nodes', 'links', 'hosts']);
  const hosts = hostsSpec(topology['hosts'], 'topology.hosts');
  const nodeFields = topology['nodes'];
  if (!isFields(nodeFields) || Object.keys(nodeFields).length === 0) {
    throw new TopologyError('topology.nodes', 'must name at least one machine');
  }
  const nodes = Object.entries(nodeFields).map(([node, spec]) =>
    nodeSpec(node, spec, `topology.nodes.${node}`),
  );
  const names = new Set(nodes.map((node) => node.name));
  const linkList = topology['links'] ?? [];
  if (!Array.isArray(linkList)) throw new TopologyError('topology.links', 'must be a list');
  const links = linkList.map((link: unknown, i) => linkSpec(link, `topology.links[${i}]`, names));
  const used = new Set<string>();
  links.forEach((link, i) => {
    link.endpoints.forEach((end, side) => {
      const key = `${end.node}:${end.ifname}`;
      if (used.has(key)) {
        throw new TopologyError(
          `topology.links[${i}].endpoints[${side}]`,
          `${key} is plugged in already`,
        );
      }
      used.add(key);
    });
  });
  return { name, nodes, links, hosts };
}
