/**
 * Probes of packets' lives: birth, kinship, wires, ends. They keep the table of packets, so that a
 * journey has no gap.
 */
import type { WireFrame } from '#hardware/wire.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { MERGE_SHIFT, WIRE_FILTERED } from '#include/trace/events/packet.ts';
import {
  KIND_BIRTH,
  KIND_CROSS,
  KIND_DERIVE,
  KIND_LOST,
  KIND_MERGE,
  KIND_RECEIVE,
  KIND_TRANSMIT,
} from '#trace/record.ts';
import type { MachineTrack, Recorder } from '#trace/recorder.ts';
import { SKB_CONSUMED, SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';

export function watchPackets(recorder: Recorder, track: MachineTrack): void {
  watchKinship(recorder, track);
  watchWires(recorder, track);
  watchEnds(recorder, track);
}

function watchKinship(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { packet: events } = machine.trace;
  const { names, packets } = recorder;
  const birth = names.number(events.packetBirth.name);
  track.watch(events.packetBirth, (skb) => {
    const packet = recorder.addPacket(track, skb, 0, 0, track.current);
    recorder.write(track, KIND_BIRTH, birth, packet, null, track.current, 0, 0, 0, 0, 0, 0);
  });
  const derive = names.number(events.packetDerive.name);
  track.watch(events.packetDerive, (child, parent, how) => {
    const from = recorder.packetOf(track, parent);
    let packet = track.ids.find(child.id);
    if (!packets.has(packet)) packet = recorder.addPacket(track, child, from, how, 0);
    else packets.adopt(packet, from, how);
    recorder.write(track, KIND_DERIVE, derive, packet, child, from, 0, 0, how, 0, 0, 0);
  });
  const merge = names.number(events.packetMerge.name);
  track.watch(events.packetMerge, (into, from, how) => {
    const target = recorder.packetOf(track, into);
    const packet = recorder.packetOf(track, from);
    // What is only shifted in part goes on living by itself.
    if (how !== MERGE_SHIFT || from.len === 0) packets.mergedInto[packets.slot(packet)] = target;
    recorder.write(track, KIND_MERGE, merge, packet, from, target, 0, 0, how, 0, 0, 0);
  });
  const cross = names.number(events.packetCross.name);
  track.watch(events.packetCross, (skb, from, oldId) => {
    const source = recorder.trackOf(from);
    const packet = source === null ? 0 : source.ids.find(oldId);
    source?.ids.remove(oldId);
    if (!packets.has(packet)) {
      recorder.packetOf(track, skb);
      return;
    }
    track.ids.set(skb.id, packet);
    const slot = packets.slot(packet);
    packets.machine[slot] = track.index;
    packets.id[slot] = skb.id;
    recorder.write(track, KIND_CROSS, cross, packet, skb, 0, 0, 0, skb.id, 0, 0, 0);
  });
}

function watchWires(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { packet: events } = machine.trace;
  const { names, packets } = recorder;
  track.watch(events.dmaMap, (skb, addr) => {
    track.toCard.set(addr, recorder.packetOf(track, skb));
  });
  const transmit = names.number(events.wireTransmit.name);
  track.watch(events.wireTransmit, (frame, addr) => {
    const packet = track.toCard.get(addr) ?? 0;
    frame.origin = packet;
    recorder.write(track, KIND_TRANSMIT, transmit, packet, null, 0, 0, 0, frame.len, 0, 0, 0);
  });
  track.watch(events.wireReceive, (frame, addr) => {
    track.fromCard.set(addr, frame.origin);
  });
  const receive = names.number(events.wireReceive.name);
  track.watch(events.dmaUnmap, (skb, addr) => {
    const packet = recorder.packetOf(track, skb);
    const parent = track.fromCard.get(addr) ?? 0;
    track.fromCard.delete(addr);
    packets.adopt(packet, parent, 0);
    const dev = recorder.devOf(skb.dev);
    recorder.write(track, KIND_RECEIVE, receive, packet, skb, parent, 0, dev, skb.len, 0, 0, 0);
  });
  const drop = names.number(events.wireDrop.name);
  track.watch(events.wireDrop, (frame: WireFrame, why) => {
    const { origin, len } = frame;
    const seq = recorder.write(track, KIND_LOST, drop, origin, null, 0, 0, 0, why, len, 0, 0);
    // Every card on a shared medium sees what is not for it.
    if (why !== WIRE_FILTERED) recorder.countLoss(track.name, why, origin, seq);
  });
}

function watchEnds(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { skb: ends, packet: events } = machine.trace;
  const { names, packets } = recorder;
  const kfree = names.number(ends.kfreeSkb.name);
  track.watch(ends.kfreeSkb, (skb, location, reason, rxSk) => {
    recorder.end(track, skb, kfree, reason, location, recorder.sockOf(track, rxSk ?? skb.sk));
    countDrop(recorder, track, skb, reason, location);
  });
  const consume = names.number(ends.consumeSkb.name);
  track.watch(ends.consumeSkb, (skb, location) => {
    recorder.end(track, skb, consume, SKB_CONSUMED, location, 0);
  });
  const free = names.number(events.packetFree.name);
  track.watch(events.packetFree, (skb, reason) => {
    const packet = recorder.packetOf(track, skb);
    if ((packets.endSeq[packets.slot(packet)] as number) < 0) {
      // Linux frees here without a word; a packet that ends so was its owner's, and used up.
      recorder.end(track, skb, free, reason, '__kfree_skb', 0);
      if (reason !== SKB_CONSUMED) {
        if (reason <= SKB_DROP_REASON_NOT_SPECIFIED) recorder.unexplained++;
        countDrop(recorder, track, skb, reason, '__kfree_skb');
      }
    }
    track.ids.remove(skb.id);
  });
  const copy = names.number(ends.skbCopyDatagramIovec.name);
  track.watch(ends.skbCopyDatagramIovec, (skb, len) => {
    recorder.seen(track, copy, skb, len, 0, 0, 0);
  });
}

function countDrop(
  recorder: Recorder,
  track: MachineTrack,
  skb: SkBuff,
  reason: number,
  location: string,
): void {
  const { dropCounts, packets } = recorder;
  const packet = recorder.packetOf(track, skb);
  const seq = packets.endSeq[packets.slot(packet)] as number;
  const key = `${track.name}/${reason}/${location}`;
  const there = dropCounts.get(key);
  if (there === undefined) {
    dropCounts.set(key, { machine: track.name, reason, location, count: 1, packet, seq });
  } else {
    there.count++;
    there.packet = packet;
    there.seq = seq;
  }
}
