import { describe, expect, it } from 'vitest';
import { PythonError, PythonSyntaxError, type PyValue, runPython } from '#packetdrill/python.ts';

function run(code: string, names: Record<string, PyValue> = {}): string[] {
  const variables = new Map(Object.entries(names));
  const said: string[] = [];
  runPython(code, {
    lookup: (name) => variables.get(name),
    assign: (name, value) => variables.set(name, value),
    print: (text) => said.push(text),
  });
  return said;
}

describe('expressions', () => {
  it.each([
    ['1 + 2 * 3', '7'],
    ['7 // 2', '3'],
    ['-7 // 2', '-4'],
    ['-7 % 3', '2'],
    ['2 ** 10', '1024'],
    ['0x10 | 1', '17'],
    ['1 < 2 < 3', 'True'],
    ['1 < 3 < 2', 'False'],
    ['not 0 and 5', '5'],
    ['0 or "x"', 'x'],
    ['"%d of %s" % (3, "four")', '3 of four'],
    ['min(3, 1, 2)', '1'],
    ['max(3, abs(-9))', '9'],
    ['1 if 0 else 2', '2'],
  ])('%s', (code, text) => {
    expect(run(`print(${code})`)).toEqual([text]);
  });
});

it('assigns and looks up', () => {
  expect(run('a = tcpi_rtt\na += 1\nprint(a)', { tcpi_rtt: 41 })).toEqual(['42']);
});

it('says what an assertion says', () => {
  expect(() => run('assert x == 1, "x is %d" % x', { x: 2 })).toThrow(PythonError);
  expect(() => run('assert x == 1, "x is %d" % x', { x: 2 })).toThrow('x is 2');
  expect(run('assert x == 2', { x: 2 })).toEqual([]);
});

it('names the line of a mistake', () => {
  const failure = (code: string): unknown => {
    try {
      run(code);
    } catch (error) {
      return error;
    }
    return null;
  };
  expect(failure('a = 1\nassert a == 2')).toMatchObject({ line: 2 });
  expect(failure('a = 1\nb = (2')).toBeInstanceOf(PythonSyntaxError);
  expect(failure('while 1: pass')).toBeInstanceOf(PythonSyntaxError);
  expect(failure('print(nosuch)')).toBeInstanceOf(PythonError);
});
