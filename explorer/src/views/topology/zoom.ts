/** Zoom and pan of the map, with d3: by wheel with a key, by pinch, by dragging the ground. */
import { select } from 'd3-selection';
import { type D3ZoomEvent, zoom, zoomIdentity } from 'd3-zoom';

export interface MapTransform {
  readonly x: number;
  readonly y: number;
  readonly k: number;
}

export class MapZoom {
  private readonly element: HTMLElement;

  constructor(element: HTMLElement, onChange: (transform: MapTransform) => void) {
    this.element = element;
    const behaviour = zoom<HTMLElement, unknown>()
      .scaleExtent([0.4, 4])
      // A plain wheel scrolls the page; a click must stay a click.
      .filter((event: Event) => !(event instanceof WheelEvent) || event.ctrlKey || event.metaKey)
      .clickDistance(4)
      .on('zoom', (event: D3ZoomEvent<HTMLElement, unknown>) => {
        const { x, y, k } = event.transform;
        onChange({ x, y, k });
      });
    const selection = select<HTMLElement, unknown>(element);
    selection.call(behaviour);
    selection.on('dblclick.zoom', () => {
      selection.call(behaviour.transform, zoomIdentity);
    });
  }

  detach(): void {
    select<HTMLElement, unknown>(this.element).on('.zoom', null);
  }
}
