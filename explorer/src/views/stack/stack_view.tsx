/** The map of the stack: one machine's layers, outwards and inwards, and what passes them, at five depths. */
import { createMemo, createResource, createSignal, For, type JSX, Show } from 'solid-js';
import { Icon } from '../../components/icon.tsx';
import { loadScript } from '../../model/client.ts';
import { formatCount } from '../../model/format.ts';
import { slowMoment } from '../../model/slow_moment.ts';
import { DEPTHS, nodeOf, STACK_NODES, type StackNode } from '../../model/stack_nodes.ts';
import type { Store } from '../../model/store.ts';
import type { StackCounts } from '../../protocol.ts';

const ROWS = 7;

const ROW_LABELS: readonly (readonly [string, string])[] = [
  ['people', 'programs'],
  ['persons', 'transport'],
  ['houses', 'network'],
  ['doors', 'link'],
  ['the pile', 'queues'],
  ['the carrier', 'driver'],
  ['the road', 'card'],
];

export function StackView(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const { state } = store;
  const [open, setOpen] = createSignal('');
  const asked = slowMoment(store);
  const [counts] = createResource(
    () => ({ machine: state.machine, at: asked(), packet: state.packet, world: state.world }),
    ({ machine, at, packet }) => store.client.call('stack', { machine, atNs: at, packet }),
  );
  const shown = (): StackNode | null => STACK_NODES.find(({ id }) => id === open()) ?? null;
  const trail = createMemo(() => {
    const nodes: string[] = [];
    for (const fn of counts.latest?.trail ?? []) {
      const id = nodeOf(fn)?.id;
      if (id !== undefined && nodes.at(-1) !== id) nodes.push(id);
    }
    return nodes;
  });
  const present = (): string => nodeOf(counts.latest?.present ?? '')?.id ?? '';
  return (
    <section class="pane wide" aria-labelledby="stack-title">
      <div class="pane-head">
        <h2 id="stack-title">The stack of {state.machine}</h2>
        <div class="head-tools">
          <label class="picker">
            Machine
            <select value={state.machine} onChange={(e) => store.setMachine(e.currentTarget.value)}>
              <For each={state.machines}>{({ name }) => <option value={name}>{name}</option>}</For>
            </select>
          </label>
          <fieldset class="toggle" aria-label="Depth">
            <For each={DEPTHS}>
              {(name, i) => (
                <button
                  type="button"
                  classList={{ active: state.depth === i() }}
                  aria-pressed={state.depth === i()}
                  onClick={() => store.setDepth(i())}
                >
                  {name}
                </button>
              )}
            </For>
          </fieldset>
        </div>
      </div>
      <div class="stack-map" classList={{ story: state.depth === 0 }}>
        <div class="stack-head">
          <span />
          <span>
            outwards <Arrow down />
          </span>
          <span>
            inwards <Arrow />
          </span>
        </div>
        <For each={Array.from({ length: ROWS }, (_, i) => i)}>
          {(row) => (
            <>
              <div class="stack-row">
                <span class="stack-label">{ROW_LABELS[row]?.[state.depth === 0 ? 0 : 1]}</span>
                <For each={['out', 'in'] as const}>
                  {(way) => (
                    <Show
                      when={STACK_NODES.find((n) => n.way === way && n.row === row)}
                      fallback={<span />}
                    >
                      {(node) => (
                        <Node
                          node={node()}
                          depth={state.depth}
                          counts={counts.latest ?? null}
                          passed={trail().includes(node().id)}
                          present={present() === node().id}
                          open={open() === node().id}
                          onOpen={() => setOpen(open() === node().id ? '' : node().id)}
                        />
                      )}
                    </Show>
                  )}
                </For>
              </div>
              <Show when={shown()?.row === row ? shown() : null}>
                {(node) => (
                  <Explanation
                    store={store}
                    node={node()}
                    counts={counts.latest ?? null}
                    onClose={() => setOpen('')}
                  />
                )}
              </Show>
            </>
          )}
        </For>
        <div class="stack-wire">
          <span />
          <span>the cable</span>
        </div>
      </div>
      <p class="muted">
        <Show
          when={state.packet !== 0}
          fallback="Select a packet, and its way through this machine is marked."
        >
          Packet {state.packet}{' '}
          {trail().length === 0
            ? `has not been on ${state.machine} up to this moment.`
            : `has passed ${trail().length} places here.`}
        </Show>
      </p>
    </section>
  );
}

function Arrow(props: { readonly down?: boolean }): JSX.Element {
  return <span aria-hidden="true">{props.down === true ? '↓' : '↑'}</span>;
}

function sum(
  table: Readonly<Record<string, number>> | undefined,
  functions: readonly string[],
): number {
  return functions.reduce((total, fn) => total + (table?.[fn] ?? 0), 0);
}

/** How many packets went by: the busiest of the place's functions, since each passes several. */
function passes(counts: StackCounts | null, node: StackNode): number {
  return node.functions.reduce((most, fn) => Math.max(most, counts?.passed[fn] ?? 0), 0);
}

