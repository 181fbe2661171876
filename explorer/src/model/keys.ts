/** Keys of the page: only those that nobody else wants. */

/** Is a key meant for the page, not for a field, a dialog, or the browser's own shortcuts? */
export function isPageKey(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
  const { target } = event;
  if (!(target instanceof HTMLElement)) return true;
  return target.closest('input, textarea, select, .xterm, [contenteditable]') === null;
}

/** Does a sheet lie over the page? What is below it does not move then. */
export function isCovered(): boolean {
  return document.querySelector('dialog[open]') !== null;
}
