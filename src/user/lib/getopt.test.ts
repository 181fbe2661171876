import { describe, expect, test } from 'vitest';
import { getopt } from '#user/lib/getopt.ts';

const letters = (result: ReturnType<typeof getopt>): string =>
  result.options.map(({ letter, value }) => letter + (value === '' ? '' : `=${value}`)).join(' ');

describe('getopt', () => {
  test('options come bundled, with their value in the same word or the next', () => {
    const result = getopt(['-tan', '-c5', '-i', '0.2', 'host'], 'tanc:i:');
    expect(letters(result)).toBe('t a n c=5 i=0.2');
    expect(result.words).toEqual(['host']);
    expect(result.error).toBeNull();
  });

  test('words may stand between options, unless + forbids it', () => {
    expect(letters(getopt(['host', '-n'], 'n'))).toBe('n');
    const strict = getopt(['-n', 'state', '-x'], '+nx');
    expect(letters(strict)).toBe('n');
    expect(strict.words).toEqual(['state', '-x']);
  });

  test('-- ends the options and - is a word', () => {
    const result = getopt(['-', '--', '-n'], 'n');
    expect(result.words).toEqual(['-', '-n']);
    expect(result.options).toEqual([]);
  });

  test('long names stand for letters', () => {
    const long = { all: 'a', lines: 'n' };
    expect(letters(getopt(['--all', '--lines=3', '--lines', '4'], 'an:', long))).toBe('a n=3 n=4');
    expect(getopt(['--all=x'], 'a', long).error).toBe("option '--all' doesn't allow an argument");
    expect(getopt(['--lines'], 'n:', long).error).toBe("option '--lines' requires an argument");
    expect(getopt(['--nosuch'], 'a', long).error).toBe("unrecognized option '--nosuch'");
    // Names of Object's own are no options.
    expect(getopt(['--constructor'], 'a', long).error).toContain('unrecognized');
  });

  test('what is not known or lacks its value is refused', () => {
    expect(getopt(['-z'], 'a').error).toBe("invalid option -- 'z'");
    expect(getopt(['-c'], 'c:').error).toBe("option requires an argument -- 'c'");
    expect(getopt(['-:'], 'c:').error).toBe("invalid option -- ':'");
  });
});
