/**
 * A recording as a capture in pcapng: packets where devices handed them over and where they came in, and,
 * as packets of their own, those that ended with a reason or were lost on a cable, with that as a comment.
 * Only the kept bytes of a packet are there; its length is told.
 */
import {
  DIRECTION_INBOUND,
  DIRECTION_OUTBOUND,
  DIRECTION_UNKNOWN,
  LINKTYPE_ETHERNET,
  LINKTYPE_RAW,
  PcapngWriter,
} from '#sim/pcapng.ts';
import { placeOf, stepWords } from '#trace/describe.ts';
import { KIND_END, KIND_LOST, type Snapshot, type Step } from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';
import { ETH_HLEN, ETH_P_ARP, ETH_P_IP } from '#uapi/if_ether.ts';
import { SKB_CONSUMED } from '#uapi/net_dropreason.ts';

/** Writes steps of a recording to a capture. */
export class TracePcapng {
  private readonly recorder: Recorder;
  private readonly writer: PcapngWriter;
  private readonly epochSec: number;
  private readonly interfaces: Map<string, number>;
  /** Packets written so far. */
  packets: number;

  /** @param epochSec wall time when the recorded clocks were 0 */
  constructor(recorder: Recorder, sink: (bytes: Uint8Array) => void, epochSec: number) {
    this.recorder = recorder;
    this.writer = new PcapngWriter(sink);
    this.epochSec = epochSec;
    this.interfaces = new Map();
    this.packets = 0;
  }

  /** Adds what a step has to show; most have nothing. */
  add(step: Step): void {
    if (step.name === 'net:net_dev_start_xmit') this.write(step, DIRECTION_OUTBOUND, null);
    else if (step.name === 'net:netif_receive_skb') this.write(step, DIRECTION_INBOUND, null);
    else if (step.kind === KIND_END && step.args[0] !== SKB_CONSUMED) {
      const words = `${stepWords(this.recorder, step)} in ${placeOf(this.recorder, step)}`;
      this.write(step, DIRECTION_UNKNOWN, words);
    } else if (step.kind === KIND_LOST) {
      this.lost(step);
    }
  }

  /** A frame that was lost is shown as its packet was when it was sent. */
  private lost(step: Step): void {
    const { recorder } = this;
    for (let seq = step.seq; seq >= recorder.firstSeq; seq--) {
      if (recorder.ring.packet(seq) !== step.packet) continue;
      const before = recorder.step(seq);
      if (before?.snapshot == null) continue;
      const shown = { ...before, timeNs: step.timeNs };
      this.write(shown, DIRECTION_OUTBOUND, stepWords(recorder, step));
      return;
    }
  }

  private write(step: Step, direction: number, comment: string | null): void {
    const { snapshot } = step;
    if (snapshot === null) return;
    const link = linkHeader(snapshot);
    const start = link ?? networkHeader(snapshot);
    if (start === null) return;
    const bytes = snapshot.bytes.subarray(start);
    if (bytes.length === 0) return;
    const linktype = link === null ? LINKTYPE_RAW : LINKTYPE_ETHERNET;
    const ns = Math.round(step.timeNs);
    this.packets++;
    this.writer.packet({
      interfaceId: this.interfaceOf(step, linktype),
      sec: this.epochSec + Math.floor(ns / 1e9),
      nsec: ns % 1e9,
      bytes,
      originalLength: snapshot.len + snapshot.data - snapshot.bytesAt - start,
      direction,
      ...(comment === null ? {} : { comment }),
    });
  }

  private interfaceOf({ machine, dev }: Step, linktype: number): number {
    const raw = linktype === LINKTYPE_RAW;
    const name = `${machine}:${dev === '' ? 'none' : dev}`;
    const key = `${name}/${linktype}`;
    let id = this.interfaces.get(key);
    if (id === undefined) {
      const description = raw ? `${name}, without link header` : name;
      id = this.writer.addInterface({ name, description, linktype });
      this.interfaces.set(key, id);
    }
    return id;
  }
}

/** Index in the kept bytes of an Ethernet header; null: there is none. */
function linkHeader(s: Snapshot): number | null {
  const { bytes, bytesAt, data } = s;
  for (const from of [s.macHeader, data]) {
    const at = from - bytesAt;
    if (from < 0 || at < 0 || at + ETH_HLEN > bytes.length) continue;
    const type = ((bytes[at + 12] as number) << 8) | (bytes[at + 13] as number);
    if (type === ETH_P_IP || type === ETH_P_ARP) return at;
  }
  return null;
}

/** Index in the kept bytes of an IP header; null: there is none. */
function networkHeader(s: Snapshot): number | null {
  for (const from of [s.networkHeader, s.data]) {
    const at = from - s.bytesAt;
    if (from >= 0 && at >= 0 && at < s.bytes.length && (s.bytes[at] as number) >> 4 === 4) {
      return at;
    }
  }
  return null;
}
