/** Each segment that was sent and is not acknowledged yet, and what is known of it. */
import { For, type JSX, Show } from 'solid-js';
import { formatBytes } from '../../model/format.ts';
import type { TcpView } from '../../protocol.ts';

type Block = TcpView['scoreboard'][number];

const CLASSES: Readonly<Record<Block['state'], string>> = {
  'in flight': 'flying',
  sacked: 'sacked',
  lost: 'lost',
  retransmitted: 'again',
};

const SHOWN = 160;

export function Scoreboard(props: {
  readonly blocks: readonly Block[];
  readonly una: number;
  readonly next: number;
}): JSX.Element {
  const count = (state: Block['state']): number =>
    props.blocks.filter((b) => b.state === state).length;
  return (
    <Show
      when={props.blocks.length > 0}
      fallback={<p class="muted">Everything that was sent has been acknowledged.</p>}
    >
      <p class="muted">
        From byte {props.una} to {props.next}: {count('in flight')} in flight, {count('sacked')}{' '}
        selectively acknowledged, {count('lost')} held for lost, {count('retransmitted')} sent
        again.
      </p>
      <div class="blocks">
        <For each={props.blocks.slice(0, SHOWN)}>
          {(block) => (
            <span
              class={`block ${CLASSES[block.state]}`}
              title={`${block.begin}..${block.end}, ${formatBytes(block.end - block.begin)}: ${block.state}`}
              style={{ 'flex-grow': String(block.end - block.begin) }}
            />
          )}
        </For>
      </div>
      <ul class="legend-row">
        <li>
          <span class="block flying" />
          in flight
        </li>
        <li>
          <span class="block sacked" />
          selectively acknowledged
        </li>
        <li>
          <span class="block lost" />
          held for lost
        </li>
        <li>
          <span class="block again" />
          sent again
        </li>
      </ul>
    </Show>
  );
}
