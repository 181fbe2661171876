import { afterEach, describe, expect, it } from 'vitest';
import { DOOR_FRAME_SIZE, type Door, type DoorHandlers, type DoorQueue } from '#host/node/door.ts';
import { DoorLink } from '#host/node/door_link.ts';
import { bootReal, haltReal } from '#host/node/real_host.ts';
import { tinyconfig } from '#init/tinyconfig.ts';
import type { Machine } from '#kernel/machine.ts';

/** A door to nowhere. */
class Wall implements Door, DoorQueue {
  readonly vnetHdrSize = 0;
  readonly offloads = 0;
  readonly mac = null;
  readonly txErrors = 0;
  readonly queues: readonly DoorQueue[] = [this];
  handlers: DoorHandlers | null = null;
  flushes = 0;
  closed = 0;
  private readonly frame = new Uint8Array(DOOR_FRAME_SIZE);

  start(handlers: DoorHandlers): void {
    this.handlers = handlers;
  }
  room(): Uint8Array | null {
    return this.frame;
  }
  send(): void {}
  flush(): void {
    this.flushes++;
  }
  close(): void {
    this.closed++;
  }
}

describe('a link between a machine and a door', () => {
  let halts: (() => object)[] = [];

  function boot(): ReturnType<typeof bootReal> & { machine: Machine } {
    const real = bootReal({ name: 'gateway', seed: 1, modules: tinyconfig });
    halts.push(() => haltReal(real.machine, real.host));
    return real;
  }

  afterEach(() => {
    for (const halt of halts) expect(halt()).toEqual({});
    halts = [];
  });

  it('leaves nothing at the host when it is closed', () => {
    const { machine, host } = boot();
    for (let guest = 0; guest < 3; guest++) {
      const door = new Wall();
      const link = new DoorLink(host, machine.initNet, door, { ifname: 'eth0', onGone: () => {} });
      link.close();
      link.close();
      expect(door.closed).toBe(1);
    }
    expect(host.afterEntry).toEqual([]);
  });

  it('takes nobody the turn when it is closed by what is flushed', () => {
    const { machine, host } = boot();
    const turns: string[] = [];
    const link = new DoorLink(host, machine.initNet, new Wall(), {
      ifname: 'eth0',
      onGone: () => {},
    });
    host.afterEntry.push(() => link.close());
    host.afterEntry.push(() => turns.push('last'));
    host.enter(machine, () => {});
    expect(turns).toEqual(['last']);
  });

  it('refuses a machine that has been halted, and closes the door', () => {
    const { machine, host } = boot();
    haltReal(machine, host);
    const door = new Wall();
    expect(
      () => new DoorLink(host, machine.initNet, door, { ifname: 'eth0', onGone: () => {} }),
    ).toThrow('the machine refuses the interface eth0: ESHUTDOWN');
    expect(door.closed).toBe(1);
  });
});
