/** A packet under the microscope: its memory to scale, its bytes beside their meaning, step by step. */
import { createMemo, createResource, createSignal, For, type JSX, Show } from 'solid-js';
import { Icon } from '../../components/icon.tsx';
import { KindDot } from '../../components/packet_chip.tsx';
import { callOf, formatTime } from '../../model/format.ts';
import { KIND_LABELS } from '../../model/kinds.ts';
import { usePacketSteps } from '../../model/packet_steps.ts';
import { changeWords, sightBefore } from '../../model/pointer_words.ts';
import type { Store } from '../../model/store.ts';
import type { HeaderInfo, StepDetail } from '../../protocol.ts';
import { ChoosePacket } from '../journey/journey_view.tsx';
import { BufferDrawing } from './buffer_drawing.tsx';

export function MicroscopeView(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const { journey, steps, present, go } = usePacketSteps(store);
  /** Only steps that saw the packet's structure have memory to show. */
  const n = createMemo(() => {
    const list = steps();
    for (let i = present(); i >= 0; i--) {
      const step = list[i];
      if (step !== undefined && step.skb !== 0) return step.n;
    }
    return list.find(({ skb }) => skb !== 0)?.n ?? -1;
  });
  const [detail] = createResource(n, (at) =>
    at < 0 ? Promise.resolve(null) : store.client.call('stepDetail', { n: at }),
  );
  const [field, setField] = createSignal('');
  const change = createMemo(() => {
    const now = steps()[present()];
    const words = now === undefined ? '' : changeWords(sightBefore(steps(), present()), now);
    return words === '' ? '' : `— ${words}`;
  });

  return (
    <section class="pane" aria-label="Packet microscope">
      <Show when={journey()} fallback={<ChoosePacket store={store} />}>
        {(value) => (
          <>
            <div class="pane-head">
              <h2>
                <KindDot kind={value().packet.kind} /> {KIND_LABELS[value().packet.kind]}:{' '}
                {value().packet.words}
              </h2>
              <div class="stepper">
                <button type="button" onClick={() => go(present() - 1)} disabled={present() === 0}>
                  <Icon name="back" />
                  <span class="sr">Step before</span>
                </button>
                <span class="muted">
                  step {present() + 1} of {steps().length}
                </span>
                <button
                  type="button"
                  onClick={() => go(present() + 1)}
                  disabled={present() >= steps().length - 1}
                >
                  <Icon name="forward" />
                  <span class="sr">Step after</span>
                </button>
              </div>
            </div>
            <Show
              when={detail.latest}
              fallback={<p class="empty">This packet’s memory was not seen at this step.</p>}
            >
              {(d) => (
                <>
                  <p class="microscope-step">
                    <b class="mono">{callOf(d().step.fn)}</b> on <b>{d().step.machine}</b>,{' '}
                    {formatTime(d().step.timeNs - store.originNs)},{' '}
                    <span class={`ctx ${d().step.context}`}>{d().step.context}</span>
                    <span class="muted"> {change()}</span>
                  </p>
                  <BufferDrawing detail={d()} />
                  <dl class="skb-facts">
                    <Fact
                      name="skb"
                      value={`${d().step.skb}`}
                      hint="number of the structure on this machine"
                    />
                    <Fact name="len" value={`${d().step.length}`} hint="bytes in the packet" />
                    <Fact
                      name="data_len"
                      value={`${d().step.dataLength}`}
                      hint="of these, in fragments"
                    />
                    <Fact
                      name="nr_frags"
                      value={`${d().step.fragments}`}
                      hint="pages outside the linear part"
                    />
                    <Fact
                      name="users"
                      value={`${d().step.users}`}
                      hint="holders of the structure"
                    />
                    <Fact
                      name="dataref"
                      value={`${d().step.dataref}`}
                      hint={
                        d().step.dataref > 1 ? 'clones share the bytes' : 'nobody shares the bytes'
                      }
                    />
                    <Fact
                      name="headroom"
                      value={`${d().step.pointers.data}`}
                      hint="bytes free before the data"
                    />
                    <Fact
                      name="tailroom"
                      value={`${d().step.pointers.end - d().step.pointers.tail}`}
                      hint="bytes free behind it"
                    />
                  </dl>
                  <div class="dissection">
                    <HexDump detail={d()} field={field()} onField={setField} />
                    <HeaderTables detail={d()} field={field()} onField={setField} />
                  </div>
                </>
              )}
            </Show>
          </>
        )}
      </Show>
    </section>
  );
}

function Fact(props: {
  readonly name: string;
  readonly value: string;
  readonly hint: string;
}): JSX.Element {
  return (
    <div title={props.hint}>
      <dt class="mono">{props.name}</dt>
      <dd>
        <b class="mono">{props.value}</b>
        <span class="muted">{props.hint}</span>
      </dd>
    </div>
  );
}

