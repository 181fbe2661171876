/** The cases of the bench, each group's peers first. */

export interface Case {
  readonly group: string;
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  /** Work a second for people; null: the case is no rate, what it says is beside it. */
  readonly show: ((rate: number) => string) | null;
}

type Show = Case['show'];

const gbit: Show = (rate) => `${((rate * 8) / 1e9).toFixed(2)} Gbit/s`;
const thousands: Show = (rate) => `${(rate / 1e3).toFixed(1)} k/s`;

function linux(group: string, show: Show, ...args: string[]): Case {
  return { group, name: `Linux ${args[1] ?? ''}`, file: 'peers/kernel.ts', args, show };
}

function nodes(group: string, show: Show): Case {
  const name = "Node's loopback";
  return { group, name, file: 'peers/node_loopback.ts', args: [group], show };
}

function lwip(group: string, show: Show): Case {
  return { group, name: 'tcpip.js (lwIP)', file: 'peers/tcpip.ts', args: [group], show };
}

function gvisor(group: string, show: Show, ...args: string[]): Case {
  const name = `gVisor ${args.slice(1).join(' ')}`.trim();
  return { group, name, file: 'peers/gvisor.ts', args, show };
}

function softnet(group: string, show: Show, file: string, ...args: string[]): Case {
  const name = `softnet ${args.join(' ')}`.trim();
  return { group, name, file: `cases/${file}.ts`, args, show };
}

export const CASES: readonly Case[] = [
  linux('bulk', gbit, 'bulk', 'veth'),
  linux('bulk', gbit, 'bulk', 'lo'),
  nodes('bulk', gbit),
  lwip('bulk', gbit),
  gvisor('bulk', gbit, 'bulk'),
  softnet('bulk', gbit, 'bulk', 'lo'),
  softnet('bulk', gbit, 'bulk', 'veth'),
  softnet('bulk', gbit, 'bulk', 'e1000'),
  softnet('bulk', gbit, 'bulk', 'igb'),
  softnet('bulk', gbit, 'bulk', 'igb-8q'),
  softnet('bulk', gbit, 'bulk', 'virtio'),
  softnet('bulk', gbit, 'shmem', 'two', 'threads'),
  linux('mtu', gbit, 'bulk', 'veth-mtu'),
  gvisor('mtu', gbit, 'mtu'),
  softnet('mtu', gbit, 'bulk', 'veth-mtu'),
  softnet('mtu', gbit, 'bulk', 'igb-mtu'),
  softnet('mtu', gbit, 'bulk', 'virtio-mtu'),
  linux('rr', thousands, 'rr', 'veth'),
  nodes('rr', thousands),
  gvisor('rr', thousands, 'rr'),
  softnet('rr', thousands, 'rr', 'lo'),
  softnet('rr', thousands, 'rr', 'veth'),
  softnet('rr', thousands, 'rr', 'e1000'),
  softnet('rr', thousands, 'rr', 'igb'),
  softnet('rr', thousands, 'rr', 'virtio'),
  softnet('rr', thousands, 'rr_programs', 'veth', 'callbacks'),
  softnet('rr', thousands, 'rr_programs', 'veth', 'promises'),
  linux('connect', thousands, 'connect', 'veth'),
  nodes('connect', thousands),
  gvisor('connect', thousands, 'connect', '1'),
  gvisor('connect', thousands, 'connect', '1000'),
  softnet('connect', thousands, 'connect', 'lo', '1'),
  softnet('connect', thousands, 'connect', 'veth', '1'),
  softnet('connect', thousands, 'connect', 'veth', '1000'),
  softnet('connect', thousands, 'connect', 'e1000', '1'),
  linux('udp', thousands, 'udp', 'veth'),
  nodes('udp', thousands),
  gvisor('udp', thousands, 'udp'),
  softnet('udp', thousands, 'udp', 'lo'),
  softnet('udp', thousands, 'udp', 'veth'),
  softnet('udp', thousands, 'udp', 'e1000'),
  softnet('forward', thousands, 'forward', '1'),
  softnet('forward', thousands, 'forward', '1000'),
  softnet('forward', thousands, 'forward', '1000000'),
  softnet('many', null, 'many', '1000'),
  softnet('many', null, 'many', '100000'),
  softnet('alloc', gbit, 'alloc', 'lo'),
  softnet('sim', thousands, 'sim'),
  softnet('split', thousands, 'split', '0'),
  softnet('split', thousands, 'split', '1'),
  softnet('split', thousands, 'split', '2'),
  softnet('events', thousands, 'events'),
  softnet('start', null, 'start'),
  softnet('bundle', null, 'bundle'),
];
