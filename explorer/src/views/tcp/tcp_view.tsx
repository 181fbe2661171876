/** The TCP cockpit: everything a sender knows and what it waits for, at the moment and over time. */
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
import { TCP_CA_STATE_NAMES, TCP_STATE_RFC_NAMES } from '#uapi/tcp_states.ts';
import { Chart, type Curve } from '../../components/chart.tsx';
import { Gauge } from '../../components/gauge.tsx';
import { formatBytes, formatCount, formatRate, formatTime } from '../../model/format.ts';
import { slowMoment } from '../../model/slow_moment.ts';
import { steady } from '../../model/steady.ts';
import type { Store } from '../../model/store.ts';
import { joinPoints } from '../../model/tcp_points.ts';
import type {
  TcpConnectionInfo,
  TcpPoints,
  TcpSample,
  TcpView as TcpViewData,
} from '../../protocol.ts';
import { Ribbon } from './ribbon.tsx';
import { Scoreboard } from './scoreboard.tsx';
import { SequenceGraph } from './sequence_graph.tsx';
import { StateDiagram } from './state_diagram.tsx';
import { Timers } from './timers.tsx';

/** Connections that one can choose from at a time. */
const LISTED = 200;

const INFINITE_SSTHRESH = 0x7fffffff;

export function TcpCockpit(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const { state } = store;
  const [chosen, setChosen] = createSignal(0);
  const asked = slowMoment(store);
  const [find, setFind] = createSignal('');
  const [connections] = createResource(
    () => ({ untilNs: asked(), text: find(), keep: chosen(), world: state.world }),
    ({ untilNs, text, keep }) =>
      store.client.call('connections', { untilNs, text, keep, limit: LISTED }),
    { storage: steady() },
  );
  const known = (): readonly TcpConnectionInfo[] =>
    (connections.latest?.list ?? []).filter(({ firstNs }) => firstNs <= store.moment());
  const all = (): number => connections.latest?.all ?? 0;
  const total = (): number => connections.latest?.total ?? 0;
  createEffect(
    on(
      () => state.world,
      () => {
        setChosen(0);
        setFind('');
      },
    ),
  );
  /** The one that was chosen; else the one that sends most. */
  const id = createMemo(() => {
    const list = known();
    if (list.some((c) => c.id === chosen())) return chosen();
    return [...list].sort((a, b) => b.bytesSent - a.bytesSent)[0]?.id ?? 0;
  });
  /** A hundred thousand points need not come again because the moment moved. */
  let kept: { world: unknown; id: number; points: TcpPoints } | null = null;
  const [view] = createResource(
    () => ({ id: id(), untilNs: asked(), world: state.world }),
    async ({ id: wanted, untilNs, world }): Promise<TcpViewData | null> => {
      if (wanted === 0) return null;
      const have = kept?.world === world && kept.id === wanted ? kept.points : null;
      const count = have?.timeNs.length ?? 0;
      const answer = await store.client.call('tcp', { id: wanted, untilNs, have: count });
      if (answer === null) return null;
      const points = joinPoints(have, answer.points);
      kept = { world, id: wanted, points };
      return { ...answer, points };
    },
  );

  return (
    <section class="pane wide" aria-labelledby="tcp-title">
      <div class="pane-head">
        <h2 id="tcp-title">TCP cockpit</h2>
        <Show when={known().length > 0}>
          <label class="picker">
            Connection
            <select value={id()} onChange={(e) => setChosen(Number(e.currentTarget.value))}>
              <For each={known()}>
                {(c) => (
                  <option value={c.id}>
                    {c.machine}: {c.local} → {c.remote}, {formatBytes(Math.max(0, c.bytesSent - 1))}{' '}
                    sent
                  </option>
                )}
              </For>
            </select>
          </label>
        </Show>
        <Show when={all() > LISTED || find() !== ''}>
          <label class="picker">
            find
            <input
              type="search"
              class="mono"
              value={find()}
              placeholder="10.0.0.2:80"
              spellcheck={false}
              onInput={(e) => {
                setChosen(0);
                setFind(e.currentTarget.value);
              }}
            />
          </label>
          <span class="muted found" role="status">
            {total() > LISTED
              ? `those ${LISTED} of ${formatCount(total())} that sent most, or began last`
              : `${formatCount(total())} of ${formatCount(all())}`}
          </span>
        </Show>
      </div>
      <Show
        when={view.latest}
        fallback={
          <p class="empty">
            <Show when={find() === ''} fallback={`No connection has '${find()}'.`}>
              No TCP connection has been opened yet. Let the world play, or choose “Loss and
              recovery” from the gallery.
            </Show>
          </p>
        }
      >
        {(v) => <Cockpit store={store} view={v()} />}
      </Show>
    </section>
  );
}

/** The last sample at or before a moment. */
function sampleAt(samples: readonly TcpSample[], momentNs: number): TcpSample | null {
  let low = 0;
  let high = samples.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((samples[middle]?.timeNs ?? 0) <= momentNs) low = middle + 1;
    else high = middle;
  }
  return samples[Math.max(0, low - 1)] ?? null;
}

