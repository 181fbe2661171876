/** Plays a case on a new machine of ours, in virtual time. */
import { makeSyscalls } from '#init/syscalls.ts';
import { createTask } from '#kernel/sched/task.ts';
import { O_NONBLOCK, O_RDWR } from '#uapi/fcntl.ts';
import { IFNAMSIZ, ifreq } from '#uapi/if.ts';
import { IFF_NO_PI, IFF_TAP, TUNSETIFF } from '#uapi/if_tun.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { Box } from '../../cli/machine.ts';
import { type Case, fromHex, type SentFrame, type Step, type StepResult, toHex } from './steps.ts';

const FRAME_SIZE = 70_000;
/** Virtual time that a step takes: the kernel's take about as long. */
const STEP_NS = 100e3;

/** Room that shows which octets were not written. */
const roomOf = (size: number): Uint8Array => new Uint8Array(size).fill(0xaa);

class Player {
  private readonly box: Box;
  private readonly stepNs: number;
  private readonly sys: SyscallTable;
  private readonly taps: Map<string, number>;
  private readonly slots: Map<number, number>;
  private readonly frame: Uint8Array;

  constructor(box: Box, stepNs: number) {
    this.stepNs = stepNs;
    this.box = box;
    this.sys = makeSyscalls(createTask(box.machine, 'player', box.machine.initNet));
    this.taps = new Map();
    this.slots = new Map();
    this.frame = new Uint8Array(FRAME_SIZE);
  }

  async play(step: Step): Promise<StepResult> {
    const result = await this.do(step);
    this.pass(this.stepNs);
    return [result, this.frames()];
  }

  /** Lets time pass, also where nothing happens. */
  private pass(ns: number): void {
    const { world, machine } = this.box;
    const untilNs = world.nowNs + ns;
    world.schedule(untilNs, () => machine.enter(untilNs));
    world.run({ untilNs });
  }

  close(): void {
    this.sys.exit(0);
  }

  private frames(): SentFrame[] {
    const out: SentFrame[] = [];
    for (const [name, fd] of this.taps) {
      for (;;) {
        const length = this.sys.read(fd, this.frame);
        if (length < 0) break;
        out.push([name, toHex(this.frame.subarray(0, length))]);
      }
    }
    return out;
  }

  private async do(step: Step): Promise<unknown> {
    const { box, sys } = this;
    switch (step[0]) {
      case 'tap':
        return this.tap(step[1]);
      case 'frame':
        return sys.write(this.taps.get(step[1]) ?? -1, fromHex(step[2]));
      case 'sleep':
        this.pass(step[1] * 1e6);
        return 0;
      case 'sysctl':
        return this.writeSetting(step[1], step[2]);
      case 'ip': {
        const { status, stdout } = await box.run(
          ['ip', '-batch', '-'],
          `${step.slice(1).join('\n')}\n`,
        );
        return [status, stdout];
      }
      case 'read':
        return this.readText(step[1]);
      default:
        return this.call(step);
    }
  }

  private tap(name: string): number {
    const fd = this.sys.open('/dev/net/tun', O_RDWR | O_NONBLOCK);
    const request = new Uint8Array(ifreq.LEN);
    request.set(new TextEncoder().encode(name));
    new DataView(request.buffer).setUint16(IFNAMSIZ, IFF_TAP | IFF_NO_PI, true);
    const err = this.sys.ioctl(fd, TUNSETIFF, request);
    if (err < 0) throw new Error(`TUNSETIFF: ${err}`);
    this.taps.set(name, fd);
    return 0;
  }

  private writeSetting(name: string, value: string): number {
    const fd = this.sys.open(`/proc/sys/${name.replaceAll('.', '/')}`, O_RDWR);
    if (fd < 0) return fd;
    const written = this.sys.write(fd, new TextEncoder().encode(value));
    this.sys.close(fd);
    return Math.min(written, 0);
  }

  private readText(path: string): string {
    const fd = this.sys.open(path, 0);
    if (fd < 0) throw new Error(`${path}: ${fd}`);
    const buffer = new Uint8Array(65_536);
    let text = '';
    for (let n = this.sys.read(fd, buffer); n > 0; n = this.sys.read(fd, buffer)) {
      text += new TextDecoder().decode(buffer.subarray(0, n));
    }
    this.sys.close(fd);
    return text;
  }

