/**
 * Interrupts of virtqueues and polling: how the two hand over to each other without losing a buffer.
 * Counterpart of those parts of drivers/net/virtio_net.c.
 */
import {
  virtqueueDisableCb,
  virtqueueEnableCbPrepare,
  virtqueuePoll,
} from '#drivers/virtio/virtio_ring.ts';
import type { NapiStruct } from '#include/linux/netdevice.ts';
import type { Virtqueue } from '#include/linux/virtio.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import {
  __napiSchedule,
  napiCompleteDone,
  napiEnable,
  napiSchedulePrep,
} from '#net/core/dev_napi.ts';

/** @kernel virtqueue_napi_schedule drivers/net/virtio_net.c */
export function virtqueueNapiSchedule(napi: NapiStruct, vq: Virtqueue): void {
  if (!napiSchedulePrep(napi)) return;
  virtqueueDisableCb(vq);
  __napiSchedule(napi);
}

/** No more to do: interrupts on, unless something came meanwhile. @kernel virtqueue_napi_complete drivers/net/virtio_net.c */
export function virtqueueNapiComplete(napi: NapiStruct, vq: Virtqueue, processed: number): boolean {
  const opaque = virtqueueEnableCbPrepare(vq);
  if (!napiCompleteDone(napi, processed)) {
    virtqueueDisableCb(vq);
    return false;
  }
  if (virtqueuePoll(vq, opaque)) virtqueueNapiSchedule(napi, vq);
  return true;
}

/** Polls at once: what came while polling was off has made no interrupt. @kernel virtnet_napi_do_enable drivers/net/virtio_net.c */
export function virtnetNapiEnable(napi: NapiStruct, vq: Virtqueue): void {
  const { machine } = vq;
  napiEnable(napi);
  localBhDisable(machine);
  virtqueueNapiSchedule(napi, vq);
  localBhEnable(machine);
}