function Cockpit(props: { readonly store: Store; readonly view: TcpViewData }): JSX.Element {
  const { store } = props;
  const now = createMemo(() => sampleAt(props.view.samples, store.moment()));
  const range = (): readonly [number, number] => {
    const first = props.view.connection.firstNs;
    return [first, Math.max(first + 1e6, props.view.connection.lastNs, store.moment())];
  };
  const times = createMemo(() => props.view.samples.map(({ timeNs }) => timeNs));
  const curve = (
    label: string,
    color: string,
    of: (s: TcpSample) => number | null,
    more: Partial<Curve> = {},
  ): Curve => ({
    label,
    color,
    values: props.view.samples.map(of),
    ...more,
  });
  const windowCurves = createMemo(() => [
    curve('congestion window', '--kind-tcp-data', (s) => s.cwnd),
    curve(
      'slow start threshold',
      '--kind-arp',
      (s) => (s.ssthresh >= INFINITE_SSTHRESH ? null : s.ssthresh),
      { dash: true },
    ),
    curve('in flight', '--kind-tcp-syn', (s) => s.inFlight, { fill: true }),
  ]);
  const timeCurves = createMemo(() => [
    curve('smoothed round trip', '--kind-icmp', (s) => (s.srttUs > 0 ? s.srttUs / 1000 : null)),
    curve('retransmission timeout', '--kind-tcp-rst', (s) => (s.rtoMs > 0 ? s.rtoMs : null), {
      dash: true,
    }),
  ]);
  const seek = (ns: number): void => {
    store.setPlaying(false);
    void store.seek(ns);
  };

  return (
    <Show when={now()} fallback={<p class="empty">Not yet.</p>}>
      {(s) => (
        <>
          <div class="gauges">
            <Gauge name="state" value={TCP_STATE_RFC_NAMES[s().state] ?? ''} />
            <Gauge
              name="recovery"
              value={TCP_CA_STATE_NAMES[s().caState] ?? ''}
              alert={s().caState >= 3}
            />
            <Gauge name="limited by" value={s().limit} strong />
            <Gauge name="cwnd" value={`${s().cwnd}`} />
            <Gauge
              name="ssthresh"
              value={s().ssthresh >= INFINITE_SSTHRESH ? '∞' : `${s().ssthresh}`}
            />
            <Gauge name="in flight" value={`${s().inFlight}`} />
            <Gauge name="srtt" value={`${(s().srttUs / 1000).toFixed(1)} ms`} />
            <Gauge name="rto" value={`${s().rtoMs} ms`} />
            <Gauge
              name="peer’s window"
              value={formatBytes(s().sndWnd)}
              alert={s().sndWnd === 0 && s().state === 1}
            />
            <Gauge name="own window" value={formatBytes(s().rcvWnd)} />
            <Gauge name="sent again" value={`${s().totalRetrans}`} alert={s().totalRetrans > 0} />
            <Gauge name="pace" value={s().paceBps > 1e12 ? 'none' : formatRate(s().paceBps)} />
          </div>
          <div class="box">
            <h3>What limits the sender</h3>
            <Ribbon
              samples={props.view.samples}
              range={range()}
              momentNs={store.moment()}
              onSeek={seek}
            />
          </div>
          <div class="box">
            <h3>Time and sequence</h3>
            <SequenceGraph
              store={store}
              view={props.view}
              range={range()}
              originNs={store.originNs}
              onSeek={seek}
            />
          </div>
          <div class="columns">
            <div class="box">
              <h3>Windows, in segments</h3>
              <Chart
                times={times()}
                curves={windowCurves()}
                originNs={store.originNs}
                momentNs={store.moment()}
                height={210}
                unit=""
                label="Congestion window, slow start threshold and segments in flight over time"
                onSeek={seek}
              />
            </div>
            <div class="box">
              <h3>Round trip and timeout, in ms</h3>
              <Chart
                times={times()}
                curves={timeCurves()}
                originNs={store.originNs}
                momentNs={store.moment()}
                height={210}
                unit="ms"
                label="Smoothed round trip time and retransmission timeout over time"
                onSeek={seek}
              />
            </div>
          </div>
          <div class="box">
            <h3>Scoreboard: what is under way at {formatTime(store.moment() - store.originNs)}</h3>
            <Scoreboard blocks={props.view.scoreboard} una={s().sndUna} next={s().sndNxt} />
          </div>
          <div class="columns">
            <div class="box">
              <h3>State</h3>
              <StateDiagram
                present={s().state}
                states={props.view.states}
                momentNs={store.moment()}
              />
            </div>
            <div class="box">
              <h3>Timers</h3>
              <Timers sample={s()} momentNs={store.moment()} />
            </div>
          </div>
        </>
      )}
    </Show>
  );
}
