/**
 * A macvtap device of the real kernel: a MAC address of its own on another interface, whose frames
 * come through /dev/tapN. It needs nothing but files. With koffi the event loop says when a frame is
 * there; without, the file is asked again and again, less often while it is silent.
 *
 *   ip link add link eth0 name mvt0 type macvtap mode bridge && ip link set mvt0 up
 */
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import {
  DOOR_FRAME_SIZE,
  type Door,
  DoorError,
  type DoorHandlers,
  type DoorQueue,
  DoorUnavailable,
  KERNEL_OFFLOADS,
  READ_BUDGET,
} from '#host/node/door.ts';
import { findLibc, type PollHandle } from '#host/node/libc.ts';
import { virtioNetHdr } from '#uapi/virtio_net.ts';

/** How long the file may have been silent to be asked in every turn of the loop, in ms. */
const BUSY_MS = 2;
/** Between two looks at a silent file. */
const QUIET_MS = 1;
/** Between two looks whether the device is still there: the kernel does not tell. */
const ALIVE_MS = 1000;

export interface MacvtapOptions {
  /** False: do without koffi even where it is installed. */
  readonly koffi?: boolean;
}

export class Macvtap implements Door, DoorQueue {
  readonly name: string;
  /** Macvtap's own default. */
  readonly vnetHdrSize: number = virtioNetHdr.LEN;
  readonly offloads: number = KERNEL_OFFLOADS;
  /** Link address of the device: the machine's frames must come from it. */
  readonly mac: string;
  readonly queues: readonly DoorQueue[];
  txErrors: number;
  private readonly fd: number;
  private readonly rx: Uint8Array;
  private readonly tx: Uint8Array;
  private readonly koffi: boolean;
  private handle: PollHandle | null;
  private immediate: NodeJS.Immediate | null;
  private timer: NodeJS.Timeout | null;
  private alive: NodeJS.Timeout | null;
  private closed: boolean;

  /** Throws DoorError when there is no such device, DoorUnavailable when its file cannot be opened. */
  constructor(name: string, options: MacvtapOptions = {}) {
    const folder = `/sys/class/net/${name}`;
    if (name === '' || name.includes('/') || !existsSync(folder)) {
      throw new DoorError(`there is no interface '${name}'`);
    }
    if (!existsSync(`${folder}/macvtap`)) throw new DoorError(`'${name}' is no macvtap device`);
    const file = `/dev/tap${readFileSync(`${folder}/ifindex`, 'utf8').trim()}`;
    this.name = name;
    this.mac = readFileSync(`${folder}/address`, 'utf8').trim();
    try {
      this.fd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK | 0o2000000);
    } catch (error) {
      throw new DoorUnavailable(
        `cannot open ${file}, the file of ${name}: ${(error as Error).message}`,
      );
    }
    this.koffi = options.koffi ?? true;
    this.rx = new Uint8Array(DOOR_FRAME_SIZE);
    this.tx = new Uint8Array(DOOR_FRAME_SIZE);
    this.queues = [this];
    this.txErrors = 0;
    this.handle = null;
    this.immediate = null;
    this.timer = null;
    this.alive = null;
    this.closed = false;
  }

  start(handlers: DoorHandlers): void {
    this.alive = setInterval(() => {
      if (existsSync(`/sys/class/net/${this.name}/macvtap`)) return;
      if (this.alive !== null) clearInterval(this.alive);
      handlers.gone(`the interface ${this.name} was removed`);
    }, ALIVE_MS);
    const libc = this.koffi ? findLibc() : null;
    if (libc === null) {
      this.ask(handlers, 0);
      return;
    }
    this.handle = libc.poll(this.fd, (status) => {
      if (status < 0) handlers.gone(`poll status ${status}`);
      else this.drain(handlers);
    });
  }

  room(): Uint8Array {
    return this.tx;
  }

  send(length: number): void {
    try {
      writeSync(this.fd, this.tx, 0, length);
    } catch {
      this.txErrors++;
    }
  }

  flush(): void {}

  /** Leaves the device there. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.handle?.close();
    if (this.immediate !== null) clearImmediate(this.immediate);
    if (this.timer !== null) clearTimeout(this.timer);
    if (this.alive !== null) clearInterval(this.alive);
    closeSync(this.fd);
  }

  /** Looks for frames, and again soon: `since` is when the last one came, in ms. */
  private ask(handlers: DoorHandlers, since: number): void {
    this.immediate = null;
    this.timer = null;
    const taken = this.drain(handlers);
    if (taken < 0 || this.closed) return;
    const now = performance.now();
    const last = taken > 0 ? now : since;
    if (now - last < BUSY_MS) this.immediate = setImmediate(() => this.ask(handlers, last));
    else this.timer = setTimeout(() => this.ask(handlers, last), QUIET_MS);
  }

  /** Takes frames; how many, or -1 when the device is gone. */
  private drain(handlers: DoorHandlers): number {
    const taken = this.takeFrames(handlers);
    if (taken >= 0 && !this.closed) handlers.idle();
    return taken;
  }

  private takeFrames(handlers: DoorHandlers): number {
    for (let i = 0; i < READ_BUDGET; i++) {
      if (this.closed || !handlers.ready()) return i;
      let length: number;
      try {
        length = readSync(this.fd, this.rx, 0, DOOR_FRAME_SIZE, null);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EAGAIN') return i;
        handlers.gone(`read: ${code ?? error}`);
        return -1;
      }
      if (length > 0) handlers.frame(this.rx.subarray(0, length));
    }
    return READ_BUDGET;
  }
}
