/** `softnet packetdrill`: packet scripts against a machine in virtual time. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '#cli/errors.ts';
import { turn } from '#cli/turn.ts';
import { type Config, DEFAULT_CONFIG, withOption } from '#packetdrill/config.ts';
import { runScript } from '#packetdrill/main.ts';
import { formatFailure, formatSummary, type ScriptResult, toJson } from '#packetdrill/report.ts';
import { machineBackend } from '#packetdrill/testbed.ts';

export interface PacketdrillOptions {
  readonly ipVersion: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
  readonly tolerance: number;
  readonly tolerancePercent: number;
  readonly define: readonly string[];
  readonly option: readonly string[];
  readonly seed: string;
}

/** Names of scripts that are for the other IP version end so. */
const OTHER_VERSION = 'v6.pkt';

/** A script, or those of a folder in order. `leftOut` gets the folder's scripts for another IP version. */
function findScripts(path: string, leftOut: string[]): string[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const full = join(path, entry.name);
      if (entry.isDirectory()) return findScripts(full, leftOut);
      if (!entry.name.endsWith('.pkt')) return [];
      if (!entry.name.endsWith(OTHER_VERSION)) return [full];
      leftOut.push(full);
      return [];
    });
}

function configOf(options: PacketdrillOptions): Config {
  let config = withOption(DEFAULT_CONFIG, 'ip_version', options.ipVersion);
  config = withOption(config, 'tolerance_usecs', String(options.tolerance));
  config = withOption(config, 'tolerance_percent', String(options.tolerancePercent));
  for (const text of options.define) config = withOption(config, 'define', text);
  for (const text of options.option) {
    const [name = '', ...value] = text.split('=');
    config = withOption(config, name, value.join('='));
  }
  return config;
}

/** A file beside a script, as text; null when it cannot be read. */
function readBeside(folder: string): (path: string) => string | null {
  return (path) => {
    try {
      return readFileSync(resolve(folder, path), 'utf8');
    } catch {
      return null;
    }
  };
}

async function runFile(
  path: string,
  config: Config,
  options: PacketdrillOptions,
): Promise<ScriptResult> {
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`${path}: ${(error as Error).message}`);
  }
  return runScript(path, source, config, {
    makeBackend: machineBackend({
      seed: options.seed,
      turn,
      readFile: readBeside(dirname(path)),
    }),
    log: options.verbose === true ? (line) => process.stdout.write(`${line}\n`) : null,
    capture: null,
  });
}

export async function runPacketdrill(
  paths: readonly string[],
  options: PacketdrillOptions,
): Promise<void> {
  const config = configOf(options);
  const leftOut: string[] = [];
  const scripts = paths.flatMap((path) => findScripts(path, leftOut));
  for (const path of leftOut) process.stderr.write(`softnet: ${path}: left out, it is for IPv6\n`);
  if (scripts.length === 0) throw new UserError(`${paths.join(', ')}: no packet script to run`);
  const results: ScriptResult[] = [];
  for (const path of scripts) {
    const result = await runFile(path, config, options);
    results.push(result);
    if (options.json === true) continue;
    if (result.outcome !== 'passed') process.stdout.write(`${formatFailure(result)}\n`);
    else if (options.verbose === true) process.stdout.write(`${path}: passed\n`);
  }
  if (options.json === true) process.stdout.write(`${toJson(results)}\n`);
  else process.stdout.write(`${formatSummary(results)}\n`);
  process.exitCode = results.every(({ outcome }) => outcome === 'passed') ? 0 : 1;
}
