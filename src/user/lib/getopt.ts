/*
 * Options of one letter, as getopt(3) of the GNU library reads them: bundled, with their argument in the same
 * word or the next, and mixed with the other words.
 */

export interface GetoptResult {
  /** In the order of the command line; `value` is empty for an option without argument. */
  readonly options: readonly { readonly letter: string; readonly value: string }[];
  /** The other words. */
  readonly words: readonly string[];
  /** What was wrong, in getopt's words; null when nothing was. */
  readonly error: string | null;
}

/**
 * @param spec letters, a colon behind those with an argument; `+` before all stops at the first other word
 * @param long longer names and the letters they stand for
 */
export function getopt(
  args: readonly string[],
  spec: string,
  long: Readonly<Record<string, string>> = {},
): GetoptResult {
  const options: { letter: string; value: string }[] = [];
  const words: string[] = [];
  const failed = (error: string): GetoptResult => ({ options, words, error });
  const takesValue = (letter: string): boolean => spec[spec.indexOf(letter) + 1] === ':';
  const known = (letter: string): boolean =>
    letter !== ':' && letter !== '+' && spec.includes(letter);
  for (let i = 0; i < args.length; i++) {
    const word = args[i] as string;
    if (word === '--') {
      words.push(...args.slice(i + 1));
      break;
    }
    if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
      const letter = Object.hasOwn(long, name) ? long[name] : undefined;
      if (letter === undefined) return failed(`unrecognized option '${word}'`);
      if (!takesValue(letter)) {
        if (equals >= 0) return failed(`option '--${name}' doesn't allow an argument`);
        options.push({ letter, value: '' });
      } else if (equals >= 0) options.push({ letter, value: word.slice(equals + 1) });
      else if (i + 1 < args.length) options.push({ letter, value: args[++i] as string });
      else return failed(`option '--${name}' requires an argument`);
      continue;
    }
    if (!word.startsWith('-') || word === '-') {
      if (spec.startsWith('+')) {
        words.push(...args.slice(i));
        break;
      }
      words.push(word);
      continue;
    }
    for (let j = 1; j < word.length; j++) {
      const letter = word[j] as string;
      if (!known(letter)) return failed(`invalid option -- '${letter}'`);
      if (!takesValue(letter)) {
        options.push({ letter, value: '' });
        continue;
      }
      const rest = word.slice(j + 1);
      if (rest !== '') options.push({ letter, value: rest });
      else if (i + 1 < args.length) options.push({ letter, value: args[++i] as string });
      else return failed(`option requires an argument -- '${letter}'`);
      break;
    }
  }
  return { options, words, error: null };
}
