/** How the command ends when something is wrong: one clear message, and a status. */

/** A mistake of whoever called, or something missing here: the message is for them. */
export class UserError extends Error {
  override readonly name: string = 'UserError';
}

const EXPECTED: ReadonlySet<string> = new Set([
  'UserError',
  'TopologyError',
  'ExecError',
  'TapUnavailable',
  'RangeError',
]);

/** Prints what went wrong and ends with status 1; with a stack when it is a fault of ours. */
export function fail(error: unknown): never {
  const expected = error instanceof Error && EXPECTED.has(error.name);
  const text =
    error instanceof Error
      ? expected
        ? error.message
        : (error.stack ?? error.message)
      : String(error);
  process.stderr.write(`softnet: ${text}\n`);
  process.exit(1);
}
