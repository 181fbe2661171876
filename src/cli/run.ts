/** `softnet run` and `softnet exec`: topologies from files. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { captureToFile } from '#cli/capture.ts';
import { fail } from '#cli/errors.ts';
import { Lab } from '#cli/lab.ts';
import { readTopology } from '#cli/topology_file.ts';
import { turn } from '#cli/turn.ts';
import { formatTimeNs } from '#sim/units.ts';
import type { RunOptions } from '#sim/world.ts';
import type { Output } from '#user/lib/streams.ts';

interface RunCommandOptions {
  readonly until?: number;
  readonly seed: string;
  readonly pcap?: string;
  readonly json?: boolean;
}

/** Virtual time after which a world whose programs go on is stopped, when nobody said how long. */
const DEFAULT_UNTIL_NS = 60e9;

function runOptions(options: { readonly until?: number }): RunOptions {
  return { untilNs: options.until ?? DEFAULT_UNTIL_NS };
}

/** Passes what a program prints to one of our own streams. */
function passTo(stream: NodeJS.WriteStream): Output {
  return {
    write: (bytes) => {
      stream.write(bytes);
      return true;
    },
    ready: () => null,
    close: () => {},
  };
}

export async function runTopology(path: string, options: RunCommandOptions): Promise<void> {
  const spec = await readTopology(path);
  const lab = new Lab(spec, { seed: options.seed, turn });
  const stdout = options.json === true ? passTo(process.stderr) : passTo(process.stdout);
  const stderr = passTo(process.stderr);
  const captures =
    options.pcap === undefined
      ? []
      : lab.cables.map((cable) => {
          mkdirSync(options.pcap as string, { recursive: true });
          const name = cable.name.replaceAll(/[^A-Za-z0-9_.-]+/g, '_');
          return captureToFile(lab.world, cable, join(options.pcap as string, `${name}.pcapng`));
        });
  const startMs = performance.now();
  await lab.setUp({ stdout, stderr });
  const end = await lab.world.runPrograms({
    ...runOptions(options),
    until: () => lab.world.programs.every((program) => program.status !== null),
  });
  for (const capture of captures) capture.close();
  const { world } = lab;
  const failed = world.programs.filter(
    (program) => program.status !== null && program.status !== 0,
  );
  const left = world.halt();
  const summary = {
    name: spec.name,
    seed: options.seed,
    fingerprint: world.fingerprint.digest(),
    ended: end,
    virtualSeconds: world.nowNs / 1e9,
    wallSeconds: (performance.now() - startMs) / 1000,
    events: world.eventCount,
    failed: failed.map((program) => ({ name: program.name, status: program.status })),
    live: left,
  };
  if (options.json === true) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else {
    process.stdout.write(
      `${spec.name}: ${formatTimeNs(world.nowNs)} of virtual time, ${world.eventCount} events, ` +
        `fingerprint ${summary.fingerprint}\n`,
    );
  }
  process.exitCode = failed.length > 0 || Object.keys(left).length > 0 ? 1 : 0;
}

export async function execInTopology(
  path: string,
  node: string,
  command: readonly string[],
  options: { readonly until?: number; readonly seed: string },
): Promise<void> {
  const spec = await readTopology(path);
  const lab = new Lab(spec, { seed: options.seed, turn });
  const streams = { stdout: passTo(process.stdout), stderr: passTo(process.stderr) };
  lab.machine(node);
  await lab.setUp();
  const [name = '', ...rest] = command;
  const status = await lab.command(node, [name, ...rest], streams, runOptions(options));
  lab.world.halt();
  if (status === null)
    fail(
      new RangeError(
        `${node}: '${command.join(' ')}' had not ended at ${formatTimeNs(lab.world.nowNs)}`,
      ),
    );
  process.exitCode = status;
}
