/**
 * Two ends of a softnet link for the cases: system calls of a task at each, and the world between.
 * Everything is in virtual time; what a case measures is the processor time that the work took.
 */
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { NETIF_F_GRO, NETIF_F_GSO, NETIF_F_GSO_MASK } from '#include/linux/netdev_features.ts';
import type { Machine } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { netdevUpdateFeatures } from '#net/core/dev_register.ts';
import type { Cable } from '#sim/cable.ts';
import { parseTopology } from '#sim/topology.ts';
import type { World } from '#sim/world.ts';
import { EAGAIN, EINPROGRESS } from '#uapi/errno.ts';
import { AF_INET, SOCK_NONBLOCK, SOCK_STREAM } from '#uapi/socket.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';

/**
 * `-mtu`: with segmentation and receive offloads off at both ends, so that every packet fits the MTU.
 * `igb-8q`: igb with eight queues at machines of eight CPUs.
 */
export type Link =
  | 'lo'
  | 'veth'
  | 'veth-mtu'
  | 'e1000'
  | 'igb'
  | 'igb-mtu'
  | 'igb-8q'
  | 'virtio'
  | 'virtio-mtu';

/** The cards of a link of two machines; null: both ends are in one. */
type Card = 'e1000' | 'igb' | 'virtio';

function cardOf(link: Link): Card | null {
  if (link === 'e1000') return 'e1000';
  if (link.startsWith('virtio')) return 'virtio';
  return link.startsWith('igb') ? 'igb' : null;
}

export interface Rig {
  readonly world: World;
  readonly client: SyscallTable;
  readonly server: SyscallTable;
  /** Address of the server as a number. */
  readonly address: number;
  readonly cables: readonly Cable[];
  /** Halts the machines. Throws when something is left. */
  end(): void;
}

const NODES = {
  lo: { a: {} },
  veth: {
    a: {
      exec: [
        'ip netns add b',
        'ip link add v0 type veth peer name v1',
        'ip link set v1 netns b',
        'ip addr add 10.0.0.1/24 dev v0',
        'ip link set v0 up',
        'ip netns exec b ip addr add 10.0.0.2/24 dev v1',
        'ip netns exec b ip link set v1 up',
      ],
    },
  },
} as const;

/** Machines and cables of a link. */
function topologyOf(link: Link): object {
  const type = cardOf(link);
  if (type === null) return { nodes: NODES[link === 'lo' ? 'lo' : 'veth'], links: [] };
  const node = (host: number): object => ({
    cpus: link === 'igb-8q' ? 8 : 1,
    exec: [`ip addr add 10.0.0.${host}/24 dev eth0`, 'ip link set eth0 up'],
  });
  const cable = { endpoints: ['a:eth0', 'b:eth0'], impairments: { delay: '1us' }, type };
  return { nodes: { a: node(1), b: node(2) }, links: [cable] };
}

export interface RigOptions {
  /** Whether frames' bytes go into the world's fingerprint; by default they do not. */
  readonly fingerprint?: boolean;
  /** Descriptors that a task may have. */
  readonly descriptors?: number;
}

/** Builds one of the links. */
export async function makeRig(link: Link, options: RigOptions = {}): Promise<Rig> {
  const lab = new Lab(parseTopology({ topology: topologyOf(link) }), {
    seed: 'bench',
    turn,
    fingerprintFrames: options.fingerprint ?? false,
  });
  const { world } = lab;
  await lab.setUp();
  await world.runPrograms({ untilNs: world.nowNs + 3e9 });
  if (link.endsWith('-mtu')) {
    for (const machine of world.machines) offloadsOff(machine, ['v0', 'v1', 'eth0']);
  }
  const client = await taskOn(lab, 'a');
  const server = await taskOn(lab, cardOf(link) === null ? 'a' : 'b');
  for (const { task } of world.programs) task.files.rlimit = options.descriptors ?? 1024;
  if (link.startsWith('veth')) must(server.setns('b'), 'setns');
  return {
    world,
    client,
    server,
    cables: lab.cables,
    address: link === 'lo' ? 0x7f000001 : 0x0a000002,
    end: () => {
      const left = world.halt();
      if (Object.keys(left).length > 0) throw new Error(`left alive: ${JSON.stringify(left)}`);
    },
  };
}

/** `ethtool -K DEVICE tso off gso off gro off`; checksums stay with the device, which needs none. */
function offloadsOff(machine: Machine, names: readonly string[]): void {
  rtnlLock(machine);
  for (const net of machine.netGlobals.netnsList) {
    for (const name of names) {
      const dev = net.devNameHead.get(name);
      if (dev === undefined) continue;
      dev.wantedFeatures &= ~(NETIF_F_GSO_MASK | NETIF_F_GSO | NETIF_F_GRO);
      netdevUpdateFeatures(dev);
    }
  }
  rtnlUnlock(machine);
}

/** The system calls of a task that lives as long as the world. */
async function taskOn(lab: Lab, node: string): Promise<SyscallTable> {
  let calls: SyscallTable | null = null;
  lab.start(
    node,
    (p) => {
      calls = p.sys;
      return new Promise<number>(() => {});
    },
    ['bench'],
  );
  await lab.world.runPrograms({ untilNs: lab.world.nowNs + 1e6 });
  if (calls === null) throw new Error('the task did not start');
  return calls;
}

export function must(result: number, what: string): number {
  if (result < 0) throw new Error(`${what}: errno ${-result}`);
  return result;
}

/** Lets the next event happen; throws when there is none, since the case would never go on. */
export function step(world: World): void {
  if (!world.step()) throw new Error('the world has come to rest in the middle of a case');
}

export function listen(rig: Rig, port: number): number {
  const fd = must(rig.server.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), 'socket');
  must(rig.server.bind(fd, encodeSockaddr4(0, port)), 'bind');
  must(rig.server.listen(fd, 4096), 'listen');
  return fd;
}

/** Connects and accepts: both descriptors. */
export function connect(
  rig: Rig,
  listener: number,
  port: number,
): [client: number, server: number] {
  const fd = must(rig.client.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), 'socket');
  const addr = encodeSockaddr4(rig.address, port);
  let err = rig.client.connect(fd, addr);
  let accepted = rig.server.accept4(listener, null, SOCK_NONBLOCK);
  while (accepted === -EAGAIN) {
    step(rig.world);
    accepted = rig.server.accept4(listener, null, SOCK_NONBLOCK);
  }
  if (err === -EINPROGRESS) err = rig.client.connect(fd, addr);
  must(err, 'connect');
  return [fd, must(accepted, 'accept')];
}
