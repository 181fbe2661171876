/**
 * One byte there and one back between two programs, which sleep as programs do. Arguments: the link,
 * and `callbacks` or `promises`: how they wait.
 */
import { POLLIN } from '#uapi/poll.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { Libc } from '#user/lib/libc.ts';
import { measure, measureAsync, report } from '../measure.ts';
import { connect, type Link, listen, makeRig, must, step } from '../rig.ts';

const rig = await makeRig(process.argv[2] as Link);
const [out, into] = connect(rig, listen(rig, 5002), 5002);
const byte = Uint8Array.of(1);
let trips = 0;

/** Echoes whatever comes, by callbacks: a read and a write each time that it is woken, as the peers do. */
function echo(sys: SyscallTable, fd: number, done: () => void): void {
  const buffer = new Uint8Array(1);
  const readable = (): void => {
    must(sys.recvfrom(fd, buffer, 0, null), 'recv');
    must(sys.sendto(fd, buffer, 0, null), 'send');
    done();
    sys.waitFd(fd, POLLIN, -1, readable);
  };
  sys.waitFd(fd, POLLIN, -1, readable);
}

async function echoPromises(sys: SyscallTable, fd: number, done: () => void): Promise<void> {
  const libc = new Libc(sys);
  const buffer = new Uint8Array(1);
  for (;;) {
    if ((await libc.recv(fd, buffer)) <= 0) return;
    await libc.send(fd, buffer);
    done();
  }
}

const count = (): void => {
  trips++;
};
if (process.argv[3] === 'promises') {
  // The descriptors block from here on.
  for (const [sys, fd] of [
    [rig.client, out],
    [rig.server, into],
  ] as const) {
    must(sys.fcntl(fd, 4, 0), 'F_SETFL');
  }
  void echoPromises(rig.server, into, () => {});
  void echoPromises(rig.client, out, count);
  must(rig.client.sendto(out, byte, 0, null), 'send');
  report(
    await measureAsync('round trips', async () => {
      const before = trips;
      for (let i = 0; i < 200; i++) {
        if (!rig.world.step()) await Promise.resolve();
        // Two hops of the promise of each end: then both sleep again.
        await null;
        await null;
      }
      return trips - before;
    }),
  );
} else {
  echo(rig.server, into, () => {});
  echo(rig.client, out, count);
  must(rig.client.sendto(out, byte, 0, null), 'send');
  report(
    measure('round trips', () => {
      const before = trips;
      for (let i = 0; i < 200; i++) step(rig.world);
      return trips - before;
    }),
  );
}
process.exit(0);
