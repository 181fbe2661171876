/** The CPUs of a machine: what ran where and in which context, and how full its queues were meanwhile. */
import { createMemo, createResource, createSignal, For, type JSX, Show } from 'solid-js';
import { CanvasPlot, type Paint } from '../../components/canvas_plot.tsx';
import { Chart } from '../../components/chart.tsx';
import { Gauge } from '../../components/gauge.tsx';
import { formatTime, shortTime } from '../../model/format.ts';
import { slowMoment } from '../../model/slow_moment.ts';
import type { Store } from '../../model/store.ts';
import type { CpuSpan, CpuView as CpuViewData } from '../../protocol.ts';
import { CpuSettings } from './cpu_settings.tsx';
import { type Axis, drawTimeline, LANES, laneHeight, spanAt } from './timeline.ts';

const SPANS = 3000;
/** Time shown before the moment, in seconds of watching. */
const WINDOW_S = 4;

export function CpuView(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const { state } = store;
  const [chosen, setAxis] = createSignal<Axis | null>(null);
  /** Where work takes time, that is what people want to see. */
  const axis = (): Axis => chosen() ?? (data.latest?.priced === true ? 'time' : 'order');
  const [picked, setPicked] = createSignal<CpuSpan | null>(null);
  const asked = slowMoment(store);
  const [data] = createResource(
    () => ({ machine: state.machine, moment: asked(), pace: state.pace, world: state.world }),
    ({ machine, moment, pace }) =>
      store.client.call('cpu', {
        machine,
        fromNs: Math.max(0, moment - pace * WINDOW_S),
        toNs: moment,
        limit: SPANS,
      }),
  );
  return (
    <section class="pane wide" aria-labelledby="cpu-title">
      <div class="pane-head">
        <h2 id="cpu-title">CPUs of {state.machine}</h2>
        <div class="head-tools">
          <label class="picker">
            Machine
            <select value={state.machine} onChange={(e) => store.setMachine(e.currentTarget.value)}>
              <For each={state.machines}>{({ name }) => <option value={name}>{name}</option>}</For>
            </select>
          </label>
          <fieldset class="toggle" aria-label="Axis">
            <button
              type="button"
              classList={{ active: axis() === 'order' }}
              aria-pressed={axis() === 'order'}
              onClick={() => setAxis('order')}
            >
              by order
            </button>
            <button
              type="button"
              classList={{ active: axis() === 'time' }}
              aria-pressed={axis() === 'time'}
              onClick={() => setAxis('time')}
            >
              by time
            </button>
          </fieldset>
        </div>
      </div>
      <Show when={data.latest} fallback={<p class="empty">Nothing has run yet.</p>}>
        {(view) => (
          <>
            <Totals view={view()} />
            <div class="box">
              <h3>Who had the CPU</h3>
              <Timeline
                store={store}
                view={view()}
                axis={axis()}
                picked={picked()}
                onPick={setPicked}
              />
              <p class="muted timeline-note">
                <Show
                  when={picked()}
                  fallback={
                    axis() === 'order'
                      ? 'Each step has the same width: what happens in one instant lies side by side. Click a span.'
                      : view().priced
                        ? 'By the clock: each span is as long as the work takes. Click a span.'
                        : 'As the world’s clock has it: what happens in one instant falls on one point. Click a span.'
                  }
                >
                  {(span) => (
                    <>
                      <b>{span().name}</b> in {span().lane} on cpu{span().cpu},{' '}
                      {formatTime(span().beginNs - store.originNs)}
                      <Show when={span().endNs > span().beginNs}>
                        {' '}
                        for {shortTime(span().endNs - span().beginNs)}
                      </Show>
                      <Show when={span().budget > 0}>
                        : {span().work} packets of a budget of {span().budget}
                      </Show>
                    </>
                  )}
                </Show>
              </p>
            </div>
            <div class="columns">
              <div class="box">
                <h3>How full the queues were</h3>
                <Queues store={store} view={view()} />
              </div>
              <div class="box">
                <h3>Settings</h3>
                <CpuSettings store={store} view={view()} />
              </div>
            </div>
          </>
        )}
      </Show>
    </section>
  );
}

