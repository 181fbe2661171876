/** Recording a whole world: its machines, those that boot later, and the cables between them. */
import type { WireFrame } from '#hardware/wire.ts';
import type { World } from '#sim/world.ts';
import { CONTEXT_HARDIRQ, KIND_LOST, KIND_TRACEPOINT } from '#trace/record.ts';
import { Recorder, type RecorderOptions } from '#trace/recorder.ts';

/** Begins to record a world; `recorder.detach()` ends it. The run is the same as without. */
export function recordWorld(world: World, options: RecorderOptions = {}): Recorder {
  const recorder = new Recorder(options);
  for (const machine of world.machines) recorder.attach(machine);
  const follow = recorder.attach.bind(recorder);
  const boots = (machine: (typeof world.machines)[number]): void => follow(machine);
  world.onBoot.push(boots);
  const cables = recorder.track(null, '');
  cables.undo.push(() => world.onBoot.splice(world.onBoot.indexOf(boots), 1));
  const { names, ring, packets } = recorder;
  const note = (
    kind: number,
    name: number,
    frame: WireFrame,
    cable: string,
    a0: number,
    a1: number,
    a2: number,
  ): number => {
    const packet = packets.has(frame.origin) ? frame.origin : 0;
    const journey = packet === 0 ? 0 : (packets.journey[packets.slot(packet)] as number);
    const seq = ring.push(
      world.nowNs,
      (cables.index << 16) | CONTEXT_HARDIRQ,
      kind | (names.number(cable) << 16),
      name,
      packet,
      journey,
      0,
      0,
      a0,
      a1,
      a2,
      0,
      0,
      0,
    );
    const { listener } = recorder;
    if (listener !== null) listener(seq, cables, kind, name, packet, null, 0);
    return seq;
  };
  const { cableSend, cableArrive, cableDrop } = world.trace;
  const send = names.number(cableSend.name);
  cables.watch(cableSend, (frame, cable, end, arrivalNs) => {
    const travelUs = Math.round((arrivalNs - world.nowNs) / 1000);
    note(KIND_TRACEPOINT, send, frame, cable, frame.len, end, travelUs);
  });
  const arrive = names.number(cableArrive.name);
  cables.watch(cableArrive, (frame, cable, end) => {
    note(KIND_TRACEPOINT, arrive, frame, cable, frame.len, end, 0);
  });
  const drop = names.number(cableDrop.name);
  cables.watch(cableDrop, (frame, cable, end, why) => {
    const seq = note(KIND_LOST, drop, frame, cable, why, end, frame.len);
    recorder.countLoss(cable, why, frame.origin, seq);
  });
  return recorder;
}
