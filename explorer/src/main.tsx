/** The entry: starts the worker, mounts the page. */
import { render } from 'solid-js/web';
import { App } from './app.tsx';
import { Client, startWorker } from './model/client.ts';
import { Store } from './model/store.ts';
import { recallTheme } from './model/theme.ts';
import 'uplot/dist/uPlot.min.css';
import '@xterm/xterm/css/xterm.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/components.css';
import './styles/views.css';

async function main(): Promise<void> {
  recallTheme();
  const root = document.getElementById('app');
  if (root === null) return;
  const client = new Client(await startWorker());
  const store = new Store(client);
  root.replaceChildren();
  render(() => <App store={store} />, root);
}

main().catch((error: unknown) => {
  const root = document.getElementById('app');
  if (root !== null) root.textContent = `The explorer could not start: ${String(error)}`;
});
