/*
 * Failed system calls as exceptions, in Node's manner: `code`, `errno`, `syscall`, and where there is one the
 * address and port. Texts are those that Node's own errors have, so a program that reads them keeps working.
 */
import { errnoName, strerror } from '#uapi/errno.ts';

/** A system call that failed. `errno` is negative, as Node has it. */
export class SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly address: string | undefined;
  readonly port: number | undefined;

  constructor(errno: number, syscall: string, address?: string, port?: number) {
    super(messageOf(errno, syscall, address, port));
    this.name = 'Error';
    this.code = errnoName(errno) ?? `E${Math.abs(errno)}`;
    this.errno = -Math.abs(errno);
    this.syscall = syscall;
    this.address = address;
    this.port = port;
  }
}

function messageOf(errno: number, syscall: string, address?: string, port?: number): string {
  const code = errnoName(errno) ?? `E${Math.abs(errno)}`;
  if (address === undefined) return `${syscall} ${code}`;
  const where = port === undefined ? address : `${address}:${port}`;
  // Node words the reason for everything but connect.
  if (syscall === 'connect') return `${syscall} ${code} ${where}`;
  const reason = strerror(errno);
  return `${syscall} ${code}: ${reason.charAt(0).toLowerCase()}${reason.slice(1)} ${where}`;
}

/** The result of a system call, or the exception if it is a negative errno. */
export function check(result: number, syscall: string, address?: string, port?: number): number {
  if (result < 0) throw new SystemError(result, syscall, address, port);
  return result;
}

/** The positive errno of an exception that a system call caused; 0 for any other. */
export function errnoOf(error: unknown): number {
  return error instanceof SystemError ? -error.errno : 0;
}

/** `Connection refused` for an exception of a system call, as strerror(3) words it; else its message. */
export function reasonOf(error: unknown): string {
  if (error instanceof SystemError) return strerror(error.errno);
  return error instanceof Error ? error.message : String(error);
}

/** A program was ended from outside; not an error of the program, and nothing should catch it for good. */
export class Killed extends Error {
  readonly signal: number;

  constructor(signal: number) {
    super(`killed by signal ${signal}`);
    this.name = 'Killed';
    this.signal = signal;
  }
}
