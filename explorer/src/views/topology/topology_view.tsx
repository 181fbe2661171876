/** The map: machines and cables as they are joined, and every packet on its way between them. */
import {
  createEffect,
  createMemo,
  createSignal,
  For,
  type JSX,
  onCleanup,
  onMount,
  Show,
} from 'solid-js';
import { Icon } from '../../components/icon.tsx';
import { formatPercent, formatRate, shortTime } from '../../model/format.ts';
import type { Store } from '../../model/store.ts';
import type { CableInfo } from '../../protocol.ts';
import { placeMachines } from './layout.ts';
import { PacketLayer } from './packet_layer.ts';
import { MapZoom } from './zoom.ts';

/** Size of a machine's box on the map, in units of the drawing. */
const BOX_WIDTH = 148;
const BOX_HEIGHT = 86;
/** Least room between machines, and around the map. */
const GAP = 96;
const MARGIN = 10;

interface Point {
  readonly x: number;
  readonly y: number;
}

/** The ends of a cable, where it leaves the boxes. */
function trim(from: Point, to: Point): readonly [Point, Point] {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const reach = Math.min(
    Math.abs(dx) > 0 ? (BOX_WIDTH / 2 / Math.abs(dx)) * length : Number.POSITIVE_INFINITY,
    Math.abs(dy) > 0 ? (BOX_HEIGHT / 2 / Math.abs(dy)) * length : Number.POSITIVE_INFINITY,
  );
  const ux = dx / length;
  const uy = dy / length;
  return [
    { x: from.x + ux * reach, y: from.y + uy * reach },
    { x: to.x - ux * reach, y: to.y - uy * reach },
  ];
}

function cableWords(cable: CableInfo): string {
  const { delayNs, rateBps, loss } = cable.impairments;
  const words = [shortTime(delayNs)];
  if (rateBps > 0) words.push(formatRate(rateBps));
  if (loss > 0) words.push(`${formatPercent(loss)} loss`);
  return cable.connected ? words.join(' · ') : 'cut';
}

