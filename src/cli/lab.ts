/**
 * A world made from a description: machines with network cards, cables between them, and programs.
 */
import { UsageError } from '#cli/errors.ts';
import { turn } from '#cli/turn.ts';
import { defconfig } from '#init/defconfig.ts';
import type { Machine } from '#kernel/machine.ts';
import { Cable } from '#sim/cable.ts';
import { plugNic } from '#sim/nic.ts';
import type { WorldPart } from '#sim/part.ts';
import { type PhaseEnd, runPhase, sleepsByChoice } from '#sim/phase.ts';
import type { EndpointSpec, LinkSpec, NodeSpec, TopologySpec } from '#sim/topology.ts';
import { formatTimeNs } from '#sim/units.ts';
import {
  type Program,
  type RunEnd,
  type RunOptions,
  World,
  type WorldOptions,
} from '#sim/world.ts';
import { strerror } from '#uapi/errno.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { type Main, Process, runProcess, type Streams } from '#user/lib/process.ts';
import { Collector } from '#user/lib/streams.ts';
import { findProgram, main as sh } from '#user/sh/sh.ts';

/** Commands of a description follow each other at a person's pace: links have come up in between. */
const COMMAND_GAP_NS = 10e6;

const GIGABIT = 1e9;

/** A world in which no program woke for so long has come to rest: TCP's longest pause is shorter. */
const REST_NS = 130e9;

/** A command of a description failed. */
export class ExecError extends Error {
  override readonly name = 'ExecError';

  /** @param how e.g. `ended with status 1` */
  constructor(node: string, command: string, how: string, output: string) {
    const said = output.trim() === '' ? '' : `\n${output.trimEnd()}`;
    super(`${node}: '${command}' ${how}${said}`);
  }
}

/** What to say about a command that has no exit status when the world has stopped. */
export function didNotEnd(idle: boolean, nowNs: number): string {
  const time = formatTimeNs(nowNs);
  return idle
    ? `waits for what never comes: nothing more happens after ${time} of virtual time`
    : `had not ended after ${time} of virtual time`;
}

/** A program that a lab runs, and how to end it. */
export interface LabProgram {
  readonly program: Program;
  readonly process: Process;
}

/**
 * What ended a lab: all programs have ended; those that have not wait for good; the time or number of
 * events allowed; or somebody stopped it.
 */
export type LabEnd = 'ended' | 'waiting' | RunEnd;

/** As for a world; `turn` is Node's unless given. */
export interface LabOptions extends WorldOptions {
  /** Where the lab is spread over threads: the part of it that is in this one. */
  readonly part?: WorldPart;
}

const LAB_ENDS: Readonly<Record<PhaseEnd, LabEnd>> = {
  done: 'ended',
  idle: 'waiting',
  rest: 'waiting',
  time: 'time',
  stopped: 'stopped',
};

/** A program as reports name it. */
export interface ProgramReport {
  readonly node: string;
  readonly command: string;
  /** Exit status; null while it runs. */
  readonly status: number | null;
}

export function cableName({ endpoints: [a, b] }: LinkSpec): string {
  return `${a.node}:${a.ifname}--${b.node}:${b.ifname}`;
}

/** Link address of port `port` of machine `node`: locally administered, told from the numbers. */
function macAddress(node: number, port: number): Uint8Array {
  return Uint8Array.of(0x02, 0x00, 0x00, (node >> 8) & 0xff, node & 0xff, port & 0xff);
}

export class Lab {
  readonly world: World;
  readonly spec: TopologySpec;
  readonly cables: readonly Cable[];
  private readonly part: WorldPart | null;
  private readonly machines: Map<string, Machine>;
  /** What the description's `programs` started, and {@link start}. */
  private readonly programs: { node: string; command: string; program: Program }[];

  constructor(spec: TopologySpec, options: LabOptions) {
    const { part = null } = options;
    this.spec = spec;
    this.part = part;
    this.world = new World({ turn, ...options });
    this.machines = new Map();
    for (const { name, cpus, costs } of spec.nodes) {
      if (this.isHere(name)) this.machines.set(name, this.world.boot(name, cpus, defconfig, costs));
      else this.world.bootElsewhere(name);
    }
    const cables: Cable[] = [];
    spec.links.forEach((link, index) => {
      if (!link.endpoints.some(({ node }) => this.isHere(node))) return;
      const [a, b] = link.endpoints;
      const cable = new Cable(this.world, cableName(link), link.impairments);
      this.plug(cable, index, 0, a);
      this.plug(cable, index, 1, b);
      cables.push(cable);
    });
    this.cables = cables;
    this.programs = [];
  }

