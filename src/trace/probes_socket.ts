/** Probes of sockets and TCP: who takes a packet, and why a sender does not send. */

import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Sock } from '#include/net/sock.ts';
import type { SockCommon } from '#include/net/sock_common.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { tcpPacketsInFlight } from '#include/net/tcp_inlines.ts';
import { cpuLead } from '#kernel/sched/cpu_cost.ts';
import type { Tracepoint } from '#kernel/tracepoint.ts';
import { KIND_DECISION, KIND_QUEUE, KIND_TRACEPOINT } from '#trace/record.ts';
import type { MachineTrack, Recorder } from '#trace/recorder.ts';

export function watchSockets(recorder: Recorder, track: MachineTrack): void {
  watchMemory(recorder, track);
  watchLookups(recorder, track);
  watchTcp(recorder, track);
  watchTcpReceiver(recorder, track);
}

/** Writes about a socket, and the packet if there is one; not looked at, since it has not moved. */
function note(
  recorder: Recorder,
  track: MachineTrack,
  kind: number,
  name: number,
  sk: SockCommon | null,
  skb: SkBuff | null,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
): void {
  const packet = skb === null ? 0 : recorder.packetOf(track, skb);
  const sock = recorder.sockOf(track, sk);
  const dev = recorder.devOf(skb === null ? null : skb.dev);
  const look = kind === KIND_DECISION ? skb : null;
  recorder.write(track, kind, name, packet, look, 0, sock, dev, a0, a1, a2, a3);
}

function watchMemory(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { sock } = machine.trace;
  const { names } = recorder;
  const full = names.number(sock.sockRcvqueueFull.name);
  track.watch(sock.sockRcvqueueFull, (sk, skb) => {
    const { skRmemAlloc, skRcvbuf } = sk;
    note(recorder, track, KIND_TRACEPOINT, full, sk, skb, skRmemAlloc, skRcvbuf, 0, 0);
  });
  const limit = names.number(sock.sockExceedBufLimit.name);
  track.watch(sock.sockExceedBufLimit, (sk, _prot, allocated, kind) => {
    note(recorder, track, KIND_TRACEPOINT, limit, sk, null, allocated, kind, 0, 0);
  });
  const state = names.number(sock.inetSockSetState.name);
  track.watch(sock.inetSockSetState, (sk, from, to) => {
    recorder.sockChanged(track, sk);
    note(recorder, track, KIND_TRACEPOINT, state, sk, null, from, to, 0, 0);
  });
  const report = names.number(sock.inetSkErrorReport.name);
  track.watch(sock.inetSkErrorReport, (sk) => {
    note(recorder, track, KIND_TRACEPOINT, report, sk, null, sk.skErr, 0, 0, 0);
  });
  const ready = names.number(sock.skDataReady.name);
  track.watch(sock.skDataReady, (sk) => {
    const { skRmemAlloc, skRcvbuf } = sk;
    note(recorder, track, KIND_TRACEPOINT, ready, sk, null, skRmemAlloc, skRcvbuf, 0, 0);
  });
  for (const tp of [sock.sockSendLength, sock.sockRecvLength]) {
    const name = names.number(tp.name);
    track.watch(tp, (sk, ret, flags) => {
      const lead = cpuLead(machine, true);
      note(recorder, track, KIND_TRACEPOINT, name, sk, null, ret, flags, 0, lead);
    });
  }
}

function watchLookups(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { packet: events, udp } = machine.trace;
  const { names } = recorder;
  const lookup = names.number(events.socketLookup.name);
  track.watch(events.socketLookup, (skb, sk, why) => {
    const state = sk === null ? 0 : sk.skcState;
    note(recorder, track, KIND_DECISION, lookup, sk, skb, why, state, 0, 0);
  });
  const queue = names.number(events.socketQueue.name);
  track.watch(events.socketQueue, (skb, sk, backlog) => {
    const { skRmemAlloc, skRcvbuf } = sk;
    note(recorder, track, KIND_QUEUE, queue, sk, skb, skRmemAlloc, skRcvbuf, backlog ? 1 : 0, 0);
  });
  const fail = names.number(udp.udpFailQueueRcvSkb.name);
  track.watch(udp.udpFailQueueRcvSkb, (rc, sk, skb) => {
    note(recorder, track, KIND_TRACEPOINT, fail, sk, skb, rc, sk.skcNum, 0, 0);
  });
}

