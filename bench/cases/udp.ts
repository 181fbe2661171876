/** 64-byte datagrams from one socket to another, a batch of 64 sent, then received. Argument: the link. */
import { EAGAIN } from '#uapi/errno.ts';
import { AF_INET, SOCK_DGRAM, SOCK_NONBLOCK } from '#uapi/socket.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { measure, report } from '../measure.ts';
import { type Link, makeRig, must, step } from '../rig.ts';

const BATCH = 64;
const rig = await makeRig(process.argv[2] as Link);
const into = must(rig.server.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), 'socket');
must(rig.server.bind(into, encodeSockaddr4(0, 5005)), 'bind');
const out = must(rig.client.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), 'socket');
must(rig.client.connect(out, encodeSockaddr4(rig.address, 5005)), 'connect');
const datagram = new Uint8Array(64).map((_, i) => i);
const buffer = new Uint8Array(128);
let sent = 0;
let received = 0;

report(
  measure('datagrams', () => {
    for (let i = 0; i < BATCH; i++) {
      datagram[0] = sent++;
      must(rig.client.sendto(out, datagram, 0, null), 'send');
    }
    for (let i = 0; i < BATCH; i++) {
      let n = rig.server.recvfrom(into, buffer, 0, null);
      while (n === -EAGAIN) {
        step(rig.world);
        n = rig.server.recvfrom(into, buffer, 0, null);
      }
      if (n !== 64 || buffer[0] !== (received++ & 255) || buffer[63] !== 63) {
        throw new Error(`datagram ${received} is wrong`);
      }
    }
    return BATCH;
  }),
);
rig.end();
