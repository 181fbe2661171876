/** The kernel map covers what readers of books about Linux's network stack look for. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { defconfig } from '#init/defconfig.ts';
import { generatedDocs, taggedSymbols } from '../scripts/kernel-map.ts';
import {
  ABSENT,
  MEMBERS,
  NO_COUNTERPART,
  namesOf,
  PLAIN_NAMES,
  RENAMED,
} from '../scripts/kernel-names.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const symbols = taggedSymbols(ROOT);

/** `tx_queue_len` as `txQueueLen`. */
const camel = (name: string): string =>
  name.replaceAll(/(?<=[a-z0-9])_([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());

describe('the kernel map', () => {
  it('has every function and structure on the paths of packets, sockets and devices', () => {
    expect(PLAIN_NAMES.length).toBeGreaterThan(200);
    expect(PLAIN_NAMES.filter((name) => !symbols.has(name))).toEqual([]);
    expect(PLAIN_NAMES.filter((name, i) => PLAIN_NAMES.indexOf(name) !== i)).toEqual([]);
  });

  it('has under its name of today what was renamed', () => {
    expect(RENAMED.filter(({ today }) => !symbols.has(today))).toEqual([]);
    // What has a tag of its own needs no detour.
    expect(RENAMED.filter(({ name }) => symbols.has(name)).map(({ name }) => name)).toEqual([]);
  });

  it('does not say that something is missing which is there', () => {
    const absent = [...ABSENT, ...NO_COUNTERPART].flatMap(({ names }) => namesOf(names));
    expect(absent.filter((name) => symbols.has(name))).toEqual([]);
    const modules = defconfig.map(({ name }) => name.replace(/^sch_/, ''));
    expect(absent.filter((name) => modules.includes(name))).toEqual([]);
  });

  it.each(Object.entries(MEMBERS))('%s has its members', (_struct, { file, names }) => {
    const source = readFileSync(`${ROOT}${file}`, 'utf8');
    const missing = namesOf(names).filter(
      (name) => !new RegExp(`^ {2}(readonly |declare |get )?${camel(name)}\\b`, 'm').test(source),
    );
    expect(missing).toEqual([]);
  });

  it('tells readers of older texts where a name went', () => {
    const map = generatedDocs(ROOT).get('docs/kernel-map.md') ?? '';
    for (const { name } of RENAMED) expect(map).toContain(`| \`${name}\` |`);
    for (const { names } of [...ABSENT, ...NO_COUNTERPART]) {
      for (const name of namesOf(names)) expect(map).toContain(`\`${name}\``);
    }
  });
});
