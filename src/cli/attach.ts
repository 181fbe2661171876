/** `softnet attach` and `softnet tap`: a machine in real time with doors to the outside. */
import { type Capture, captureDeviceToFile } from '#cli/capture.ts';
import { explain, UsageError, UserError } from '#cli/errors.ts';
import { passTo } from '#cli/output.ts';
import { serveFromWorkers } from '#cli/tap_workers.ts';
import type { Door } from '#host/node/door.ts';
import { DoorLink } from '#host/node/door_link.ts';
import { FrameStream, parseStreamAddress } from '#host/node/frame_stream.ts';
import { Macvtap } from '#host/node/macvtap.ts';
import { PacketRing } from '#host/node/packet_ring.ts';
import { bootReal, forkReal, haltReal, type RealHost } from '#host/node/real_host.ts';
import { Tap, type TapOptions } from '#host/node/tap.ts';
import { DEFAULT_TAP_IO, TAP_IO, type TapIo } from '#host/node/tap_tx.ts';
import { defconfig } from '#init/defconfig.ts';
import type { Machine } from '#kernel/machine.ts';
import { formatPrefix4, inNtop4, type Prefix4, parsePrefix4 } from '#lib/parse_addr.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { type Main, Process, runProcess } from '#user/lib/process.ts';
import { Collector, type Output } from '#user/lib/streams.ts';
import { COMMANDS } from '#user/sh/commands.ts';
import { findProgram, main as sh } from '#user/sh/sh.ts';

/** What the machine does once it is up. */
export interface ServeOptions {
  readonly serve?: boolean;
  readonly exec?: readonly string[];
  readonly forward?: boolean;
  readonly pcap?: string;
}

export interface TapCommandOptions extends ServeOptions {
  readonly name: string;
  readonly address: Prefix4;
  readonly hostAddress: Prefix4;
  /** Machines of that address, each in a thread; one in this thread when not given. */
  readonly workers?: number;
  /** Queues of the device, each with a CPU of the machine. */
  readonly queues?: number;
  /** How frames are written to it. */
  readonly io?: TapIo;
}

export interface AttachCommandOptions extends ServeOptions {
  /** Default route. */
  readonly via?: number;
}

/** One interface of the machine. */
export interface Attachment {
  readonly text: string;
  readonly address: Prefix4;
  /** Queues that the door will have. */
  readonly queues: number;
  /** Opens the door; rejects with DoorError or DoorUnavailable. */
  open(): Promise<Door>;
}

/** Programs of a machine in real time. */
class RealPrograms {
  private readonly fork: (name: string) => SyscallTable;

  constructor(machine: Machine, host: RealHost) {
    this.fork = (name) => forkReal(machine, host, name);
  }

  async run(main: Main, argv: readonly string[], stdout: Output, stderr: Output): Promise<number> {
    const sys = this.fork(argv[0] ?? '');
    const status = await runProcess(
      main,
      new Process({ sys, argv, fork: this.fork, programs: findProgram, stdout, stderr }),
    );
    sys.exit(status);
    return status;
  }
}

async function openStream(where: string, listen: boolean): Promise<Door> {
  const say = (there: boolean): void => {
    if (listen) process.stdout.write(`${where}: a guest has ${there ? 'come' : 'gone'}\n`);
  };
  const door = new FrameStream({
    address: parseStreamAddress(where),
    listen,
    onPeer: say,
    onRefused: (reason) => {
      process.stderr.write(`softnet: ${where}: a guest could not be let in: ${reason}\n`);
    },
  });
  await door.ready;
  return door;
}

/** `NAME[,queues=N][,io=HOW]`. Throws UsageError. */
function parseTap(where: string): TapOptions {
  const [name = '', ...settings] = where.split(',');
  let queues = 1;
  let io = DEFAULT_TAP_IO;
  for (const setting of settings) {
    const [key, value = ''] = setting.split('=');
    if (key === 'queues') queues = parseQueues(value);
    else if (key === 'io') io = parseIo(value);
    else {
      throw new UsageError(
        `'${setting}' is no setting of a TAP device: there are queues=N and io=HOW`,
      );
    }
  }
  return { name, queues, io };
}

/** Throws UsageError. */
export function parseIo(text: string): TapIo {
  const io = TAP_IO.find((known) => known === text);
  if (io !== undefined) return io;
  throw new UsageError(`'${text}' is no way to write frames: one of ${TAP_IO.join(', ')}`);
}

