/** One byte there and one back. Argument: the link. */
import { EAGAIN } from '#uapi/errno.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { measure, report } from '../measure.ts';
import { connect, type Link, listen, makeRig, must, step } from '../rig.ts';

const rig = await makeRig(process.argv[2] as Link);
const [out, into] = connect(rig, listen(rig, 5002), 5002);
const byte = Uint8Array.of(1);

function receive(sys: SyscallTable, fd: number): void {
  let n = sys.recvfrom(fd, byte, 0, null);
  while (n === -EAGAIN) {
    step(rig.world);
    n = sys.recvfrom(fd, byte, 0, null);
  }
  must(n, 'recv');
}

report(
  measure('round trips', () => {
    for (let i = 0; i < 100; i++) {
      must(rig.client.sendto(out, byte, 0, null), 'send');
      receive(rig.server, into);
      must(rig.server.sendto(into, byte, 0, null), 'send');
      receive(rig.client, out);
    }
    return 100;
  }),
);
rig.end();
