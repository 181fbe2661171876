/**
 * A world that runs in the worker: loaded from its description, its seed and what people did to it, and
 * recorded from its first event on. All changes go through {@link Engine.act}, which writes down their
 * exact place, so that the same world can be built again.
 */
import { ExecError, Lab, type LabProgram } from '#cli/lab.ts';
import type { InDevice } from '#include/linux/inetdevice.ts';
import type { Machine } from '#kernel/machine.ts';
import { formatHwaddr, inNtop4 } from '#lib/parse_addr.ts';
import { readTopologyYaml, TopologyTextError } from '#sim/topology_yaml.ts';
import type { JournalEntry, RunOptions } from '#sim/world.ts';
import { decodeText, encodeText, type Output, Pipe } from '#user/lib/streams.ts';
import { main as sh } from '#user/sh/sh.ts';
import type {
  Action,
  ActionBody,
  CableInfo,
  MachineInfo,
  Problem,
  Progress,
  WorldInfo,
} from '../protocol.ts';
import { readSetting } from './facts.ts';
import { FunctionPath } from './function_path.ts';
import { checkLimits, LimitError, MAX_EVENTS_PER_INSTANT, MAX_YAML } from './limits.ts';
import { type CableEnds, Observer } from './observer.ts';
import { Recording } from './recording.ts';

const SIGINT = 2;
/** Events between two looks at what the page wants: at first, at least and at most. */
const FIRST_SLICE = 256;
const MIN_SLICE = 16;
const MAX_SLICE = 5000;
/** How long a slice should take, in ms: the page waits no longer than that to be heard. */
const SLICE_MS = 12;

/** How far one looks for the next packet: farther than TCP's longest wait for an acknowledgement. */
const QUIET_NS = 130e9;

/** What the engine tells without being asked. */
export interface EngineHost {
  readonly turn: () => Promise<void>;
  terminal(terminal: number, text: string): void;
  console(machine: string, text: string): void;
  halted(problem: Problem): void;
}

/** Something that people can understand and mend. */
export class WorldProblem extends Error {
  override readonly name = 'WorldProblem';
  readonly problem: Problem;

  constructor(title: string, detail: string) {
    super(`${title}: ${detail}`);
    this.problem = { title, detail };
  }
}

interface Terminal {
  readonly machine: string;
  readonly stdin: Pipe;
  readonly program: LabProgram;
}

export interface EngineOptions {
  readonly yaml: string;
  readonly seed: string;
  readonly host: EngineHost;
  /** Told of each event of a run that is only compared; its functions are not followed. */
  readonly journal?: (entry: JournalEntry) => void;
  /** Bytes that the recorder may take; as much as a tab holds by default. */
  readonly memory?: number;
}

export class Engine {
  readonly lab: Lab;
  readonly recording: Recording;
  readonly observer: Observer;
  readonly functions: FunctionPath;
  readonly seed: string;
  readonly yaml: string;
  readonly actions: Action[];
  startNs: number;
  private readonly host: EngineHost;
  private readonly terminals: Map<number, Terminal>;
  private nextTerminal: number;
  private cablesChanged: boolean;
  private dead: boolean;
  /** Events of the next slice: as many as were done in SLICE_MS lately. */
  private slice: number;
  /** Does nobody want the world any more that is being built? */
  private unwanted: () => boolean;

  constructor(options: EngineOptions) {
    this.yaml = options.yaml;
    this.seed = options.seed;
    this.host = options.host;
    this.actions = [];
    this.startNs = 0;
    this.terminals = new Map();
    this.nextTerminal = 1;
    this.cablesChanged = true;
    this.dead = false;
    this.slice = FIRST_SLICE;
    this.unwanted = () => false;
    const { journal } = options;
    const spec = readSpec(options.yaml);
    this.lab = new Lab(spec, {
      seed: options.seed,
      turn: () => this.turn(),
      ...(journal === undefined ? {} : { journal }),
    });
    this.recording = new Recording(this.lab.world, options.memory);
    this.functions = new FunctionPath(journal === undefined ? this.recording.recorder : null);
    for (const name of this.functions.names()) this.recording.followed.add(name);
    this.observer = new Observer(this.lab.world, this.recording, this.functions);
    for (const machine of this.lab.world.machines) this.observer.followMachine(machine);
    this.observer.followCables(this.cableEnds());
  }

  private cableEnds(): Map<string, CableEnds> {
    const number = (name: string): number => this.recording.machineIndex(name);
    return new Map(
      this.lab.cables.map((cable, index): [string, CableEnds] => {
        const ends = this.lab.spec.links[index]?.endpoints;
        const machines = [number(ends?.[0].node ?? ''), number(ends?.[1].node ?? '')] as const;
        return [cable.name, { index, machines, delayNs: () => cable.impairmentsOf(0).delayNs }];
      }),
    );
  }