  /** Is a machine in this thread? All are, where the lab is in one. */
  isHere(node: string): boolean {
    return this.part === null || this.part.has(node);
  }

  /** The machine of that name. Throws UsageError. */
  machine(name: string): Machine {
    const machine = this.machines.get(name);
    if (machine === undefined) {
      throw new UsageError(
        `there is no machine '${name}' in ${this.spec.name}; there are ${[...this.machines.keys()].join(', ')}`,
      );
    }
    return machine;
  }

  /**
   * Starts a program on a machine; it runs when the world does, and {@link finish} waits for it. What
   * it throws, unless it is a way to exit, makes its status 1, goes to its standard error and is
   * `program.error`.
   */
  start(node: string, main: Main, argv: readonly string[], streams: Streams = {}): LabProgram {
    const started = this.launch(node, main, argv, streams);
    this.programs.push({ node, command: argv.join(' '), program: started.program });
    return started;
  }

  private launch(node: string, main: Main, argv: readonly string[], streams: Streams): LabProgram {
    const machine = this.machine(node);
    let process: Process | null = null;
    const program = this.world.spawn(machine, argv[0] ?? 'program', async (sys, fork) => {
      process = this.process(machine, sys, fork, argv, streams);
      try {
        return await runProcess(main, process);
      } finally {
        program.error = process.error;
        streams.stdout?.close();
        streams.stderr?.close();
      }
    });
    return {
      program,
      get process(): Process {
        if (process === null) throw new Error('the program has not run yet');
        return process;
      },
    };
  }

  /**
   * Runs a program to its end, and the world as long as that takes; its exit status. Null: it has none
   * yet, since the time or the events allowed are over, or it waits for what never comes. Throws what
   * the program threw, unless there is a standard error that was told.
   */
  async run(
    node: string,
    main: Main,
    argv: readonly string[],
    streams: Streams = {},
    options: RunOptions = {},
  ): Promise<number | null> {
    const { program } = this.launch(node, main, argv, streams);
    await this.runToEnd(program, options);
    if (program.error !== null && streams.stderr === undefined) throw program.error;
    return program.status;
  }

