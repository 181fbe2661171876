import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NlMachine, SEC, type WireDevice } from '#net/ipv4/testing/nl_machine.ts';
import {
  RTM_DELADDR,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_DELRULE,
  RTM_GETNEIGH,
  RTM_GETROUTE,
  RTM_NEWADDR,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
  RTM_NEWRULE,
} from '#uapi/rtnetlink.ts';

const TYPES = [
  RTM_NEWADDR,
  RTM_DELADDR,
  RTM_NEWROUTE,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWNEIGH,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWRULE,
  RTM_DELRULE,
];

let m: NlMachine;
let wire: WireDevice;

beforeEach(() => {
  m = new NlMachine();
  m.loopbackUp();
  wire = m.device('eth0', 1);
});
// Halting asserts that nothing is alive.
afterEach(() => m.end());

const byte = fc.nat(255);
/** Small numbers and known addresses, so that many requests come far. */
const word = fc.oneof(
  fc.constantFrom([10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 1, 0], [127, 0, 0, 1], [224, 0, 0, 1]),
  fc.nat(4).map((n) => [n, 0, 0, 0]),
  fc.array(byte, { minLength: 4, maxLength: 4 }),
);
const attr = fc
  .tuple(fc.nat(31), fc.oneof({ weight: 4, arbitrary: word }, fc.array(byte, { maxLength: 24 })))
  .map(([type, value]) => {
    const len = value.length + 4;
    const padding = new Array<number>((4 - (len & 3)) & 3).fill(0);
    return [len, 0, type, 0, ...value, ...padding];
  });
const header = fc.oneof(
  fc.array(byte, { maxLength: 16 }),
  fc
    .tuple(fc.constantFrom(0, 24, 32), fc.constantFrom(0, 253, 254), fc.nat(9), fc.nat(3))
    .map(([plen, scope, type, ifindex]) => [2, plen, 0, 0, ifindex, 3, scope, type, 0, 0, 0, 0]),
);
const message = fc.tuple(
  fc.constantFrom(...TYPES),
  fc.constantFrom(0x0600, 0x0500, 0x0c00, 0x0300, 0),
  header,
  fc.array(attr, { maxLength: 6 }),
);

/** Sends octets as they are; true when the request was granted. */
function send(type: number, flags: number, body: readonly number[]): boolean {
  const fd = m.socket();
  const msg = new Uint8Array(16 + body.length);
  const v = new DataView(msg.buffer);
  v.setUint32(0, msg.length, true);
  v.setUint16(4, type, true);
  v.setUint16(6, flags | 5, true);
  msg.set(body, 16);
  m.sys.sendto(fd, msg, 0, null);
  const [ack] = m.read(fd).filter((answer) => answer.type === 2);
  m.sys.close(fd);
  return ack?.body.subarray(0, 4).every((octet) => octet === 0) ?? false;
}

describe('requests of an enemy', () => {
  it('neither throw nor leave anything behind', () => {
    let granted = 0;
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), (messages) => {
        for (const [type, flags, head, attrs] of messages) {
          if (send(type, flags, [...head, ...attrs.flat()])) granted++;
        }
        m.run(1 * SEC);
        wire.take();
      }),
      { numRuns: 300 },
    );
    // Some of them do something.
    expect(granted).toBeGreaterThan(20);
  });
});

describe('ARP of an enemy', () => {
  it('neither throws nor leaves anything behind', () => {
    const header6 = [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 8, 6];
    const start = [0, 1, 8, 0, 6, 4, 0];
    const arp = fc.oneof(
      fc.array(byte, { maxLength: 40 }),
      fc
        .tuple(fc.nat(3), fc.array(byte, { minLength: 6, maxLength: 6 }), word, word)
        .map(([op, sha, sip, tip]) => [...start, op, ...sha, ...sip, 0, 0, 0, 0, 0, 0, ...tip]),
    );
    send(RTM_NEWADDR, 0x0600, [2, 24, 0, 0, wire.dev.ifindex, 0, 0, 0, 8, 0, 2, 0, 10, 0, 0, 1]);
    m.net.sysctl.write('net/ipv4/conf/eth0/arp_accept', '1');
    m.net.sysctl.write('net/ipv4/conf/all/forwarding', '1');
    m.net.sysctl.write('net/ipv4/conf/eth0/proxy_arp', '1');
    fc.assert(
      fc.property(fc.array(arp, { maxLength: 20 }), (frames) => {
        for (const f of frames) wire.receive(Uint8Array.from([...header6, ...f]));
        m.run(1 * SEC);
        wire.take();
      }),
      { numRuns: 200 },
    );
    expect(wire.dev.ipPtr?.ifaList).toHaveLength(1);
  });
});
