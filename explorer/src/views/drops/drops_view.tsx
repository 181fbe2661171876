/** The ledger of drops: by reason, machine and function, with an example and what to do about it. */
import { createResource, For, type JSX, Show } from 'solid-js';
import { AdviceBox } from '../../components/advice_box.tsx';
import { Icon } from '../../components/icon.tsx';
import { callOf, formatTime } from '../../model/format.ts';
import { slowMoment } from '../../model/slow_moment.ts';
import { steady } from '../../model/steady.ts';
import type { Store } from '../../model/store.ts';
import type { DropLine } from '../../protocol.ts';

export function DropsView(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const asked = slowMoment(store);
  const [lines] = createResource(
    () => ({ untilNs: asked(), world: store.state.world }),
    ({ untilNs }) => store.client.call('drops', { untilNs }),
    { storage: steady() },
  );
  const news = (): readonly DropLine[] => (lines.latest ?? []).filter(({ expected }) => !expected);
  const expected = (): readonly DropLine[] => (lines.latest ?? []).filter((line) => line.expected);
  return (
    <section class="pane" aria-labelledby="drops-title">
      <div class="pane-head">
        <h2 id="drops-title">Which packets died, where and why</h2>
        <p>No packet leaves the world without a reason.</p>
      </div>
      <Show
        when={(lines.latest ?? []).length > 0}
        fallback={
          <p class="empty">
            Nothing has been dropped so far. On a machine’s terminal, break something: for example{' '}
            <code>sysctl -w net.ipv4.ip_forward=0</code> on a router.
          </p>
        }
      >
        <div class="ledger">
          <For each={news()}>{(line) => <Line store={store} line={line} />}</For>
          <Show when={expected().length > 0}>
            <h3>Lost on cables that were told to lose</h3>
            <For each={expected()}>{(line) => <Line store={store} line={line} />}</For>
          </Show>
        </div>
      </Show>
    </section>
  );
}

function Line(props: { readonly store: Store; readonly line: DropLine }): JSX.Element {
  const { store } = props;
  const example = (): number => props.line.examples.at(-1) ?? 0;
  const open = (id: number): void => {
    store.selectPacket(id);
    store.setView('journey');
  };
  return (
    <article
      class="drop-line"
      classList={{
        chosen: props.line.examples.includes(store.state.packet),
        expected: props.line.expected,
      }}
    >
      <div class="drop-top">
        <span class="drop-number">
          {props.line.count}
          <span class="sr"> packets</span>
        </span>
        <span class="drop-reason">{props.line.reason}</span>
        <span class="drop-where">
          on <b>{props.line.machine}</b>
          <Show when={props.line.fn !== 'cable'}>
            {' '}
            in <code>{callOf(props.line.fn)}</code>
          </Show>
        </span>
        <span class="muted">
          {props.line.count > 1
            ? `from ${formatTime(props.line.firstNs - store.originNs)} to `
            : 'at '}
          {formatTime(props.line.lastNs - store.originNs)}
        </span>
      </div>
      <AdviceBox store={store} line={props.line} />
      <div class="examples">
        <button type="button" onClick={() => open(example())}>
          <Icon name="journey" />
          Journey of packet {example()}
        </button>
        <For each={props.line.examples.slice(0, -1).reverse()}>
          {(id) => (
            <button type="button" class="icon-button" onClick={() => open(id)}>
              {id}
              <span class="sr">: open the journey</span>
            </button>
          )}
        </For>
      </div>
    </article>
  );
}
