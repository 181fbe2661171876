/*
 * What came of scripts, for people and for programs.
 */

export type Outcome = 'passed' | 'failed' | 'error';

export interface ScriptResult {
  readonly path: string;
  /** `error`: the script could not be run: bad syntax, a system call that does not exist. */
  readonly outcome: Outcome;
  /** 0: not about a line. */
  readonly line: number;
  /** Empty when the script has passed. */
  readonly reason: string;
  readonly expected: string;
  readonly actual: string;
  /** The way of the packet that came, or of the last that went in when none came; often empty. */
  readonly journey: readonly string[];
  /** Virtual time that the script took, in seconds. */
  readonly seconds: number;
}

/** A failure in several lines: where, why, and the two packets one above the other. */
export function formatFailure(result: ScriptResult): string {
  const where = result.line > 0 ? `${result.path}:${result.line}` : result.path;
  const { reason } = result;
  // What is wrong with a script as such says where itself, to the column.
  const place = reason.startsWith(`${where}:`) ? '' : `${where}: `;
  const lines = [`${place}${result.outcome}: ${reason}`];
  if (result.expected !== '') {
    lines.push(`  expected: ${result.expected}`);
    lines.push(`  actual:   ${result.actual === '' ? '(none)' : result.actual}`);
  }
  if (result.journey.length > 0) {
    lines.push(
      result.actual === '' ? '  the last packet that went in:' : '  the way of that packet:',
      ...result.journey.map((step) => `    ${step}`),
    );
  }
  return lines.join('\n');
}

/** `12 passed, 3 failed`; scripts that could not be run count as failed. */
export function formatSummary(results: readonly ScriptResult[]): string {
  const passed = results.filter(({ outcome }) => outcome === 'passed').length;
  return `${passed} passed, ${results.length - passed} failed`;
}

/** One object for programs that read. */
export function toJson(results: readonly ScriptResult[]): string {
  const passed = results.filter(({ outcome }) => outcome === 'passed').length;
  return JSON.stringify({ passed, failed: results.length - passed, scripts: results });
}
