/** A sheet over the page: takes the focus, and gives it back. */
import { type JSX, onCleanup, onMount } from 'solid-js';
import { Icon } from './icon.tsx';

export function Dialog(props: {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: JSX.Element;
  readonly wide?: boolean;
}): JSX.Element {
  let dialog: HTMLDialogElement | undefined;
  onMount(() => {
    const before = document.activeElement;
    dialog?.showModal();
    onCleanup(() => {
      if (before instanceof HTMLElement) before.focus();
    });
  });
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes it, as in every dialog
    <dialog
      ref={dialog}
      class="dialog"
      classList={{ wide: props.wide === true }}
      aria-label={props.title}
      onCancel={(e) => {
        e.preventDefault();
        props.onClose();
      }}
      onClick={(e) => {
        if (e.target === dialog) props.onClose();
      }}
    >
      <div class="dialog-head">
        <h2>{props.title}</h2>
        <button type="button" class="icon-button" onClick={() => props.onClose()}>
          <Icon name="close" />
          <span class="sr">Close</span>
        </button>
      </div>
      <div class="dialog-body">{props.children}</div>
    </dialog>
  );
}