interface Cell {
  readonly text: string;
  readonly layer: string;
  readonly field: string;
  readonly live: boolean;
  /** Of the first byte of a field what it is, in words; empty: another byte. */
  readonly words: string;
}

function cellsOf(detail: StepDetail): Cell[] {
  const cells: Cell[] = [...detail.bytes].map((byte, i) => ({
    text: byte.toString(16).padStart(2, '0'),
    layer: 'payload',
    field: '',
    words: '',
    live: detail.from + i >= detail.step.pointers.data,
  }));
  for (const header of detail.headers) {
    for (let i = header.start; i < header.start + header.length && i < cells.length; i++) {
      const cell = cells[i];
      if (cell === undefined) continue;
      const field = header.fields.find((f) => i >= f.start && i < f.start + f.length);
      const name = field === undefined ? header.name : `${header.name}/${field.name}`;
      const start = field === undefined ? header.start : field.start;
      const value = field === undefined ? `${header.length} bytes` : field.value;
      const words = i === start || cells[i - 1]?.field !== name ? `${name}: ${value}` : '';
      cells[i] = { ...cell, layer: header.layer, field: name, words };
    }
  }
  return cells;
}

function HexDump(props: {
  readonly detail: StepDetail;
  readonly field: string;
  readonly onField: (field: string) => void;
}): JSX.Element {
  const rows = createMemo(() => {
    const cells = cellsOf(props.detail);
    const list: { offset: number; cells: Cell[] }[] = [];
    for (let i = 0; i < cells.length; i += 16) {
      list.push({ offset: i, cells: cells.slice(i, i + 16) });
    }
    return list;
  });
  return (
    <div class="hex mono">
      <For each={rows()}>
        {(row) => (
          <div class="hex-row">
            <span class="hex-offset">{row.offset.toString(16).padStart(4, '0')}</span>
            <For each={row.cells}>
              {(cell) => (
                <Byte
                  cell={cell}
                  chosen={cell.field !== '' && cell.field === props.field}
                  onField={props.onField}
                />
              )}
            </For>
          </div>
        )}
      </For>
      <p class="muted hex-note">
        Pale bytes lie before <code>data</code>: headers that were taken off are still there.
        <Show when={props.detail.step.length > props.detail.bytes.length}>
          {' '}
          The first {props.detail.bytes.length} of {props.detail.step.length} bytes were kept.
        </Show>
      </p>
    </div>
  );
}

/** A byte; the first one of a field is a button, so that the keyboard gets to each field too. */
function Byte(props: {
  readonly cell: Cell;
  readonly chosen: boolean;
  readonly onField: (field: string) => void;
}): JSX.Element {
  const choose = (): void => props.onField(props.cell.field);
  const look = (): string => `hex-cell layer-${props.cell.layer}`;
  const states = (): Record<string, boolean> => ({
    chosen: props.chosen,
    done: !props.cell.live,
  });
  return (
    <Show
      when={props.cell.words !== ''}
      fallback={
        <span class={look()} classList={states()} onPointerEnter={choose} title={props.cell.field}>
          {props.cell.text}
        </span>
      }
    >
      <button
        type="button"
        class={look()}
        classList={states()}
        aria-label={`${props.cell.text} ${props.cell.words}`}
        aria-pressed={props.chosen}
        onPointerEnter={choose}
        onFocus={choose}
        onClick={choose}
        title={props.cell.field}
      >
        {props.cell.text}
      </button>
    </Show>
  );
}

function HeaderTables(props: {
  readonly detail: StepDetail;
  readonly field: string;
  readonly onField: (field: string) => void;
}): JSX.Element {
  const name = (header: HeaderInfo, field: HeaderInfo['fields'][number]): string =>
    `${header.name}/${field.name}`;
  return (
    <div class="headers">
      <For each={props.detail.headers}>
        {(header) => (
          <div class={`header-card layer-${header.layer}`}>
            <h3>
              {header.name}
              <span class="muted">
                {header.length} bytes, written by <code>{header.writer}</code>
              </span>
            </h3>
            <dl>
              <For each={header.fields}>
                {(field) => (
                  <div
                    classList={{ chosen: name(header, field) === props.field }}
                    onPointerEnter={() => props.onField(name(header, field))}
                  >
                    <dt>{field.name}</dt>
                    <dd class="mono">
                      {field.value}
                      <Show when={field.hint !== ''}>
                        <span class="hint">{field.hint}</span>
                      </Show>
                    </dd>
                  </div>
                )}
              </For>
            </dl>
          </div>
        )}
      </For>
    </div>
  );
}
