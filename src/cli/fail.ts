/** How the command says what went wrong: the one place of it that ends the process. */
import { EXIT_FAILURE, explain, UserError } from '#cli/errors.ts';

/** Prints what went wrong and ends. `status` stands in for the error's own. */
export function fail(error: unknown, status?: number): never {
  process.stderr.write(`softnet: ${explain(error)}\n`);
  process.exit(status ?? (error instanceof UserError ? error.status : EXIT_FAILURE));
}
