/** Machines in real time that talk over shared memory, in this thread or another. */
import { bootReal, forkReal, haltReal, type RealHost } from '#host/node/real_host.ts';
import { type ShmemCable, ShmemLink } from '#host/node/shmem_link.ts';
import { defconfig } from '#init/defconfig.ts';
import type { Machine } from '#kernel/machine.ts';
import { AF_INET, SOCK_STREAM } from '#uapi/socket.ts';
import { type Main, Process, runProcess } from '#user/lib/process.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { Collector } from '#user/lib/streams.ts';
import { findProgram, main as sh } from '#user/sh/sh.ts';

export class RealMachine {
  readonly machine: Machine;
  readonly host: RealHost;
  private readonly links: ShmemLink[];

  constructor(name: string) {
    const { machine, host } = bootReal({ name, modules: defconfig, seed: name });
    this.machine = machine;
    this.host = host;
    this.links = [];
  }

  plug(cable: ShmemCable, end: 0 | 1, ifname: string, mac?: Uint8Array): ShmemLink {
    const options = mac === undefined ? { ifname } : { ifname, mac };
    const link = new ShmemLink(this.host, this.machine.initNet, cable, end, options);
    this.links.push(link);
    return link;
  }

  /** Runs a program to its end; its exit status. */
  async run(
    main: Main,
    argv: readonly string[],
    stdout: Collector = new Collector(),
  ): Promise<number> {
    const fork = (child: string): ReturnType<typeof forkReal> =>
      forkReal(this.machine, this.host, child);
    const sys = fork(argv[0] ?? '');
    const stderr = new Collector();
    const process = new Process({ sys, argv, fork, programs: findProgram, stdout, stderr });
    const status = await runProcess(main, process);
    sys.exit(status);
    if (status !== 0) throw new Error(`${argv.join(' ')}: status ${status}\n${stderr.text()}`);
    return status;
  }

  /** Runs shell lines; what they print. */
  async sh(...lines: readonly string[]): Promise<string> {
    const stdout = new Collector();
    for (const line of lines) await this.run(sh, ['sh', '-c', line], stdout);
    return stdout.text();
  }

  /** Halts the machine: what is still alive. */
  end(): Record<string, number> {
    const left = haltReal(this.machine, this.host);
    for (const link of this.links) link.close();
    return left;
  }
}

export const ECHO_PORT = 7;

/** Gives back what each of `connections` peers sends, then ends. */
export function echoServer(connections: number): Main {
  return async (p) => {
    const listener = p.libc.socket(AF_INET, SOCK_STREAM);
    p.libc.bind(listener, encodeSockaddr4(0, ECHO_PORT));
    p.libc.listen(listener, 128);
    const serve = async (fd: number): Promise<void> => {
      const buffer = new Uint8Array(65536);
      for (let n = await p.libc.recv(fd, buffer); n > 0; n = await p.libc.recv(fd, buffer)) {
        for (let sent = 0; sent < n; ) sent += await p.libc.send(fd, buffer.subarray(sent, n));
      }
      p.libc.close(fd);
    };
    const served: Promise<void>[] = [];
    for (let i = 0; i < connections; i++) served.push(serve((await p.libc.accept(listener)).fd));
    await Promise.all(served);
    return 0;
  };
}

/** Sends `size` bytes to the echo server of `address`, and checks that the same come back. */
export function echoClient(address: number, size: number): Main {
  return async (p) => {
    const fd = p.libc.socket(AF_INET, SOCK_STREAM);
    await p.libc.connect(fd, encodeSockaddr4(address, ECHO_PORT));
    const byteAt = (at: number): number => (Math.imul(at, 2654435761) >>> 23) & 255;
    const send = async (): Promise<void> => {
      const chunk = new Uint8Array(65536);
      for (let sent = 0; sent < size; ) {
        const n = Math.min(chunk.length, size - sent);
        for (let i = 0; i < n; i++) chunk[i] = byteAt(sent + i);
        for (let at = 0; at < n; ) at += await p.libc.send(fd, chunk.subarray(at, n));
        sent += n;
      }
      p.libc.shutdown(fd, 1);
    };
    const receive = async (): Promise<void> => {
      const buffer = new Uint8Array(65536);
      let got = 0;
      for (let n = await p.libc.recv(fd, buffer); n > 0; n = await p.libc.recv(fd, buffer)) {
        for (let i = 0; i < n; i++) {
          if (buffer[i] !== byteAt(got + i)) throw new Error(`byte ${got + i} is wrong`);
        }
        got += n;
      }
      if (got !== size) throw new Error(`${got} bytes of ${size} came back`);
    };
    await Promise.all([send(), receive()]);
    p.libc.close(fd);
    return 0;
  };
}
