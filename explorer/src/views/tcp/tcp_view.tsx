import type { JSX } from 'solid-js';
import type { Store } from '../../model/store.ts';
export function TcpCockpit(_props: { readonly store: Store }): JSX.Element {
  return <p class="empty">soon</p>;
}
