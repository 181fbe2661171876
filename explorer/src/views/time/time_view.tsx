/** The time machine: go to any moment, step, and ask what would have been: change one thing and compare. */
import {
  createEffect,
  createMemo,
  createResource,
  createSignal,
  For,
  type JSX,
  on,
  Show,
} from 'solid-js';
import { Icon } from '../../components/icon.tsx';
import { formatCount, formatTime } from '../../model/format.ts';
import { slowMoment } from '../../model/slow_moment.ts';
import { steady } from '../../model/steady.ts';
import type { Store } from '../../model/store.ts';
import type { ActionBody, DivergentEvent, ForkResult, RunSummary } from '../../protocol.ts';
import { CHANGES, type Change, changeBody } from './changes.ts';

const STEPS_SHOWN = 40;
const STEPS_BEFORE = 14;

export function TimeView(props: { readonly store: Store }): JSX.Element {
  return (
    <section class="pane wide" aria-labelledby="time-title">
      <div class="pane-head">
        <h2 id="time-title">Time machine</h2>
        <p>The same world, seed and moment: the address bar has them all.</p>
      </div>
      <div class="columns time-columns">
        <Steps store={props.store} />
        <Fork store={props.store} />
      </div>
    </section>
  );
}

/** Every step of every machine around the moment. */
function Steps(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const { state } = store;
  const asked = slowMoment(store);
  const [steps] = createResource(
    () => ({ moment: asked(), world: state.world }),
    async ({ moment }) => {
      const at = await store.client.call('stepAt', { timeNs: moment });
      const from = Math.max(0, at - STEPS_BEFORE);
      const list = await store.client.call('steps', { from, count: STEPS_SHOWN, machine: '' });
      return { at, list };
    },
    { storage: steady('n') },
  );
  const goTo = (ms: string): void => {
    const value = Number(ms);
    if (!Number.isFinite(value) || value < 0) {
      store.notify(`'${ms}' is no time in milliseconds.`);
      return;
    }
    store.setPlaying(false);
    void store.seek(store.originNs + value * 1e6);
  };
  return (
    <div class="box">
      <h3>Around the moment</h3>
      <div class="panel-actions">
        <button type="button" onClick={() => void store.stepBack()}>
          <Icon name="back" />
          Back
        </button>
        <button type="button" onClick={() => void store.step('event')}>
          <Icon name="forward" />
          Event
        </button>
        <button type="button" onClick={() => void store.step('packet')}>
          <Icon name="next" />
          Packet
        </button>
        <button type="button" onClick={() => void stepFunction(store)}>
          <Icon name="stack" />
          Function
        </button>
        <button
          type="button"
          onClick={() => {
            store.setPlaying(false);
            void store.seek(store.originNs);
          }}
        >
          <Icon name="restart" />
          Beginning
        </button>
        <label class="field">
          to{' '}
          <input
            type="number"
            min="0"
            step="1"
            class="mono go-to"
            aria-label="Go to this moment, in milliseconds"
            onChange={(e) => goTo(e.currentTarget.value)}
          />{' '}
          ms
        </label>
      </div>
      <ol class="steps mono">
        <For
          each={steps.latest?.list ?? []}
          fallback={<li class="muted">Nothing has happened yet.</li>}
        >
          {(step) => (
            <li>
              <button
                type="button"
                class="step-line"
                classList={{
                  present: step.n === steps.latest?.at,
                  future: step.timeNs > store.moment(),
                  bad: step.bad,
                }}
                onClick={() => {
                  store.setPlaying(false);
                  store.setMoment(step.timeNs);
                  if (step.packet !== 0) store.selectPacket(step.packet);
                }}
              >
                <span class="step-time">{formatTime(step.timeNs - store.originNs)}</span>
                <span>{step.machine}</span>
                <span class={`ctx ${step.context}`}>{step.context}</span>
                <span class="step-fn">{step.fn}</span>
                <span class="step-note">{step.note}</span>
              </button>
            </li>
          )}
        </For>
      </ol>
      <p class="muted">
        Fingerprint of the run so far: <code>{state.fingerprint}</code>
      </p>
    </div>
  );
}

/** To the next step of any function, even within one instant. */
async function stepFunction(store: Store): Promise<void> {
  store.setPlaying(false);
  const at =
    store.state.step >= 0
      ? store.state.step
      : await store.client.call('stepAt', { timeNs: store.moment() });
  const [next] = await store.client.call('steps', { from: at + 1, count: 1, machine: '' });
  if (next === undefined) {
    await store.step('event');
    return;
  }
  await store.seek(next.timeNs);
  if (next.packet !== 0) store.selectPacket(next.packet);
  store.setStep(next.n);
}