function Totals(props: { readonly view: CpuViewData }): JSX.Element {
  const count = (lane: CpuSpan['lane']): number =>
    props.view.spans.filter((s) => s.lane === lane && s.budget < 0).length;
  const polls = createMemo(() => props.view.spans.filter(({ budget }) => budget > 0));
  const packets = (): number => polls().reduce((sum, { work }) => sum + work, 0);
  const shares = createMemo(() => sharesOf(props.view));
  return (
    <div class="gauges">
      <Show when={props.view.priced}>
        <Gauge name="programs had" value={shares().task} alert={shares().task === '0 %'} />
      </Show>
      <Gauge name="hard interrupts" value={count('hardirq')} share={shares().hardirq} />
      <Gauge name="soft interrupts" value={count('softirq')} share={shares().softirq} />
      <Gauge name="by ksoftirqd" value={count('ksoftirqd')} share={shares().ksoftirqd} />
      <Gauge name="polls" value={polls().length} />
      <Gauge
        name="packets a poll"
        value={polls().length === 0 ? 0 : Number((packets() / polls().length).toFixed(1))}
      />
      <For each={props.view.softnet}>
        {(s) => (
          <>
            <Gauge name={`cpu${s.cpu} processed`} value={s.processed} />
            <Gauge
              name={`cpu${s.cpu} time_squeeze`}
              value={s.timeSqueeze}
              alert={s.timeSqueeze > 0}
            />
            <Gauge name={`cpu${s.cpu} dropped`} value={s.dropped} alert={s.dropped > 0} />
          </>
        )}
      </For>
    </div>
  );
}

/** What each lane had of the CPUs' time in the window, in percent; empty where work takes no time. */
function sharesOf({ spans, cpus, priced }: CpuViewData): Record<CpuSpan['lane'], string> {
  const shares = { task: '', ksoftirqd: '', softirq: '', hardirq: '' };
  const [first] = spans;
  if (!priced || first === undefined) return shares;
  const fromNs = spans.reduce((least, { beginNs }) => Math.min(least, beginNs), first.beginNs);
  const toNs = spans.reduce((most, { endNs }) => Math.max(most, endNs), first.endNs);
  for (const lane of LANES) {
    const own = spans.filter((span) => span.lane === lane && span.budget < 0);
    const ns = own.reduce((sum, { beginNs, endNs }) => sum + endNs - beginNs, 0);
    shares[lane] = `${Math.round((100 * ns) / Math.max(1, (toNs - fromNs) * cpus))} %`;
  }
  return shares;
}

function Timeline(props: {
  readonly store: Store;
  readonly view: CpuViewData;
  readonly axis: Axis;
  readonly picked: CpuSpan | null;
  readonly onPick: (span: CpuSpan | null) => void;
}): JSX.Element {
  const height = (): number => laneHeight() * LANES.length * props.view.cpus + 26;
  const paint = (p: Paint): void => {
    drawTimeline(p, props.view, props.axis, props.picked, props.store.originNs);
  };
  return (
    <CanvasPlot
      height={height()}
      label={`Tasks, soft and hard interrupts on ${props.view.cpus} CPUs`}
      paint={paint}
      onPick={(x, y, width) => {
        const span = spanAt(props.view, props.axis, x, y, width);
        props.onPick(span);
        if (span === null) return;
        props.store.setPlaying(false);
        void props.store.seek(span.endNs);
      }}
    />
  );
}

function Queues(props: { readonly store: Store; readonly view: CpuViewData }): JSX.Element {
  const { store } = props;
  const curves = createMemo(() => {
    const { levels } = props.view;
    return [
      {
        label: 'receive ring',
        color: '--kind-tcp-data',
        values: levels.map(({ ring }) => ring),
        fill: true,
      },
      {
        label: 'backlog of the CPU',
        color: '--kind-arp',
        values: levels.map(({ backlog }) => backlog),
      },
      { label: 'qdisc', color: '--kind-icmp', values: levels.map(({ qdisc }) => qdisc) },
      {
        label: 'socket buffers',
        color: '--kind-udp',
        values: levels.map(({ sockets }) => sockets),
      },
    ];
  });
  const last = () => props.view.levels.at(-1);
  return (
    <Show when={last()} fallback={<p class="muted">No queue has held anything in this time.</p>}>
      {(level) => (
        <>
          <Chart
            times={props.view.levels.map(({ timeNs }) => timeNs)}
            curves={curves()}
            originNs={store.originNs}
            momentNs={store.moment()}
            height={210}
            unit="packets"
            label="Packets in ring, backlog, qdisc and sockets over time"
            onSeek={(ns) => void store.seek(ns)}
          />
          <p class="muted">
            Now: ring {level().ring} of {level().ringSize}, backlog {level().backlog}, qdisc{' '}
            {level().qdisc}, sockets {level().sockets}.
          </p>
        </>
      )}
    </Show>
  );
}
