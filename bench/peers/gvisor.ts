/**
 * gVisor's network stack, two of them in one process, where Go and gVisor's sources are installed:
 * `bulk`, `mtu`, `rr`, `udp`, or `connect` with how many at once. The work is gvisor/main.go's, which
 * is built into out/peers when it or the library is newer than what lies there. Exits with 3 and a
 * word where something that it needs is missing.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Figure, MEASURE_SECONDS, report } from '../measure.ts';

const SKIPPED = 3;
/** Where Debian puts sources of Go; what `go env GOPATH` names comes first. */
const DEBIAN_GOPATH = '/usr/share/gocode';
const LIBRARY = 'src/gvisor.dev/gvisor/pkg/tcpip/stack';
const source = fileURLToPath(new URL('gvisor/main.go', import.meta.url));
const folder = fileURLToPath(new URL('../../out/peers', import.meta.url));
const program = join(folder, 'gvisor');

function skip(why: string): never {
  const packages = 'Debian: apt install golang-go golang-gvisor-gvisor-dev';
  process.stderr.write(`skipped: ${why} (${packages})\n`);
  process.exit(SKIPPED);
}

function run(file: string, args: readonly string[], env = process.env): string {
  const result = spawnSync(file, args, { encoding: 'utf8', env });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0) throw new Error(`${file} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

/** The place of Go's sources that has gVisor's. */
function findLibrary(): string {
  if (spawnSync('go', ['version']).status !== 0) skip('there is no Go');
  const places = [...run('go', ['env', 'GOPATH']).trim().split(delimiter), DEBIAN_GOPATH];
  return places.find((place) => existsSync(join(place, LIBRARY))) ?? skip('there is no gVisor');
}

/** A package keeps the time of its making as its files' mtime; the folder's ctime is when it was installed. */
function isBuilt(gopath: string): boolean {
  const built = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return built > statSync(source).mtimeMs && built > statSync(join(gopath, LIBRARY)).ctimeMs;
}

function build(gopath: string): void {
  if (isBuilt(gopath)) return;
  mkdirSync(folder, { recursive: true });
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: gopath, GOFLAGS: '' };
  run('go', ['build', '-o', program, source], env);
}

/** Go's words for a program in which nothing can happen any more. */
const ALL_ASLEEP = 'all goroutines are asleep';
const TRIES = 3;

/**
 * One run in many stands still: a byte is under way, both stacks sleep and no timer is set. Such a run
 * is done again; Go itself notices, unless some timer is left, and then it has ten times as long as it should take.
 */
function figure(args: readonly string[]): Figure {
  const timeout = 60_000 + MEASURE_SECONDS * 20_000;
  for (let tries = 1; ; tries++) {
    const result = spawnSync(program, args, { encoding: 'utf8', timeout });
    if (result.status === 0) return JSON.parse(result.stdout) as Figure;
    const stoodStill = result.signal !== null || result.stderr.includes(ALL_ASLEEP);
    if (!stoodStill || tries === TRIES) throw new Error(`gvisor ${args[0]}: ${result.stderr}`);
    process.stderr.write(`gvisor ${args[0]} stood still; once more\n`);
  }
}

const [mode = 'bulk', ...args] = process.argv.slice(2);
build(findLibrary());
report(figure([mode, String(MEASURE_SECONDS), ...args]));
