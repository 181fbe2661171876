/** The frame of the page: heading, views, inspector, transport; keys; the address bar. */
import {
  createEffect,
  createSignal,
  For,
  type JSX,
  Match,
  on,
  onCleanup,
  onMount,
  Show,
  Switch,
} from 'solid-js';
import { Help } from './components/help.tsx';
import { Icon } from './components/icon.tsx';
import { Inspector } from './components/inspector.tsx';
import { ProblemPage } from './components/problem_page.tsx';
import { Transport } from './components/transport.tsx';
import { isPageKey } from './model/keys.ts';
import { Player } from './model/player.ts';
import { fitsLink, type ViewName } from './model/route.ts';
import type { Store } from './model/store.ts';
import { applyTheme, isDark, nextTheme, type Theme, themeNow } from './model/theme.ts';
import { CpuView } from './views/cpu/cpu_view.tsx';
import { DropsView } from './views/drops/drops_view.tsx';
import { GalleryView } from './views/gallery/gallery_view.tsx';
import { JourneyView } from './views/journey/journey_view.tsx';
import { LessonsView } from './views/lessons/lessons_view.tsx';
import { MicroscopeView } from './views/microscope/microscope_view.tsx';
import { StackView } from './views/stack/stack_view.tsx';
import { TcpCockpit } from './views/tcp/tcp_view.tsx';
import { TerminalView } from './views/terminal/terminal_view.tsx';
import { TimeView } from './views/time/time_view.tsx';
import { TopologyView } from './views/topology/topology_view.tsx';

interface Tab {
  readonly name: ViewName;
  readonly label: string;
  readonly key: string;
}

const TABS: readonly Tab[] = [
  { name: 'map', label: 'Map', key: '1' },
  { name: 'stack', label: 'Stack', key: '2' },
  { name: 'journey', label: 'Journey', key: '3' },
  { name: 'microscope', label: 'Bytes', key: '4' },
  { name: 'cpu', label: 'CPU', key: '5' },
  { name: 'tcp', label: 'TCP', key: '6' },
  { name: 'drops', label: 'Drops', key: '7' },
  { name: 'time', label: 'Time', key: '8' },
  { name: 'terminal', label: 'Terminal', key: '9' },
  { name: 'lessons', label: 'Lessons', key: '0' },
];

/** How often the address bar follows the moment while the world plays. */
const LINK_MS = 700;

