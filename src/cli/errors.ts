/** How the command ends when something is wrong: one clear message, and a status that scripts can trust. */

/** The work could not be done, or was done and came out wrong. */
export const EXIT_FAILURE = 1;
/** The command line, or a file that it names, makes no sense: nothing was started. */
export const EXIT_USAGE = 2;
/** `softnet exec`: the command had not ended in time. As timeout(1) has it. */
export const EXIT_TIMEOUT = 124;
/** `softnet exec`: softnet itself failed, not the command. As env(1) and timeout(1) have it. */
export const EXIT_INTERNAL = 125;

/** Something went wrong that whoever called can mend: the message is for them. */
export class UserError extends Error {
  override readonly name: string = 'UserError';
  readonly status: number;

  constructor(message: string, status: number = EXIT_FAILURE) {
    super(message);
    this.status = status;
  }
}

/** A mistake in what was asked for. */
export class UsageError extends UserError {
  override readonly name = 'UsageError';

  constructor(message: string) {
    super(message, EXIT_USAGE);
  }
}

/** What went wrong with a file, in words: `no such file or directory` for ENOENT. */
export function fileProblem(error: unknown): string {
  // Node's texts: `ENOENT: no such file or directory, open 'x'`.
  const text = error instanceof Error ? error.message : String(error);
  return /^E[A-Z]+: ([^,]+)/.exec(text)?.[1] ?? text;
}

/** Errors of other parts that are meant for whoever called. */
const FOR_CALLERS: ReadonlySet<string> = new Set(['ExecError', 'DoorUnavailable', 'DoorError']);

/** What to print about an error: its message alone when it is for the caller, else with its stack. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof UserError || FOR_CALLERS.has(error.name)) return error.message;
  return `this is a fault of softnet itself\n${error.stack ?? error.message}`;
}
