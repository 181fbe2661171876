/*
 * The machine that a script tests, with a tun device between the two.
 */

import { type TunCreateOptions, tunAttach, tunCreate, tunDetach } from '#drivers/net/tun.ts';
import { type TunFile, tunDoRead, tunGetUser } from '#drivers/net/tun_io.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import type { Machine } from '#kernel/machine.ts';
import { createTask } from '#kernel/sched/task.ts';
import { decodeFrame, type LivePacket, VNET_HDR_LEN } from '#packetdrill/wire.ts';
import { World } from '#sim/world.ts';
import {
  IFF_TUN,
  IFF_VNET_HDR,
  TUN_F_CSUM,
  TUN_F_TSO_ECN,
  TUN_F_TSO4,
  TUN_F_TSO6,
} from '#uapi/if_tun.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { Libc } from '#user/lib/libc.ts';
import { type Main, Process, runProcess } from '#user/lib/process.ts';
import { Collector } from '#user/lib/streams.ts';

/** The script begins at this time of the world: the machine has been up for a while. */
export const START_NS = 1e9;

/** Virtual time after which a command that has not ended is given up. */
const COMMAND_LIMIT_NS = 600e9;

const TUN: TunCreateOptions = {
  name: 'tun0',
  flags: IFF_TUN | IFF_VNET_HDR,
  vnetHdrSz: VNET_HDR_LEN,
  offload: TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
};

/** Largest packet: 64 KB and the header in front. */
const FRAME_BYTES = 65536 + VNET_HDR_LEN;

export interface CommandResult {
  /** Null: it did not end. */
  readonly status: number | null;
  readonly output: string;
}

export interface TestbedOptions {
  readonly seed: number | string;
  readonly turn: () => Promise<void>;
  /** Called with each packet that leaves the machine, when it leaves. */
  readonly sent: (packet: LivePacket) => void;
}

export class Testbed {
  readonly world: World;
  readonly machine: Machine;
  /** The script's own task. */
  readonly sys: SyscallTable;
  readonly libc: Libc;
  private readonly tun: TunFile;

  constructor(options: TestbedOptions) {
    this.world = new World({ seed: options.seed, turn: options.turn });
    this.machine = this.world.boot('dut');
    this.world.run({ untilNs: START_NS });
    // A world at rest stays where it is.
    this.world.nowNs = START_NS;
    this.machine.enter(this.world.nowNs);
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
          if (packet !== null) options.sent(packet);
        }
      },
    });
    this.world.onHalt(() => tunDetach(tun));
    this.sys = makeSyscalls(createTask(this.machine, 'packetdrill', this.machine.initNet));
    this.libc = new Libc(this.sys);
  }

  /** Gives the machine a packet; 0 or a negative errno. */
  inject(frame: Uint8Array): number {
    this.machine.enter(this.world.nowNs);
    const result = tunGetUser(this.tun, frame);
    return result < 0 ? result : 0;
  }

  /** Lets time pass until then, or until something makes `until` true. */
  runUntil(timeNs: number, until: () => boolean): void {
    if (until()) return;
    this.world.run({ untilNs: timeNs, until });
  }

  /** Runs a program of the machine to its end. */
  async command(
    main: Main,
    argv: readonly string[],
    env: Readonly<Record<string, string>>,
    programs: (name: string) => Main | null,
  ): Promise<CommandResult> {
    const said = new Collector();
    const program = this.world.spawn(this.machine, argv[0] ?? '', (sys, fork) => {
      return runProcess(
        main,
        new Process({ sys, fork, argv, env, programs, stdout: said, stderr: said }),
      );
    });
    await this.world.runPrograms({
      untilNs: this.world.nowNs + COMMAND_LIMIT_NS,
      until: () => program.status !== null,
    });
    return { status: program.status, output: said.text() };
  }

  /** Halts the machine; what it has lost, empty when all is well. */
  halt(): Record<string, number> {
    this.sys.exit(0);
    return this.world.halt()['dut'] ?? {};
  }
}
