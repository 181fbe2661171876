/** One packet from its birth to its end: every step with time, CPU and context. Arrow keys go along. */
import { createEffect, createMemo, createResource, For, type JSX, on, Show } from 'solid-js';
import { Icon } from '../../components/icon.tsx';
import { KindDot, PacketChip } from '../../components/packet_chip.tsx';
import { callOf, formatTime } from '../../model/format.ts';
import { KIND_LABELS } from '../../model/kinds.ts';
import { usePacketSteps } from '../../model/packet_steps.ts';
import { changeWords, sightBefore } from '../../model/pointer_words.ts';
import { slowMoment } from '../../model/slow_moment.ts';
import { steady } from '../../model/steady.ts';
import type { Store } from '../../model/store.ts';
import type { Journey, StepInfo } from '../../protocol.ts';

/** A journey in the order in which it is told: machines with their steps, cables between them. */
type Row =
  | { readonly kind: 'machine'; readonly name: string }
  | { readonly kind: 'step'; readonly step: StepInfo; readonly index: number }
  | { readonly kind: 'hop'; readonly hop: Journey['hops'][number] };

function rowsOf(journey: Journey): Row[] {
  const rows: Row[] = [];
  let machine = '';
  let nextHop = 0;
  const hops = [...journey.hops].sort((a, b) => a.departNs - b.departNs);
  journey.steps.forEach((step, index) => {
    // A cable stands where the packet comes out at its far end.
    while (nextHop < hops.length && step.machine !== machine && machine !== '') {
      const hop = hops[nextHop];
      if (hop === undefined || hop.departNs > step.timeNs) break;
      rows.push({ kind: 'hop', hop });
      nextHop++;
      break;
    }
    if (step.machine !== machine) {
      machine = step.machine;
      rows.push({ kind: 'machine', name: machine });
    }
    rows.push({ kind: 'step', step, index });
  });
  for (const hop of hops.slice(nextHop)) rows.push({ kind: 'hop', hop });
  return rows;
}

const HOP_WORDS: Readonly<Record<string, string>> = {
  arrives: '',
  lost: 'lost on the way',
  overflowed: 'the cable’s queue was full',
  unplugged: 'nothing is plugged in',
  cut: 'the cable was cut',
};

export function JourneyView(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const { journey, steps, present, go } = usePacketSteps(store);
  const rows = createMemo(() => {
    const value = journey();
    return value === null ? [] : rowsOf(value);
  });
  let list: HTMLOListElement | undefined;
  createEffect(
    on(present, (index) => {
      list?.querySelector(`[data-index="${index}"]`)?.scrollIntoView({ block: 'nearest' });
    }),
  );

  return (
    <section class="pane" aria-labelledby="journey-title">
      <Show when={journey()} fallback={<ChoosePacket store={store} />}>
        {(value) => (
          <>
            <div class="pane-head">
              <h2 id="journey-title">
                <KindDot kind={value().packet.kind} /> {KIND_LABELS[value().packet.kind]}:{' '}
                {value().packet.words}
              </h2>
              <p>
                {value().packet.flow}, {steps().length} steps, <kbd>←</kbd> <kbd>→</kbd> to walk
              </p>
            </div>
            <ol class="journey" ref={list}>
              <For each={rows()}>
                {(row) => {
                  if (row.kind === 'machine') {
                    return (
                      <li class="journey-machine">
                        <Icon name="host" />
                        {row.name}
                      </li>
                    );
                  }
                  if (row.kind === 'hop') {
                    const { hop } = row;
                    return (
                      <li class="journey-hop" classList={{ bad: hop.fate !== 'arrives' }}>
                        <Icon name={hop.fate === 'arrives' ? 'envelope' : 'warning'} />
                        on the cable for {formatTime(hop.arriveNs - hop.departNs)}{' '}
                        {HOP_WORDS[hop.fate]}
                      </li>
                    );
                  }
                  const { step, index } = row;
                  return (
                    <li>
                      <button
                        type="button"
                        class="journey-step"
                        data-index={index}
                        classList={{
                          present: index === present(),
                          past: index < present(),
                          bad: step.bad,
                          decision: step.kind === 'decision',
                        }}
                        aria-current={index === present() ? 'step' : undefined}
                        onClick={() => go(index)}
                      >
                        <span class="step-time">{formatTime(step.timeNs - store.originNs)}</span>
                        <span>
                          <span class={`ctx ${step.context}`}>{step.context}</span>{' '}
                          <span class="muted">cpu{step.cpu}</span>
                        </span>
                        <span class="step-fn">
                          <Show when={step.path.length > 0}>
                            <span class="step-path">{step.path.join(' › ')}</span>
                          </Show>
                          {callOf(step.fn)}
                        </span>
                        <span class="step-note">
                          <Show when={step.kind === 'decision'}>
                            <span class="tag">decision</span>{' '}
                          </Show>
                          {step.note}
                          <span class="step-move">
                            {changeWords(sightBefore(steps(), index), step)}
                          </span>
                        </span>
                      </button>
                    </li>
                  );
                }}
              </For>
            </ol>
            <Relatives store={store} parent={value().packet.parent} parts={value().packet.parts} />
          </>
        )}
      </Show>
    </section>
  );
}

/** Where a packet was cut from another, or others from it: the way goes on there. */
function Relatives(props: {
  readonly store: Store;
  readonly parent: number;
  readonly parts: readonly number[];
}): JSX.Element {
  return (
    <>
      <Show when={props.parent !== 0}>
        <p class="examples">
          It was cut from
          <button type="button" onClick={() => props.store.selectPacket(props.parent)}>
            packet {props.parent}
          </button>
        </p>
      </Show>
      <Show when={props.parts.length > 0}>
        <p class="examples">
          It was cut, and its way goes on as
          <For each={props.parts.slice(0, 24)}>
            {(id) => (
              <button type="button" onClick={() => props.store.selectPacket(id)}>
                packet {id}
              </button>
            )}
          </For>
        </p>
      </Show>
    </>
  );
}

/** When no packet is selected: those of the run, to choose one. */
export function ChoosePacket(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const asked = slowMoment(store);
  const [packets] = createResource(
    () => ({ toNs: asked(), world: store.state.world }),
    ({ toNs }) => store.client.call('packets', { limit: 60, latest: true, toNs }),
    { storage: steady() },
  );
  return (
    <>
      <div class="pane-head">
        <h2>Choose a packet</h2>
        <p>Here, or by clicking one on the map.</p>
      </div>
      <div class="chips">
        <For
          each={[...(packets.latest ?? [])].reverse()}
          fallback={<p class="empty">No packet has been seen yet. Let the world play.</p>}
        >
          {(packet) => <PacketChip store={store} packet={packet} />}
        </For>
      </div>
    </>
  );
}
