/*
 * `ip netns`: the named network namespaces of the machine. Counterpart of iproute2's ip/ipnetns.c.
 */

import type { Words } from '#user/ip/args.ts';
import type { Context } from '#user/ip/context.ts';
import { reasonOf, SystemError } from '#user/lib/errors.ts';
import { listDirectory } from '#user/lib/files.ts';

const DIRECTORY = '/run/netns';

/** Enters a namespace for the rest of the command. */
export function enterNetns(context: Context, name: string): void {
  const result = context.p.sys.setns(name);
  if (result >= 0) return;
  const why = reasonOf(new SystemError(result, 'setns'));
  throw context.fail(`Cannot open network namespace "${name}": ${why}\n`);
}

async function list(context: Context): Promise<void> {
  const { out } = context;
  out.openArray();
  for (const name of listDirectory(context.p.libc, DIRECTORY) ?? []) {
    out.openObject();
    out.string('name', name);
    out.words('\n');
    out.closeObject();
  }
  out.closeArray();
  await context.flush();
}

async function exec(context: Context, words: Words): Promise<number> {
  const name = words.word;
  if (words.done) throw context.fail('No netns name specified\n', 1);
  words.advance();
  const argv = words.rest();
  const command = argv[0];
  if (command === undefined) throw context.fail('No command specified\n', 1);
  enterNetns(context, name);
  const main = context.p.find(command);
  if (main === null) {
    throw context.fail(`exec of "${command}" failed: No such file or directory\n`, 255);
  }
  return context.p.exec(main, argv);
}

const USAGE = 'Usage:\tip netns list\n' + '\tip netns exec NAME cmd ...\n';

/** `ip netns`; the status of the command that ran inside. */
export async function doNetns(context: Context, words: Words): Promise<number> {
  if (words.done || words.is('list', 'show', 'lst')) {
    await list(context);
    return 0;
  }
  if (words.is('help')) throw context.fail(USAGE);
  if (words.abbreviates('exec')) {
    words.advance();
    return exec(context, words);
  }
  throw context.fail(`Command "${words.word}" is unknown, try "ip netns help".\n`);
}
