/*
 * One script from its text to its result. No Linux counterpart.
 */

import { type Script, ScriptError } from '#packetdrill/ast.ts';
import { BackendUnavailable } from '#packetdrill/backend.ts';
import { type Config, withScriptOptions } from '#packetdrill/config.ts';
import { mutantsOf } from '#packetdrill/mutate.ts';
import { parseScriptText } from '#packetdrill/parser.ts';
import type { ScriptResult } from '#packetdrill/report.ts';
import { Runner, type RunnerHost, ScriptFailure } from '#packetdrill/runner.ts';
import { checkSyscall, UnsupportedCall } from '#packetdrill/syscalls.ts';

const blank = { line: 0, reason: '', expected: '', actual: '', journey: [], seconds: 0 } as const;

/** What an exception says of a script. Rethrows what is a fault of the interpreter. */
function resultOf(path: string, error: unknown): ScriptResult {
  if (error instanceof ScriptFailure) {
    const { line, message, expected, actual, journey } = error;
    return { path, ...blank, outcome: 'failed', line, reason: message, expected, actual, journey };
  }
  if (error instanceof ScriptError) {
    const { line } = error.place;
    return { path, ...blank, outcome: 'error', line, reason: error.message };
  }
  if (error instanceof UnsupportedCall) {
    return { path, ...blank, outcome: 'error', line: error.line, reason: error.message };
  }
  if (error instanceof BackendUnavailable) {
    return { path, ...blank, outcome: 'error', reason: error.message };
  }
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { path, ...blank, outcome: 'error', reason };
}

/** Runs a script that has been read. */
export async function runParsed(
  script: Script,
  config: Config,
  host: RunnerHost,
): Promise<ScriptResult> {
  const path = script.file;
  let runner: Runner | null = null;
  let result: ScriptResult;
  try {
    for (const event of script.events) if (event.kind === 'syscall') checkSyscall(event);
    runner = new Runner(script, config, host);
    await runner.run();
    result = { path, ...blank, outcome: 'passed', seconds: runner.seconds };
  } catch (error) {
    result = resultOf(path, error);
  }
  const lost = runner?.backend.halt() ?? {};
  if (result.outcome !== 'passed' || Object.keys(lost).length === 0) return result;
  const what = Object.entries(lost).map(([name, count]) => `${count} ${name}`);
  return { ...result, outcome: 'error', reason: `the machine has lost ${what.join(', ')}` };
}

/**
 * Runs a script given as text. What the machine has lost when it halts is an error too.
 * @param path the script's name in messages
 */
export async function runScript(
  path: string,
  source: string,
  config: Config,
  host: RunnerHost,
): Promise<ScriptResult> {
  let script: Script;
  try {
    script = parseScriptText(path, source, config.defines);
    withScriptOptions(config, script.options);
  } catch (error) {
    return resultOf(path, error);
  }
  const result = await runParsed(script, config, host);
  const { makeRecording } = host;
  if (result.outcome !== 'failed' || makeRecording === undefined) return result;
  // The same run once more, watched.
  const again = { makeBackend: makeRecording, log: null, capture: null };
  const { journey } = await runParsed(script, config, again);
  return { ...result, journey };
}

/** An altered script that has passed all the same. */
export interface Survivor {
  readonly path: string;
  readonly line: number;
  readonly what: string;
}

/** Runs every altered copy of a script; those that pass, and how many there were. */
export async function runMutants(
  path: string,
  source: string,
  config: Config,
  host: RunnerHost,
): Promise<{ readonly count: number; readonly survivors: readonly Survivor[] }> {
  const script = parseScriptText(path, source, config.defines);
  const survivors: Survivor[] = [];
  let count = 0;
  for (const mutant of mutantsOf(script)) {
    count++;
    const { outcome } = await runParsed(mutant.script, config, host);
    if (outcome === 'passed') survivors.push({ path, line: mutant.place.line, what: mutant.what });
  }
  return { count, survivors };
}
