/**
 * A world made from a description: machines with network cards, cables between them, and programs.
 */
import type { Machine } from '#kernel/machine.ts';
import { Cable } from '#sim/cable.ts';
import { plugNic } from '#sim/nic.ts';
import type { NodeSpec, TopologySpec } from '#sim/topology.ts';
import { type Program, type RunOptions, World, type WorldOptions } from '#sim/world.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { type Main, Process, runProcess, type Streams } from '#user/lib/process.ts';
import { Collector, decodeText } from '#user/lib/streams.ts';
import { findProgram, main as sh } from '#user/sh/sh.ts';

/** Commands of a description follow each other at a person's pace: links have come up in between. */
const COMMAND_GAP_NS = 10e6;

/** A command of a description failed. */
export class ExecError extends Error {
  override readonly name = 'ExecError';
  readonly status: number | null;

  constructor(node: string, command: string, status: number | null, output: string) {
    const said = output.trim() === '' ? '' : `\n${output.trimEnd()}`;
    super(
      status === null
        ? `${node}: '${command}' did not end${said}`
        : `${node}: '${command}' ended with status ${status}${said}`,
    );
    this.status = status;
  }
}

/** A program that a lab runs, and how to end it. */
export interface LabProgram {
  readonly program: Program;
  readonly process: Process;
}

/** Link address of port `port` of machine `node`: locally administered, told from the numbers. */
function macAddress(node: number, port: number): Uint8Array {
  return Uint8Array.of(0x02, 0x00, 0x00, (node >> 8) & 0xff, node & 0xff, port & 0xff);
}

export class Lab {
  readonly world: World;
  readonly spec: TopologySpec;
  readonly cables: readonly Cable[];
  private readonly machines: ReadonlyMap<string, Machine>;
  private readonly hosts: Record<string, string>;

  constructor(spec: TopologySpec, options: WorldOptions) {
    this.spec = spec;
    this.world = new World(options);
    this.machines = new Map(
      spec.nodes.map((node) => [node.name, this.world.boot(node.name, node.cpus)]),
    );
    this.cables = spec.links.map((link) => {
      const [a, b] = link.endpoints;
      const name = `${a.node}:${a.ifname}--${b.node}:${b.ifname}`;
      const cable = new Cable(this.world, name, link.impairments);
      this.plug(cable, 0, a.node, a.ifname);
      this.plug(cable, 1, b.node, b.ifname);
      return cable;
    });
    this.hosts = {};
  }

  /** The machine of that name. Throws RangeError. */
  machine(name: string): Machine {
    const machine = this.machines.get(name);
    if (machine === undefined) {
      throw new RangeError(
        `there is no machine '${name}'; there are ${[...this.machines.keys()].join(', ')}`,
      );
    }
    return machine;
  }

  /** Starts a program on a machine; it runs when the world does. */
  start(node: string, main: Main, argv: readonly string[], streams: Streams = {}): LabProgram {
    const machine = this.machine(node);
    let process: Process | null = null;
    const program = this.world.spawn(machine, argv[0] ?? 'program', (sys, fork) => {
      process = this.process(machine, sys, fork, argv, streams);
      return runProcess(main, process);
    });
    return {
      program,
      get process(): Process {
        if (process === null) throw new Error('the program has not run yet');
        return process;
      },
    };
  }

  /** Runs a program to its end, and the world as long as that takes; its exit status, null: it has none yet. */
  async run(
    node: string,
    main: Main,
    argv: readonly string[],
    streams: Streams = {},
    options: RunOptions = {},
  ): Promise<number | null> {
    const { program } = this.start(node, main, argv, streams);
    await this.world.runPrograms({ ...options, until: () => program.status !== null });
    return program.status;
  }

  /** Runs one of softnet's tools by name; 127 when there is none of that name, as a shell says. */
  async command(
    node: string,
    argv: readonly string[],
    streams: Streams = {},
    options: RunOptions = {},
  ): Promise<number | null> {
    const [name = ''] = argv;
    const main = findProgram(name);
    if (main === null) {
      streams.stderr?.write(new TextEncoder().encode(`${name}: command not found\n`));
      return 127;
    }
    return this.run(node, main, argv, streams, options);
  }

  /**
   * Applies the settings and runs the `exec` lists, then starts the programs. What commands print
   * goes to `streams`. Throws ExecError.
   */
  async setUp(streams: Streams = {}): Promise<void> {
    for (const node of this.spec.nodes) this.applySysctls(node);
    for (const { endpoints, mtu } of this.spec.links) {
      if (mtu === 0) continue;
      for (const { node, ifname } of endpoints) {
        await this.must(node, `ip link set ${ifname} mtu ${mtu}`, streams);
      }
    }
    for (const node of this.spec.nodes) {
      await this.must(node.name, 'ip link set lo up', streams);
      for (const command of node.exec) await this.must(node.name, command, streams);
    }
    for (const node of this.spec.nodes) {
      for (const command of node.programs)
        this.start(node.name, sh, ['sh', '-c', command], streams);
    }
  }

  private async must(node: string, command: string, streams: Streams): Promise<void> {
    const stderr = new Collector();
    const status = await this.run(node, sh, ['sh', '-c', command], { ...streams, stderr });
    if (status !== 0) throw new ExecError(node, command, status, decodeText(stderr.bytes()));
    await this.world.runPrograms({ untilNs: this.world.nowNs + COMMAND_GAP_NS });
  }

  private applySysctls(node: NodeSpec): void {
    const machine = this.machine(node.name);
    for (const [name, value] of node.sysctls) {
      const table =
        machine.initNet.sysctl.find(name) === null ? machine.sysctl : machine.initNet.sysctl;
      const err = table.write(name, value);
      if (err < 0)
        throw new ExecError(node.name, `sysctl -w ${name}=${value}`, 255, `errno ${-err}`);
    }
  }

  private process(
    machine: Machine,
    sys: SyscallTable,
    fork: (name: string) => SyscallTable,
    argv: readonly string[],
    streams: Streams,
  ): Process {
    return new Process({
      sys,
      argv,
      env: { HOSTNAME: machine.name },
      hosts: this.hosts,
      fork,
      programs: findProgram,
      ...streams,
    });
  }

  private plug(cable: Cable, end: 0 | 1, node: string, ifname: string): void {
    const machine = this.machine(node);
    const index = this.spec.nodes.findIndex((spec) => spec.name === node);
    const port = machine.initNet.devBaseHead.length;
    plugNic(machine, cable, end, { name: ifname, mac: macAddress(index + 1, port) });
  }
}
