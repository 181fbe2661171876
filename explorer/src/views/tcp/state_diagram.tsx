/** TCP's states and the ways between them (RFC 9293, figure 5): the present one, and those passed. */
import { createMemo, For, type JSX } from 'solid-js';
import { TCP_STATE_RFC_NAMES } from '#uapi/tcp_states.ts';
import type { TcpView } from '../../protocol.ts';

interface Box {
  readonly state: number;
  readonly x: number;
  readonly y: number;
}

const W = 118;
const H = 28;

const BOXES: readonly Box[] = [
  { state: 7, x: 205, y: 8 },
  { state: 10, x: 70, y: 62 },
  { state: 3, x: 70, y: 116 },
  { state: 2, x: 340, y: 90 },
  { state: 1, x: 205, y: 164 },
  { state: 4, x: 70, y: 218 },
  { state: 8, x: 340, y: 218 },
  { state: 5, x: 5, y: 272 },
  { state: 11, x: 140, y: 272 },
  { state: 9, x: 340, y: 272 },
  { state: 6, x: 70, y: 326 },
];

const WAYS: readonly (readonly [number, number])[] = [
  [7, 10],
  [7, 2],
  [10, 3],
  [2, 3],
  [2, 1],
  [3, 1],
  [3, 4],
  [1, 4],
  [1, 8],
  [4, 5],
  [4, 11],
  [8, 9],
  [5, 6],
  [11, 6],
];

/** A half-open connection has a number of its own in the kernel. */
const plain = (state: number): number => (state === 12 ? 3 : state);

export function StateDiagram(props: {
  readonly present: number;
  readonly states: TcpView['states'];
  readonly momentNs: number;
}): JSX.Element {
  const passed = createMemo(() => {
    const set = new Set<number>();
    for (const { timeNs, from, to } of props.states) {
      if (timeNs > props.momentNs) break;
      set.add(plain(from));
      set.add(plain(to));
    }
    return set;
  });
  const box = (state: number): Box => BOXES.find((b) => b.state === state) ?? { state, x: 0, y: 0 };
  const path = (from: number, to: number): string => {
    const a = box(from);
    const b = box(to);
    return `M${a.x + W / 2} ${a.y + (b.y >= a.y ? H : 0)} L${b.x + W / 2} ${b.y + (b.y >= a.y ? 0 : H)}`;
  };
  return (
    <svg
      class="states"
      viewBox="0 0 470 362"
      role="img"
      aria-label={`The connection is in state ${TCP_STATE_RFC_NAMES[props.present] ?? ''}`}
    >
      <For each={WAYS}>
        {([from, to]) => (
          <path
            class="state-way"
            classList={{ passed: passed().has(from) && passed().has(to) }}
            d={path(from, to)}
          />
        )}
      </For>
      <For each={BOXES}>
        {(b) => (
          <g
            class="state"
            classList={{ present: plain(props.present) === b.state, passed: passed().has(b.state) }}
          >
            <rect x={b.x} y={b.y} width={W} height={H} rx="8" />
            <text x={b.x + W / 2} y={b.y + 18.5} text-anchor="middle">
              {TCP_STATE_RFC_NAMES[b.state]}
            </text>
          </g>
        )}
      </For>
    </svg>
  );
}
