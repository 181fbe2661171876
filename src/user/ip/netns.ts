/*
 * `ip netns`: the named network namespaces of the machine. Counterpart of iproute2's ip/ipnetns.c.
 */

import { EEXIST } from '#uapi/errno.ts';
import { CLONE_NEWNET, MNT_DETACH, MS_BIND, type SyscallTable } from '#uapi/unistd.ts';
import type { Words } from '#user/ip/args.ts';
import type { Context } from '#user/ip/context.ts';
import { check, reasonOf, SystemError } from '#user/lib/errors.ts';
import { listDirectory } from '#user/lib/files.ts';
import type { Main } from '#user/lib/process.ts';

const DIRECTORY = '/run/netns';

/** Enters a namespace for the rest of the task. */
export function enterNetns(context: Context, name: string, sys: SyscallTable): void {
  const result = sys.setns(name);
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
  return runInside(context, name, argv);
}

/** Runs a program in a namespace, in a task of its own; its status. */
function runInside(context: Context, name: string, argv: readonly string[]): Promise<number> {
  const main: Main = async (p) => {
    const program = p.find(argv[0] as string);
    if (program !== null) return program(p);
    p.warn(`exec of "${argv[0]}" failed: No such file or directory\n`);
    return 255;
  };
  return context.p.spawn(main, argv, {}, (sys) => enterNetns(context, name, sys));
}

/** `ip -all netns exec`: the status of the last that failed. */
async function execAll(context: Context, argv: readonly string[]): Promise<number> {
  if (argv.length === 0) throw context.fail('No command specified\n', 1);
  let status = 0;
  for (const name of listDirectory(context.p.libc, DIRECTORY) ?? []) {
    context.p.print(`\nnetns: ${name}\n`);
    status = (await runInside(context, name, argv)) || status;
  }
  return status;
}

/** A name that is safe as a file name. */
function checkedName(context: Context, words: Words): string {
  if (words.done) throw context.fail('No netns name specified\n', 1);
  const name = words.word;
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.length > 255) {
    throw context.fail(`Invalid netns name "${name}"\n`, 1);
  }
  return name;
}

/** Makes a namespace and gives it a name. */
function add(context: Context, words: Words): void {
  const name = checkedName(context, words);
  const { p } = context;
  const path = `${DIRECTORY}/${name}`;
  const refuse = (errno: number): Error => {
    const why = reasonOf(new SystemError(errno, 'mount'));
    return context.fail(`Cannot create namespace file "${path}": ${why}\n`, 1);
  };
  if (listDirectory(p.libc, DIRECTORY)?.includes(name) === true) throw refuse(EEXIST);
  // The way back: this task's own namespace gets a name for the moment.
  const home = `${DIRECTORY}/.home-${p.sys.getpid()}`;
  const own = '/proc/self/ns/net';
  check(p.sys.mount(own, home, MS_BIND), 'mount', home);
  const result = [() => p.sys.unshare(CLONE_NEWNET), () => p.sys.mount(own, path, MS_BIND)].reduce(
    (errno, step) => (errno < 0 ? errno : step()),
    0,
  );
  p.sys.setns(home);
  p.sys.umount2(home, MNT_DETACH);
  if (result < 0) throw refuse(result);
}

function remove(context: Context, words: Words): void {
  const path = `${DIRECTORY}/${checkedName(context, words)}`;
  if (context.p.sys.umount2(path, MNT_DETACH) >= 0) return;
  throw context.fail(`Cannot remove namespace file "${path}": No such file or directory\n`, 1);
}

const USAGE =
  'Usage:\tip netns list\n' +
  '\tip netns add NAME\n' +
  '\tip netns delete NAME\n' +
  '\tip [-all] netns exec [NAME] cmd ...\n';

/** `ip netns`; the status of the command that ran inside. */
export async function doNetns(context: Context, words: Words): Promise<number> {
  if (words.done || words.is('list', 'show', 'lst')) {
    await list(context);
    return 0;
  }
  if (words.is('help')) throw context.fail(USAGE);
  if (words.abbreviates('exec')) {
    words.advance();
    if (context.options.all) return execAll(context, words.rest());
    return exec(context, words);
  }
  if (words.abbreviates('add')) {
    words.advance();
    add(context, words);
    return 0;
  }
  if (words.abbreviates('delete')) {
    words.advance();
    remove(context, words);
    return 0;
  }
  throw context.fail(`Command "${words.word}" is unknown, try "ip netns help".\n`);
}
