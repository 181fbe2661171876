import { expect, it } from 'vitest';
import { SHMEM_MAX_RECORD } from '#drivers/net/shmem.ts';
import { type Door, DoorError, type DoorQueue } from '#host/node/door.ts';
import { DoorUplink, FlowSwitch, ShmemUplink } from '#host/node/flow_switch.ts';
import { shmemCable } from '#host/node/shmem_link.ts';

it('refuses rings in which the longest record would wait for ever', () => {
  const small = shmemCable(SHMEM_MAX_RECORD);
  const large = shmemCable(4 * SHMEM_MAX_RECORD);
  const words = /^a ring of 131072 bytes takes records of 65528; the longest has 65804$/;
  expect(() => new ShmemUplink(small, 1)).toThrow(words);
  let begun = 0;
  const uplink = {
    start: () => void begun++,
    poll: () => false,
    send: () => true,
    flush: () => {},
    close: () => {},
  };
  expect(() => new FlowSwitch({ uplink, cables: [large, small] })).toThrow(words);
  expect(() => new FlowSwitch({ uplink, cables: [large, small] })).toThrow(RangeError);
  expect(begun).toBe(0);
  new ShmemUplink(large, 1).close();
  const flowSwitch = new FlowSwitch({ uplink, cables: [large, large] });
  expect(begun).toBe(1);
  flowSwitch.close();
});

it('closes the door that it refuses', () => {
  let closed = 0;
  const queue: DoorQueue = {
    start: () => {},
    room: () => null,
    send: () => {},
    flush: () => {},
  };
  const door: Door = {
    vnetHdrSize: 0,
    offloads: 0,
    mac: null,
    txErrors: 0,
    queues: [queue],
    close: () => void closed++,
  };
  expect(() => new DoorUplink(door, () => {})).toThrow(DoorError);
  expect(closed).toBe(1);
  const wide: Door = { ...door, vnetHdrSize: 12, queues: [queue, queue] };
  expect(() => new DoorUplink(wide, () => {})).toThrow('one queue');
  expect(closed).toBe(2);
});
