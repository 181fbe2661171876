/** Beside every view: what is selected, and what can be done with it. */
import {
  createEffect,
  createResource,
  createSignal,
  For,
  type JSX,
  Match,
  on,
  Show,
  Switch,
} from 'solid-js';
import {
  callOf,
  formatBytes,
  formatPercent,
  formatRate,
  formatTime,
  shortTime,
} from '../model/format.ts';
import { KIND_LABELS } from '../model/kinds.ts';
import { slowMoment } from '../model/slow_moment.ts';
import { steady } from '../model/steady.ts';
import type { Store } from '../model/store.ts';
import { type LinkImpairments, PACKET_KINDS, type PacketInfo } from '../protocol.ts';
import { AdviceBox } from './advice_box.tsx';
import { Icon } from './icon.tsx';
import { KindDot, PacketChip } from './packet_chip.tsx';

/** What the panel shows, in a word or two: its button says it while the panel is closed. */
function panelTitle({ state }: Store): string {
  const { selection, packetInfo } = state;
  if (selection.kind === 'packet' && packetInfo !== null) return `Packet ${packetInfo.id}`;
  if (selection.kind === 'machine') return selection.name;
  if (selection.kind !== 'cable') return 'World';
  const cable = state.world?.cables[selection.index];
  return cable === undefined ? 'Cable' : `${cable.ends[0].node} — ${cable.ends[1].node}`;
}

/** Always open on a wide screen; on a narrow one it is closed, a button, until somebody opens it. */
export function Inspector(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const { state } = store;
  const [open, setOpen] = createSignal(false);
  createEffect(
    on(
      () => state.headNs,
      () => store.refreshPacket(),
      { defer: true },
    ),
  );
  return (
    <aside class="inspector" classList={{ open: open() }} aria-label="Selection">
      <button
        type="button"
        class="inspector-toggle"
        aria-expanded={open()}
        aria-controls="inspector-body"
        onClick={() => setOpen(!open())}
      >
        <span>{panelTitle(store)}</span>
        <Icon name="down" />
      </button>
      <div class="inspector-body" id="inspector-body">
        <Switch fallback={<WorldPanel store={store} />}>
          <Match when={state.selection.kind === 'packet' && state.packetInfo}>
            {(packet) => <PacketPanel store={store} packet={packet()} />}
          </Match>
          <Match when={state.selection.kind === 'cable' && state.selection}>
            {(selection) => (
              <CablePanel store={store} index={(selection() as { index: number }).index} />
            )}
          </Match>
          <Match when={state.selection.kind === 'machine' && state.selection}>
            {(selection) => (
              <MachinePanel store={store} name={(selection() as { name: string }).name} />
            )}
          </Match>
        </Switch>
      </div>
    </aside>
  );
}

function PanelHead(props: {
  readonly store: Store;
  readonly kind: string;
  readonly title: string;
}): JSX.Element {
  return (
    <div class="panel-head">
      <div>
        <p class="eyebrow">{props.kind}</p>
        <h2>{props.title}</h2>
      </div>
      <button type="button" class="icon-button" onClick={() => props.store.selectPacket(0)}>
        <Icon name="close" />
        <span class="sr">Close</span>
      </button>
    </div>
  );
}

function WorldPanel(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const asked = slowMoment(store);
  const [recent] = createResource(
    () => ({ toNs: asked(), world: store.state.world, ready: store.state.phase === 'ready' }),
    ({ toNs, ready }) =>
      ready ? store.client.call('packets', { toNs, latest: true, limit: 8 }) : Promise.resolve([]),
    { storage: steady() },
  );
  return (
    <>
      <div class="panel-head">
        <div>
          <p class="eyebrow">World</p>
          <h2>{store.entry?.title ?? store.state.world?.name ?? 'softnet'}</h2>
        </div>
      </div>
      <Show when={store.entry}>
        {(entry) => (
          <>
            <p>{entry().story}</p>
            <ul class="tries">
              <For each={entry().tries}>{(text) => <li>{text}</li>}</For>
            </ul>
          </>
        )}
      </Show>
      <h3>Latest packets</h3>
      <div class="chips">
        <For
          each={[...(recent.latest ?? [])].reverse()}
          fallback={<p class="muted">None so far.</p>}
        >
          {(packet) => <PacketChip store={store} packet={packet} />}
        </For>
      </div>
      <details class="legend">
        <summary>Colours</summary>
        <ul>
          <For each={PACKET_KINDS}>
            {(kind) => (
              <li>
                <KindDot kind={kind} />
                {KIND_LABELS[kind]}
              </li>
            )}
          </For>
        </ul>
      </details>
      <Show when={consoleLines(store) !== ''}>
        <h3>What the programs say</h3>
        <Console lines={consoleLines(store)} />
      </Show>
    </>
  );
}

