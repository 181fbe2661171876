/**
 * A door of one's own: the frames of a machine in real time travel in UDP datagrams of the host, as
 * in a tunnel. The interface `Door` says what each function has to do.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import {
  DOOR_FRAME_SIZE,
  type Door,
  type DoorHandlers,
  type DoorQueue,
} from 'softnet/host/node/door';
import { DoorLink } from 'softnet/host/node/door_link';
import { bootReal, forkReal, haltReal } from 'softnet/host/node/real_host';
import { defconfig } from 'softnet/init/defconfig';
import { Process, runProcess } from 'softnet/user/lib/process';
import { Collector } from 'softnet/user/lib/streams';
import { findProgram, main as sh } from 'softnet/user/sh/sh';

/** Datagrams that the host's socket may hold before the machine is told to wait. */
const IN_FLIGHT = 64;

class UdpDoor implements Door, DoorQueue {
  readonly vnetHdrSize = 0;
  readonly offloads = 0;
  readonly mac = null;
  readonly queues: readonly DoorQueue[] = [this];
  txErrors = 0;
  private readonly socket: Socket;
  private readonly toPort: number;
  private readonly frame = new Uint8Array(DOOR_FRAME_SIZE);
  private handlers: DoorHandlers | null = null;
  private inFlight = 0;

  constructor(socket: Socket, toPort: number) {
    this.socket = socket;
    this.toPort = toPort;
  }

  start(handlers: DoorHandlers): void {
    this.handlers = handlers;
    this.socket.on('message', (bytes) => {
      handlers.frame(bytes);
      handlers.idle();
    });
    this.socket.on('error', (error) => handlers.gone(error.message));
  }

  room(): Uint8Array | null {
    return this.inFlight < IN_FLIGHT ? this.frame : null;
  }

  send(length: number): void {
    this.inFlight++;
    this.socket.send(this.frame.slice(0, length), this.toPort, '127.0.0.1', (error) => {
      if (error !== null) this.txErrors++;
      if (this.inFlight-- === IN_FLIGHT) this.handlers?.drain();
    });
  }

  flush(): void {}

  close(): void {
    this.handlers = null;
    this.socket.close();
  }
}

/** One end of the tunnel. */
export interface TunnelEnd {
  /** A program's process on the machine, e.g. for sockets. */
  readonly process: (name: string) => Process;
  /** Runs a command there; what it printed. Throws Error when it fails. */
  readonly sh: (command: string) => Promise<string>;
  /** Takes all away; what is still alive then, by kind: nothing. */
  readonly close: () => object;
}

/** A socket for an end, on a free port. */
export async function openSocket(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

/** Boots a machine whose interface tun0 leads to the UDP port of another. */
export async function openEnd(
  name: string,
  socket: Socket,
  toPort: number,
  address: string,
): Promise<TunnelEnd> {
  const { machine, host } = bootReal({ name, modules: defconfig });
  const link = new DoorLink(host, machine.initNet, new UdpDoor(socket, toPort), {
    ifname: 'tun0',
    onGone: (reason) => process.emitWarning(`${name}: the tunnel has gone: ${reason}`),
  });
  const fork = (program: string): ReturnType<typeof forkReal> => forkReal(machine, host, program);
  const end: TunnelEnd = {
    process: (program) => new Process({ sys: fork(program), argv: [program] }),
    async sh(command) {
      const out = new Collector();
      const argv = ['sh', '-c', command];
      const options = {
        sys: fork('sh'),
        argv,
        stdout: out,
        stderr: out,
        programs: findProgram,
        fork,
      };
      const p = new Process(options);
      const status = await runProcess(sh, p);
      p.sys.exit(status);
      if (status !== 0) throw new Error(`${command}: status ${status}: ${out.text()}`);
      return out.text();
    },
    close() {
      link.close();
      return haltReal(machine, host);
    },
  };
  await end.sh(`ip addr add ${address} dev tun0; ip link set tun0 mtu 1400; ip link set tun0 up`);
  return end;
}