  /**
   * Runs one of softnet's tools by name, as {@link run} does; 127 when there is none of that name, as
   * a shell says.
   */
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
    const { program } = this.launch(node, main, argv, streams);
    await this.runToEnd(program, options);
    return program.status;
  }

  /** Runs the world until a program has ended, or everybody waits for good. */
  private async runToEnd(program: Program, options: RunOptions): Promise<void> {
    const { world } = this;
    const { until = () => false } = options;
    let wakeUps = world.wakeUps();
    let restingSinceNs = world.nowNs;
    // Cards look at their links every few seconds, so a world with cards never runs out of events.
    const atRest = (): boolean => {
      if (world.nowNs - restingSinceNs < REST_NS) return false;
      const before = wakeUps;
      wakeUps = world.wakeUps();
      if (wakeUps === before && !sleepsByChoice(world)) return true;
      restingSinceNs = world.nowNs;
      return false;
    };
    await world.runPrograms({
      ...options,
      until: () => program.status !== null || until() || atRest(),
    });
  }

  /**
   * Applies the settings and runs the `exec` lists, then starts the programs. What commands print
   * goes to their machine's streams. Throws ExecError.
   */
  async setUp(
    streamsOf: (node: string) => Streams = () => ({}),
    options: RunOptions = {},
  ): Promise<void> {
    const must = (node: string, command: string): Promise<void> =>
      this.must(node, command, streamsOf(node), options);
    for (const node of this.spec.nodes) if (this.isHere(node.name)) this.applySysctls(node);
    for (const { endpoints, mtu } of this.spec.links) {
      if (mtu === 0) continue;
      for (const { node, ifname } of endpoints) {
        await must(node, `ip link set ${ifname} mtu ${mtu}`);
      }
    }
    for (const node of this.spec.nodes) {
      await must(node.name, 'ip link set lo up');
      for (const command of node.exec) await must(node.name, command);
    }
    for (const { name: node, programs } of this.spec.nodes) {
      if (!this.isHere(node)) continue;
      for (const command of programs) {
        const { program } = this.launch(node, sh, ['sh', '-c', command], streamsOf(node));
        this.programs.push({ node, command, program });
      }
    }
  }

  /**
   * Runs the world until the programs have ended, the description's and those that {@link start}
   * started, or those that go on wait for what nobody will send any more, as servers do.
   */
  async finish(options: RunOptions = {}): Promise<LabEnd> {
    const end = await this.runPhase(() => this.running().length === 0, options, REST_NS);
    return LAB_ENDS[end];
  }

  /** Runs this part of the world with the others until `done` everywhere, and a little longer. */
  private runPhase(done: () => boolean, options: RunOptions, restNs: number): Promise<PhaseEnd> {
    const { untilNs = Number.POSITIVE_INFINITY } = options;
    const phase = { done, graceNs: COMMAND_GAP_NS, untilNs, restNs };
    return runPhase(this.world, phase, this.part ?? undefined);
  }

  /** The programs that ended badly. */
  failed(): ProgramReport[] {
    return this.report((status) => status !== null && status !== 0);
  }

  /** The programs that have not ended. */
  running(): ProgramReport[] {
    return this.report((status) => status === null);
  }

  private report(wanted: (status: number | null) => boolean): ProgramReport[] {
    return this.programs
      .filter(({ program }) => wanted(program.status))
      .map(({ node, command, program }) => ({ node, command, status: program.status }));
  }

  private async must(
    node: string,
    command: string,
    streams: Streams,
    options: RunOptions,
  ): Promise<void> {
    const stderr = new Collector();
    const argv = ['sh', '-c', command];
    const program = this.isHere(node)
      ? this.launch(node, sh, argv, { ...streams, stderr }).program
      : null;
    const done = (): boolean => program === null || program.status !== null;
    const end = await this.runPhase(done, options, Number.POSITIVE_INFINITY);
    // The thread that the command runs in says what went wrong with it.
    if (program === null) return;
    const { status } = program;
    if (status === 0) {
      streams.stderr?.write(stderr.bytes());
      streams.stderr?.close();
      return;
    }
    const { nowNs } = this.world;
    const how = status === null ? didNotEnd(end === 'idle', nowNs) : `ended with status ${status}`;
    throw new ExecError(node, command, how, stderr.text());
  }

  private applySysctls(node: NodeSpec): void {
    const machine = this.machine(node.name);
    for (const [name, value] of node.sysctls) {
      const table =
        machine.initNet.sysctl.find(name) === null ? machine.sysctl : machine.initNet.sysctl;
      const err = table.write(name, value);
      if (err < 0)
        throw new ExecError(node.name, `sysctl -w ${name}=${value}`, 'failed', strerror(err));
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
      hosts: this.spec.hosts,
      fork,
      programs: findProgram,
      ...streams,
    });
  }

  private plug(cable: Cable, link: number, end: 0 | 1, { node, ifname }: EndpointSpec): void {
    const index = this.spec.nodes.findIndex((spec) => spec.name === node);
    if (this.part !== null && !this.isHere(node)) {
      this.part.join(this.world, cable, link, end, node);
      return;
    }
    const machine = this.machine(node);
    const port = machine.initNet.devBaseHead.length;
    try {
      const mac = macAddress(index + 1, port);
      const { rateBps } = cable.impairmentsOf(end);
      // A cable that is faster than the card would be has a faster card.
      const fast = rateBps > GIGABIT ? { rateBps } : {};
      const { type, queues } = this.spec.links[link] as LinkSpec;
      const napi = this.spec.nodes[index]?.napi ?? true;
      plugNic(machine, cable, end, { name: ifname, mac, type, queues, napi, ...fast });
    } catch (error) {
      throw new UsageError(
        `${node}: no card for the interface ${ifname}: ${(error as Error).message}`,
      );
    }
  }
}