function Fork(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const { state } = store;
  const [kind, setKind] = createSignal(CHANGES[0]?.id ?? '');
  const [target, setTarget] = createSignal('');
  const [value, setValue] = createSignal('');
  const [result, setResult] = createSignal<ForkResult | null>(null);
  const [busy, setBusy] = createSignal(false);
  // What was compared of another world says nothing of this one.
  createEffect(
    on(
      () => [state.source, state.seed],
      () => setResult(null),
      { defer: true },
    ),
  );
  const change = createMemo(
    (): Change => CHANGES.find(({ id }) => id === kind()) ?? (CHANGES[0] as Change),
  );
  const targets = (): readonly string[] =>
    change().on === 'cable'
      ? state.cables.map(({ ends }) => `${ends[0].node} — ${ends[1].node}`)
      : state.machines.map(({ name }) => name);
  const chosen = (): number => Math.max(0, targets().indexOf(target()));
  const run = async (): Promise<void> => {
    const body: ActionBody | null = changeBody(
      change(),
      chosen(),
      targets()[chosen()] ?? '',
      value() === '' ? change().example : value(),
    );
    if (body === null) {
      store.notify(`'${value()}' cannot be understood; write it like ${change().example}.`);
      return;
    }
    store.setPlaying(false);
    setBusy(true);
    setResult(null);
    try {
      const atNs = store.moment();
      setResult(
        await store.client.call('fork', {
          atNs,
          untilNs: Math.max(store.horizonNs, state.headNs),
          change: body,
        }),
      );
    } catch (error) {
      store.notify(error instanceof Error ? error.message : String(error));
    }
    setBusy(false);
  };
  const follow = (fork: ForkResult): void => {
    const { source, seed } = state;
    if (source === null) return;
    const at = fork.second?.timeNs ?? store.moment();
    void store
      .load(source, seed, fork.actions)
      .then(() => store.seek(at))
      .then(() => store.setPlaying(true));
  };
  return (
    <div class="box">
      <h3>What would have been, if at {formatTime(store.moment() - store.originNs)} …</h3>
      <div class="fork-form">
        <label class="field">
          change
          <select
            value={kind()}
            onChange={(e) => {
              setKind(e.currentTarget.value);
              setValue('');
              setTarget('');
            }}
          >
            <For each={CHANGES}>{({ id, label }) => <option value={id}>{label}</option>}</For>
          </select>
        </label>
        <label class="field">
          of
          <select value={targets()[chosen()]} onChange={(e) => setTarget(e.currentTarget.value)}>
            <For each={targets()}>{(name) => <option value={name}>{name}</option>}</For>
          </select>
        </label>
        <Show when={change().example !== ''}>
          <label class="field">
            to{' '}
            <input
              value={value()}
              placeholder={change().example}
              spellcheck={false}
              class="mono"
              onInput={(e) => setValue(e.currentTarget.value)}
            />
          </label>
        </Show>
        <button type="button" class="primary" disabled={busy()} onClick={() => void run()}>
          <Icon name="fork" />
          {busy() ? 'Running both…' : 'Run both and compare'}
        </button>
      </div>
      <Show
        when={result()}
        fallback={
          <p class="muted">
            Both runs begin with the same seed and do the same until that moment. The first event in
            which they differ is found and shown.
          </p>
        }
      >
        {(fork) => (
          <Comparison
            store={store}
            fork={fork()}
            startNs={store.originNs}
            onFollow={() => follow(fork())}
          />
        )}
      </Show>
    </div>
  );
}

function eventWords(event: DivergentEvent | null, startNs: number): string {
  if (event === null) return 'the run had ended';
  return `event ${event.number} at ${formatTime(event.timeNs - startNs)}: ${event.kind} of ${event.subject === '' ? 'the world' : event.subject}`;
}

const ROWS: readonly (readonly [string, (run: RunSummary) => number])[] = [
  ['events', (run) => run.events],
  ['packets', (run) => run.packets],
  ['arrived', (run) => run.delivered],
  ['dropped', (run) => run.drops],
  ['lost on cables', (run) => run.lost],
];

function Comparison(props: {
  readonly store: Store;
  readonly fork: ForkResult;
  readonly startNs: number;
  readonly onFollow: () => void;
}): JSX.Element {
  const parts = (): boolean => props.fork.first !== null || props.fork.second !== null;
  return (
    <Show
      when={parts() || props.fork.partLater !== null}
      fallback={
        <p class="same">
          <b>Nothing differs.</b> All {formatCount(props.fork.before.events)} events are the same:
          the change made no difference up to there.
        </p>
      }
    >
      <Show
        when={props.fork.partLater}
        fallback={
          <>
            <p>
              <b>{formatCount(props.fork.common)} events are the same.</b> Then the runs part:
            </p>
            <dl class="facts divergence">
              <div>
                <dt>as it was</dt>
                <dd>{eventWords(props.fork.first, props.startNs)}</dd>
              </div>
              <div>
                <dt>changed</dt>
                <dd>{eventWords(props.fork.second, props.startNs)}</dd>
              </div>
            </dl>
          </>
        }
      >
        {(later) => (
          <p class="part-later">
            <b>{formatCount(props.fork.common)} events were compared one by one,</b> and are the
            same; a page does not keep more of them. The runs part later: behind event{' '}
            {formatCount(later().after)}, and not later than event {formatCount(later().by)}.
          </p>
        )}
      </Show>
      <table class="compare">
        <thead>
          <tr>
            <th scope="col">until {formatTime(props.fork.after.endNs - props.startNs)}</th>
            <th scope="col">as it was</th>
            <th scope="col">changed</th>
          </tr>
        </thead>
        <tbody>
          <For each={ROWS}>
            {([name, of]) => (
              <tr classList={{ differs: of(props.fork.before) !== of(props.fork.after) }}>
                <th scope="row">{name}</th>
                <td>{formatCount(of(props.fork.before))}</td>
                <td>{formatCount(of(props.fork.after))}</td>
              </tr>
            )}
          </For>
          <tr>
            <th scope="row">fingerprint</th>
            <td>
              <code>{props.fork.before.fingerprint}</code>
            </td>
            <td>
              <code>{props.fork.after.fingerprint}</code>
            </td>
          </tr>
        </tbody>
      </table>
      <Show when={props.fork.sightings.length > 0}>
        <h3>The first packets that differ</h3>
        <ul class="sightings">
          <For each={props.fork.sightings}>
            {({ original, changed }) => (
              <li>
                <span class="was">{original || 'no packet'}</span>
                <span class="is">{changed || 'no packet'}</span>
              </li>
            )}
          </For>
        </ul>
      </Show>
      <div class="panel-actions">
        <button type="button" class="primary" onClick={() => props.onFollow()}>
          <Icon name="fork" />
          Go on in the changed run
        </button>
      </div>
    </Show>
  );
}
