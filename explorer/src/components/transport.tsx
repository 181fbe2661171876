/** The bar that moves time: play, step, scrub, and how fast. */
import { createEffect, createMemo, type JSX, onCleanup, onMount, Show } from 'solid-js';
import { formatCount, formatTime, shortTime } from '../model/format.ts';
import type { Store } from '../model/store.ts';
import { Icon } from './icon.tsx';

const PACE_MIN = 3;
const PACE_MAX = 9.5;

export function Transport(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const { state } = store;
  const end = createMemo(() => Math.max(state.headNs, store.horizonNs, store.originNs + 1));
  const moves = (): boolean => state.playing || state.seeking;
  const since = (): number => Math.max(0, store.moment() - store.originNs);

  return (
    <footer class="transport">
      <div class="buttons">
        <button
          type="button"
          class="icon-button"
          title="One step back (,)"
          onClick={() => void store.stepBack()}
        >
          <Icon name="back" />
          <span class="sr">One step back</span>
        </button>
        <button
          type="button"
          class="play"
          onClick={() => store.toggle()}
          title="Play or pause (space)"
          disabled={state.phase !== 'ready'}
        >
          <Icon name={moves() ? 'pause' : 'play'} />
          <span class="sr">{moves() ? 'Pause' : 'Play'}</span>
        </button>
        <button
          type="button"
          class="icon-button"
          title="One event on (.)"
          onClick={() => void store.step('event')}
        >
          <Icon name="forward" />
          <span class="sr">One event on</span>
        </button>
        <button
          type="button"
          class="icon-button"
          title="On to the next packet (n)"
          onClick={() => void store.step('packet')}
        >
          <Icon name="next" />
          <span class="sr">On to the next packet</span>
        </button>
      </div>
      <div class="clock">
        <output class="moment" aria-label="Moment">
          {formatTime(since())}
        </output>
        <span class="muted counts" title={`${state.steps} steps recorded`}>
          {formatCount(state.events)} events, {formatCount(state.packets)} packets
        </span>
      </div>
      <Scrubber store={store} start={store.originNs} end={end()} />
      <label class="pace" title="How much of the world's time passes in a second">
        <span class="muted">{shortTime(state.pace)} a second</span>
        <input
          type="range"
          min={PACE_MIN}
          max={PACE_MAX}
          step="0.05"
          value={Math.log10(state.pace)}
          aria-label="Pace"
          aria-valuetext={`${shortTime(state.pace)} a second`}
          onInput={(e) => store.setPace(10 ** Number(e.currentTarget.value))}
        />
      </label>
      <Show when={state.headNs > 0 && store.moment() < state.headNs}>
        <button
          type="button"
          class="now"
          onClick={() => store.setMoment(state.headNs)}
          title="To the newest moment of the world"
        >
          now
        </button>
      </Show>
    </footer>
  );
}

function Scrubber(props: {
  readonly store: Store;
  readonly start: number;
  readonly end: number;
}): JSX.Element {
  const { store } = props;
  let canvas: HTMLCanvasElement | undefined;
  let input: HTMLInputElement | undefined;

  /** Counted once for all moments: only new frames or another range change it. */
  let counts: Uint32Array = new Uint32Array(0);
  let counted = '';

  const draw = (): void => {
    const context = canvas?.getContext('2d');
    if (canvas === undefined || context === null || context === undefined) return;
    const { width: cssWidth, height: cssHeight } = canvas.getBoundingClientRect();
    const scale = devicePixelRatio;
    const width = Math.round(cssWidth * scale);
    const height = Math.round(cssHeight * scale);
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, cssWidth, cssHeight);
    const style = getComputedStyle(canvas);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const x = (ns: number): number => ((ns - props.start) / (props.end - props.start)) * cssWidth;
    context.fillStyle = color('--surface-3');
    context.fillRect(0, cssHeight / 2 - 1, cssWidth, 2);
    const slots = Math.max(1, Math.floor(cssWidth / 3));
    const key = `${store.frames.length}/${props.start}/${props.end}/${slots}`;
    if (key !== counted) {
      counted = key;
      counts = store.frames.histogram(props.start, props.end, slots);
    }
    const most = counts.reduce((a, b) => Math.max(a, b), 1);
    context.fillStyle = color('--accent-soft');
    counts.forEach((count, i) => {
      if (count === 0) return;
      const bar = 3 + (cssHeight - 8) * Math.sqrt(count / most);
      context.fillRect(i * 3, (cssHeight - bar) / 2, 2.2, bar);
    });
    context.fillStyle = color('--danger');
    for (const drop of store.frames.drops) {
      if (!drop.expected) context.fillRect(x(drop.timeNs) - 1, 0, 2, 5);
    }
    const at = x(store.moment());
    context.fillStyle = color('--accent');
    context.fillRect(at - 1, 0, 2, cssHeight);
    context.beginPath();
    context.arc(at, cssHeight / 2, 5, 0, 7);
    context.fill();
  };

  onMount(() => {
    const observer = new ResizeObserver(draw);
    if (canvas !== undefined) observer.observe(canvas);
    window.addEventListener('softnet-theme', draw);
    onCleanup(() => {
      observer.disconnect();
      window.removeEventListener('softnet-theme', draw);
    });
  });
  createEffect(() => {
    store.moment();
    store.frameVersion();
    if (input !== undefined) input.value = String(store.moment());
    draw();
  });

  return (
    <div class="scrubber">
      <canvas ref={canvas} />
      <input
        ref={input}
        type="range"
        min={props.start}
        max={props.end}
        step="1000"
        aria-label="Moment in the run"
        aria-valuetext={formatTime(store.moment() - props.start)}
        onInput={(e) => {
          store.setPlaying(false);
          void store.seek(Number(e.currentTarget.value));
        }}
      />
    </div>
  );
}
