/** Packets a second through the whole stack in virtual time: two machines, a cable, TCP, the fingerprint kept. */
import { measure, report } from '../measure.ts';
import { connect, listen, makeRig, must, step } from '../rig.ts';

const rig = await makeRig('e1000', { fingerprint: true });
const [out, into] = connect(rig, listen(rig, 5006), 5006);
const chunk = new Uint8Array(16384);
const buffer = new Uint8Array(65536);
const [cable] = rig.cables;
if (cable === undefined) throw new Error('no cable');
const packets = (): number => cable.counters(0).delivered + cable.counters(1).delivered;

report(
  measure('packets', () => {
    const before = packets();
    for (let i = 0; i < 64; i++) {
      const sent = rig.client.sendto(out, chunk, 0, null);
      if (sent !== -11) must(sent, 'send');
      for (let j = 0; j < 16; j++) step(rig.world);
      while (rig.server.recvfrom(into, buffer, 0, null) > 0);
    }
    return packets() - before;
  }),
);
process.exit(0);
