/** Probes of devices, queues, interrupts and neighbours: where packets are, and what waits. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { Neighbour } from '#include/net/neighbour.ts';
import { cpuLead } from '#kernel/sched/cpu_cost.ts';
import type { Tracepoint } from '#kernel/tracepoint.ts';
import { KIND_DECISION, KIND_QUEUE, KIND_TRACEPOINT } from '#trace/record.ts';
import type { MachineTrack, Recorder } from '#trace/recorder.ts';

export function watchDevices(recorder: Recorder, track: MachineTrack): void {
  watchSending(recorder, track);
  watchReceiving(recorder, track);
  watchInterrupts(recorder, track);
  watchQueues(recorder, track);
  watchNeighbours(recorder, track);
  watchRoutes(recorder, track);
}

function watchSending(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { net } = machine.trace;
  const { names } = recorder;
  const queue = names.number(net.netDevQueue.name);
  track.watch(net.netDevQueue, (skb) => {
    recorder.seen(track, queue, skb, skb.len, skb.queueMapping, skb.shinfo.gsoSize, skb.ipSummed);
  });
  const start = names.number(net.netDevStartXmit.name);
  track.watch(net.netDevStartXmit, (skb, dev) => {
    const packet = recorder.packetOf(track, skb);
    track.sending.push(packet);
    recorder.write(
      track,
      KIND_TRACEPOINT,
      start,
      packet,
      skb,
      0,
      0,
      recorder.devOf(dev),
      skb.len,
      skb.queueMapping,
      skb.shinfo.gsoSize,
      skb.ipSummed,
    );
  });
  const xmit = names.number(net.netDevXmit.name);
  track.watch(net.netDevXmit, (_skb, rc, dev, len) => {
    // The packet may be gone, and its structure another's.
    const packet = track.sending.pop() ?? 0;
    const on = recorder.devOf(dev);
    recorder.write(track, KIND_TRACEPOINT, xmit, packet, null, 0, 0, on, rc, len, 0, 0);
  });
  const timeout = names.number(net.netDevXmitTimeout.name);
  track.watch(net.netDevXmitTimeout, (dev, index) => {
    const on = recorder.devOf(dev);
    recorder.write(track, KIND_TRACEPOINT, timeout, 0, null, 0, 0, on, index, 0, 0, 0);
  });
}

function watchReceiving(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { net } = machine.trace;
  const { names } = recorder;
  const passes = (tp: Tracepoint<[skb: SkBuff]>, becomesCurrent: boolean): void => {
    const name = names.number(tp.name);
    track.watch(tp, (skb) => {
      const packet = recorder.seen(track, name, skb, skb.len, skb.protocol, 0, 0);
      if (becomesCurrent) track.current = packet;
    });
  };
  passes(net.netifReceiveSkb, true);
  passes(net.netifRx, false);
  passes(net.napiGroReceiveEntry, false);
  passes(net.napiGroFragsEntry, false);
  if (!recorder.verbose) return;
  passes(net.netifReceiveSkbEntry, false);
  passes(net.netifReceiveSkbListEntry, false);
  passes(net.netifRxEntry, false);
  for (const tp of [
    net.napiGroReceiveExit,
    net.napiGroFragsExit,
    net.netifReceiveSkbExit,
    net.netifReceiveSkbListExit,
    net.netifRxExit,
  ]) {
    const name = names.number(tp.name);
    track.watch(tp, (ret) => {
      recorder.write(track, KIND_TRACEPOINT, name, 0, null, 0, 0, 0, ret, 0, 0, 0);
    });
  }
}

function watchInterrupts(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { irq, napi } = machine.trace;
  const { names } = recorder;
  // The last argument: how far the CPU is ahead with its work, where that has a price.
  const note = (name: number, dev: number, a0: number, a1: number, a2 = 0): void => {
    const lead = cpuLead(machine, false);
    recorder.write(track, KIND_TRACEPOINT, name, 0, null, 0, 0, dev, a0, a1, a2, lead);
  };
  const hardEntry = names.number(irq.irqHandlerEntry.name);
  track.watch(irq.irqHandlerEntry, (number, name) =>
    note(hardEntry, names.number(name), number, 0),
  );
  const hardExit = names.number(irq.irqHandlerExit.name);
  track.watch(irq.irqHandlerExit, (number, name, ret) =>
    note(hardExit, names.number(name), number, ret),
  );
  const entry = names.number(irq.softirqEntry.name);
  track.watch(irq.softirqEntry, (vec) => {
    track.current = 0;
    note(entry, 0, vec, machine.cpu.inKsoftirqd ? 1 : 0);
  });
  const exit = names.number(irq.softirqExit.name);
  track.watch(irq.softirqExit, (vec) => {
    track.current = 0;
    note(exit, 0, vec, 0);
  });
  const raise = names.number(irq.softirqRaise.name);
  if (recorder.verbose) track.watch(irq.softirqRaise, (vec) => note(raise, 0, vec, 0));
  const poll = names.number(napi.napiPoll.name);
  track.watch(napi.napiPoll, (instance, work, budget) => {
    track.current = 0;
    note(poll, recorder.devOf(instance.dev), work, budget);
  });
}

function watchQueues(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { qdisc, packet: events } = machine.trace;
  const { names } = recorder;
  const enqueue = names.number(qdisc.qdiscEnqueue.name);
  track.watch(qdisc.qdiscEnqueue, (q, txq, skb) => {
    const packet = recorder.packetOf(track, skb);
    const dev = recorder.devOf(q.dev);
    const { index } = txq;
    recorder.write(
      track,
      KIND_QUEUE,
      enqueue,
      packet,
      skb,
      0,
      0,
      dev,
      q.qlen,
      q.handle,
      q.parent,
      index,
    );
  });
  const dequeue = names.number(qdisc.qdiscDequeue.name);
  track.watch(qdisc.qdiscDequeue, (q, txq, count, skb) => {
    // Nothing was there.
    if (skb === null && !recorder.verbose) return;
    const packet = skb === null ? 0 : recorder.packetOf(track, skb);
    const dev = recorder.devOf(q.dev);
    const { index } = txq;
    recorder.write(
      track,
      KIND_QUEUE,
      dequeue,
      packet,
      skb,
      0,
      0,
      dev,
      q.qlen,
      count,
      q.handle,
      index,
    );
  });
  const waits = names.number(events.neighQueue.name);
  track.watch(events.neighQueue, (skb, qlen) => {
    const packet = recorder.packetOf(track, skb);
    const dev = recorder.devOf(skb.dev);
    recorder.write(track, KIND_QUEUE, waits, packet, skb, 0, 0, dev, qlen, 0, 0, 0);
  });
}

function watchNeighbours(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { neigh } = machine.trace;
  const { names } = recorder;
  const note = (name: number, n: Neighbour, a1: number, a2: number): void => {
    const dev = recorder.devOf(n.dev);
    recorder.write(track, KIND_TRACEPOINT, name, 0, null, 0, 0, dev, n.key | 0, a1, a2, 0);
  };
  const create = names.number(neigh.neighCreate.name);
  track.watch(neigh.neighCreate, (_tbl, _dev, _key, n, _exempt) => {
    if (n !== null) note(create, n, n.nudState, 0);
  });
  const update = names.number(neigh.neighUpdate.name);
  track.watch(neigh.neighUpdate, (n, _lladdr, state, _flags, _pid) => {
    note(update, n, state, n.nudState);
  });
  for (const tp of [
    neigh.neighUpdateDone,
    neigh.neighTimerHandler,
    neigh.neighEventSendDone,
    neigh.neighEventSendDead,
    neigh.neighCleanupAndRelease,
  ]) {
    const name = names.number(tp.name);
    track.watch(tp, (n, err) => note(name, n, err, n.nudState));
  }
}

function watchRoutes(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { fib, icmp, packet: events } = machine.trace;
  const { names } = recorder;
  const lookup = names.number(fib.fibTableLookup.name);
  track.watch(fib.fibTableLookup, (table, flp, nh, err) => {
    const dev = recorder.devOf(nh?.fibNhDev ?? null);
    const gateway = nh === null ? 0 : nh.fibNhGw4 | 0;
    const { current } = track;
    recorder.write(
      track,
      KIND_DECISION,
      lookup,
      current,
      null,
      0,
      0,
      dev,
      err,
      table,
      flp.daddr | 0,
      gateway,
    );
  });
  const route = names.number(events.routeInput.name);
  track.watch(events.routeInput, (skb, _net, err) => {
    const packet = recorder.packetOf(track, skb);
    const rt = err === 0 ? (skb.dst as Rtable | null) : null;
    const dev = recorder.devOf(rt?.dev ?? null);
    recorder.write(
      track,
      KIND_DECISION,
      route,
      packet,
      skb,
      0,
      0,
      dev,
      err,
      rt?.rtType ?? 0,
      0,
      rt === null ? 0 : rt.rtGw4 | 0,
    );
  });
  const hook = names.number(events.hookVerdict.name);
  track.watch(events.hookVerdict, (skb, pf, number, index, verdict) => {
    const packet = recorder.packetOf(track, skb);
    const dev = recorder.devOf(skb.dev);
    recorder.write(track, KIND_DECISION, hook, packet, skb, 0, 0, dev, verdict, number, index, pf);
  });
  const send = names.number(icmp.icmpSend.name);
  track.watch(icmp.icmpSend, (skb, type, code) =>
    recorder.seen(track, send, skb, type, code, 0, 0),
  );
}
