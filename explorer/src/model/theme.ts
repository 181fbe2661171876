/** Light or dark: as the system has it, or as somebody chose. */
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'softnet-theme';

export function themeNow(): Theme {
  const chosen = document.documentElement.dataset['theme'];
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system';
}

/** Takes up what was chosen in an earlier visit. */
export function recallTheme(): void {
  try {
    document.documentElement.dataset['theme'] = localStorage.getItem(KEY) ?? '';
  } catch {
    // No storage, no memory.
  }
}

export function nextTheme(theme: Theme): Theme {
  if (theme === 'system')
    return matchMedia('(prefers-color-scheme: dark)').matches ? 'light' : 'dark';
  return theme === 'dark' ? 'light' : 'dark';
}

export function applyTheme(theme: Theme): Theme {
  document.documentElement.dataset['theme'] = theme === 'system' ? '' : theme;
  try {
    localStorage.setItem(KEY, theme === 'system' ? '' : theme);
  } catch {
    // A page from a folder may have no storage: then the choice lasts as long as the page.
  }
  window.dispatchEvent(new Event('softnet-theme'));
  return theme;
}

export function reducedMotion(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