/** What programs said, line by line, with the machine before each. */
function consoleLines(store: Store): string {
  return store.state.console
    .flatMap(({ machine, text }) =>
      text
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map((line) => `${machine}| ${line}`),
    )
    .join('\n');
}

function Console(props: { readonly lines: string }): JSX.Element {
  let box: HTMLPreElement | undefined;
  createEffect(() => {
    void props.lines;
    if (box !== undefined) box.scrollTop = box.scrollHeight;
  });
  return (
    <pre class="console" ref={box} tabindex="0">
      {props.lines}
    </pre>
  );
}

const FATES: Readonly<Record<PacketInfo['fate'], string>> = {
  alive: 'on its way',
  delivered: 'arrived',
  dropped: 'dropped',
  lost: 'lost on a cable',
};

export function PacketPanel(props: {
  readonly store: Store;
  readonly packet: PacketInfo;
}): JSX.Element {
  const { store } = props;
  const packet = (): PacketInfo => props.packet;
  const [line] = createResource(
    () => (packet().fate === 'dropped' || packet().fate === 'lost' ? packet().id : 0),
    async (id) => {
      if (id === 0) return null;
      const lines = await store.client.call('drops', { untilNs: Number.MAX_SAFE_INTEGER });
      const { reason, where, endMachine } = packet();
      return (
        lines.find((l) => l.reason === reason && l.fn === where && l.machine === endMachine) ?? null
      );
    },
  );
  return (
    <>
      <PanelHead store={store} kind={`Packet ${packet().id}`} title={KIND_LABELS[packet().kind]} />
      <p class="words">
        <KindDot kind={packet().kind} />
        {packet().words}
      </p>
      <dl class="facts">
        <div>
          <dt>flow</dt>
          <dd class="mono">{packet().flow}</dd>
        </div>
        <div>
          <dt>length</dt>
          <dd>{formatBytes(packet().length)}</dd>
        </div>
        <div>
          <dt>born</dt>
          <dd>
            {formatTime(packet().bornNs - store.originNs)} on {packet().machine}
          </dd>
        </div>
        <div>
          <dt>fate</dt>
          <dd>
            <span class={`fate ${packet().fate}`}>{FATES[packet().fate]}</span>
            <Show when={packet().fate !== 'alive'}>
              {' '}
              {formatTime(packet().endNs - store.originNs)}, {packet().endMachine}
            </Show>
          </dd>
        </div>
        <Show when={packet().where !== '' && packet().where !== 'cable'}>
          <div>
            <dt>in</dt>
            <dd class="mono">{callOf(packet().where)}</dd>
          </div>
        </Show>
        <Show when={packet().reason !== ''}>
          <div>
            <dt>reason</dt>
            <dd class="mono">{packet().reason}</dd>
          </div>
        </Show>
        <Show when={packet().again}>
          <div>
            <dt>note</dt>
            <dd>sent again</dd>
          </div>
        </Show>
      </dl>
      <Show when={line.latest}>{(l) => <AdviceBox store={store} line={l()} />}</Show>
      <div class="panel-actions">
        <button type="button" onClick={() => store.setView('journey')}>
          <Icon name="journey" />
          Journey
        </button>
        <button type="button" onClick={() => store.setView('microscope')}>
          <Icon name="microscope" />
          Bytes
        </button>
        <button type="button" onClick={() => store.setView('stack')}>
          <Icon name="stack" />
          Stack
        </button>
        <button type="button" onClick={() => void store.seek(packet().bornNs)}>
          <Icon name="time" />
          To its birth
        </button>
      </div>
    </>
  );
}

function Slider(props: {
  readonly label: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly text: string;
  readonly onChange: (value: number) => void;
}): JSX.Element {
  return (
    <label class="slider">
      <span>
        {props.label}
        <output>{props.text}</output>
      </span>
      <input
        type="range"
        min={props.min}
        max={props.max}
        step={props.step}
        value={props.value}
        aria-valuetext={props.text}
        onChange={(e) => props.onChange(Number(e.currentTarget.value))}
      />
    </label>
  );
}

const RATES = [0, 64e3, 256e3, 1e6, 4e6, 10e6, 20e6, 50e6, 100e6, 1e9, 10e9] as const;
const DELAYS = [
  0, 0.1e6, 0.2e6, 0.5e6, 1e6, 2e6, 5e6, 10e6, 15e6, 20e6, 50e6, 100e6, 200e6, 500e6,
] as const;
const LOSSES = [0, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1] as const;
const QUEUES = [0, 4096, 16384, 65536, 131072, 262144, 524288, 1048576] as const;

