/** Reads topology files: YAML, or a module that exports `topology`. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fileProblem, UsageError } from '#cli/errors.ts';
import { parseTopology, TopologyError, type TopologySpec } from '#sim/topology.ts';
import { readTopologyYaml, TopologyTextError } from '#sim/topology_yaml.ts';

/** Files larger than this are no topology. */
const MAX_BYTES = 1024 * 1024;

/** The description in a file. Throws UsageError that names file, line and what is wrong. */
export async function readTopology(path: string): Promise<TopologySpec> {
  if (!/\.[cm]?[jt]s$/.test(path)) return readYamlFile(path);
  const value = await importTopology(path);
  try {
    return parseTopology(value);
  } catch (error) {
    if (!(error instanceof TopologyError)) throw error;
    throw new UsageError(`${path}: ${error.message}`);
  }
}

function readText(path: string): string {
  try {
    const stat = statSync(path);
    // Pipes are fine, e.g. <(generator).
    if (stat.isDirectory()) throw new UsageError(`${path}: is a folder`);
    const { size } = stat;
    if (size > MAX_BYTES) {
      throw new UsageError(`${path}: ${size} bytes are too many for a topology`);
    }
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${path}: ${fileProblem(error)}`);
  }
}

function readYamlFile(path: string): TopologySpec {
  const text = readText(path);
  try {
    return readTopologyYaml(text);
  } catch (error) {
    if (!(error instanceof TopologyTextError)) throw error;
    throw new UsageError(`${path}${error.line === null ? '' : `:${error.line}`}: ${error.message}`);
  }
}

async function importTopology(path: string): Promise<unknown> {
  const exports = await importModule(path);
  const exported = exports['topology'] ?? exports['default'];
  if (exported === undefined) throw new UsageError(`${path}: exports no \`topology\``);
  const value: unknown =
    typeof exported === 'function' ? await (exported as () => unknown)() : exported;
  return typeof value === 'object' && value !== null && !('topology' in value)
    ? { topology: value }
    : value;
}

type Exports = Record<string, unknown>;

async function importModule(path: string): Promise<Exports> {
  readText(path);
  const url = pathToFileURL(resolve(path)).href;
  try {
    return (await import(url)) as Exports;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_UNKNOWN_FILE_EXTENSION') {
      throw new UsageError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  // Node reads TypeScript itself from 22.18 on; before that, tsx does, where it is installed.
  // It is no dependency of the package, so its name must not be resolved when that is built.
  const loader = 'tsx/esm/api';
  const tsx = (await import(loader).catch(() => null)) as {
    tsImport(specifier: string, parent: string): Promise<Exports>;
  } | null;
  if (tsx === null) {
    throw new UsageError(
      `${path}: Node ${process.versions.node} does not read TypeScript; Node 22.18 does, or install tsx`,
    );
  }
  try {
    return await tsx.tsImport(url, import.meta.url);
  } catch (error) {
    throw new UsageError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
