/** Sends an ARP request of VLAN 5 out of an interface, for the test of doors. */
import { PacketRing } from '#host/node/packet_ring.ts';

const door = new PacketRing(process.argv[2] ?? '');
const sender = [0x02, 0, 0, 0, 0, 1];
const frame = [
  ...[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ...sender, 0x81, 0, 0, 5, 0x08, 0x06],
  ...[0, 1, 8, 0, 6, 4, 0, 1, ...sender, 10, 78, 0, 1, 0, 0, 0, 0, 0, 0, 10, 78, 0, 2],
];
door.room().set(frame, door.vnetHdrSize);
door.send(door.vnetHdrSize + frame.length);
if (door.txErrors > 0) process.stderr.write('the kernel refused the frame\n');
door.close();
