/** The keys, and what the page is. */
import { For, type JSX } from 'solid-js';
import type { Store } from '../model/store.ts';
import { Dialog } from './dialog.tsx';

const KEYS: readonly (readonly [string, string])[] = [
  ['space', 'play or pause'],
  ['.', 'one event on'],
  [',', 'one step back'],
  ['n', 'on to the next packet'],
  ['← →', 'in a journey: the step before, the step after'],
  ['g', 'the gallery of worlds'],
  ['?', 'this page'],
];

export function Help(props: {
  readonly store: Store;
  readonly tabs: readonly { readonly key: string; readonly label: string }[];
}): JSX.Element {
  return (
    <Dialog title="Keys and help" onClose={() => props.store.setHelp(false)}>
      <p>
        The machines that you see run in this page: the Linux network stack, in TypeScript, with its
        drivers, interrupts, sockets and tools. Nothing is scripted. The seed decides everything
        that is random, so a link brings back the same run.
      </p>
      <dl class="keys">
        <For each={KEYS}>
          {([key, what]) => (
            <div>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          )}
        </For>
        <For each={props.tabs}>
          {(tab) => (
            <div>
              <dt>
                <kbd>{tab.key}</kbd>
              </dt>
              <dd>{tab.label}</dd>
            </div>
          )}
        </For>
      </dl>
    </Dialog>
  );
}
