/** Connect, one byte there, one back, close. Arguments: the link, and how many connections at once. */
import { EAGAIN } from '#uapi/errno.ts';
import { SO_LINGER, SOL_SOCKET } from '#uapi/socket.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { measure, report } from '../measure.ts';
import { connect, type Link, listen, makeRig, must, step } from '../rig.ts';

const rig = await makeRig(process.argv[2] as Link, { descriptors: 4096 });
const atOnce = Number(process.argv[3] ?? 1);
const listener = listen(rig, 5003);
const byte = Uint8Array.of(1);
// Time-wait would use up the ports within a few seconds of processor time: the client resets.
const noLinger = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

function receive(sys: SyscallTable, fd: number): void {
  let n = sys.recvfrom(fd, byte, 0, null);
  while (n === -EAGAIN) {
    step(rig.world);
    n = sys.recvfrom(fd, byte, 0, null);
  }
  must(n, 'recv');
}

const pairs: [client: number, server: number][] = [];

/** Opens all, lets each exchange its bytes, closes all. */
function round(): number {
  for (let i = 0; i < atOnce; i++) pairs.push(connect(rig, listener, 5003));
  for (const [client] of pairs) must(rig.client.sendto(client, byte, 0, null), 'send');
  for (const [, server] of pairs) {
    receive(rig.server, server);
    must(rig.server.sendto(server, byte, 0, null), 'send');
  }
  for (const [client, server] of pairs) {
    receive(rig.client, client);
    must(rig.client.setsockopt(client, SOL_SOCKET, SO_LINGER, noLinger), 'linger');
    must(rig.client.close(client), 'close');
    must(rig.server.close(server), 'close');
  }
  pairs.length = 0;
  return atOnce;
}

report(
  measure('connections', () => {
    let done = 0;
    while (done < 100) done += round();
    return done;
  }),
);
rig.end();
