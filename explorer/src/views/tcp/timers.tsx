/** The sender's timers, counting down. */
import { For, type JSX, Show } from 'solid-js';
import { formatTime } from '../../model/format.ts';
import type { TcpSample, TcpTimer } from '../../protocol.ts';

const WORDS: Readonly<Record<TcpTimer, string>> = {
  none: '',
  retransmit: 'retransmission: sends the oldest segment again',
  probe: 'window probe: asks whether there is room again',
  'loss probe': 'tail loss probe: sends once more before the timeout',
  reorder: 'reordering: then what is missing counts as lost',
  pacing: 'pacing: the next segment may leave',
};

interface Timer {
  readonly name: string;
  readonly leftNs: number;
  readonly wholeNs: number;
}

export function Timers(props: {
  readonly sample: TcpSample;
  readonly momentNs: number;
}): JSX.Element {
  const timers = (): Timer[] => {
    const { sample, momentNs } = props;
    const list: Timer[] = [];
    if (sample.timer !== 'none' && sample.timerDueNs > momentNs) {
      list.push({
        name: WORDS[sample.timer],
        leftNs: sample.timerDueNs - momentNs,
        wholeNs: Math.max(1, sample.timerDueNs - sample.timeNs),
      });
    }
    if (sample.delackDueNs > momentNs) {
      list.push({
        name: 'delayed acknowledgement: then it goes by itself',
        leftNs: sample.delackDueNs - momentNs,
        wholeNs: Math.max(1, sample.delackDueNs - sample.timeNs),
      });
    }
    return list;
  };
  return (
    <Show
      when={timers().length > 0}
      fallback={<p class="muted">No timer is armed: nothing is waited for.</p>}
    >
      <For each={timers()}>
        {(timer) => (
          <div class="timer">
            <span>
              {timer.name}
              <b class="mono">{formatTime(timer.leftNs)}</b>
            </span>
            <div class="timer-bar">
              <div style={{ width: `${Math.min(100, (timer.leftNs / timer.wholeNs) * 100)}%` }} />
            </div>
          </div>
        )}
      </For>
    </Show>
  );
}