  /**
   * Sets the machines up and does again what people did, unless nobody wants that any more. Throws
   * WorldProblem.
   */
  async begin(actions: readonly Action[], unwanted: () => boolean = () => false): Promise<void> {
    this.unwanted = unwanted;
    try {
      await this.lab.setUp((node) => this.consoleOf(node), { untilNs: 600e9 });
    } catch (error) {
      this.refuseUnwanted();
      if (!(error instanceof ExecError)) throw error;
      if (this.recording.full) throw new WorldProblem(FULL.title, FULL_AT_ONCE);
      throw new WorldProblem('A command of this world failed', error.message);
    }
    this.startNs = this.lab.world.nowNs;
    for (const action of actions) {
      await this.again(action);
      this.refuseUnwanted();
    }
    this.unwanted = () => false;
  }

  private refuseUnwanted(): void {
    if (this.unwanted()) throw new WorldProblem('This world was left', 'Another one was chosen.');
  }

  /** Also while a command of the description runs, a world can be left, and is not recorded for ever. */
  private async turn(): Promise<void> {
    await this.host.turn();
    if (this.recording.full || this.unwanted()) this.lab.world.stop();
  }

  private consoleOf(machine: string): { stdout: Output; stderr: Output } {
    const output: Output = {
      write: (bytes) => {
        this.host.console(machine, decodeText(bytes));
        return true;
      },
      ready: () => null,
      close: () => {},
    };
    return { stdout: output, stderr: output };
  }

  /** Goes on to the place of an action, and does it. */
  private async again(action: Action): Promise<void> {
    const { unwanted } = this;
    const { world } = this.lab;
    if (action.event > world.eventCount) {
      await this.go({ maxEvents: action.event - world.eventCount }, unwanted);
    }
    if (action.atNs > world.nowNs) await this.go({ untilNs: action.atNs }, unwanted);
    // A link may ask for more than a page can hold: what was to follow is left undone.
    if (!this.dead && !unwanted()) this.act(action.body);
  }

  /** Goes on until a time; with a rest for the page now and then. */
  async run(untilNs: number, stopped: () => boolean): Promise<void> {
    await this.go({ untilNs }, stopped);
  }

  async stepEvents(count: number): Promise<void> {
    await this.go({ maxEvents: count }, () => false);
  }

  /** Goes on until a further packet has been seen, or none has come for long: timers alone never end. */
  async stepPacket(stopped: () => boolean): Promise<void> {
    const before = this.recording.packets.length;
    const untilNs = this.lab.world.nowNs + QUIET_NS;
    await this.go({ until: () => this.recording.packets.length > before, untilNs }, stopped);
  }

  private async go(options: RunOptions, stopped: () => boolean): Promise<void> {
    if (this.dead) return;
    const { world } = this.lab;
    const { recording } = this;
    const until = (): boolean => recording.full || options.until?.() === true;
    let left = options.maxEvents ?? Number.POSITIVE_INFINITY;
    let instantNs = world.nowNs;
    let inInstant = 0;
    while (left > 0 && !stopped()) {
      const before = world.eventCount;
      const maxEvents = Math.min(left, this.slice);
      const beganMs = performance.now();
      const end = await world.runPrograms({ ...options, until, maxEvents });
      const done = world.eventCount - before;
      left -= done;
      inInstant = world.nowNs === instantNs ? inInstant + done : 0;
      instantNs = world.nowNs;
      if (recording.full) return this.halt(FULL);
      if (inInstant > MAX_EVENTS_PER_INSTANT) return this.halt(SPINS);
      if (end !== 'events') return;
      if (done >= this.slice) this.measure(performance.now() - beganMs);
      await this.host.turn();
    }
  }

  /** Makes slices as long as SLICE_MS, by how long the last one took. How a world runs does not depend on it. */
  private measure(tookMs: number): void {
    const { slice } = this;
    const wanted = tookMs > 0 ? Math.floor((slice * SLICE_MS) / tookMs) : MAX_SLICE;
    this.slice = Math.max(MIN_SLICE, Math.min(wanted, 2 * slice, MAX_SLICE));
  }

  private halt(problem: Problem): void {
    this.dead = true;
    this.host.halted(problem);
  }

  openTerminal(machine: string): number {
    this.lab.machine(machine);
    return this.nextTerminal++;
  }

  /** The shell behind a terminal; it starts with the first line, so that looking changes nothing. */
  private shell(id: number, machine: string): Terminal {
    const known = this.terminals.get(id);
    if (known !== undefined) return known;
    this.nextTerminal = Math.max(this.nextTerminal, id + 1);
    const stdin = new Pipe();
    const output: Output = {
      write: (bytes) => {
        this.host.terminal(id, decodeText(bytes));
        return true;
      },
      ready: () => null,
      close: () => {},
    };
    const streams = { stdin: stdin.input, stdout: output, stderr: output };
    const program = this.lab.start(machine, sh, ['sh', '-i'], streams);
    const terminal = { machine, stdin, program };
    this.terminals.set(id, terminal);
    return terminal;
  }

