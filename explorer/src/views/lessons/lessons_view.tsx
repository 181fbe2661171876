/** The packet's way at five depths, and questions: the text of docs/lessons, where each claim can be run. */
import { createMemo, For, type JSX, Show } from 'solid-js';
import { Icon } from '../../components/icon.tsx';
import type { Store } from '../../model/store.ts';
import { LESSONS } from './lessons.ts';
import { type Block, type Inline, parseMarkdown } from './markdown.ts';

export function LessonsView(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const lesson = () => LESSONS.find(({ id }) => id === store.state.lesson) ?? LESSONS[0];
  const blocks = createMemo(() => parseMarkdown(lesson()?.text ?? ''));
  return (
    <section class="pane lessons" aria-label="Lessons">
      <nav class="lesson-tabs" aria-label="Lessons">
        <For each={LESSONS}>
          {({ id, title }) => (
            <button
              type="button"
              classList={{ active: lesson()?.id === id }}
              aria-current={lesson()?.id === id ? 'page' : undefined}
              onClick={() => store.setLesson(id)}
            >
              {title}
            </button>
          )}
        </For>
      </nav>
      <article class="lesson">
        <For each={blocks()}>{(block) => <BlockView store={store} block={block} />}</For>
      </article>
    </section>
  );
}

function BlockView(props: { readonly store: Store; readonly block: Block }): JSX.Element {
  const { block, store } = props;
  switch (block.kind) {
    case 'heading':
      return block.level === 1 ? (
        <h2>
          <Text store={store} inline={block.inline} />
        </h2>
      ) : (
        <h3>
          <Text store={store} inline={block.inline} />
        </h3>
      );
    case 'list':
      return (
        <Show
          when={block.ordered}
          fallback={
            <ul>
              <For each={block.items}>
                {(item) => (
                  <li>
                    <Text store={store} inline={item} />
                  </li>
                )}
              </For>
            </ul>
          }
        >
          <ol>
            <For each={block.items}>
              {(item) => (
                <li>
                  <Text store={store} inline={item} />
                </li>
              )}
            </For>
          </ol>
        </Show>
      );
    case 'table':
      return (
        <table class="compare">
          <thead>
            <tr>
              <For each={block.rows[0] ?? []}>
                {(cell) => (
                  <th scope="col">
                    <Text store={store} inline={cell} />
                  </th>
                )}
              </For>
            </tr>
          </thead>
          <tbody>
            <For each={block.rows.slice(1)}>
              {(row) => (
                <tr>
                  <For each={row}>
                    {(cell) => (
                      <td>
                        <Text store={store} inline={cell} />
                      </td>
                    )}
                  </For>
                </tr>
              )}
            </For>
          </tbody>
        </table>
      );
    default:
      return (
        <p>
          <Text store={store} inline={block.inline} />
        </p>
      );
  }
}

function Text(props: { readonly store: Store; readonly inline: readonly Inline[] }): JSX.Element {
  return (
    <For each={props.inline}>
      {(piece) => {
        if (piece.kind === 'code') return <code>{piece.text}</code>;
        if (piece.kind === 'strong') return <strong>{piece.text}</strong>;
        if (piece.kind === 'em') return <em>{piece.text}</em>;
        if (piece.kind === 'link') {
          const hash = piece.to.indexOf('#/');
          if (hash < 0) return <code>{piece.text}</code>;
          return (
            <button
              type="button"
              class="show-me"
              onClick={() => {
                location.hash = piece.to.slice(hash);
              }}
            >
              <Icon name="play" />
              {piece.text}
            </button>
          );
        }
        return <>{piece.text}</>;
      }}
    </For>
  );
}
