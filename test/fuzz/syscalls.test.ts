/**
 * Programs without sense: random system calls with random arguments, and the netlink messages of a
 * real program mutated. Every call returns a result or an errno, and in the end nothing is left.
 */
import { describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { createTask } from '#kernel/sched/task.ts';
import { Prandom } from '#lib/prandom.ts';
import { parseTopology } from '#sim/topology.ts';
import { AF_INET, AF_NETLINK, AF_PACKET, AF_UNIX, SOCK_RAW } from '#uapi/socket.ts';
import type { SyscallTable, UserMsghdr } from '#uapi/unistd.ts';
import { Process, runProcess } from '#user/lib/process.ts';
import { COMMANDS } from '#user/sh/commands.ts';

const SEED = process.env['SOFTNET_FUZZ_SEED'] ?? 'calls';
const ROUNDS = Number(
  process.env['SOFTNET_FUZZ_ROUNDS'] ?? (process.env['CI'] === 'true' ? 30 : 8),
);
const CALLS = 2000;

const MACHINE = {
  topology: {
    nodes: {
      target: {
        exec: [
          'ip link add d0 type dummy',
          'ip link add v0 type veth peer name v1',
          'ip addr add 10.0.0.1/24 dev d0',
          'ip link set d0 up',
          'ip link set v0 up',
          'ip link set v1 up',
        ],
      },
    },
  },
};

async function booted(seed: string): Promise<Lab> {
  const lab = new Lab(parseTopology(MACHINE), { seed, turn });
  await lab.setUp();
  return lab;
}

/** Sockets that there are: family, type, protocol. */
const SOCKETS: readonly (readonly [number, number, number])[] = [
  [AF_INET, 1, 0],
  [AF_INET, 1, 6],
  [AF_INET, 1, 0],
  [AF_INET, 2, 0],
  [AF_INET, 2, 17],
  [AF_INET, 2, 1],
  [AF_INET, 3, 1],
  [AF_INET, 3, 255],
  [AF_UNIX, 1, 0],
  [AF_UNIX, 2, 0],
  [AF_UNIX, 5, 0],
  [AF_NETLINK, 3, 0],
  [AF_NETLINK, 3, 4],
  [AF_PACKET, 3, 0x0300],
  [AF_PACKET, 2, 0x0300],
];

/** A descriptor; the family of a socket, 0 of other files. */
interface Open {
  readonly fd: number;
  readonly family: number;
}

/** A caller of system calls that knows how they look but not what they are for. */
class Caller {
  private readonly sys: SyscallTable;
  private readonly random: Prandom;
  private readonly open: Open[];

  constructor(sys: SyscallTable, random: Prandom) {
    this.sys = sys;
    this.random = random;
    this.open = [];
  }

  private pick<T>(items: readonly T[]): T {
    return items[this.random.below(items.length)] as T;
  }

  private often(of: number): boolean {
    return this.random.below(of) !== 0;
  }

  private bytes(most: number): Uint8Array {
    const out = new Uint8Array(this.random.below(most + 1));
    if (!this.often(3)) return out;
    for (let i = 0; i < out.length; i++) {
      out[i] = this.often(4) ? this.random.below(3) : this.random.below(256);
    }
    return out;
  }

  private int(): Uint8Array {
    const out = new Uint8Array(4);
    const value = this.pick([0, 1, 1, 2, 5, 100, 5000, 0x7fffffff, -1, this.random.u32()]);
    new DataView(out.buffer).setInt32(0, value, true);
    return out;
  }

  /** A socket of ours, as a rule. */
  private socket(): Open {
    const sockets = this.open.filter(({ family }) => family !== 0);
    return sockets.length > 0 && this.often(30) ? this.pick(sockets) : this.file();
  }

  /** Any descriptor, seldom one that is none. */
  private file(): Open {
    if (this.open.length > 0 && this.often(30)) return this.pick(this.open);
    return { fd: this.random.below(40) - 1, family: 0 };
  }

  private keep(fd: number, family: number): void {
    if (fd < 0) return;
    this.open.push({ fd, family });
    if (this.open.length > 30) this.close(this.pick(this.open));
  }

  private close(file: Open): void {
    const at = this.open.findIndex(({ fd }) => fd === file.fd);
    if (at >= 0) this.open.splice(at, 1);
    this.sys.close(file.fd);
  }

  /** An address as the family's sockets take it; a few only, so that sockets meet. */
  private address(socket: Open): Uint8Array {
    const { random } = this;
    if (!this.often(20)) return this.bytes(40);
    const family = this.often(20) ? socket.family : AF_INET;
    const sa = new Uint8Array(family === AF_UNIX ? 110 : family === AF_PACKET ? 20 : 16);
    const v = new DataView(sa.buffer);
    v.setUint16(0, family, true);
    if (family === AF_INET) {
      v.setUint16(2, 1000 + random.below(3));
      v.setUint32(4, this.pick([0x7f000001, 0x7f000001, 0, 0x0a000001, 0x0a000002, 0xffffffff]));
    } else if (family === AF_UNIX) {
      sa.set([0x2f, 0x61 + random.below(3)], 2);
    } else if (family === AF_PACKET) {
      v.setUint16(2, 0x0300, true);
      v.setInt32(4, random.below(5), true);
    } else {
      v.setUint32(4, random.below(4), true);
      v.setUint32(8, random.below(3) === 0 ? random.u32() : 0, true);
    }
    return sa;
  }

  private ifreq(): Uint8Array {
    const out = new Uint8Array(40);
    const name = this.pick(['d0', 'lo', 'v0', 'v1', 'none', '']);
    for (let i = 0; i < name.length; i++) out[i] = name.charCodeAt(i);
    out.set(this.address({ fd: -1, family: AF_INET }).subarray(0, 16), 16);
    return this.often(10) ? out : this.bytes(50);
  }

  private msghdr(socket: Open): UserMsghdr {
    const iov = Array.from({ length: this.random.below(4) }, () => this.bytes(3000));
    const name = this.often(2) ? this.address(socket) : null;
    const control = this.often(2) ? this.control() : null;
    const controllen = control?.length ?? 0;
    return { name, namelen: name?.length ?? 0, iov, control, controllen, flags: 0 };
  }

  /** One ancillary item, nearly right. */
  private control(): Uint8Array {
    const out = new Uint8Array(16 + this.random.below(40));
    const v = new DataView(out.buffer);
    v.setUint32(0, this.often(4) ? out.length : this.random.u32(), true);
    v.setInt32(8, this.pick([0, 1, 6, 17]), true);
    v.setInt32(12, this.random.below(40), true);
    return out;
  }

  private option(): Uint8Array {
    return this.often(3) ? this.int() : this.bytes(48);
  }

  private level(socket: Open): number {
    const { family } = socket;
    const own = family === AF_INET ? [0, 6, 6, 17] : family === AF_PACKET ? [263] : [270];
    return this.often(3) ? this.pick(own) : this.pick([1, 1, 1, 255, this.random.below(300)]);
  }

  private flags(): number {
    if (this.often(2)) return 0;
    return this.pick([1, 2, 0x20, 0x40, 0x8000, this.random.u32() & 0xffff]);
  }

  /** Makes one call; what it returns is nobody's business, that it returns is. */
  call(): void {
    const group = this.random.below(20);
    if (group < 2) this.make();
    else if (group < 7) this.connectOrSo();
    else if (group < 14) this.transfer();
    else if (group < 17) this.configure();
    else this.files();
  }

  private make(): void {
    const { sys, random } = this;
    const mad = [random.below(50), random.below(9), random.below(300)] as const;
    const [family, type, protocol] = this.often(10) ? this.pick(SOCKETS) : mad;
    if (this.often(8)) {
      this.keep(sys.socket(family, type | this.pick([0, 0x800, 0x80000]), protocol), family);
      return;
    }
    const pair = new Int32Array(2);
    const err = this.often(2) ? sys.socketpair(AF_UNIX, type, 0, pair) : sys.pipe2(pair, 0);
    if (err === 0) for (const fd of pair) this.keep(fd, AF_UNIX);
  }

  private connectOrSo(): void {
    const { sys, random } = this;
    const socket = this.socket();
    const { fd } = socket;
    const kind = random.below(16);
    if (kind < 4) sys.bind(fd, this.address(socket));
    else if (kind < 6) sys.listen(fd, random.below(5) - 1);
    else if (kind < 11) sys.connect(fd, this.address(socket));
    else if (kind < 14) {
      const name = this.often(2) ? this.bytes(20) : null;
      this.keep(sys.accept4(fd, name, this.often(4) ? 0 : this.flags()), socket.family);
    } else if (kind === 14) sys.shutdown(fd, random.below(4));
    else this.close(socket);
  }

  private transfer(): void {
    const { sys, random } = this;
    const socket = this.socket();
    const { fd } = socket;
    const buf = this.bytes(this.pick([0, 1, 100, 2000, 70_000]));
    const kind = random.below(10);
    const name = this.often(2) ? this.address(socket) : null;
    if (kind < 2) sys.write(fd, buf);
    else if (kind < 4) sys.read(fd, buf);
    else if (kind === 4) sys.sendto(fd, buf, this.flags(), name);
    else if (kind === 5) sys.recvfrom(fd, buf, this.flags(), name);
    else if (kind < 8) sys.sendmsg(fd, this.msghdr(socket), this.flags());
    else if (kind === 8) sys.recvmsg(fd, this.msghdr(socket), this.flags());
    else if (this.often(2)) sys.getpeername(fd, this.bytes(20));
    else sys.getsockname(fd, this.bytes(20));
  }

  private configure(): void {
    const { sys, random } = this;
    const socket = this.socket();
    const { fd } = socket;
    const kind = random.below(6);
    if (kind < 3) sys.setsockopt(fd, this.level(socket), random.below(90), this.option());
    else if (kind === 3) sys.getsockopt(fd, this.level(socket), random.below(90), this.option());
    else if (kind === 4) sys.ioctl(fd, 0x8900 + random.below(160), this.ifreq());
    else sys.ioctl(fd, this.pick([0x541b, 0x5411, 0x5421, random.u32()]), this.option());
  }

  private files(): void {
    const { sys, random } = this;
    const { fd, family } = this.file();
    const kind = random.below(8);
    const paths = ['/proc/net/tcp', '/proc/net/dev', '/sys/class/net/d0/mtu', '/nowhere'];
    if (kind === 0) this.keep(sys.dup(fd), family);
    else if (kind === 1) sys.dup3(fd, this.file().fd, this.flags());
    else if (kind === 2) sys.fcntl(fd, random.below(12), random.below(5000));
    else if (kind === 3) this.keep(sys.epollCreate1(0), 0);
    else if (kind === 4) {
      sys.epollCtl(this.file().fd, random.below(5), fd, { events: random.u32(), data: fd });
    } else if (kind === 5) sys.epollWait(this.file().fd, [{ events: 0, data: 0 }]);
    else if (kind === 6) {
      sys.poll(Int32Array.of(fd), Int16Array.of(random.u32()), new Int16Array(1));
    } else this.keep(sys.open(this.pick(paths), 0), 0);
  }
}

describe('programs without sense', () => {
  it.each(Array.from({ length: ROUNDS }, (_, i) => `${SEED}-${i}`))(
    `call what they like: seed %s`,
    { timeout: 120_000 },
    async (seed) => {
      const lab = await booted(seed);
      const { world } = lab;
      const machine = lab.machine('target');
      const task = createTask(machine, 'fuzz', machine.initNet);
      const caller = new Caller(makeSyscalls(task), new Prandom(seed));
      for (let n = 0; n < CALLS; n++) {
        caller.call();
        if (n % 20 === 0) world.run({ untilNs: world.nowNs + 50e6 });
      }
      world.run({ untilNs: world.nowNs + 10e9 });
      expect(world.halt()).toEqual({});
    },
  );
});

/** Commands whose messages are the raw material. */
const COMMAND_LINES: readonly string[] = [
  'ip link show',
  'ip addr show',
  'ip route show table all',
  'ip neigh show',
  'ip rule show',
  'ip link add d1 type dummy',
  'ip link add v2 type veth peer name v3',
  'ip link set d0 mtu 1400',
  'ip link set d0 name d9',
  'ip link set d9 name d0',
  'ip addr add 10.2.0.1/24 brd + dev d0',
  'ip addr del 10.2.0.1/24 dev d0',
  'ip route add 10.3.0.0/16 via 10.0.0.9 metric 5',
  'ip route add blackhole 10.4.0.0/16',
  'ip route get 10.3.1.1',
  'ip route del 10.3.0.0/16',
  'ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev d0',
  'ip neigh del 10.0.0.9 dev d0',
  'ip rule add from 10.0.0.0/8 table 100',
  'ip link del d1',
  'ss -tan',
];

/** What the commands above send to the kernel. */
async function corpus(lab: Lab): Promise<Uint8Array[]> {
  const messages: Uint8Array[] = [];
  for (const line of COMMAND_LINES) {
    const argv = line.split(' ');
    const main = COMMANDS[argv[0] ?? ''];
    if (main === undefined) throw new Error(`there is no ${line}`);
    await lab.run(
      'target',
      (p) => {
        const { sys } = p;
        const spy: SyscallTable = {
          ...sys,
          sendto: (fd, buf, flags, addr) => {
            messages.push(buf.slice());
            return sys.sendto(fd, buf, flags, addr);
          },
          sendmsg: (fd, msg, flags) => {
            for (const part of msg.iov) messages.push(part.slice());
            return sys.sendmsg(fd, msg, flags);
          },
        };
        return runProcess(main, new Process({ sys: spy, argv, env: {} }));
      },
      argv,
    );
  }
  return messages;
}

function mutated(message: Uint8Array, random: Prandom): Uint8Array {
  const out = message.slice();
  for (let i = random.below(4); i > 0; i--) {
    const at = random.below(out.length);
    const kind = random.below(3);
    if (kind === 0) out[at] = random.below(256);
    else if (kind === 1) out[at] = (out[at] ?? 0) ^ (1 << random.below(8));
    else out[at] = random.below(8);
  }
  return random.below(8) === 0 ? out.subarray(0, random.below(out.length + 1)) : out;
}

describe('netlink messages of a program gone wrong', () => {
  it.each(Array.from({ length: ROUNDS }, (_, i) => `${SEED}-${i}`))(
    'are answered or refused: seed %s',
    { timeout: 120_000 },
    async (seed) => {
      const lab = await booted(seed);
      const { world } = lab;
      const messages = await corpus(lab);
      expect(messages.length).toBeGreaterThan(COMMAND_LINES.length - 3);
      const machine = lab.machine('target');
      const sys = makeSyscalls(createTask(machine, 'fuzz', machine.initNet));
      const random = new Prandom(seed);
      const sockets = [0, 4].map((protocol) => sys.socket(AF_NETLINK, SOCK_RAW, protocol));
      const answer = new Uint8Array(32_768);
      let answers = 0;
      for (let n = 0; n < CALLS; n++) {
        const fd = sockets[random.below(8) === 0 ? 1 : 0] as number;
        const message = mutated(messages[random.below(messages.length)] as Uint8Array, random);
        sys.sendto(fd, message, 0, null);
        while (sys.recvfrom(fd, answer, 0, null) > 0) answers++;
        if (n % 50 === 0) world.run({ untilNs: world.nowNs + 1e9 });
      }
      expect(answers).toBeGreaterThan(CALLS / 4);
      world.run({ untilNs: world.nowNs + 10e9 });
      expect(world.halt()).toEqual({});
    },
  );
});
