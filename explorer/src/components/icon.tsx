/** Small drawings, 24 by 24, in the colour of the text. They never stand alone: a label says the same. */
import type { JSX } from 'solid-js';

const PATHS: Readonly<Record<string, string>> = {
  envelope: 'M3 6h18v12H3zM3 7l9 6 9-6',
  worlds: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18',
  down: 'm7 10 5 5 5-5',
  link: 'M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2',
  moon: 'M20 14A8 8 0 1 1 10 4a7 7 0 0 0 10 10Z',
  help: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.4-1 .8-1 1.7M12 17v.01',
  warning: 'M12 4 2.5 20h19L12 4ZM12 10v5M12 17.5v.01',
  map: 'M5 5h5v5H5zM14 14h5v5h-5zM10 8h4v6',
  stack: 'm12 3 9 5-9 5-9-5 9-5ZM3 12l9 5 9-5M3 16l9 5 9-5',
  journey:
    'M5 19a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM19 9a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM7 17h8a3.5 3.5 0 0 0 0-7H9a3 3 0 0 1 0-6h8',
  microscope: 'M4 6h4v4H4zM10 6h4v4h-4zM16 6h4v4h-4zM4 14h4v4H4zM10 14h4v4h-4zM16 14h4v4h-4z',
  cpu: 'M7 7h10v10H7zM10 10h4v4h-4zM9 3v4M15 3v4M9 17v4M15 17v4M3 9h4M3 15h4M17 9h4M17 15h4',
  tcp: 'M3 20V4M3 20h18M6 16l4-4 3 2 7-8',
  drops: 'M12 3s6 6.5 6 11a6 6 0 0 1-12 0c0-4.500 6-11 6-11Z',
  time: 'M12 3a9 9 0 1 1-8.500 6M3 4v5h5M12 7v5l3 2',
  terminal: 'M3 5h18v14H3zM7 9l3 3-3 3M12 15h5',
  lessons: 'M4 5c3-1.500 6-1 8 1 2-2 5-2.500 8-1v13c-3-1.500-6-1-8 1-2-2-5-2.500-8-1V5ZM12 6v13',
  play: 'M8 5v14l11-7L8 5Z',
  pause: 'M8 5v14M16 5v14',
  back: 'M7 5v14M18 6l-8 6 8 6V6Z',
  forward: 'M17 5v14M6 6l8 6-8 6V6Z',
  next: 'M3 8h9v8H3zM15 8l5 4-5 4V8Z',
  close: 'M6 6l12 12M18 6 6 18',
  host: 'M4 5h16v10H4zM9 19h6M12 15v4',
  router: 'M4 12h16M4 12l4-4M4 12l4 4M20 12l-4-4M20 12l-4 4M12 4v16',
  restart: 'M4 4v5h5M5 9a8 8 0 1 1-1 5',
  cut: 'M6 5l12 14M18 5 6 19',
  fork: 'M6 4v7a4 4 0 0 0 4 4h4a4 4 0 0 1 4 4M6 20V9M18 4v3a4 4 0 0 1-4 4',
};

export function Icon(props: { readonly name: string }): JSX.Element {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      aria-hidden="true"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
    >
      <path d={PATHS[props.name] ?? ''} />
    </svg>
  );
}
