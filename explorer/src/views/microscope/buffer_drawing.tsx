/** The packet's memory to scale: head, data, tail, end, the headers in it, the fragments beside it. */
import { createMemo, For, type JSX, Show } from 'solid-js';
import type { StepDetail } from '../../protocol.ts';

const WIDTH = 960;
const BAR_TOP = 54;
const BAR = 46;
const HEIGHT = 150;
const LEFT = 14;

interface Mark {
  readonly name: string;
  readonly at: number;
  readonly above: boolean;
}

export function BufferDrawing(props: { readonly detail: StepDetail }): JSX.Element {
  const pointers = () => props.detail.step.pointers;
  const usable = WIDTH - 2 * LEFT;
  const x = (offset: number): number => LEFT + (offset / Math.max(1, pointers().end)) * usable;
  const marks = createMemo((): Mark[] => {
    const p = pointers();
    const list: Mark[] = [
      { name: 'head', at: 0, above: true },
      { name: 'data', at: p.data, above: true },
      { name: 'tail', at: p.tail, above: true },
      { name: 'end', at: p.end, above: true },
    ];
    const below: readonly (readonly [string, number])[] = [
      ['mac', p.mac],
      ['network', p.network],
      ['transport', p.transport],
    ];
    for (const [name, at] of below) if (at >= 0) list.push({ name, at, above: false });
    return list;
  });
  /** Names that would lie on each other are put side by side. */
  const places = createMemo(() => {
    const result = new Map<string, number>();
    for (const above of [true, false]) {
      let free = 0;
      const row = marks()
        .filter((mark) => mark.above === above)
        .sort((a, b) => a.at - b.at);
      for (const mark of row) {
        const width = mark.name.length * 8 + 10;
        const at = Math.max(x(mark.at) - width / 2, free, 2);
        result.set(mark.name, at + width / 2);
        free = at + width;
      }
      // And none beyond the right edge.
      let limit = WIDTH - 2;
      for (const mark of [...row].reverse()) {
        const width = mark.name.length * 8 + 10;
        const at = Math.min(result.get(mark.name) ?? 0, limit - width / 2);
        result.set(mark.name, at);
        limit = at - width / 2;
      }
    }
    return result;
  });

  return (
    <figure class="buffer">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`Packet memory of ${pointers().end} bytes: data begins at ${pointers().data}, tail at ${pointers().tail}`}
      >
        <rect class="buffer-room" x={LEFT} y={BAR_TOP} width={usable} height={BAR} rx="6" />
        <rect
          class="buffer-data"
          x={x(pointers().data)}
          y={BAR_TOP}
          width={Math.max(1, x(pointers().tail) - x(pointers().data))}
          height={BAR}
        />
        <For each={props.detail.headers}>
          {(header) => {
            const from = (): number => x(props.detail.from + header.start);
            const to = (): number =>
              x(Math.min(props.detail.from + header.start + header.length, pointers().tail));
            const live = (): boolean => props.detail.from + header.start >= pointers().data;
            return (
              <Show when={to() > from()}>
                <g class={`buffer-header layer-${header.layer}`} classList={{ done: !live() }}>
                  <rect x={from()} y={BAR_TOP} width={Math.max(1, to() - from())} height={BAR} />
                  <Show when={to() - from() > header.name.length * 7.5}>
                    <text x={(from() + to()) / 2} y={BAR_TOP + BAR / 2 + 5} text-anchor="middle">
                      {header.name}
                    </text>
                  </Show>
                </g>
              </Show>
            );
          }}
        </For>
        <For each={marks()}>
          {(mark) => {
            const nameX = (): number => places().get(mark.name) ?? x(mark.at);
            const y1 = (): number => (mark.above ? 22 : HEIGHT - 18);
            const y2 = (): number => (mark.above ? BAR_TOP : BAR_TOP + BAR);
            return (
              <g class="buffer-mark" classList={{ main: mark.above }}>
                <path
                  d={`M${nameX()} ${y1()} L${x(mark.at)} ${mark.above ? y2() - 8 : y2() + 8} V${y2()}`}
                />
                <text x={nameX()} y={mark.above ? 16 : HEIGHT - 6} text-anchor="middle">
                  {mark.name}
                </text>
              </g>
            );
          }}
        </For>
      </svg>
      <figcaption class="muted">
        {pointers().end} bytes in all, drawn to scale: {pointers().data} of headroom,{' '}
        {pointers().tail - pointers().data} of linear data, {pointers().end - pointers().tail} of
        tailroom
        <Show when={props.detail.step.dataLength > 0}>
          , and {props.detail.step.dataLength} bytes in {props.detail.step.fragments} fragments
          beside them
        </Show>
        .
      </figcaption>
      <Show when={props.detail.step.dataLength > 0}>
        <div
          class="fragment-bar"
          role="img"
          aria-label={`${props.detail.step.fragments} fragments with ${props.detail.step.dataLength} bytes`}
        >
          <For each={Array.from({ length: Math.max(1, props.detail.step.fragments) }, (_, i) => i)}>
            {(i) => <span>frag {i}</span>}
          </For>
        </div>
      </Show>
    </figure>
  );
}
