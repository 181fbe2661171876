/** 64 KiB writes one way, every byte checked once a chunk. Argument: the link. */
import { EAGAIN } from '#uapi/errno.ts';
import { POLLIN, POLLOUT } from '#uapi/poll.ts';
import { measure, report } from '../measure.ts';
import { connect, type Link, listen, makeRig, must, step } from '../rig.ts';

const rig = await makeRig(process.argv[2] as Link);
const [out, into] = connect(rig, listen(rig, 5001), 5001);
const chunk = new Uint8Array(65536);
for (let i = 0; i < chunk.length; i++) chunk[i] = (i * 7) ^ (i >> 8);
const buffer = new Uint8Array(65536);
let sent = 0;
let received = 0;

/** Compares what came with what was sent at that place of the stream. */
function check(length: number): void {
  for (let i = 0; i < length; i += 4093) {
    const at = (received + i) % chunk.length;
    if (buffer[i] !== chunk[at]) throw new Error(`byte ${received + i} is wrong`);
  }
}

function work(): number {
  const goal = received + 16 * chunk.length;
  const before = received;
  while (received < goal) {
    let moved = 0;
    const n = rig.client.sendto(out, chunk.subarray(sent % chunk.length), 0, null);
    if (n > 0) {
      sent += n;
      moved += n;
    } else if (n !== -EAGAIN) must(n, 'send');
    const got = rig.server.recvfrom(into, buffer, 0, null);
    if (got > 0) {
      check(got);
      received += got;
      moved += got;
    } else if (got !== -EAGAIN) must(got, 'recv');
    if (moved === 0) sleep();
  }
  return received - before;
}

let ready = false;
const wake = (): void => {
  ready = true;
};

/** As a program that sleeps in poll() until there is room or something to read. */
function sleep(): void {
  ready = false;
  const room = rig.client.waitFd(out, POLLOUT, -1, wake);
  const data = rig.server.waitFd(into, POLLIN, -1, wake);
  while (!ready) step(rig.world);
  if (typeof room !== 'number') room();
  if (typeof data !== 'number') data();
}

report(measure('bytes', work));
rig.end();
