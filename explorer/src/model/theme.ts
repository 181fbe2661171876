/** Light or dark: as the system has it, or as somebody chose. The root element says both. */
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'softnet-theme';
const DARK = '(prefers-color-scheme: dark)';

function rememberedTheme(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : 'system';
  } catch {
    // No storage, no memory.
    return 'system';
  }
}

/** What was chosen; what is seen then is `dataset.theme`. */
export function themeNow(): Theme {
  const chosen = document.documentElement.dataset['choice'];
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system';
}

/** What is seen, whoever chose it. */
export function isDark(): boolean {
  return document.documentElement.dataset['theme'] === 'dark';
}

function show(choice: Theme): void {
  const { dataset } = document.documentElement;
  dataset['choice'] = choice;
  const system = matchMedia(DARK).matches ? 'dark' : 'light';
  dataset['theme'] = choice === 'system' ? system : choice;
  window.dispatchEvent(new Event('softnet-theme'));
}

/** Takes up what was chosen in an earlier visit, and follows the system where nothing was. */
export function recallTheme(): void {
  show(rememberedTheme());
  matchMedia(DARK).addEventListener('change', () => show(themeNow()));
}

export function nextTheme(theme: Theme): Theme {
  if (theme === 'system') return matchMedia(DARK).matches ? 'light' : 'dark';
  return theme === 'dark' ? 'light' : 'dark';
}

export function applyTheme(theme: Theme): Theme {
  show(theme);
  try {
    localStorage.setItem(KEY, theme === 'system' ? '' : theme);
  } catch {
    // A page from a folder may have no storage: then the choice lasts as long as the page.
  }
  return theme;
}

export function reducedMotion(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