function nearest(list: readonly number[], value: number): number {
  let best = 0;
  list.forEach((item, i) => {
    if (Math.abs(item - value) < Math.abs((list[best] ?? 0) - value)) best = i;
  });
  return best;
}

export function CablePanel(props: { readonly store: Store; readonly index: number }): JSX.Element {
  const { store } = props;
  const cable = (): (typeof store.state.cables)[number] | undefined =>
    store.state.cables[props.index];
  const change = (impairments: Partial<LinkImpairments>): void => {
    void store.act({ kind: 'impair', cable: props.index, change: impairments });
  };
  return (
    <Show when={cable()}>
      {(c) => (
        <>
          <PanelHead
            store={store}
            kind="Cable"
            title={`${c().ends[0].node} — ${c().ends[1].node}`}
          />
          <p class="mono muted">
            {c().ends[0].ifname} — {c().ends[1].ifname}
          </p>
          <Slider
            label="Delay"
            min={0}
            max={DELAYS.length - 1}
            step={1}
            value={nearest(DELAYS, c().impairments.delayNs)}
            text={shortTime(c().impairments.delayNs)}
            onChange={(i) => change({ delayNs: DELAYS[i] ?? 0 })}
          />
          <Slider
            label="Rate"
            min={0}
            max={RATES.length - 1}
            step={1}
            value={nearest(RATES, c().impairments.rateBps)}
            text={formatRate(c().impairments.rateBps)}
            onChange={(i) => change({ rateBps: RATES[i] ?? 0 })}
          />
          <Slider
            label="Loss"
            min={0}
            max={LOSSES.length - 1}
            step={1}
            value={nearest(LOSSES, c().impairments.loss)}
            text={formatPercent(c().impairments.loss)}
            onChange={(i) => change({ loss: LOSSES[i] ?? 0 })}
          />
          <Slider
            label="Queue before the line"
            min={0}
            max={QUEUES.length - 1}
            step={1}
            value={nearest(QUEUES, c().impairments.queueBytes)}
            text={
              c().impairments.queueBytes === 0
                ? 'no limit'
                : formatBytes(c().impairments.queueBytes)
            }
            onChange={(i) => change({ queueBytes: QUEUES[i] ?? 0 })}
          />
          <div class="panel-actions">
            <button
              type="button"
              class="danger"
              onClick={() =>
                void store.act({ kind: 'connect', cable: props.index, connected: !c().connected })
              }
            >
              <Icon name="cut" />
              {c().connected ? 'Cut the cable' : 'Mend the cable'}
            </button>
          </div>
          <p class="muted">
            Changes happen at the newest moment. To change the past, use the time machine.
          </p>
        </>
      )}
    </Show>
  );
}

export function MachinePanel(props: { readonly store: Store; readonly name: string }): JSX.Element {
  const { store } = props;
  const machine = (): (typeof store.state.machines)[number] | undefined =>
    store.state.machines.find(({ name }) => name === props.name);
  createEffect(
    on(
      () => store.state.headNs,
      () => void store.refreshMachines(),
    ),
  );
  return (
    <Show when={machine()}>
      {(m) => (
        <>
          <PanelHead store={store} kind={m().forwards ? 'Router' : 'Machine'} title={m().name} />
          <dl class="facts">
            <div>
              <dt>CPUs</dt>
              <dd>{m().cpus}</dd>
            </div>
            <div>
              <dt>forwards</dt>
              <dd>{m().forwards ? 'yes' : 'no'}</dd>
            </div>
            <For each={m().interfaces}>
              {(dev) => (
                <div>
                  <dt class="mono">{dev.name}</dt>
                  <dd>
                    <span class="mono">{dev.addresses.join(', ') || 'no address'}</span>
                    {dev.up ? '' : ', down'}
                    <br />
                    <span class="muted mono">{dev.mac}</span>
                  </dd>
                </div>
              )}
            </For>
          </dl>
          <div class="panel-actions">
            <button type="button" onClick={() => store.setView('terminal')}>
              <Icon name="terminal" />
              Terminal
            </button>
            <button type="button" onClick={() => store.setView('stack')}>
              <Icon name="stack" />
              Stack
            </button>
            <button type="button" onClick={() => store.setView('cpu')}>
              <Icon name="cpu" />
              CPUs
            </button>
          </div>
        </>
      )}
    </Show>
  );
}
