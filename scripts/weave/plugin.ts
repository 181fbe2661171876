/** The weaver as a plugin of Vite and Vitest (and Rollup). */
import { isAbsolute, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isTraced, type WeaveOptions, weave } from './weave.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What Vite asks of a plugin, as far as this one is concerned. */
export interface WeavePlugin {
  readonly name: string;
  readonly enforce: 'pre';
  transform(code: string, id: string): { code: string; map: null } | null;
}

/** Weaves the function tracer into the kernel's modules as they are loaded. */
export function weavePlugin(options: WeaveOptions = {}): WeavePlugin {
  return {
    name: 'softnet-weave',
    enforce: 'pre',
    transform(code, id) {
      const [file = ''] = id.split('?');
      if (!isAbsolute(file)) return null;
      const path = relative(root, file).replaceAll('\\', '/');
      if (!isTraced(path)) return null;
      const woven = weave(path, code, options);
      // Lines stay where they are, so that the map of what comes next still tells the truth.
      return woven === null ? null : { code: woven.code, map: null };
    },
  };
}
