/** A terminal on each machine: softnet's own shell and tools, in the same world that the other views show. */
import { createEffect, createSignal, For, type JSX, onCleanup, onMount, Show } from 'solid-js';
import { loadScript } from '../../model/client.ts';
import type { Store } from '../../model/store.ts';
import type { TerminalHandle } from './terminal_entry.ts';

const GREETING =
  'A shell on this machine. Try: ip addr, ip route, ping, ss -tan, nstat, tc qdisc, sysctl, curl.\n';

export function TerminalView(props: {
  readonly store: Store;
  readonly visible: boolean;
}): JSX.Element {
  const { store } = props;
  const [wanted, setWanted] = createSignal(false);
  createEffect(() => {
    if (props.visible) setWanted(true);
  });
  return (
    <section
      class="terminals"
      classList={{ hidden: !props.visible }}
      aria-label="Terminals"
      aria-hidden={!props.visible}
    >
      <div class="machine-tabs" role="tablist" aria-label="Machines">
        <For each={store.state.machines}>
          {({ name }) => (
            <button
              type="button"
              role="tab"
              aria-selected={store.state.machine === name}
              classList={{ active: store.state.machine === name }}
              onClick={() => store.setMachine(name)}
            >
              {name}
            </button>
          )}
        </For>
      </div>
      <div class="terminal-stack">
        {/* A world that is loaded again has new shells. */}
        <Show when={store.state.world} keyed>
          {(world) => (
            <For each={world.machines}>
              {({ name }) => (
                <MachineTerminal
                  store={store}
                  machine={name}
                  visible={props.visible && store.state.machine === name}
                  wanted={wanted()}
                />
              )}
            </For>
          )}
        </Show>
      </div>
    </section>
  );
}

function MachineTerminal(props: {
  readonly store: Store;
  readonly machine: string;
  readonly visible: boolean;
  readonly wanted: boolean;
}): JSX.Element {
  const { store, machine } = props;
  let element: HTMLDivElement | undefined;
  let handle: TerminalHandle | null = null;
  let opening: Promise<TerminalHandle | null> | null = null;
  let terminal = 0;

  const open = async (): Promise<TerminalHandle | null> => {
    await loadScript('terminal.js');
    const answer = await store.client.call('openTerminal', { machine });
    terminal = answer.terminal;
    const { softnetTerminal } = globalThis;
    if (softnetTerminal === undefined || element === undefined) return null;
    const prompt = `\x1b[1;32mroot@${machine}\x1b[0m:~# `;
    handle = softnetTerminal({
      element,
      prompt,
      onLine: (line) => void store.act({ kind: 'input', terminal, machine, text: `${line}\n` }),
      onInterrupt: () => void store.act({ kind: 'interrupt', terminal, machine }),
    });
    handle.write(`${GREETING}# `);
    // The shell starts with the first line, and says its prompt before it reads that.
    let first = true;
    store.onTerminal(terminal, (text) => {
      handle?.write(first ? text.replace(/^# /, '') : text);
      first = false;
    });
    return handle;
  };
  const ready = (): Promise<TerminalHandle | null> => {
    opening ??= open();
    return opening;
  };

  createEffect(() => {
    if (!props.visible || !props.wanted) return;
    void ready().then((h) => {
      h?.fit();
      h?.focus();
    });
  });
  onMount(() => {
    const onType = (event: Event): void => {
      const { detail } = event as CustomEvent<{ machine: string; command: string }>;
      if (detail.machine !== machine) return;
      void ready().then((h) => {
        h?.fit();
        h?.type(detail.command, false);
      });
    };
    const onTheme = (): void => handle?.recolor();
    const observer = new ResizeObserver(() => handle?.fit());
    if (element !== undefined) observer.observe(element);
    window.addEventListener('softnet-type', onType);
    window.addEventListener('softnet-theme', onTheme);
    onCleanup(() => {
      window.removeEventListener('softnet-type', onType);
      window.removeEventListener('softnet-theme', onTheme);
      observer.disconnect();
      if (terminal !== 0) store.onTerminal(terminal, null);
      handle?.dispose();
    });
  });
  return <div class="shell" classList={{ hidden: !props.visible }} ref={element} />;
}
