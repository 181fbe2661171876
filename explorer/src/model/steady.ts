/**
 * Keeps answers that are asked for again and again steady: what has not changed stays the same object, so
 * that buttons under somebody's finger are not made anew.
 */
import type { Signal } from 'solid-js';
import { createStore, reconcile, unwrap } from 'solid-js/store';

/** Storage for a resource whose items are known by a key, `id` unless told otherwise. */
export function steady(key = 'id'): <T>(value: T | undefined) => Signal<T | undefined> {
  return <T>(value: T | undefined): Signal<T | undefined> => {
    const [store, set] = createStore<{ value: T | undefined }>({ value });
    const write = (next: unknown): T | undefined => {
      const fresh =
        typeof next === 'function'
          ? (next as (before: T | undefined) => T | undefined)(unwrap(store).value)
          : (next as T | undefined);
      set('value', reconcile(fresh as never, { key }));
      return store.value;
    };
    return [() => store.value, write] as Signal<T | undefined>;
  };
}
