/** A packet in a line: its colour, its kind, its words. */
import type { JSX } from 'solid-js';
import { KIND_LABELS, kindColor } from '../model/kinds.ts';
import type { Store } from '../model/store.ts';
import type { PacketInfo } from '../protocol.ts';

export function KindDot(props: { readonly kind: PacketInfo['kind'] }): JSX.Element {
  return <span class="kind-dot" style={{ background: kindColor(props.kind) }} aria-hidden="true" />;
}

export function PacketChip(props: {
  readonly store: Store;
  readonly packet: PacketInfo;
}): JSX.Element {
  return (
    <button
      type="button"
      class="packet-chip"
      classList={{ selected: props.store.state.packet === props.packet.id }}
      onClick={() => props.store.selectPacket(props.packet.id)}
    >
      <KindDot kind={props.packet.kind} />
      <span class="chip-kind">
        {KIND_LABELS[props.packet.kind]}
        {props.packet.again ? ', again' : ''}
      </span>
      <span class="chip-words">{props.packet.words}</span>
    </button>
  );
}
