/**
 * The source of the functions that the explorer's map of the stack shows at its deepest: cut from src/ by
 * their tags, with where they are here and in Linux, and the RFCs that they cite.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTree } from './tidy/tree.ts';
import { isTraced, weave } from './weave/weave.ts';

export interface FunctionSource {
  readonly file: string;
  readonly line: number;
  readonly kernelFile: string;
  readonly rfcs: readonly string[];
  readonly code: string;
}

const LONGEST = 110;

/** The text of the function that begins at a line, and the comment before it. */
function cut(lines: readonly string[], line: number): { code: string; comment: string } {
  let end = line - 1;
  while (end < lines.length && lines[end] !== '}' && end - line < LONGEST) end++;
  let begin = line - 2;
  if (lines[begin]?.trimEnd().endsWith('*/') === true) {
    while (begin > 0 && !(lines[begin] ?? '').trimStart().startsWith('/**')) begin--;
  } else begin = line - 1;
  return {
    code: lines.slice(line - 1, end + 1).join('\n'),
    comment: lines.slice(begin, line - 1).join('\n'),
  };
}

/** Sources by Linux's names; what is not in src/ is left out. */
export function functionSources(
  root: string,
  wanted: readonly string[],
): Record<string, FunctionSource> {
  const names = new Set(wanted);
  const found: Record<string, FunctionSource> = {};
  for (const { path } of readTree(root).sources) {
    if (!path.startsWith('src/') || !isTraced(path)) continue;
    const text = readFileSync(join(root, path), 'utf8');
    if (!text.includes('@kernel')) continue;
    const lines = text.split('\n');
    for (const [name, , line, kernelFile] of weave(path, text)?.functions ?? []) {
      if (!names.has(name) || found[name] !== undefined) continue;
      const { code, comment } = cut(lines, line);
      const rfcs = [...comment.matchAll(/@rfc\s+(\d+(?:#[\w.]+)?)/g)].map((m) => m[1] ?? '');
      found[name] = { file: path, line, kernelFile, rfcs, code };
    }
  }
  return found;
}
