/**
 * Who called, for reports of debug builds: where was a thing allocated that nobody has freed?
 *
 * Counterpart of kernel/stacktrace.c and lib/stackdepot.c. Taking a trace is cheap, since engines
 * put it into words only when it is read.
 */

/** Calls that a trace in words shows. */
const DEPTH = 5;

/** The present stack. @kernel stack_trace_save kernel/stacktrace.c */
export function stackTraceSave(): Error {
  return new Error('stack trace');
}

/** The function that a line of a stack names: `at name (` in V8, `name@` elsewhere. */
function functionOf(line: string): string {
  const match = /^\s*at (?:new )?([^\s(]+) \(|^([^@\s]+)@/.exec(line);
  return match?.[1] ?? match?.[2] ?? '';
}

/**
 * A trace in words, innermost call first, without the `skip` innermost ones: `skbClone < rx < poll`.
 * @kernel stack_trace_print kernel/stacktrace.c
 */
export function stackTracePrint(trace: Error, skip: number): string {
  const names = (trace.stack ?? '').split('\n').map(functionOf);
  const calls = names.filter((name) => name !== '').slice(skip, skip + DEPTH);
  return calls.join(' < ');
}
