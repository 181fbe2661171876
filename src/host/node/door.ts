/**
 * What a machine's tap device is joined to outside of the machine: a device of the real kernel, a
 * virtual machine. Every door speaks Ethernet frames, most with a virtio header before each, so
 * that checksums and segmentation stay offloaded across it.
 */
import { TUN_F_CSUM, TUN_F_TSO_ECN, TUN_F_TSO4 } from '#uapi/if_tun.ts';

/** Something is missing on this machine that a door needs; the message says what and what to do. */
export class DoorUnavailable extends Error {
  override readonly name = 'DoorUnavailable';
}

/** A door was refused, or what was asked of it makes no sense. */
export class DoorError extends Error {
  override readonly name = 'DoorError';
}

/** Room for the largest frame: a 64 KiB super-packet with its headers. */
export const DOOR_FRAME_SIZE: number = 65536 + 256;

/** Frames taken in one turn of the event loop. */
export const READ_BUDGET = 64;

/** What the machine may leave to a kernel on the other side: TUN_F_* */
export const KERNEL_OFFLOADS: number = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN;

export interface DoorHandlers {
  /** A frame with its virtio header, in a buffer that is only valid during the call. */
  readonly frame: (bytes: Uint8Array) => void;
  /** False: the machine is behind with what it has. Frames that can wait where they are do, until the next turn. */
  readonly ready: () => boolean;
  /** The frames of this turn of the event loop have been taken: the machine looks at them now. */
  readonly idle: () => void;
  /** There is room again, after {@link DoorQueue.room} was null. */
  readonly drain: () => void;
  /** The other side has gone; nothing comes any more. */
  readonly gone: (reason: string) => void;
}

/** One way through a door, both directions. A queue of its own has its own readiness and its own room. */
export interface DoorQueue {
  /** Begins to take frames. Called once. */
  start(handlers: DoorHandlers): void;
  /** Where the next frame goes, with room for DOOR_FRAME_SIZE bytes; null: no room now, wait for `drain`. */
  room(): Uint8Array | null;
  /** Sends the frame that was written there, of that length with its header. */
  send(length: number): void;
  /** Ends a batch: what was sent goes out. */
  flush(): void;
}

/** A door with one queue is that queue itself. */
export interface Door {
  /** Bytes of the virtio header before each frame: 12, 10, or 0 for none. */
  readonly vnetHdrSize: number;
  /** What the other side does for the machine: TUN_F_* */
  readonly offloads: number;
  /** The only link address that the machine's interface may have, e.g. `52:54:00:12:34:56`; null: any. */
  readonly mac: string | null;
  /** Frames that the other side refused or could not take. */
  readonly txErrors: number;
  /** At least one. The frames of a flow come and go by the same. */
  readonly queues: readonly DoorQueue[];
  /**
   * The other side uses the first `count` queues from now on, 1 to all of them; what waits in the others
   * is lost. False: it cannot. Not there: it has one.
   */
  setQueues?(count: number): boolean;
  /** Closes the door. Nothing is called afterwards. */
  close(): void;
}
