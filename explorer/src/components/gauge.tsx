/** A number with its name. */
import { type JSX, Show } from 'solid-js';

export function Gauge(props: {
  readonly name: string;
  readonly value: number | string;
  /** Beside it, smaller: what part of the whole that is. */
  readonly share?: string;
  readonly alert?: boolean;
  readonly strong?: boolean;
}): JSX.Element {
  return (
    <div class="gauge" classList={{ alert: props.alert === true, strong: props.strong === true }}>
      <span class="gauge-name">{props.name}</span>
      <span class="gauge-value">
        {props.value}
        <Show when={(props.share ?? '') !== ''}>
          <span class="gauge-share"> {props.share}</span>
        </Show>
      </span>
    </div>
  );
}
