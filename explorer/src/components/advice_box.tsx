/** What a drop means and what to do about it: with the command, and a button that types it. */
import { type JSX, Show } from 'solid-js';
import type { Store } from '../model/store.ts';
import type { DropLine } from '../protocol.ts';
import { Icon } from './icon.tsx';

export function AdviceBox(props: { readonly store: Store; readonly line: DropLine }): JSX.Element {
  const { store } = props;
  const run = (): void => {
    const { machine, command } = props.line.advice;
    store.setMachine(machine);
    store.setView('terminal');
    window.dispatchEvent(new CustomEvent('softnet-type', { detail: { machine, command } }));
  };
  return (
    <div class="advice">
      <p class="meaning">{props.line.meaning}</p>
      <Show when={props.line.advice.text !== ''}>
        <p>
          <b>What to do.</b> {props.line.advice.text}
        </p>
      </Show>
      <Show when={props.line.advice.command !== ''}>
        <div class="command">
          <code>
            <span class="prompt">{props.line.advice.machine}#</span> {props.line.advice.command}
          </code>
          <button type="button" onClick={run}>
            <Icon name="terminal" />
            Type it
          </button>
        </div>
      </Show>
    </div>
  );
}
