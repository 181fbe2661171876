/*
 * What a script runs against: a machine of softnet in virtual time, or the real kernel in real
 * time. The interpreter knows no more of either than what stands here.
 */

import { inNtop4 } from '#lib/parse_addr.ts';
import { type Config, gatewayOf } from '#packetdrill/config.ts';
import type { LivePacket } from '#packetdrill/wire.ts';
import type { EpollEvent, SyscallTable, UserMsghdr } from '#uapi/unistd.ts';
import type { Done } from '#user/lib/wait.ts';

/** System calls that never sleep. */
export type PlainCalls = Pick<
  SyscallTable,
  | 'socket'
  | 'bind'
  | 'listen'
  | 'getsockname'
  | 'shutdown'
  | 'setsockopt'
  | 'getsockopt'
  | 'dup'
  | 'fcntl'
  | 'ioctl'
  | 'open'
  | 'pipe2'
  | 'epollCreate1'
  | 'epollCtl'
>;

/** System calls as scripts make them: those that may sleep hand their results over when they wake. */
export interface ScriptCalls {
  readonly sys: PlainCalls;
  onAccept(fd: number, addr: Uint8Array | null, flags: number, done: Done): void;
  onClose(fd: number, done: Done): void;
  onConnect(fd: number, addr: Uint8Array, done: Done): void;
  onRead(fd: number, buf: Uint8Array, done: Done): void;
  onWrite(fd: number, buf: Uint8Array, done: Done): void;
  onRecv(fd: number, buf: Uint8Array, flags: number, addr: Uint8Array | null, done: Done): void;
  onSend(fd: number, buf: Uint8Array, flags: number, addr: Uint8Array | null, done: Done): void;
  /** `msg` is filled when `done` is called. */
  onRecvmsg(fd: number, msg: UserMsghdr, flags: number, done: Done): void;
  onSendmsg(fd: number, msg: UserMsghdr, flags: number, done: Done): void;
  /** `revents` is filled when `done` is called. @param timeoutMs < 0: no bound */
  onPoll(
    fds: Int32Array,
    events: Int16Array,
    revents: Int16Array,
    timeoutMs: number,
    done: Done,
  ): void;
  onEpollWait(epfd: number, events: EpollEvent[], timeoutMs: number, done: Done): void;
  /** `offset`: the position in the source, which moves; null for the source's own. */
  onSendfile(
    outfd: number,
    infd: number,
    offset: Float64Array | null,
    count: number,
    done: Done,
  ): void;
  onSplice(
    fdIn: number,
    offIn: Float64Array | null,
    fdOut: number,
    offOut: Float64Array | null,
    len: number,
    flags: number,
    done: Done,
  ): void;
}

export interface CommandResult {
  /** Null: it did not end. */
  readonly status: number | null;
  readonly output: string;
}

/** One step of a packet's way through the machine. */
export interface JourneyStep {
  /** The backend's time. */
  readonly timeNs: number;
  /** Where, and what happened there. */
  readonly text: string;
}

export interface Backend {
  /** ns since some moment of its own. */
  readonly nowNs: number;
  readonly calls: ScriptCalls;
  /** How long something is waited for that does not come. */
  readonly patienceNs: number;
  /** How much later than asked, beyond the tolerance, a timer of this delay may be. */
  lateNs(delayNs: number): number;
  /** The backend's time of a wall time. */
  fromWall(sec: number, nsec: number): number;
  /** Addresses and routes of the device, and whatever a script may take for granted. */
  setUp(config: Config): Promise<void>;
  /** Gives the device a packet, behind a virtio_net_hdr; 0 or a negative errno. */
  inject(frame: Uint8Array): number;
  /** Lets time pass until then, or until something makes `until` true. */
  runUntil(timeNs: number, until: () => boolean): void;
  /** Runs a command in the machine's shell, to its end. */
  command(text: string): Promise<CommandResult>;
  /**
   * The way of a packet that has left; of the last that came in, for null. Empty where nothing is
   * recorded.
   */
  journeyOf(packet: LivePacket | null): readonly JourneyStep[];
  /** Takes everything down; what the machine has lost, empty when all is well. */
  halt(): Record<string, number>;
}

/** Something is missing on this host; the message says what. */
export class BackendUnavailable extends Error {
  override readonly name = 'BackendUnavailable';
}

export interface BackendOptions {
  /** Called with each packet that leaves the machine. */
  readonly sent: (packet: LivePacket) => void;
}

/** Makes what one script runs against. */
export type MakeBackend = (options: BackendOptions) => Backend;

/** Name of the device that leads to the remote side. */
export const DEVICE = 'tun0';

/** The commands of `ip` that set the device up. */
export function setUpCommands(config: Config): string[] {
  const { localIp, remoteIp, prefixLength, mtu } = config;
  return [
    'ip link set lo up',
    `ip link set ${DEVICE} mtu ${mtu} up`,
    `ip addr add ${inNtop4(localIp)}/${prefixLength} dev ${DEVICE}`,
    `ip route add ${inNtop4(remoteIp)} via ${inNtop4(gatewayOf(config))} dev ${DEVICE}`,
  ];
}
