/** Points of a time/sequence graph that come in parts: each answer has those behind what is there already. */
import type { TcpPoints } from '../protocol.ts';

type Numbers = Float64Array | Int32Array | Uint8Array;

function behind<T extends Numbers>(first: T, second: T): T {
  const both = new (first.constructor as new (length: number) => T)(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** What there was and what has come; the same object when nothing has. */
export function joinPoints(before: TcpPoints | null, more: TcpPoints): TcpPoints {
  if (before === null) return more;
  if (more.timeNs.length === 0) return before;
  return {
    timeNs: behind(before.timeNs, more.timeNs),
    kind: behind(before.kind, more.kind),
    begin: behind(before.begin, more.begin),
    end: behind(before.end, more.end),
    packet: behind(before.packet, more.packet),
  };
}
