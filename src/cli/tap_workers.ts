/** `softnet tap --workers`: machines of one address on a TAP device, each in a thread of its own. */
import { randomBytes } from 'node:crypto';
import { ManyStacks } from '#cli/many_stacks.ts';
import type { Door } from '#host/node/door.ts';
import { DoorUplink } from '#host/node/flow_switch.ts';

export interface TapWorkersOptions {
  readonly workers: number;
  readonly door: Door;
  /** What the door leads to, for people. */
  readonly text: string;
  readonly ifname: string;
  /** Shell lines for each machine, and names of servers. */
  readonly configure: readonly string[];
  readonly servers: readonly string[];
}

/** Serves until a signal comes, or one of the machines serves no more. Resolves when all machines do. */
export async function serveFromWorkers(options: TapWorkersOptions): Promise<void> {
  const { workers, door, text, ifname, configure, servers } = options;
  let stacks: ManyStacks | null = null;
  let over = false;
  const complain = (problem: string): void => {
    process.stderr.write(`softnet: ${problem}\n`);
    process.exitCode = 1;
  };
  const stop = (): void => {
    over = true;
    const all = stacks;
    stacks = null;
    void all?.stop().then((left) => {
      if (left.every((live) => Object.keys(live).length === 0)) return;
      complain(`something was lost at the end: ${JSON.stringify(left)}`);
    });
  };
  stacks = await ManyStacks.start({
    workers,
    uplink: new DoorUplink(door, (reason) => {
      complain(`${text} is gone (${reason})`);
      stop();
    }),
    ifname,
    // Locally administered, the rest by chance: other machines on the link have theirs.
    mac: Uint8Array.of(2, ...randomBytes(5)),
    configure,
    programs: servers.map((server) => [server]),
    onProblem: (problem, fatal) => {
      complain(problem);
      // Its share of the connections would come to nothing, while the others look well.
      if (fatal) stop();
    },
  });
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  // It may have come to that before all were there.
  if (over) stop();
}
