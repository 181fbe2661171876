/*
 * The machine that a script tests, with a tun device between the two.
 */

import { type TunCreateOptions, tunAttach, tunCreate, tunDetach } from '#drivers/net/tun.ts';
import { type TunFile, tunDoRead, tunGetUser } from '#drivers/net/tun_io.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import type { Machine } from '#kernel/machine.ts';
import { createTask } from '#kernel/sched/task.ts';
import {
  type Backend,
  type BackendOptions,
  type CommandResult,
  DEVICE,
  type JourneyStep,
  type MakeBackend,
  setUpCommands,
} from '#packetdrill/backend.ts';
import { Commands, type ReadFile } from '#packetdrill/commands.ts';
import type { Config } from '#packetdrill/config.ts';
import { MachineCalls } from '#packetdrill/machine_calls.ts';
import { decodeFrame, type LivePacket, VNET_HDR_LEN } from '#packetdrill/wire.ts';
import { World } from '#sim/world.ts';
import { placeOf, stepWords } from '#trace/describe.ts';
import { journey } from '#trace/query.ts';
import { CONTEXT_NAMES, KIND_END } from '#trace/record.ts';
import { Recorder } from '#trace/recorder.ts';
import {
  IFF_TUN,
  IFF_VNET_HDR,
  TUN_F_CSUM,
  TUN_F_TSO_ECN,
  TUN_F_TSO4,
  TUN_F_TSO6,
} from '#uapi/if_tun.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { Process, runProcess } from '#user/lib/process.ts';
import { Collector } from '#user/lib/streams.ts';
import { main as sh } from '#user/sh/sh.ts';

/** The script begins at this time of the world: the machine has been up for a while. */
const START_NS = 1e9;

/** How long an expected packet or the end of a call is waited for. */
const PATIENCE_NS = 300e9;

/** Virtual time after which a command that has not ended is given up. */
const COMMAND_LIMIT_NS = 600e9;

const TUN: TunCreateOptions = {
  name: DEVICE,
  flags: IFF_TUN | IFF_VNET_HDR,
  vnetHdrSz: VNET_HDR_LEN,
  offload: TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
};

/** Largest packet: 64 KB and the header in front. */
const FRAME_BYTES = 65536 + VNET_HDR_LEN;

export interface MachineOptions {
  readonly seed: number | string;
  readonly turn: () => Promise<void>;
  readonly readFile: ReadFile;
  /** Records the ways of packets; a run is the same with it and without, and slower. */
  readonly record?: boolean;
}

/** Memory of a recording: a script's last packets are what it is asked for. */
const RECORD_BYTES = 4 << 20;

export interface TestbedOptions extends MachineOptions, BackendOptions {}

/** Runs each script against a fresh machine. */
export function machineBackend(options: MachineOptions): MakeBackend {
  return ({ sent }) => new Testbed({ ...options, sent });
}

export class Testbed implements Backend {
  readonly world: World;
  readonly machine: Machine;
  readonly calls: MachineCalls;
  readonly patienceNs: number;
  /** The script's own task. */
  private readonly sys: SyscallTable;
  private readonly tun: TunFile;
  private readonly commands: Commands;
  private readonly recorder: Recorder | null;
  /** Numbers in the recording of packets that have left. */
  private readonly numbers: WeakMap<LivePacket, number>;
  /** Number in the recording of the packet that came in last. */
  private lastIn: number;

  constructor(options: TestbedOptions) {
    this.world = new World({ seed: options.seed, turn: options.turn });
    this.machine = this.world.boot('dut');
    this.world.run({ untilNs: START_NS });
    // A world at rest stays where it is.
    this.world.nowNs = START_NS;
    this.machine.enter(this.world.nowNs);
    this.recorder = options.record === true ? new Recorder({ bytes: RECORD_BYTES }) : null;
    this.recorder?.attach(this.machine);
    this.numbers = new WeakMap();
    this.lastIn = 0;
    const tun = tunCreate(this.machine.initNet, TUN);
    if (typeof tun === 'number') throw new Error(`no tun device: errno ${-tun}`);
    this.tun = tun;
    const buf = new Uint8Array(FRAME_BYTES);
    tunAttach(tun, {
      readable: () => {
        for (;;) {
          const length = tunDoRead(tun, buf);
          if (length < 0) return;
          const packet = decodeFrame(buf.slice(0, length), this.world.nowNs);
          if (packet === null) continue;
          if (this.recorder !== null) this.numbers.set(packet, lastEnded(this.recorder));
          options.sent(packet);
        }
      },
    });
    this.world.onHalt(() => tunDetach(tun));
    this.sys = makeSyscalls(createTask(this.machine, 'packetdrill', this.machine.initNet));
    this.calls = new MachineCalls(this.sys);
    this.patienceNs = PATIENCE_NS;
    this.commands = new Commands(options.readFile);
  }

  get nowNs(): number {
    return this.world.nowNs;
  }

  lateNs(): number {
    return 0;
  }

  fromWall(sec: number, nsec: number): number {
    return (sec - this.machine.bootEpochSec) * 1e9 + nsec;
  }

  async setUp(config: Config): Promise<void> {
    const { status, output } = await this.command(setUpCommands(config).join(' && '));
    if (status !== 0) throw new Error(`the machine cannot be set up: ${output.trim()}`);
  }

  inject(frame: Uint8Array): number {
    this.machine.enter(this.world.nowNs);
    this.lastIn = this.recorder?.packets.next ?? 0;
    const result = tunGetUser(this.tun, frame);
    return result < 0 ? result : 0;
  }

  runUntil(timeNs: number, until: () => boolean): void {
    const { world } = this;
    if (until()) return;
    if (world.nowNs <= timeNs) world.run({ untilNs: timeNs, until });
    if (!until() && world.nowNs < timeNs) world.nowNs = timeNs;
  }

  async command(text: string): Promise<CommandResult> {
    const said = new Collector();
    const { env, find: programs } = this.commands;
    const argv = ['sh', '-c', text];
    const program = this.world.spawn(this.machine, 'sh', (sys, fork) => {
      return runProcess(
        sh,
        new Process({ sys, fork, argv, env, programs, stdout: said, stderr: said }),
      );
    });
    await this.world.runPrograms({
      untilNs: this.world.nowNs + COMMAND_LIMIT_NS,
      until: () => program.status !== null,
    });
    return { status: program.status, output: said.text() };
  }

  journeyOf(packet: LivePacket | null): readonly JourneyStep[] {
    const { recorder } = this;
    const number = packet === null ? this.lastIn : (this.numbers.get(packet) ?? 0);
    if (recorder === null || number === 0) return [];
    return journey(recorder, number).map((step) => {
      const words = stepWords(recorder, step);
      const place = placeOf(recorder, step);
      const context = (CONTEXT_NAMES[step.context] ?? '').padEnd(7);
      const text = `${context} ${place}${words === '' ? '' : ` (${words})`}`;
      return { timeNs: step.timeNs, text };
    });
  }

  halt(): Record<string, number> {
    this.sys.exit(0);
    return this.world.halt()['dut'] ?? {};
  }
}

/** The packet whose end was recorded last: the device has just been read. */
function lastEnded({ ring }: Recorder): number {
  for (let seq = ring.next - 1; seq >= ring.first; seq--) {
    if (ring.kind(seq) === KIND_END) return ring.packet(seq);
  }
  return 0;
}
