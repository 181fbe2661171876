import { describe, expect, test } from 'vitest';
import { parseScript, ShellSyntaxError, type Word } from '#user/sh/parse.ts';

const textOf = (word: Word): string =>
  word.map(({ kind, text }) => (kind === 'variable' ? `$${text}` : text)).join('');

/** A script as a tree of plain values. */
function shape(source: string): unknown {
  return parseScript(source).map(({ steps, background }) => ({
    steps: steps.map(({ when, pipeline }) => [
      when,
      pipeline.negated,
      pipeline.commands.map(({ words }) => words.map(textOf)),
    ]),
    background,
  }));
}

function problem(source: string): { message: string; line: number; unfinished: boolean } | null {
  try {
    parseScript(source);
    return null;
  } catch (error) {
    if (!(error instanceof ShellSyntaxError)) throw error;
    return { message: error.message, line: error.line, unfinished: error.unfinished };
  }
}

describe('the language of the shell', () => {
  test('lists, pipelines and conditions', () => {
    expect(shape('a b; c && d || e\nf | g &')).toEqual([
      { steps: [['always', false, [['a', 'b']]]], background: false },
      {
        steps: [
          ['always', false, [['c']]],
          ['and', false, [['d']]],
          ['or', false, [['e']]],
        ],
        background: false,
      },
      { steps: [['always', false, [['f'], ['g']]]], background: true },
    ]);
  });

  test('an exclamation mark turns the status of a pipeline round', () => {
    expect(shape('! a | b')).toEqual([
      { steps: [['always', true, [['a'], ['b']]]], background: false },
    ]);
  });

  test('quotes keep blanks and operators, and variables stay outside single ones', () => {
    expect(shape(`a 'b;  c' "d $x" e\\ f $'y' ""`)).toEqual([
      { steps: [['always', false, [['a', 'b;  c', 'd $x', 'e f', '$y', '']]]], background: false },
    ]);
  });

  test('comments and continued lines', () => {
    expect(shape('# nothing\na \\\n b # c\n\n#d')).toEqual([
      { steps: [['always', false, [['a', 'b']]]], background: false },
    ]);
  });

  test('redirections, where only a number that touches the sign is a descriptor', () => {
    const [statement] = parseScript('a 2>e >>o 2>&1 <i 2 > x');
    const command = statement?.steps[0]?.pipeline.commands[0];
    expect(command?.words.map(textOf)).toEqual(['a', '2']);
    expect(command?.redirections.map(({ fd, how, to }) => [fd, how, textOf(to)])).toEqual([
      [2, '>', 'e'],
      [1, '>>', 'o'],
      [2, '>&', '1'],
      [0, '<', 'i'],
      [1, '>', 'x'],
    ]);
  });

  test('what is wrong is named with its line', () => {
    expect(problem('a\n&& b')).toEqual({ message: '"&&" unexpected', line: 2, unfinished: false });
    expect(problem('a ||')).toMatchObject({ message: 'end of file unexpected', unfinished: true });
    expect(problem("a '")).toMatchObject({
      message: 'Unterminated quoted string',
      unfinished: true,
    });
    expect(problem('a > ;')).toMatchObject({ message: '";" unexpected' });
    expect(problem('a ; ; b')).toMatchObject({ message: '";" unexpected' });
    expect(problem('echo $(x)')).toMatchObject({ message: 'Bad substitution' });
    expect(problem('echo ${x:-y}')).toMatchObject({ message: 'Bad substitution' });
    expect(problem('a & b')).toBeNull();
  });
});
