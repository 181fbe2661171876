/** What is wrong, in words, and the way on: the gallery. */
import type { JSX } from 'solid-js';
import type { Store } from '../model/store.ts';
import { WorldCards } from '../views/gallery/gallery_view.tsx';
import { Icon } from './icon.tsx';

export function ProblemPage(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  return (
    <section class="problem">
      <div class="banner danger" role="alert">
        <Icon name="warning" />
        <div>
          <h2>{store.state.problem?.title}</h2>
          <pre class="problem-detail">{store.state.problem?.detail}</pre>
        </div>
      </div>
      <h2>These worlds are ready</h2>
      <WorldCards store={store} />
    </section>
  );
}
