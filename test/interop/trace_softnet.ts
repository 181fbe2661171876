/** Plays a scenario of the trace parity test on a machine of ours, in virtual time, and records it. */
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { createTask } from '#kernel/sched/task.ts';
import { parseTopology } from '#sim/topology.ts';
import { steps as recordedSteps } from '#trace/query.ts';
import type { Step as Recorded } from '#trace/record.ts';
import { Recorder } from '#trace/recorder.ts';
import { AF_INET, MSG_DONTWAIT, SO_LINGER, SOL_SOCKET } from '#uapi/socket.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { type Scenario, SETUP, type Step } from './trace_scenarios.ts';

export interface OwnEvent extends Recorded {
  /** Within a system call of the scenario, and not in a timer. */
  readonly inCall: boolean;
  /** `location` of drops and consumes. */
  readonly location: string;
}

export interface OwnRun {
  readonly events: readonly OwnEvent[];
  readonly results: readonly number[];
}

const named = (text: string): string => text.replaceAll('@', '');

function sockaddr(addr: string, port: number): Uint8Array {
  const out = new Uint8Array(16);
  const v = new DataView(out.buffer);
  v.setUint16(0, AF_INET, true);
  v.setUint16(2, port);
  out.set(addr.split('.').map(Number), 4);
  return out;
}

function value(of: number | string): Uint8Array {
  if (typeof of === 'string') return new TextEncoder().encode(of);
  return new Uint8Array(Int32Array.of(of).buffer);
}

const octets = (hex: string): Uint8Array =>
  Uint8Array.from({ length: hex.length / 2 }, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  );

/** The program of a scenario: descriptors by name, system calls by namespace. */
class Driver {
  private readonly lab: Lab;
  private readonly tables: Map<string, SyscallTable>;
  private readonly fds: Map<string, { sys: SyscallTable; fd: number }>;

  constructor(lab: Lab) {
    this.lab = lab;
    this.tables = new Map();
    this.fds = new Map();
  }

  private sys(netns: string): SyscallTable {
    let sys = this.tables.get(netns);
    if (sys === undefined) {
      const machine = this.lab.machine('m');
      sys = makeSyscalls(createTask(machine, 'driver', machine.initNet));
      const err = sys.setns(`/var/run/netns/${netns}`);
      if (err !== 0) throw new Error(`setns ${netns}: ${err}`);
      this.tables.set(netns, sys);
    }
    return sys;
  }

  play(step: Step): number {
    const { world } = this.lab;
    if (step.do === 'mark') return 0;
    if (step.do === 'sleep') {
      world.run({ untilNs: world.nowNs + step.ms * 1e6 });
      return 0;
    }
    const result = this.call(step);
    // What was left to ksoftirqd and the works, without time passing.
    world.run({ untilNs: world.nowNs });
    return result;
  }

  private call(step: Exclude<Step, { do: 'mark' | 'sleep' }>): number {
    if (step.do === 'socket') {
      const sys = this.sys(named(step.netns));
      const fd = sys.socket(AF_INET, step.type, step.protocol);
      this.fds.set(step.id, { sys, fd });
      return fd < 0 ? fd : 0;
    }
    const there = this.fds.get(step.id);
    if (there === undefined) throw new Error(`no socket ${step.id}`);
    const { sys, fd } = there;
    switch (step.do) {
      case 'bind':
        return sys.bind(fd, sockaddr(step.addr, step.port));
      case 'listen':
        return sys.listen(fd, 8);
      case 'connect':
        return 0 - sys.connect(fd, sockaddr(step.addr, step.port));
      case 'accept': {
        const accepted = sys.accept4(fd, null, 0);
        this.fds.set(step.as, { sys, fd: accepted });
        return Math.min(accepted, 0);
      }
      case 'send':
        return sys.sendto(fd, octets(step.hex), 0, null);
      case 'sendto':
        return sys.sendto(fd, octets(step.hex), 0, sockaddr(step.addr, step.port));
      case 'recv':
        return sys.recvfrom(fd, new Uint8Array(65536), MSG_DONTWAIT, null);
      case 'setsockopt':
        return sys.setsockopt(fd, step.level, step.name, value(step.value));
      case 'abort':
        sys.setsockopt(fd, SOL_SOCKET, SO_LINGER, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
        return sys.close(fd);
      case 'close':
        return sys.close(fd);
    }
  }

  close(): void {
    for (const sys of this.tables.values()) sys.exit(0);
  }
}

/** Plays a scenario on a new machine; it must leave nothing behind. */
export async function runOnSoftnet(scenario: Scenario): Promise<OwnRun> {
  const exec = [...SETUP, ...(scenario.setup ?? [])].map(named);
  const spec = parseTopology({ name: 'parity', topology: { nodes: { m: { exec } } } });
  const lab = new Lab(spec, { seed: 1, turn });
  await lab.setUp(() => ({}), { untilNs: 600e9 });
  const driver = new Driver(lab);
  const results: number[] = [];
  const play = (list: readonly Step[] = []): void => {
    for (const step of list) results.push(driver.play(step));
  };
  play(scenario.before);
  const recorder = new Recorder({ bytes: 8 << 20, verbose: true });
  recorder.attach(lab.machine('m'));
  const calls: { from: number; to: number }[] = [];
  for (const step of scenario.steps) {
    const from = recorder.nextSeq;
    results.push(driver.play(step));
    if (step.do !== 'sleep') calls.push({ from, to: recorder.nextSeq });
  }
  recorder.detach();
  play(scenario.after);
  driver.close();
  const left = lab.world.halt();
  if (Object.keys(left).length > 0) throw new Error(`left behind: ${JSON.stringify(left)}`);
  const events = [...recordedSteps(recorder)].map((step) => ({
    ...step,
    inCall: calls.some(({ from, to }) => step.seq >= from && step.seq < to),
    location: recorder.names.text(step.args[1] ?? 0),
  }));
  return { events, results };
}