/** 1 to 64: as many as a machine can have CPUs. Throws UsageError. */
export function parseQueues(text: string): number {
  const queues = Number(text);
  if (/^[0-9]+$/.test(text) && queues >= 1 && queues <= 64) return queues;
  throw new UsageError(`'${text}' is no number of queues: 1 to 64`);
}

const KINDS: Readonly<Record<string, (where: string) => Door | Promise<Door>>> = {
  tap: (where) => new Tap(parseTap(where)),
  packet: (name) => new PacketRing(name),
  macvtap: (name) => new Macvtap(name),
  stream: (where) => openStream(where, true),
  connect: (where) => openStream(where, false),
};

/** Reads `KIND:WHERE=ADDRESS/PREFIX`, e.g. `stream:/tmp/vm.sock=10.0.2.2/24`. Throws UsageError. */
export function parseAttachment(text: string): Attachment {
  const colon = text.indexOf(':');
  const equals = text.lastIndexOf('=');
  const kind = text.slice(0, Math.max(colon, 0));
  const open = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (open === undefined || equals < colon) {
    const kinds = Object.keys(KINDS).join(', ');
    throw new UsageError(
      `'${text}' is no door: write KIND:WHERE=ADDRESS/PREFIX, where KIND is one of ${kinds}`,
    );
  }
  const where = text.slice(colon + 1, equals);
  let address: Prefix4;
  try {
    address = parseLinkAddress(text.slice(equals + 1));
  } catch (error) {
    throw new UsageError(`the address of '${text}' makes no sense: ${(error as Error).message}`);
  }
  const queues = kind === 'tap' ? (parseTap(where).queues ?? 1) : 1;
  return { text, address, queues, open: async () => open(where) };
}

/**
 * An address on a link, e.g. `10.0.2.2/24`. Without its length `ip` takes it for a network of its own, in which
 * the other side never is. Throws RangeError.
 */
export function parseLinkAddress(text: string): Prefix4 {
  const parsed = parsePrefix4(text);
  if (!parsed.ok) throw new RangeError(parsed.error);
  if (text.includes('/')) return parsed.value;
  throw new RangeError(`"${text}": the length of its network is missing, e.g. ${text}/24`);
}

function bytesOf(addr: number): number[] {
  return [addr >>> 24, (addr >>> 16) & 255, (addr >>> 8) & 255, addr & 255];
}

/** Two ends of one link: different addresses of the same network. Throws UsageError. */
function checkAddresses(address: Prefix4, hostAddress: Prefix4): void {
  if (address.addr === hostAddress.addr) {
    throw new UsageError(`the machine and the kernel cannot both be ${inNtop4(address.addr)}`);
  }
  const mask = address.len === 0 ? 0 : -1 << (32 - address.len);
  if (address.len !== hostAddress.len || ((address.addr ^ hostAddress.addr) & mask) !== 0) {
    throw new UsageError(
      `${formatPrefix4(address)} and ${formatPrefix4(hostAddress)} are not in the same network`,
    );
  }
}

/** A machine on a TAP device of the kernel's, whose end gets an address too. */
export async function runTap(options: TapCommandOptions): Promise<void> {
  const { address, hostAddress, name, queues = 1, io = DEFAULT_TAP_IO } = options;
  checkAddresses(address, hostAddress);
  const kernel = { address: bytesOf(hostAddress.addr), prefix: hostAddress.len };
  const tap: Attachment = {
    text: `the interface ${name}`,
    address,
    queues,
    open: async () => new Tap({ name, hostAddress: kernel, queues, io }),
  };
  const ready = `${name} ready: the kernel is ${formatPrefix4(hostAddress)}, softnet is ${formatPrefix4(address)}`;
  const { workers } = options;
  if (workers === undefined) {
    await serve([tap], options, hostAddress.addr, ready);
    return;
  }
  if (queues > 1) throw new UsageError('--queues does not go with --workers');
  if (options.serve !== true || options.exec !== undefined || options.pcap !== undefined) {
    throw new UsageError('--workers goes with --serve, and neither with --exec nor with --pcap');
  }
  await serveFromWorkers({
    workers,
    door: await tap.open(),
    text: tap.text,
    ifname: 'eth0',
    configure: [
      'ip link set lo up',
      `ip addr add ${formatPrefix4(address)} dev eth0`,
      'ip link set eth0 up',
      ...routing(options, hostAddress.addr),
    ],
    servers: SERVERS,
  });
  process.stdout.write(`${ready}, in ${workers} threads\n`);
}

