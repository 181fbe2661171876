/*
 * A machine that scenarios run on: one of softnet in virtual time, or the real kernel in a
 * namespace of its own. All sockets are non-blocking, so every call is over when it returns, and
 * one process runs hundreds of scenarios on the kernel at once.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { turn } from '#cli/turn.ts';
import { DEFAULT_CONFIG } from '#packetdrill/config.ts';
import { KernelBackend, type KernelHost } from '#packetdrill/kernel/backend.ts';
import { Testbed } from '#packetdrill/testbed.ts';
import type { LivePacket } from '#packetdrill/wire.ts';
import { CLONE_NEWNET, type SyscallTable } from '#uapi/unistd.ts';

export type Calls = Pick<
  SyscallTable,
  | 'socket'
  | 'bind'
  | 'listen'
  | 'accept4'
  | 'connect'
  | 'sendto'
  | 'recvfrom'
  | 'shutdown'
  | 'close'
  | 'setsockopt'
  | 'getsockopt'
  | 'ioctl'
  | 'poll'
>;

export type Settings = readonly (readonly [name: string, value: string])[];

export interface Host {
  readonly calls: Calls;
  readonly nowNs: number;
  /** Makes the host's namespace that of the calls that follow. */
  enter(): void;
  /** Sets the device up, and what is below net.ipv4. */
  prepare(sysctls: Settings): Promise<void>;
  inject(frame: Uint8Array): number;
  /** Hands packets that have left to whoever asked for them. */
  drain(): void;
  /** A file of /proc/net. */
  proc(name: string): Promise<string>;
  halt(): void;
}

export type OnSent = (packet: LivePacket) => void;

/** Runs a machine of softnet. Time passes by `runUntil`. */
export class SoftnetHost implements Host {
  readonly calls: Calls;
  private readonly bed: Testbed;

  constructor(seed: string, sent: OnSent) {
    this.bed = new Testbed({ seed, turn, readFile: () => null, sent });
    this.calls = this.bed.calls.sys;
  }

  get nowNs(): number {
    return this.bed.nowNs;
  }

  enter(): void {
    this.bed.machine.enter(this.bed.nowNs);
  }

  async prepare(sysctls: Settings): Promise<void> {
    await this.bed.setUp(DEFAULT_CONFIG);
    for (const [name, value] of sysctls) {
      const { status, output } = await this.bed.command(`sysctl -q -w "net.ipv4.${name}=${value}"`);
      if (status !== 0) throw new Error(output.trim());
    }
  }

  inject(frame: Uint8Array): number {
    return this.bed.inject(frame);
  }

  drain(): void {
    // Packets are handed over as they leave.
  }

  runUntil(timeNs: number): void {
    this.bed.runUntil(timeNs, () => false);
    this.enter();
  }

  async proc(name: string): Promise<string> {
    return (await this.bed.command(`cat /proc/net/${name}`)).output;
  }

  halt(): void {
    const lost = Object.entries(this.bed.halt());
    if (lost.length > 0) {
      throw new Error(`the machine has lost ${lost.map(([k, n]) => `${n} ${k}`).join(', ')}`);
    }
  }
}

/** The kernel that this process runs on, in a new namespace. */
export class KernelNamespace implements Host {
  readonly calls: Calls;
  private readonly backend: KernelBackend;
  private readonly host: KernelHost;
  private readonly namespace: number;

  constructor(host: KernelHost, sent: OnSent) {
    this.host = host;
    this.backend = new KernelBackend(host, { sent }, '/');
    host.near.reset();
    const path = host.near.pointer(new TextEncoder().encode('/proc/thread-self/ns/net\0'));
    this.namespace = host.native.must('the namespace', 'open', path, 0, 0);
    this.calls = this.directCalls();
  }

  get nowNs(): number {
    return this.backend.nowNs;
  }

  enter(): void {
    this.host.native.must('the namespace', 'setns', this.namespace, CLONE_NEWNET);
  }

  async prepare(sysctls: Settings): Promise<void> {
    this.enter();
    await this.backend.setUp(DEFAULT_CONFIG);
    this.enter();
    for (const [name, value] of sysctls) {
      writeFileSync(`/proc/sys/net/ipv4/${name}`, value);
    }
  }

  inject(frame: Uint8Array): number {
    return this.backend.inject(frame);
  }

  drain(): void {
    this.backend.runUntil(0, () => true);
  }

  async proc(name: string): Promise<string> {
    return readFileSync(`/proc/thread-self/net/${name}`, 'utf8');
  }

  halt(): void {
    this.backend.halt();
    this.host.native.call('close', this.namespace);
  }

  private directCalls(): Calls {
    const { native, near } = this.host;
    const { calls } = this.backend;
    const { sys } = calls;
    return {
      socket: sys.socket,
      bind: sys.bind,
      listen: sys.listen,
      shutdown: sys.shutdown,
      close: (fd) => {
        let closed = 0;
        // None of these sockets lingers, so it is over at once.
        calls.onClose(fd, (result) => {
          closed = result;
        });
        return closed;
      },
      setsockopt: sys.setsockopt,
      getsockopt: sys.getsockopt,
      ioctl: sys.ioctl,
      accept4: (fd, _addr, flags) => native.call('accept4', fd, 0, 0, flags),
      connect: (fd, addr) => {
        near.reset();
        return native.call('connect', fd, near.pointer(addr), addr.length);
      },
      sendto: (fd, buf, flags, addr) => {
        near.reset();
        const to = near.pointer(addr);
        return native.call(
          'sendto',
          fd,
          near.pointer(buf),
          buf.length,
          flags,
          to,
          addr?.length ?? 0,
        );
      },
      recvfrom: (fd, buf, flags) => {
        near.reset();
        const out = near.alloc(buf.length);
        const result = native.call('recvfrom', fd, near.at(out), buf.length, flags, 0, 0);
        near.take(out, buf);
        return result;
      },
      poll: (fds, events, revents) => {
        near.reset();
        const out = near.alloc(8 * fds.length);
        for (const [i, fd] of fds.entries()) {
          near.view.setInt32(out + 8 * i, fd, true);
          near.view.setInt16(out + 8 * i + 4, events[i] ?? 0, true);
        }
        const result = native.call('poll', near.at(out), fds.length, 0);
        for (const i of fds.keys()) revents[i] = near.view.getInt16(out + 8 * i + 6, true);
        return result;
      },
    };
  }
}
