/*
 * One script from its text to its result. No Linux counterpart.
 */

import { ScriptError } from '#packetdrill/ast.ts';
import { type Config, withScriptOptions } from '#packetdrill/config.ts';
import { parseScriptText } from '#packetdrill/parser.ts';
import type { ScriptResult } from '#packetdrill/report.ts';
import { Runner, type RunnerHost, ScriptFailure } from '#packetdrill/runner.ts';
import { checkSyscall, UnsupportedCall } from '#packetdrill/syscalls.ts';

const blank = { line: 0, reason: '', expected: '', actual: '', seconds: 0 } as const;

/** What an exception says of a script. Rethrows what is a fault of the interpreter. */
function resultOf(path: string, error: unknown): ScriptResult {
  if (error instanceof ScriptFailure) {
    const { line, message, expected, actual } = error;
    return { path, ...blank, outcome: 'failed', line, reason: message, expected, actual };
  }
  if (error instanceof ScriptError) {
    const { line } = error.place;
    return { path, ...blank, outcome: 'error', line, reason: error.message };
  }
  if (error instanceof UnsupportedCall) {
    return { path, ...blank, outcome: 'error', reason: error.message };
  }
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { path, ...blank, outcome: 'error', reason };
}

/**
 * Runs a script given as text. What the machine has lost when it halts is a failure too.
 * @param path the script's name in messages
 */
export async function runScript(
  path: string,
  source: string,
  config: Config,
  host: RunnerHost,
): Promise<ScriptResult> {
  let runner: Runner | null = null;
  try {
    const script = parseScriptText(path, source, config.defines);
    withScriptOptions(config, script.options);
    for (const event of script.events) if (event.kind === 'syscall') checkSyscall(event);
    runner = new Runner(script, config, host);
    await runner.run();
    return { path, ...blank, outcome: 'passed', seconds: runner.testbed.world.nowNs / 1e9 };
  } catch (error) {
    return resultOf(path, error);
  } finally {
    runner?.testbed.halt();
  }
}