function Node(props: {
  readonly node: StackNode;
  readonly depth: number;
  readonly counts: StackCounts | null;
  readonly passed: boolean;
  readonly present: boolean;
  readonly open: boolean;
  readonly onOpen: () => void;
}): JSX.Element {
  const n = (): number => passes(props.counts, props.node);
  const dropped = (): number => sum(props.counts?.dropped, props.node.functions);
  const queued = (): number =>
    props.node.queue === undefined ? 0 : (props.counts?.queued[props.node.queue] ?? 0);
  const live = createMemo(() =>
    props.node.functions
      .map((fn) => ({ fn, n: props.counts?.passed[fn] ?? 0 }))
      .filter((f) => props.depth >= 3 || f.n > 0)
      .slice(0, props.depth >= 3 ? 12 : 4),
  );
  return (
    <button
      type="button"
      class={`stack-node ${props.node.layer === 'transport' ? 'transport-layer' : props.node.layer}`}
      classList={{
        passed: props.passed,
        present: props.present,
        open: props.open,
        quiet: n() === 0,
      }}
      aria-expanded={props.open}
      onClick={() => props.onOpen()}
    >
      <span class="node-title">
        <Show when={props.present}>
          <Icon name="envelope" />
        </Show>
        {props.node.titles[Math.min(props.depth, 2)]}
      </span>
      <Show when={props.depth <= 1}>
        <span class="node-text">{props.node.texts[props.depth]}</span>
      </Show>
      <Show when={props.depth >= 2}>
        <span class="node-functions">
          <For each={live()}>
            {({ fn, n: count }) => (
              <code classList={{ quiet: count === 0 }}>
                {fn}
                <Show when={props.depth >= 3 && count > 0}>
                  <i>{formatCount(count)}</i>
                </Show>
              </code>
            )}
          </For>
        </span>
      </Show>
      <span class="node-counts">
        <span>{formatCount(n())} passed</span>
        <Show when={dropped() > 0}>
          <span class="node-dropped">{formatCount(dropped())} dropped</span>
        </Show>
        <Show when={queued() > 0}>
          <span class="node-queued">{queued()} waiting</span>
        </Show>
      </span>
    </button>
  );
}

interface FunctionSource {
  readonly file: string;
  readonly line: number;
  readonly kernelFile: string;
  readonly rfcs: readonly string[];
  readonly code: string;
}

declare global {
  var softnetSources: Readonly<Record<string, FunctionSource>> | undefined;
}

async function loadSources(): Promise<Readonly<Record<string, FunctionSource>>> {
  if (globalThis.softnetSources === undefined) await loadScript('sources.js');
  return globalThis.softnetSources ?? {};
}

function Explanation(props: {
  readonly store: Store;
  readonly node: StackNode;
  readonly counts: StackCounts | null;
  readonly onClose: () => void;
}): JSX.Element {
  const { state } = props.store;
  const [sources] = createResource(
    () => state.depth >= 3,
    () => loadSources(),
  );
  const texts = (): readonly string[] =>
    state.depth < 2
      ? [props.node.texts[state.depth] ?? '']
      : props.node.texts.slice(2, state.depth + 1);
  const counters = (): readonly string[] => props.node.counters ?? [];
  const ordered = createMemo(() =>
    [...props.node.functions].sort(
      (a, b) => (props.counts?.passed[b] ?? 0) - (props.counts?.passed[a] ?? 0),
    ),
  );
  return (
    <div class="box explanation">
      <div class="panel-head">
        <div>
          <p class="eyebrow">{DEPTHS[state.depth]}</p>
          <h3>{props.node.titles[Math.min(state.depth, 2)]}</h3>
        </div>
        <button type="button" class="icon-button" onClick={() => props.onClose()}>
          <Icon name="close" />
          <span class="sr">Close</span>
        </button>
      </div>
      <For each={texts()}>{(text) => <p>{text}</p>}</For>
      <Show when={state.depth >= 2 && counters().length > 0}>
        <p class="muted">
          Counters of this machine:{' '}
          <For each={counters()}>
            {(name) => (
              <code class="counter">
                {name} {props.counts?.counters[name] ?? 0}
              </code>
            )}
          </For>
        </p>
      </Show>
      <Show when={state.depth >= 2 && (props.node.rfcs ?? []).length > 0}>
        <p class="muted">
          Written down in{' '}
          <For each={props.node.rfcs ?? []}>
            {(rfc, i) => (
              <>
                {i() > 0 ? ', ' : ''}RFC {rfc}
              </>
            )}
          </For>
          .
        </p>
      </Show>
      <Show when={state.depth >= 3}>
        <For each={ordered()}>
          {(fn) => (
            <Show when={sources.latest?.[fn]}>
              {(source) => (
                <details class="function-source" open={state.depth === 4 && fn === ordered()[0]}>
                  <summary>
                    <code>{fn}()</code>{' '}
                    <span class="muted">
                      {props.counts?.passed[fn] ?? 0} passed, {source().kernelFile} →{' '}
                      {source().file}:{source().line}
                      <Show when={source().rfcs.length > 0}>, RFC {source().rfcs.join(', ')}</Show>
                    </span>
                  </summary>
                  <Show when={state.depth === 4}>
                    <pre tabindex="0">{source().code}</pre>
                  </Show>
                </details>
              )}
            </Show>
          )}
        </For>
      </Show>
    </div>
  );
}