/** Shell lines for where packets go beyond the links. */
function routing({ forward }: ServeOptions, via: number | null): string[] {
  return [
    ...(via === null ? [] : [`ip route add default via ${inNtop4(via)}`]),
    ...(forward === true ? ['sysctl -q -w net.ipv4.ip_forward=1'] : []),
  ];
}

/** A machine with an interface for each door. */
export async function runAttach(
  doors: readonly Attachment[],
  options: AttachCommandOptions,
): Promise<void> {
  const interfaces = doors.map(({ text }, i) => `eth${i} is ${text}`);
  await serve(doors, options, options.via ?? null, `ready: ${interfaces.join(', ')}`);
}

/** A machine in real time, and how it ends. */
class Station {
  readonly machine: Machine;
  readonly host: RealHost;
  readonly links: DoorLink[];
  capture: Capture | null;
  stopped: boolean;

  constructor(cpus: number) {
    const { machine, host } = bootReal({ name: 'softnet', modules: defconfig, cpus });
    this.machine = machine;
    this.host = host;
    this.links = [];
    this.capture = null;
    this.stopped = false;
  }

  /** Opens a door as the machine's next interface; returns what configures that. */
  async attach({ text, address, open }: Attachment): Promise<string[]> {
    const ifname = `eth${this.links.length}`;
    const door = await open();
    const onGone = (reason: string): void => {
      if (this.stopped) return;
      process.stderr.write(`softnet: ${text} is gone (${reason})\n`);
      process.exitCode = 1;
      this.stop();
    };
    this.links.push(new DoorLink(this.host, this.machine.initNet, door, { ifname, onGone }));
    return [
      ...(door.mac === null ? [] : [`ip link set ${ifname} address ${door.mac}`]),
      `ip addr add ${formatPrefix4(address)} dev ${ifname}`,
      `ip link set ${ifname} up`,
    ];
  }

  /** Closes the doors and halts the machine. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    for (const link of this.links) link.close();
    const left = haltReal(this.machine, this.host);
    try {
      this.capture?.close();
    } catch (error) {
      process.stderr.write(`softnet: ${explain(error)}\n`);
      process.exitCode = 1;
    }
    if (Object.keys(left).length > 0) {
      process.stderr.write(`softnet: something was lost at the end: ${JSON.stringify(left)}\n`);
      process.exitCode = 1;
    }
  }
}

const SERVERS = ['httpd', 'echod', 'discardd'] as const;

/** Boots, configures, serves and runs commands: the body of both commands. */
async function serve(
  doors: readonly Attachment[],
  options: ServeOptions,
  via: number | null,
  ready: string,
): Promise<void> {
  // A queue interrupts a CPU of its own.
  const station = new Station(Math.max(1, ...doors.map(({ queues }) => queues)));
  const { machine, host } = station;
  const configure: string[] = ['ip link set lo up'];
  try {
    for (const door of doors) configure.push(...(await station.attach(door)));
    if (options.pcap !== undefined) {
      station.capture = captureDeviceToFile(machine, 'eth0', options.pcap);
    }
  } catch (error) {
    station.stop();
    throw error;
  }
  const stop = (): void => station.stop();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);

  configure.push(...routing(options, via));
  const programs = new RealPrograms(machine, host);
  for (const line of configure) {
    const problems = new Collector();
    const status = await programs.run(sh, ['sh', '-c', line], new Collector(), problems);
    if (status !== 0) {
      stop();
      throw new UserError(`'${line}' ended with status ${status}: ${problems.text()}`);
    }
  }
  if (options.serve === true) startServers(station, programs);
  // Servers listen when their first system calls have been made.
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  process.stdout.write(`${ready}\n`);
  await runCommands(station, programs, options);
}

function startServers(station: Station, programs: RealPrograms): void {
  for (const name of SERVERS) {
    const main = COMMANDS[name];
    if (main === undefined) throw new Error(`there is no program ${name}`);
    void programs.run(main, [name], passTo(1), passTo(2)).then((status) => {
      if (station.stopped) return;
      process.stderr.write(`softnet: ${name} ended with status ${status}\n`);
      process.exitCode = 1;
      station.stop();
    });
  }
}

async function runCommands(
  station: Station,
  programs: RealPrograms,
  options: ServeOptions,
): Promise<void> {
  if (options.exec === undefined) return;
  let failed = 0;
  for (const line of options.exec) {
    const status = await programs.run(sh, ['sh', '-c', line], passTo(1), passTo(2));
    if (status !== 0) failed = status;
  }
  // With commands and nothing to serve, the work is done.
  if (options.serve === true) return;
  station.stop();
  process.exitCode ||= failed;
}
