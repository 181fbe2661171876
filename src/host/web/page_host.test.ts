import { afterEach, describe, expect, it } from 'vitest';
import { bootPage, haltPage, plugFrames, plugPort } from '#host/web/page_host.ts';
import { type FramePort, newTask, setAddress } from '#init/core.ts';
import type { Machine } from '#kernel/machine.ts';
import { AF_INET, SOCK_DGRAM } from '#uapi/socket.ts';
import { connect, listen } from '#user/api/sockets.ts';
import { Libc } from '#user/lib/libc.ts';
import { Process } from '#user/lib/process.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';

describe('machines in a page', () => {
  let halts: (() => object)[] = [];

  function boot(name: string): Machine {
    const { machine, host } = bootPage({ name });
    halts.push(() => haltPage(machine, host));
    return machine;
  }

  /** Gives it its address; the system calls of a program there. */
  function up(machine: Machine, address: string): Process {
    const sys = newTask(machine, 'page');
    expect(setAddress(sys, 'eth0', address, 24)).toBe(0);
    return new Process({ sys, argv: ['page'] });
  }

  afterEach(() => {
    for (const halt of halts) expect(halt()).toEqual({});
    halts = [];
  });

  it('speak TCP and UDP over message ports', async () => {
    const { port1, port2 } = new MessageChannel();
    const gateway = boot('gateway');
    const guest = boot('guest');
    plugPort(gateway, 'eth0', port1);
    plugPort(guest, 'eth0', port2);
    const here = up(gateway, '10.0.2.2');
    const there = up(guest, '10.0.2.15');

    const server = listen(here, '10.0.2.2:80');
    const serve = async (): Promise<void> => {
      for await (const socket of server.connections) {
        await socket.readable.pipeTo(socket.writable);
        return;
      }
    };
    const served = serve();
    const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);
    const socket = connect(there, '10.0.2.2:80', { allowHalfOpen: true });
    const writer = socket.writable.getWriter();
    const written = writer.write(bytes).then(() => writer.close());
    const echo: number[] = [];
    for await (const chunk of socket.readable) echo.push(...chunk);
    await Promise.all([written, served]);
    server.close();
    expect(Uint8Array.from(echo)).toEqual(bytes);

    const a = new Libc(here.sys);
    const b = new Libc(there.sys);
    const asked = a.socket(AF_INET, SOCK_DGRAM);
    a.bind(asked, encodeSockaddr4(0, 53));
    await b.sendto(b.socket(AF_INET, SOCK_DGRAM), Uint8Array.of(1, 2), {
      addr: 0x0a000202,
      port: 53,
    });
    const datagram = await a.recvfrom(asked, new Uint8Array(100));
    expect(datagram).toMatchObject({ length: 2, from: { addr: 0x0a00020f } });
    port1.close();
  });

  it('hand on what waits behind a frame that nobody could take', async () => {
    const sender = boot('sender');
    const frames: Uint8Array[] = [];
    const taken = new Promise<void>((resolve) => {
      plugFrames(sender, 'eth0', (frame) => {
        frames.push(frame);
        if (frames.length === 3) resolve();
        if (frames.length === 1) throw new Error('the first is refused');
      });
    });
    const refused = new Promise<unknown>((resolve) => process.once('uncaughtException', resolve));
    const { sys } = up(sender, '10.0.2.2');
    // To everybody, so that no ARP is needed.
    const fd = sys.socket(AF_INET, SOCK_DGRAM, 0);
    sys.setsockopt(fd, 1, 6, Uint8Array.of(1, 0, 0, 0));
    for (let i = 0; i < 3; i++) {
      sys.sendto(fd, Uint8Array.of(i), 0, encodeSockaddr4(0x0a0002ff, 9));
    }
    await taken;
    expect(await refused).toMatchObject({ message: 'the first is refused' });
  });

  it('say why an interface cannot be', () => {
    const machine = boot('gateway');
    const port: FramePort = plugFrames(machine, 'eth0', () => {});
    expect(() => plugFrames(machine, 'eth0', () => {})).toThrow(
      'the machine refuses the interface eth0: EBUSY',
    );
    port.unplug();
    port.unplug();
    plugFrames(machine, 'eth0', () => {});
  });
});