export function App(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const { state } = store;
  const [theme, setTheme] = createSignal<Theme>(themeNow());
  const [dark, setDark] = createSignal(isDark());
  const player = new Player(store);
  let written = '';

  const writeLink = (): void => {
    if (state.phase !== 'ready') return;
    const link = store.link();
    if (link === written) return;
    written = link;
    history.replaceState(null, '', link);
  };

  onMount(() => {
    player.start();
    const timer = setInterval(writeLink, LINK_MS);
    const onHash = (): void => {
      if (location.hash !== written) void store.follow(location.hash);
    };
    window.addEventListener('hashchange', onHash);
    window.addEventListener('keydown', onKey);
    const onTheme = (): void => void setDark(isDark());
    window.addEventListener('softnet-theme', onTheme);
    void store.follow(location.hash);
    onCleanup(() => {
      clearInterval(timer);
      player.stop();
      window.removeEventListener('hashchange', onHash);
      window.removeEventListener('keydown', onKey);
      window.removeEventListener('softnet-theme', onTheme);
    });
  });
  createEffect(
    on(() => [state.view, state.packet, state.machine, state.depth], writeLink, { defer: true }),
  );

  const onKey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') {
      store.setGallery(false);
      store.setHelp(false);
    }
    if (!isPageKey(event)) return;
    const tab = TABS.find(({ key }) => key === event.key);
    if (tab !== undefined) store.setView(tab.name);
    else if (event.key === ' ' && !(event.target instanceof HTMLButtonElement)) {
      store.toggle();
    } else if (event.key === '.') void store.step('event');
    else if (event.key === ',') void store.stepBack();
    else if (event.key === 'n') void store.step('packet');
    else if (event.key === 'g') store.setGallery(!state.galleryOpen);
    else if (event.key === '?') store.setHelp(!state.helpOpen);
    else return;
    event.preventDefault();
  };

  const share = async (): Promise<void> => {
    writeLink();
    if (!fitsLink(store.route())) {
      store.notify(
        'Too much was done in this world for a link: it leads to the world as it began.',
      );
      return;
    }
    try {
      await navigator.clipboard.writeText(location.href);
      store.notify('The link to this moment is in the clipboard.');
    } catch {
      store.notify('The address bar holds the link to this moment.');
    }
  };

  return (
    <div class="app">
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        To the view
      </button>
      <header class="topbar">
        <h1 class="brand">
          <Icon name="envelope" />
          <span>
            softnet <b>explorer</b>
          </span>
        </h1>
        <button
          type="button"
          class="world-button"
          onClick={() => store.setGallery(!state.galleryOpen)}
          aria-expanded={state.galleryOpen}
          aria-haspopup="dialog"
        >
          <Icon name="worlds" />
          <span class="world-name">
            {store.entry?.title ?? state.world?.name ?? 'Choose a world'}
          </span>
          <Icon name="down" />
        </button>
        <SeedField store={store} />
        <span class="spacer" />
        <button
          type="button"
          class="icon-button"
          onClick={() => void share()}
          title="Copy a link to this moment"
        >
          <Icon name="link" />
          <span class="sr">Copy a link to this moment</span>
        </button>
        <button
          type="button"
          class="icon-button"
          onClick={() => setTheme(applyTheme(nextTheme(theme())))}
          title={`Theme: ${theme()}`}
        >
          <Icon name={dark() ? 'moon' : 'sun'} />
          <span class="sr">Theme: {theme()}. Change it.</span>
        </button>
        <button
          type="button"
          class="icon-button"
          onClick={() => store.setHelp(true)}
          title="Keys and help (?)"
        >
          <Icon name="help" />
          <span class="sr">Keys and help</span>
        </button>
      </header>
      <nav class="rail" aria-label="Views">
        <For each={TABS}>
          {(tab) => (
            <button
              type="button"
              class="tab"
              classList={{ active: state.view === tab.name }}
              aria-current={state.view === tab.name ? 'page' : undefined}
              onClick={() => store.setView(tab.name)}
              title={`${tab.label} (${tab.key})`}
            >
              <Icon name={tab.name} />
              <span>{tab.label}</span>
              <Show when={tab.name === 'drops' && state.dropCount > 0}>
                <span class="badge">
                  {state.dropCount > 999 ? '999+' : state.dropCount}
                  <span class="sr"> drops</span>
                </span>
              </Show>
            </button>
          )}
        </For>
      </nav>
      <main class="view" id="main" tabindex="-1">
        <Show when={state.phase !== 'problem'} fallback={<ProblemPage store={store} />}>
          <Show when={state.halted}>
            {(halted) => (
              <div class="banner danger" role="alert">
                <Icon name="warning" />
                <p>
                  <b>{halted().title}.</b> {halted().detail}
                </p>
              </div>
            )}
          </Show>
          <Show
            when={state.world !== null || state.view === 'lessons'}
            fallback={<p class="boot">Booting machines…</p>}
          >
            <Switch>
              <Match when={state.view === 'map'}>
                <TopologyView store={store} />
              </Match>
              <Match when={state.view === 'stack'}>
                <StackView store={store} />
              </Match>
              <Match when={state.view === 'journey'}>
                <JourneyView store={store} />
              </Match>
              <Match when={state.view === 'microscope'}>
                <MicroscopeView store={store} />
              </Match>
              <Match when={state.view === 'cpu'}>
                <CpuView store={store} />
              </Match>
              <Match when={state.view === 'tcp'}>
                <TcpCockpit store={store} />
              </Match>
              <Match when={state.view === 'drops'}>
                <DropsView store={store} />
              </Match>
              <Match when={state.view === 'time'}>
                <TimeView store={store} />
              </Match>
              <Match when={state.view === 'lessons'}>
                <LessonsView store={store} />
              </Match>
            </Switch>
            <TerminalView store={store} visible={state.view === 'terminal'} />
          </Show>
        </Show>
      </main>
      <Inspector store={store} />
      <Transport store={store} />
      <Show when={state.galleryOpen}>
        <GalleryView store={store} />
      </Show>
      <Show when={state.helpOpen}>
        <Help store={store} tabs={TABS} />
      </Show>
      <div
        class="notice"
        classList={{ shown: state.notice !== '' }}
        role="status"
        aria-live="polite"
      >
        {state.notice}
      </div>
    </div>
  );
}

function SeedField(props: { readonly store: Store }): JSX.Element {
  const { store } = props;
  const commit = (text: string): void => {
    const seed = text.trim();
    const { source } = store.state;
    if (seed === '' || seed === store.state.seed || source === null) return;
    void store.load(source, seed.slice(0, 64)).then(() => store.setPlaying(true));
  };
  return (
    <label
      class="seed"
      title="The seed decides everything that is random: the same seed, the same run"
    >
      <span>seed</span>
      <input
        value={store.state.seed}
        maxLength={64}
        spellcheck={false}
        onChange={(e) => commit(e.currentTarget.value)}
      />
    </label>
  );
}
