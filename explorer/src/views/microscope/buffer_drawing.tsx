/** The packet's memory to scale: head, data, tail, end, the headers in it, the fragments beside it. */
import { createMemo, Index, type JSX, Show } from 'solid-js';
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
        <Index each={props.detail.headers}>
          {(header) => {
            const from = (): number => x(props.detail.from + header().start);
            const to = (): number =>
              x(Math.min(props.detail.from + header().start + header().length, pointers().tail));
            const live = (): boolean => props.detail.from + header().start >= pointers().data;
            return (
              <Show when={to() > from()}>
                <g class={`buffer-header layer-${header().layer}`} classList={{ done: !live() }}>
                  <rect x={from()} y={BAR_TOP} width={Math.max(1, to() - from())} height={BAR} />
                  <Show when={to() - from() > header().name.length * 7.5}>
                    <text x={(from() + to()) / 2} y={BAR_TOP + BAR / 2 + 5} text-anchor="middle">
                      {header().name}
                    </text>
                  </Show>
                </g>
              </Show>
            );
          }}
        </Index>
        <Index each={marks()}>
          {(mark) => {
            const nameX = (): number => places().get(mark().name) ?? x(mark().at);
            const y1 = (): number => (mark().above ? 22 : HEIGHT - 18);
            const y2 = (): number => (mark().above ? BAR_TOP : BAR_TOP + BAR);
            return (
              <g class="buffer-mark" classList={{ main: mark().above }}>
                <path
                  d={`M${nameX()} ${y1()} L${x(mark().at)} ${mark().above ? y2() - 8 : y2() + 8} V${y2()}`}
                />
                <text x={nameX()} y={mark().above ? 16 : HEIGHT - 6} text-anchor="middle">
                  {mark().name}
                </text>
              </g>
            );
          }}
        </Index>
      </svg>
      <figcaption class="muted">
        {pointers().end} bytes in all, drawn to scale: {pointers().data} of headroom,{' '}
        {pointers().tail - pointers().data} of linear data, {pointers().end - pointers().tail} of
        tailroom.
      </figcaption>
      <Show when={props.detail.step.dataLength > 0}>
        <Fragments detail={props.detail} />
      </Show>
    </figure>
  );
}

/** A part of the packet: its linear data, a page of skb_shared_info, or a packet of its frag_list. */
interface Part {
  readonly name: string;
  readonly kind: 'linear' | 'frag' | 'list';
  readonly bytes: number;
  readonly from: number;
}

function partsOf({ step, fragmentSizes, listSizes }: StepDetail): Part[] {
  const parts: Part[] = [];
  let from = 0;
  const put = (name: string, kind: Part['kind'], bytes: number): void => {
    parts.push({ name, kind, bytes, from });
    from += bytes;
  };
  const linear = step.length - step.dataLength;
  if (linear > 0) put('linear', 'linear', linear);
  for (const [i, bytes] of fragmentSizes.entries()) put(`frags[${i}]`, 'frag', bytes);
  for (const [i, bytes] of listSizes.entries()) put(`frag_list ${i}`, 'list', bytes);
  return parts;
}

const PART_HEIGHT = 34;
/** Pixels of a name and a size beside each other, a character. */
const LETTER = 7.4;

/** The whole packet to scale: what of it lies where. */
function Fragments(props: { readonly detail: StepDetail }): JSX.Element {
  const parts = createMemo(() => partsOf(props.detail));
  const total = (): number => Math.max(1, props.detail.step.length);
  const x = (bytes: number): number => LEFT + (bytes / total()) * (WIDTH - 2 * LEFT);
  const told = (part: Part): string => {
    const width = x(part.bytes) - LEFT;
    const whole = `${part.name}: ${part.bytes}`;
    if (width > whole.length * LETTER) return whole;
    return width > String(part.bytes).length * LETTER ? String(part.bytes) : '';
  };
  const words = (): string =>
    parts()
      .map(({ name, bytes }) => `${name} ${bytes} bytes`)
      .join(', ');
  return (
    <>
      <svg
        class="fragments"
        viewBox={`0 0 ${WIDTH} ${PART_HEIGHT + 4}`}
        role="img"
        aria-label={`The packet of ${total()} bytes to scale: ${words()}`}
      >
        <Index each={parts()}>
          {(part) => (
            <g class={`fragment ${part().kind}`}>
              <rect x={x(part().from)} y="2" width={x(part().bytes) - LEFT} height={PART_HEIGHT}>
                <title>
                  {part().name}: {part().bytes} bytes from byte {part().from}
                </title>
              </rect>
              <text
                x={x(part().from + part().bytes / 2)}
                y={PART_HEIGHT / 2 + 7}
                text-anchor="middle"
              >
                {told(part())}
              </text>
            </g>
          )}
        </Index>
      </svg>
      <p class="muted fragment-note">
        The packet’s {total()} bytes to scale: {total() - props.detail.step.dataLength} linear,{' '}
        {props.detail.fragmentSizes.length} in pages of skb_shared_info
        <Show when={props.detail.listSizes.length > 0}>
          , {props.detail.listSizes.length} packets on its frag_list
        </Show>
        .
      </p>
    </>
  );
}
