/** The moment as often as an answer of the worker is worth it: not anew for each picture of a playing world. */
import { createMemo, on } from 'solid-js';
import type { Store } from './store.ts';

/** How often a view asks while the world plays, in a second of watching. */
const PER_SECOND = 5;

/** The moment to ask for: while the world plays told now and then, at rest whenever something has changed. */
export function slowMoment(store: Store): () => number {
  const { state } = store;
  const tick = createMemo(() =>
    state.playing
      ? `${Math.floor((store.moment() * PER_SECOND) / state.pace)}`
      : `${store.moment()} ${state.events}`,
  );
  return createMemo(
    on(tick, () => store.moment()),
    0,
    { equals: false },
  );
}
