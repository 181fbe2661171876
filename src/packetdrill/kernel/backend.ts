/*
 * The real kernel as what a script runs against, in real time.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import {
  type Backend,
  type BackendOptions,
  type CommandResult,
  DEVICE,
  setUpCommands,
} from '#packetdrill/backend.ts';
import type { Config } from '#packetdrill/config.ts';
import { KernelCalls } from '#packetdrill/kernel/calls.ts';
import { Device } from '#packetdrill/kernel/device.ts';
import { Arena, Native } from '#packetdrill/kernel/native.ts';
import { Sleeper } from '#packetdrill/kernel/sleeper.ts';
import { decodeFrame } from '#packetdrill/wire.ts';
import { POLLIN } from '#uapi/poll.ts';

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const SCHED_FIFO = 1;
/** Not for children: a command that loops must not keep a processor to itself. */
const SCHED_RESET_ON_FORK = 0x40000000;
const PRIORITY = 50;
const POLLFD_LEN = 8;
const COMMAND_LIMIT_MS = 60_000;
/** Beyond the tolerance, what is awaited has failed to come; until then a failure can tell how late it was. */
const PATIENCE_NS = 2e9;
const SMALL_BYTES = 1 << 20;
const LARGE_BYTES = 48 << 20;

/** What stays from script to script: functions, memory, the thread in which calls sleep. */
export class KernelHost {
  readonly native: Native;
  readonly near: Arena;
  readonly far: Arena;
  readonly sleeper: Sleeper;

  constructor() {
    this.native = new Native();
    this.near = new Arena(this.native, LARGE_BYTES);
    this.far = new Arena(this.native, LARGE_BYTES);
    // Where it is not allowed, times are less sure.
    const lasting = new Arena(this.native, 64);
    const param = lasting.alloc(4);
    lasting.view.setInt32(param, PRIORITY, true);
    const scheduling = [0, SCHED_FIFO | SCHED_RESET_ON_FORK, lasting.at(param)] as const;
    this.native.call('sched_setscheduler', ...scheduling);
    this.sleeper = new Sleeper(this.native, lasting, scheduling);
  }
}

/** What scripts take for granted, as a machine in virtual time has it. */
const CONGESTION_CONTROL = 'cubic';
const CONGESTION_SYSCTL = '/proc/sys/net/ipv4/tcp_congestion_control';
const NO_IPV6 = '/proc/sys/net/ipv6/conf/all/disable_ipv6';

/** Ticks a second of the kernels that distributions ship. */
const HZ = 250;

export class KernelBackend implements Backend {
  readonly calls: KernelCalls;
  readonly patienceNs: number;
  private readonly host: KernelHost;
  private readonly options: BackendOptions;
  private readonly folder: string;
  private readonly memory: Arena;
  private readonly device: Device;
  private readonly pollfds: number;
  private readonly timespec: number;
  /** ns from the monotonic clock to the wall's. */
  private readonly wallOffsetNs: number;

  /** Throws BackendUnavailable. @param folder where commands run */
  constructor(host: KernelHost, options: BackendOptions, folder: string) {
    this.host = host;
    this.options = options;
    this.folder = folder;
    this.memory = new Arena(host.native, SMALL_BYTES);
    this.timespec = this.memory.alloc(16);
    this.patienceNs = PATIENCE_NS;
    this.wallOffsetNs = this.clock(CLOCK_REALTIME) - this.clock(CLOCK_MONOTONIC);
    this.device = new Device(host.native, this.memory, DEVICE);
    this.calls = new KernelCalls(host.native, host.near, host.far, host.sleeper);
    this.pollfds = this.memory.alloc(3 * POLLFD_LEN);
    for (const [i, fd] of [...this.device.fds, host.sleeper.wakeFd].entries()) {
      this.memory.view.setInt32(this.pollfds + POLLFD_LEN * i, fd, true);
      this.memory.view.setInt16(this.pollfds + POLLFD_LEN * i + 4, POLLIN, true);
    }
  }

  /** ns of a clock; wall times lose some hundred of them. */
  private clock(id: number): number {
    const { memory, timespec, host } = this;
    host.native.call('clock_gettime', id, memory.at(timespec));
    return memory.getUint64(timespec) * 1e9 + memory.getUint64(timespec + 8);
  }

  get nowNs(): number {
    return this.clock(CLOCK_MONOTONIC);
  }

  fromWall(sec: number, nsec: number): number {
    return sec * 1e9 + nsec - this.wallOffsetNs;
  }

  lateNs(delayNs: number): number {
    return timerLatenessNs(delayNs);
  }

  async setUp(config: Config): Promise<void> {
    await this.host.sleeper.ready();
    writeSysctl(NO_IPV6, '1');
    if (!writeSysctl(CONGESTION_SYSCTL, CONGESTION_CONTROL)) {
      // Not every kernel lets namespaces choose freely; sockets may.
      const given = readFileSync(CONGESTION_SYSCTL, 'utf8');
      this.calls.congestionControl = () =>
        readFileSync(CONGESTION_SYSCTL, 'utf8') === given ? CONGESTION_CONTROL : '';
    }
    const { status, output } = await this.command(setUpCommands(config).join(' && '));
    if (status !== 0) throw new Error(`the namespace cannot be set up: ${output.trim()}`);
  }

  inject(frame: Uint8Array): number {
    this.drain();
    return this.device.inject(frame);
  }

  private drain(): void {
    this.device.drain((frame, sec, nsec) => {
      const timeNs = sec === 0 ? this.nowNs : this.fromWall(sec, nsec);
      const packet = decodeFrame(frame, timeNs);
      if (packet !== null) this.options.sent(packet);
    });
  }

  runUntil(timeNs: number, until: () => boolean): void {
    const { memory, timespec, host } = this;
    for (;;) {
      this.drain();
      host.sleeper.collect();
      if (until()) return;
      const left = timeNs - this.nowNs;
      if (left <= 0) return;
      memory.setUint64(timespec, Math.floor(left / 1e9));
      memory.setUint64(timespec + 8, Math.floor(left % 1e9));
      host.native.call('ppoll', memory.at(this.pollfds), 3, memory.at(timespec), 0);
    }
  }

  async command(text: string): Promise<CommandResult> {
    const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', text], {
      cwd: this.folder,
      // Scripts that belong together find each other by it.
      env: { ...process.env, PACKETDRILL_PID: String(process.pid) },
      encoding: 'utf8',
      timeout: COMMAND_LIMIT_MS,
    });
    this.drain();
    return { status, output: `${stdout}${stderr}` };
  }

  journeyOf(): readonly [] {
    return [];
  }

  halt(): Record<string, number> {
    this.calls.closeAll();
    const { sleeper } = this.host;
    if (sleeper.busy) this.runUntil(this.nowNs + 1e8, () => !sleeper.busy);
    this.device.close();
    return {};
  }
}

/** Writes a setting of the calling thread's namespace; false when that is not allowed. */
function writeSysctl(name: string, value: string): boolean {
  try {
    writeFileSync(name, value);
    return true;
  } catch {
    return false;
  }
}

/**
 * How late a timer may be: by up to a slot of the wheel's level that its delay belongs to.
 *
 * @kernel calc_wheel_index kernel/time/timer.c
 */
export function timerLatenessNs(delayNs: number): number {
  const ticks = Math.max(0, delayNs) / (1e9 / HZ);
  let slot = 1;
  for (let end = 64; ticks >= end && slot < 8 ** 8; end *= 8) slot *= 8;
  return slot * (1e9 / HZ);
}