export function TopologyView(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const { state } = store;
  let host: HTMLDivElement | undefined;
  let canvas: HTMLCanvasElement | undefined;
  const [size, setSize] = createSignal({ width: 800, height: 480 });
  const [view, setView] = createSignal({ x: 0, y: 0, k: 1 });

  /** The map as it would be with room enough, and how much smaller it must be drawn. */
  const plan = createMemo(() => {
    const names = state.machines.map(({ name }) => name);
    const links = state.cables.map(({ ends }): [string, string] => [ends[0].node, ends[1].node]);
    const spots = placeMachines(names, links);
    const count = (values: readonly number[]): number => new Set(values).size;
    const long = count([...spots.values()].map(({ x }) => x));
    const cross = Math.max(
      1,
      ...[...spots.values()].map(({ x }) => [...spots.values()].filter((s) => s.x === x).length),
    );
    const { width, height } = size();
    const need = (across: number, down: number): readonly [number, number] => [
      across * (BOX_WIDTH + GAP) + MARGIN,
      down * (BOX_HEIGHT + GAP) + MARGIN,
    ];
    const fitOf = ([w, h]: readonly [number, number]): number => Math.min(1, width / w, height / h);
    // Along the page, unless there is more room down it.
    const tall = fitOf(need(cross, long)) > fitOf(need(long, cross));
    const fit = fitOf(tall ? need(cross, long) : need(long, cross));
    return { spots, tall, fit };
  });
  const places = createMemo(() => {
    const { spots, tall, fit } = plan();
    const width = size().width / fit;
    const height = size().height / fit;
    const points = new Map<string, Point>();
    const marginX = BOX_WIDTH / 2 + 18;
    const marginY = BOX_HEIGHT / 2 + 30;
    for (const [name, { x, y }] of spots) {
      const [across, down] = tall ? [y, x] : [x, y];
      points.set(name, {
        x: marginX + across * Math.max(0, width - 2 * marginX),
        y: marginY + down * Math.max(0, height - 2 * marginY),
      });
    }
    return points;
  });
  /** What a person zoomed to, over what fits. */
  const look = createMemo(() => ({ ...view(), k: view().k * plan().fit }));
  const at = (name: string): Point => places().get(name) ?? { x: 0, y: 0 };
  const lines = createMemo(() =>
    state.cables.map((cable) => trim(at(cable.ends[0].node), at(cable.ends[1].node))),
  );

  const layer = new PacketLayer(store);
  onMount(() => {
    if (host === undefined || canvas === undefined) return;
    const element = host;
    layer.attach(canvas);
    const zoom = new MapZoom(element, setView);
    const observer = new ResizeObserver(() => {
      setSize({ width: element.clientWidth, height: element.clientHeight });
      layer.refreshTheme();
    });
    observer.observe(element);
    const onTheme = (): void => layer.refreshTheme();
    window.addEventListener('softnet-theme', onTheme);
    onCleanup(() => {
      observer.disconnect();
      zoom.detach();
      window.removeEventListener('softnet-theme', onTheme);
    });
  });
  createEffect(() => {
    layer.place(lines(), at, size(), look());
    store.moment();
    store.frameVersion();
    void state.packet;
    layer.draw();
  });

  const select = (event: MouseEvent): void => {
    const rect = host?.getBoundingClientRect();
    if (rect === undefined) return;
    const packet = layer.packetAt(event.clientX - rect.left, event.clientY - rect.top);
    if (packet !== 0) store.selectPacket(packet);
  };
  const transform = (): string => `translate(${look().x} ${look().y}) scale(${look().k})`;
  const dropsAt = (name: string): number => {
    store.frameVersion();
    const now = store.moment();
    return store.frames.drops.filter((d) => d.machine === name && !d.expected && d.timeNs <= now)
      .length;
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: packets are drawn; lists beside give them by key
    // biome-ignore lint/a11y/useKeyWithClickEvents: the same
    <div class="map" ref={host} onClick={select}>
      <svg
        class="map-svg"
        aria-label="Machines and cables"
        width={size().width}
        height={size().height}
      >
        <g transform={transform()}>
          <For each={state.cables}>
            {(cable, i) => {
              const line = (): readonly [Point, Point] =>
                lines()[i()] ?? [
                  { x: 0, y: 0 },
                  { x: 0, y: 0 },
                ];
              const chosen = (): boolean =>
                state.selection.kind === 'cable' && state.selection.index === cable.index;
              const middle = (): Point => ({
                x: (line()[0].x + line()[1].x) / 2,
                y: (line()[0].y + line()[1].y) / 2,
              });
              const upright = (): boolean =>
                Math.abs(line()[1].y - line()[0].y) > Math.abs(line()[1].x - line()[0].x);
              const open = (event: Event): void => {
                event.stopPropagation();
                store.select({ kind: 'cable', index: cable.index });
              };
              return (
                // biome-ignore lint/a11y/useSemanticElements: an SVG group cannot be a button
                <g
                  class="cable"
                  classList={{ cut: !cable.connected, chosen: chosen() }}
                  role="button"
                  tabindex="0"
                  aria-label={`Cable from ${cable.ends[0].node} to ${cable.ends[1].node}: ${cableWords(cable)}`}
                  onClick={(e) => {
                    if (layer.isFree(e, host)) open(e);
                  }}
                  onKeyDown={(e) => {
                    if (e.key === 'Enter' || e.key === ' ') {
                      e.preventDefault();
                      open(e);
                    }
                  }}
                >
                  <line
                    class="cable-hit"
                    x1={line()[0].x}
                    y1={line()[0].y}
                    x2={line()[1].x}
                    y2={line()[1].y}
                  />
                  <line
                    class="cable-line"
                    x1={line()[0].x}
                    y1={line()[0].y}
                    x2={line()[1].x}
                    y2={line()[1].y}
                  />
                  <text
                    class="cable-words"
                    x={middle().x + (upright() ? 26 : 0)}
                    y={middle().y + (upright() ? 4 : 34)}
                    text-anchor={upright() ? 'start' : 'middle'}
                  >
                    {cableWords(cable)}
                  </text>
                </g>
              );
            }}
          </For>
          <For each={state.machines}>
            {(machine) => {
              const p = (): Point => at(machine.name);
              const open = (event: Event): void => {
                event.stopPropagation();
                store.select({ kind: 'machine', name: machine.name });
              };
              const drops = (): number => dropsAt(machine.name);
              return (
                // biome-ignore lint/a11y/useSemanticElements: an SVG group cannot be a button
                <g
                  class="machine"
                  classList={{
                    chosen: state.selection.kind === 'machine' && state.machine === machine.name,
                  }}
                  role="button"
                  tabindex="0"
                  onClick={open}
                  onKeyDown={(e) => {
                    if (e.key === 'Enter' || e.key === ' ') {
                      e.preventDefault();
                      open(e);
                    }
                  }}
                  transform={`translate(${p().x - BOX_WIDTH / 2} ${p().y - BOX_HEIGHT / 2})`}
                >
                  <rect class="machine-box" width={BOX_WIDTH} height={BOX_HEIGHT} rx="12" />
                  <g class="machine-icon" transform="translate(12 13) scale(0.92)">
                    <MachineIcon router={machine.forwards} />
                  </g>
                  <text class="machine-name" x="42" y="30">
                    {machine.name}
                  </text>
                  <For each={machine.interfaces.slice(0, 3)}>
                    {(dev, i) => (
                      <text class="machine-dev" x="14" y={50 + i() * 13.5}>
                        {dev.name} {dev.addresses[0]?.replace(/\/.*/, '') ?? '—'}
                      </text>
                    )}
                  </For>
                  <Show when={drops() > 0}>
                    <g class="drop-count" transform={`translate(${BOX_WIDTH - 6} 2)`}>
                      <rect
                        x={-drops().toString().length * 4 - 8}
                        y="-11"
                        width={drops().toString().length * 8 + 16}
                        height="22"
                        rx="11"
                      />
                      <text text-anchor="middle" y="4.500">
                        {drops()}
                      </text>
                    </g>
                  </Show>
                </g>
              );
            }}
          </For>
        </g>
      </svg>
      <canvas ref={canvas} class="map-canvas" />
      <Show when={state.dropCount > 0}>
        <button
          type="button"
          class="map-alert"
          onClick={(e) => {
            e.stopPropagation();
            openLastDrop(store);
          }}
        >
          <Icon name="warning" />
          {state.dropCount === 1
            ? 'A packet was dropped'
            : `${state.dropCount} packets were dropped`}
          : why?
        </button>
      </Show>
    </div>
  );
}

/** One click from the map to which packet died, where, why, and what to type. */
function openLastDrop(store: Store): void {
  const last = store.frames.drops.filter(({ expected }) => !expected).at(-1);
  if (last !== undefined) store.selectPacket(last.packet);
  store.setView('drops');
}

function MachineIcon(props: { readonly router: boolean }): JSX.Element {
  return (
    <path
      fill="none"
      stroke="currentColor"
      stroke-width="1.9"
      stroke-linecap="round"
      stroke-linejoin="round"
      d={
        props.router
          ? 'M3 12h18M3 12l4-4M3 12l4 4M21 12l-4-4M21 12l-4 4M12 3v18M12 3 9.500 6M12 3l2.500 3M12 21l-2.500-3M12 21l2.500-3'
          : 'M3 4h18v12H3zM8 20h8M12 16v4'
      }
    />
  );
}