function watchTcp(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { tcp, packet: events } = machine.trace;
  const { names } = recorder;
  const stall = names.number(events.tcpSendStall.name);
  track.watch(events.tcpSendStall, (sk, skb, why) => {
    const tp = tcpSk(sk);
    const flight = tcpPacketsInFlight(tp);
    note(recorder, track, KIND_DECISION, stall, sk, skb, why, tp.sndCwnd, flight, tp.sndWnd);
  });
  const sendmsg = names.number(tcp.tcpSendmsgLocked.name);
  track.watch(tcp.tcpSendmsgLocked, (sk, len, skb, sizeGoal) => {
    note(recorder, track, KIND_TRACEPOINT, sendmsg, sk, skb, len, sizeGoal, 0, 0);
  });
  const retransmit = names.number(tcp.tcpRetransmitSkb.name);
  track.watch(tcp.tcpRetransmitSkb, (sk, skb, err) => {
    note(recorder, track, KIND_TRACEPOINT, retransmit, sk, skb, skb.tcpCb.seq, err, 0, 0);
  });
  const reset = names.number(tcp.tcpSendReset.name);
  track.watch(tcp.tcpSendReset, (sk, skb, reason) => {
    note(recorder, track, KIND_TRACEPOINT, reset, sk, skb, reason, 0, 0, 0);
  });
  const synack = names.number(tcp.tcpRetransmitSynack.name);
  track.watch(tcp.tcpRetransmitSynack, (sk, _req) => {
    note(recorder, track, KIND_TRACEPOINT, synack, sk, null, 0, 0, 0, 0);
  });
  const congestion = names.number(tcp.tcpCongStateSet.name);
  track.watch(tcp.tcpCongStateSet, (sk, state) => {
    note(recorder, track, KIND_TRACEPOINT, congestion, sk, null, state, 0, 0, 0);
  });
  const reduction = names.number(tcp.tcpCwndReductionTp.name);
  track.watch(tcp.tcpCwndReductionTp, (sk, acked, lost, flag) => {
    note(recorder, track, KIND_TRACEPOINT, reduction, sk, null, acked, lost, flag, 0);
  });
}

function watchTcpReceiver(recorder: Recorder, track: MachineTrack): void {
  const { machine } = track;
  if (machine === null) return;
  const { tcp } = machine.trace;
  const { names } = recorder;
  const about = (tp: Tracepoint<[sk: Sock]>): void => {
    const name = names.number(tp.name);
    track.watch(tp, (sk) => note(recorder, track, KIND_TRACEPOINT, name, sk, null, 0, 0, 0, 0));
  };
  about(tcp.tcpReceiveReset);
  about(tcp.tcpDestroySock);
  if (recorder.verbose) about(tcp.tcpRcvSpaceAdjust);
  const grow = names.number(tcp.tcpRcvbufGrow.name);
  track.watch(tcp.tcpRcvbufGrow, (sk, timeUs) => {
    note(recorder, track, KIND_TRACEPOINT, grow, sk, null, timeUs, 0, 0, 0);
  });
  const probe = names.number(tcp.tcpProbe.name);
  const watchProbe = (sk: Sock, skb: SkBuff | null): void => {
    const tp = tcpSk(sk);
    const { sndCwnd, sndSsthresh, packetsOut, sndWnd } = tp;
    note(
      recorder,
      track,
      KIND_TRACEPOINT,
      probe,
      sk,
      skb,
      sndCwnd,
      sndSsthresh,
      packetsOut,
      sndWnd,
    );
  };
  if (recorder.verbose) track.watch(tcp.tcpProbe, watchProbe);
  const bad = names.number(tcp.tcpBadCsum.name);
  track.watch(tcp.tcpBadCsum, (skb) => recorder.seen(track, bad, skb, skb.len, 0, 0, 0));
}
