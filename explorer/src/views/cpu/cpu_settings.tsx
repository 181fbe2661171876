/** Sliders for what decides how a CPU receives: each types a command on the machine. */
import { createSignal, For, type JSX, Show } from 'solid-js';
import type { Store } from '../../model/store.ts';
import type { CpuView } from '../../protocol.ts';

interface Setting {
  readonly name: string;
  readonly label: string;
  readonly hint: string;
  readonly values: readonly number[];
}

const SETTINGS: readonly Setting[] = [
  {
    name: 'net.core.netdev_budget',
    label: 'Budget',
    hint: 'packets of one round of NET_RX; then it must pause',
    values: [1, 4, 16, 32, 64, 128, 300, 600, 1200],
  },
  {
    name: 'net.core.netdev_budget_usecs',
    label: 'Time budget, µs',
    hint: 'how long one round may last',
    values: [100, 500, 1000, 2000, 4000, 8000, 20000],
  },
  {
    name: 'net.core.dev_weight',
    label: 'Weight',
    hint: 'packets of one poll of the backlog',
    values: [1, 4, 8, 16, 32, 64, 128, 256],
  },
  {
    name: 'net.core.netdev_max_backlog',
    label: 'Backlog',
    hint: 'packets that may wait for the CPU',
    values: [0, 10, 100, 300, 1000, 5000, 10000],
  },
];

const RINGS: readonly number[] = [80, 128, 256, 512, 1024, 2048, 4096];
const COALESCE: readonly number[] = [0, 1, 3, 10, 50, 100, 250, 1000];

function nearest(values: readonly number[], value: number): number {
  let best = 0;
  values.forEach((v, i) => {
    if (Math.abs(v - value) < Math.abs((values[best] ?? 0) - value)) best = i;
  });
  return best;
}

export function CpuSettings(props: { readonly store: Store; readonly view: CpuView }): JSX.Element {
  const { store } = props;
  const run = (text: string): void => {
    void store.act({ kind: 'command', machine: store.state.machine, text });
  };
  return (
    <>
      <For each={SETTINGS}>
        {(setting) => {
          const value = (): number => Number(props.view.settings[setting.name] ?? 0);
          return (
            <Slide
              label={setting.label}
              hint={setting.hint}
              values={setting.values}
              value={value()}
              onChange={(v) => run(`sysctl -w ${setting.name}=${v}`)}
            />
          );
        }}
      </For>
      <Show when={props.view.card} keyed>
        {(card) => (
          <>
            <Slide
              label={`Ring of ${card}`}
              hint="descriptors between card and driver"
              values={RINGS}
              value={props.view.levels.at(-1)?.ringSize ?? 256}
              onChange={(v) => run(`ethtool -G ${card} rx ${v}`)}
            />
            <Slide
              label={`Coalescing of ${card}, µs`}
              hint="how long the card waits before it interrupts"
              values={COALESCE}
              value={props.view.rxUsecs}
              onChange={(v) => run(`ethtool -C ${card} rx-usecs ${v}`)}
            />
          </>
        )}
      </Show>
      <p class="muted">
        Each change types a command on {store.state.machine}; what it says is in the panel beside.
      </p>
    </>
  );
}

function Slide(props: {
  readonly label: string;
  readonly hint: string;
  readonly values: readonly number[];
  readonly value: number;
  readonly onChange: (value: number) => void;
}): JSX.Element {
  const [mine, setMine] = createSignal<number | null>(null);
  const shown = (): number => mine() ?? props.value;
  return (
    <label class="slider">
      <span>
        {props.label}
        <output>{shown()}</output>
      </span>
      <input
        type="range"
        min={0}
        max={props.values.length - 1}
        step={1}
        value={nearest(props.values, shown())}
        aria-valuetext={String(shown())}
        onInput={(e) => setMine(props.values[Number(e.currentTarget.value)] ?? null)}
        onChange={(e) => props.onChange(props.values[Number(e.currentTarget.value)] ?? 0)}
      />
      <small class="muted">{props.hint}</small>
    </label>
  );
}
