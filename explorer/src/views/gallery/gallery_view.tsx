/** Worlds to choose from, and a place for one's own. */
import { createSignal, For, type JSX, Show } from 'solid-js';
import { Dialog } from '../../components/dialog.tsx';
import { Icon } from '../../components/icon.tsx';
import { GALLERY } from '../../model/gallery.ts';
import { DEFAULT_SEED } from '../../model/route.ts';
import type { Store } from '../../model/store.ts';
import { WorldSketch } from './world_sketch.tsx';

export function WorldCards(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const open = (id: string): void => {
    void store
      .load({ kind: 'gallery', id }, DEFAULT_SEED)
      .then(() => store.setPlaying(store.state.phase === 'ready'));
  };
  return (
    <ul class="cards">
      <For each={GALLERY}>
        {(world) => (
          <li>
            <button
              type="button"
              class="card"
              classList={{ present: store.entry?.id === world.id }}
              onClick={() => open(world.id)}
            >
              <WorldSketch yaml={world.yaml} />
              <span class="card-title">{world.title}</span>
              <span class="card-story">{world.story}</span>
            </button>
          </li>
        )}
      </For>
    </ul>
  );
}

/** Largest file that is read, in bytes. */
const MAX_FILE = 256 * 1024;

export function GalleryView(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const [text, setText] = createSignal(store.state.world?.yaml ?? '');
  const [problem, setProblem] = createSignal('');
  const run = (): void => {
    void store
      .load({ kind: 'yaml', text: text() }, store.state.seed)
      .then(() => store.setPlaying(store.state.phase === 'ready'));
  };
  const readFile = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    if (file.size > MAX_FILE) {
      setProblem(`${file.name} has ${file.size} bytes; a description has at most ${MAX_FILE}.`);
      return;
    }
    setProblem('');
    setText(await file.text());
  };
  return (
    <Dialog title="Choose a world" wide onClose={() => store.setGallery(false)}>
      <WorldCards store={store} />
      <h3 class="own-title">Or describe your own</h3>
      <p class="muted">
        YAML in the shape of containerlab: machines, cables with their delay, rate and loss,
        commands and programs. What you see here is the present world; change it and run it.
      </p>
      <textarea
        class="yaml mono"
        spellcheck={false}
        rows={12}
        aria-label="Description of a world in YAML"
        value={text()}
        onInput={(e) => setText(e.currentTarget.value)}
      />
      <Show when={problem() !== ''}>
        <p class="danger-text" role="alert">
          {problem()}
        </p>
      </Show>
      <div class="panel-actions">
        <button type="button" class="primary" onClick={run}>
          <Icon name="play" />
          Run this world
        </button>
        <label class="file-button">
          <Icon name="worlds" />
          Open a file
          <input
            type="file"
            accept=".yaml,.yml,text/yaml"
            onChange={(e) => void readFile(e.currentTarget.files?.[0])}
          />
        </label>
      </div>
    </Dialog>
  );
}
