/** Reads topology files: YAML, or a module that exports `topology`. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseDocument } from 'yaml';
import { UserError } from '#cli/errors.ts';
import { parseTopology, TopologyError, type TopologySpec } from '#sim/topology.ts';

/** Files larger than this are no topology. */
const MAX_BYTES = 4 * 1024 * 1024;

/** The description in a file. Throws UserError that names file, line and what is wrong. */
export async function readTopology(path: string): Promise<TopologySpec> {
  if (!existsSync(path)) throw new UserError(`${path}: no such file`);
  try {
    if (/\.[cm]?[jt]s$/.test(path)) return parseTopology(await importTopology(path));
    return parseTopology(readYaml(path));
  } catch (error) {
    if (error instanceof TopologyError) throw new UserError(`${path}: ${error.message}`);
    throw error;
  }
}

function readYaml(path: string): unknown {
  const text = readFileSync(path, 'utf8');
  if (text.length > MAX_BYTES) throw new UserError(`${path}: too large for a topology`);
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) throw new UserError(`${path}: ${error.message}`);
  // Aliases may not blow a small file up to a large object.
  return document.toJS({ maxAliasCount: 100 });
}

async function importTopology(path: string): Promise<unknown> {
  const module = await importModule(path);
  const exported = module['topology'] ?? module['default'];
  if (exported === undefined) throw new UserError(`${path}: exports no \`topology\``);
  const value: unknown = typeof exported === 'function' ? (exported as () => unknown)() : exported;
  const whole = typeof value === 'object' && value !== null && 'topology' in value;
  return whole ? value : { topology: value };
}

/** Node before 22.18 cannot read TypeScript; the package tsx can, where it is installed. */
async function importModule(path: string): Promise<Record<string, unknown>> {
  const url = pathToFileURL(resolve(path)).href;
  try {
    return (await import(url)) as Record<string, unknown>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_UNKNOWN_FILE_EXTENSION') throw error;
  }
  // Not a dependency of the package, so the name must not be resolved when it is built.
  const loader = 'tsx/esm/api';
  try {
    const { tsImport } = (await import(loader)) as {
      tsImport(url: string, parent: string): Promise<Record<string, unknown>>;
    };
    return await tsImport(url, import.meta.url);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new UserError(
      `${path}: this Node reads no TypeScript; use Node 22.18 or newer, or install tsx`,
    );
  }
}
