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
  const module = (await import(pathToFileURL(resolve(path)).href)) as Record<string, unknown>;
  const exported = module['topology'] ?? module['default'];
  if (exported === undefined) throw new UserError(`${path}: exports no \`topology\``);
  const value: unknown = typeof exported === 'function' ? (exported as () => unknown)() : exported;
  return typeof value === 'object' && value !== null && !('topology' in value)
    ? { topology: value }
    : value;
}