  private call(step: Step): unknown {
    const { sys } = this;
    const fd = this.slots.get(step[1] as number) ?? 9999;
    switch (step[0]) {
      case 'socket': {
        const made = sys.socket(step[2], step[3] | O_NONBLOCK, step[4]);
        if (made >= 0) this.slots.set(step[1], made);
        return Math.min(made, 0);
      }
      case 'bind':
        return sys.bind(fd, fromHex(step[2]));
      case 'connect':
        return sys.connect(fd, fromHex(step[2]));
      case 'listen':
        return sys.listen(fd, step[2]);
      case 'accept':
        return this.accept(fd, step[2], step[3]);
      case 'getsockname':
        return filled(step[2], (room) => sys.getsockname(fd, room));
      case 'getpeername':
        return filled(step[2], (room) => sys.getpeername(fd, room));
      case 'setsockopt':
        return sys.setsockopt(fd, step[2], step[3], fromHex(step[4]));
      case 'getsockopt':
        return filled(step[4], (room) => sys.getsockopt(fd, step[2], step[3], room));
      case 'shutdown':
        return sys.shutdown(fd, step[2]);
      case 'close':
        this.slots.delete(step[1]);
        return sys.close(fd);
      case 'ioctl': {
        const room = fromHex(step[3]);
        return [sys.ioctl(fd, step[2], room), toHex(room)];
      }
      case 'sendmsg':
        return this.sendmsg(fd, step[2], step[3], step[4], step[5]);
      case 'recvmsg':
        return this.recvmsg(fd, step[2], step[3], step[4], step[5]);
      default:
        throw new Error(`no step ${step[0]}`);
    }
  }

  private accept(fd: number, as: number, size: number): unknown {
    const room = roomOf(size);
    const made = this.sys.accept4(fd, room, O_NONBLOCK);
    if (made < 0) return [made];
    this.slots.set(as, made);
    return [0, 16, toHex(room)];
  }

  private sendmsg(
    fd: number,
    data: string,
    flags: number,
    name: string | null,
    control: string | null,
  ): number {
    const bytes = (text: string | null): Uint8Array | null =>
      text === null ? null : fromHex(text);
    const msg = {
      name: bytes(name),
      namelen: (name ?? '').length / 2,
      iov: [fromHex(data)],
      control: bytes(control),
      controllen: (control ?? '').length / 2,
      flags: 0,
    };
    return this.sys.sendmsg(fd, msg, flags);
  }

  private recvmsg(
    fd: number,
    size: number,
    namelen: number,
    controllen: number,
    flags: number,
  ): unknown {
    const data = roomOf(size);
    const name = namelen > 0 ? roomOf(namelen) : null;
    const control = controllen > 0 ? roomOf(controllen) : null;
    const msg = { name, namelen, iov: [data], control, controllen, flags: 0 };
    const got = this.sys.recvmsg(fd, msg, flags);
    if (got < 0) return [got];
    return [
      got,
      toHex(data.subarray(0, got)),
      msg.namelen,
      name === null ? '' : toHex(name.subarray(0, msg.namelen)),
      control === null ? '' : toHex(control.subarray(0, msg.controllen)),
      msg.flags,
    ];
  }
}

function filled(size: number, call: (room: Uint8Array) => number): unknown {
  const room = roomOf(size);
  const result = call(room);
  return result < 0 ? [result] : [result, toHex(room)];
}

/** Throws when the machine does, or when something is left behind. */
export async function playOnSoftnet({ name, steps }: Case, settleMs = 0): Promise<StepResult[]> {
  const box = new Box(name);
  const player = new Player(box, STEP_NS + settleMs * 1e6);
  const results: StepResult[] = [];
  for (const step of steps) results.push(await player.play(step));
  player.close();
  const left = box.halt();
  if (Object.keys(left).length > 0) throw new Error(`left behind: ${JSON.stringify(left)}`);
  return results;
}
