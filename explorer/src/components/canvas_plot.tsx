/** A canvas that fills its place, sharp on every screen, drawn again when what it shows has changed. */
import { createEffect, type JSX, onCleanup, onMount } from 'solid-js';

export interface Paint {
  readonly context: CanvasRenderingContext2D;
  readonly width: number;
  readonly height: number;
  /** A custom property of the theme. */
  readonly color: (name: string) => string;
}

export function CanvasPlot(props: {
  readonly height: number;
  readonly label: string;
  /** Reads signals: what it reads, it is drawn again for. */
  readonly paint: (paint: Paint) => void;
  readonly onPick?: (x: number, y: number, width: number) => void;
}): JSX.Element {
  let canvas: HTMLCanvasElement | undefined;
  const draw = (): void => {
    const context = canvas?.getContext('2d') ?? null;
    if (canvas === undefined || context === null) return;
    const width = canvas.clientWidth;
    const { height } = props;
    const scale = Math.min(devicePixelRatio, 2);
    const pixels = Math.round(width * scale);
    if (canvas.width !== pixels) canvas.width = pixels;
    const rows = Math.round(height * scale);
    if (canvas.height !== rows) canvas.height = rows;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    props.paint({
      context,
      width,
      height,
      color: (name) => style.getPropertyValue(name).trim(),
    });
  };
  createEffect(draw);
  onMount(() => {
    const observer = new ResizeObserver(draw);
    if (canvas !== undefined) observer.observe(canvas);
    window.addEventListener('softnet-theme', draw);
    onCleanup(() => {
      observer.disconnect();
      window.removeEventListener('softnet-theme', draw);
    });
  });
  return (
    <canvas
      ref={canvas}
      class="canvas-plot"
      style={{ height: `${props.height}px` }}
      role="img"
      aria-label={props.label}
      onClick={(event) => {
        if (canvas !== undefined) props.onPick?.(event.offsetX, event.offsetY, canvas.clientWidth);
      }}
    />
  );
}