  /** Does something to the world, now, and writes it down. */
  act(body: ActionBody): void {
    const { world } = this.lab;
    this.actions.push({ event: world.eventCount, atNs: world.nowNs, body });
    switch (body.kind) {
      case 'input':
        this.shell(body.terminal, body.machine).stdin.output.write(encodeText(body.text));
        return;
      case 'interrupt':
        this.interrupt(body.terminal);
        return;
      case 'command':
        this.lab.start(body.machine, sh, ['sh', '-c', body.text], this.consoleOf(body.machine));
        return;
      case 'impair':
        this.lab.cables[body.cable]?.impair(body.change);
        this.cablesChanged = true;
        return;
      case 'connect':
        this.lab.cables[body.cable]?.setConnected(body.connected);
        this.cablesChanged = true;
    }
  }

  /** Ctrl-C: ends what the shell runs, not the shell. */
  private interrupt(terminal: number): void {
    const shell = this.terminals.get(terminal);
    if (shell === undefined) return;
    const { process } = shell.program;
    process.onSignal(SIGINT, () => {});
    process.kill(SIGINT);
  }

  machineOf(name: string): { machine: Machine; index: number } | null {
    const index = this.recording.machineIndex(name);
    const machine = this.lab.world.machines.find((candidate) => candidate.name === name);
    return machine === undefined || index < 0 ? null : { machine, index };
  }

  progress(): Progress {
    const { world } = this.lab;
    const cables = this.cablesChanged ? this.cables() : null;
    this.cablesChanged = false;
    return {
      headNs: world.nowNs,
      events: world.eventCount,
      steps: this.recording.steps,
      packets: this.recording.packets.length,
      fingerprint: world.fingerprint.digest(),
      frames: this.recording.takeFrames(),
      drops: this.recording.takeDrops(),
      idle: world.idle,
      nextNs: this.dead ? Number.POSITIVE_INFINITY : world.nextEventNs,
      cables,
    };
  }

  info(): WorldInfo {
    return {
      name: this.lab.spec.name,
      seed: this.seed,
      machines: this.machines(),
      cables: this.cables(),
      startNs: this.startNs,
      yaml: this.yaml,
    };
  }

  machines(): MachineInfo[] {
    return this.lab.world.machines.map((machine) => ({
      name: machine.name,
      cpus: machine.cpus.length,
      forwards: readSetting(machine, 'net.ipv4.ip_forward') === '1',
      interfaces: machine.initNet.devBaseHead
        .filter((dev) => dev.name !== 'lo')
        .map((dev) => ({
          name: dev.name,
          mac: formatHwaddr(dev.devAddr.subarray(0, 6)),
          addresses: addressesOf(dev.ipPtr),
          up: (dev.flags & 1) !== 0,
        })),
    }));
  }

  private cables(): CableInfo[] {
    return this.lab.cables.map((cable, index) => {
      const ends = this.lab.spec.links[index]?.endpoints;
      const i = cable.impairmentsOf(0);
      return {
        index,
        name: cable.name,
        ends: ends ?? [
          { node: '', ifname: '' },
          { node: '', ifname: '' },
        ],
        impairments: {
          rateBps: i.rateBps,
          delayNs: i.delayNs,
          jitterNs: i.jitterNs,
          loss: i.loss,
          duplicate: i.duplicate,
          reorder: i.reorder,
          corrupt: i.corrupt,
          queueBytes: i.queueBytes,
        },
        connected: cable.connected,
      };
    });
  }

  /** Gives back what the world holds of packet memory, and lets its recording go. */
  close(): void {
    this.dead = true;
    this.functions.close();
    this.lab.world.halt();
  }
}

const FULL: Problem = {
  title: 'The recording is full',
  detail:
    'This run has made more packets than a page should keep, so the world was stopped before the tab ran out of memory. What was recorded can still be looked at. Load the world again, perhaps with slower cables.',
};

const FULL_AT_ONCE =
  'The commands that set this world up made more packets than a page should keep. What goes on for long belongs into its programs, not into exec.';

const SPINS: Problem = {
  title: 'The world does not move on',
  detail:
    'Hundreds of thousands of events happened in one instant, e.g. a program that never waits or a packet that goes round in a circle without delay. The world was stopped. Give its cables a delay or a rate.',
};

function addressesOf(list: InDevice | null): string[] {
  return (list?.ifaList ?? []).map(
    ({ ifaLocal, ifaPrefixlen }) => `${inNtop4(ifaLocal >>> 0)}/${ifaPrefixlen}`,
  );
}

function readSpec(yaml: string): ReturnType<typeof readTopologyYaml> {
  if (yaml.length > MAX_YAML) {
    throw new WorldProblem(
      'This description is too long',
      `It has ${yaml.length} characters; ${MAX_YAML} are allowed.`,
    );
  }
  try {
    const spec = readTopologyYaml(yaml);
    checkLimits(spec);
    return spec;
  } catch (error) {
    if (error instanceof TopologyTextError) {
      const where = error.line === null ? '' : `Line ${error.line}: `;
      throw new WorldProblem('This is no description of a world', `${where}${error.message}`);
    }
    if (error instanceof LimitError)
      throw new WorldProblem('This world is too large for a page', error.message);
    throw error;
  }
}
