/** Captures of devices: what they show, in which direction, and that nobody notices them. */
import { describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { skbResetMacHeader } from '#include/linux/skbuff.ts';
import { __devGetByName } from '#net/core/dev.ts';
import { allocSkb, consumeSkb, skbPull, skbPutData } from '#net/core/skbuff.ts';
import { __vlanHwaccelPutTag } from '#net/core/skbuff_vlan.ts';
import { captureDevice, type DeviceCaptureOptions } from '#sim/device_capture.ts';
import { LINKTYPE_ETHERNET, LINKTYPE_RAW } from '#sim/pcapng.ts';
import { parseTopology } from '#sim/topology.ts';
import { AF_INET, SOCK_DGRAM } from '#uapi/socket.ts';
import type { Main } from '#user/lib/process.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { CaptureBuffer, type ReadCapture } from '../support/pcapng.ts';
import { runScenario } from '../support/scenario.ts';

const IN = 1;
const OUT = 2;
const PORT = 9999;
const LOOPBACK = 0x7f000001;
const EPOCH_NS = 1767225600n * 1_000_000_000n;

interface Station {
  readonly exec: readonly string[];
}

async function worldOf(nodes: Readonly<Record<string, Station>>, cabled: boolean): Promise<Lab> {
  const links = cabled
    ? [{ endpoints: ['a:eth0', 'b:eth0'], impairments: { delay: '1ms', rate: '100mbit' } }]
    : [];
  const lab = new Lab(parseTopology({ topology: { nodes, links } }), { seed: 1, turn });
  await lab.setUp();
  // Cards take a moment to find the link.
  await lab.world.runPrograms({ untilNs: 10e6 });
  return lab;
}

const two = (): Promise<Lab> =>
  worldOf(
    {
      a: { exec: ['ip addr add 10.0.0.1/24 dev eth0', 'ip link set eth0 up'] },
      b: { exec: ['ip addr add 10.0.0.2/24 dev eth0', 'ip link set eth0 up'] },
    },
    true,
  );

/** A datagram of `size` bytes 0, 1, 2... */
const datagram =
  (to: number, size: number, port = PORT): Main =>
  async (p) => {
    const fd = p.libc.socket(AF_INET, SOCK_DGRAM);
    const bytes = Uint8Array.from({ length: size }, (_, i) => i & 0xff);
    await p.libc.sendto(fd, bytes, { addr: to, port });
    return 0;
  };

/** Takes one datagram. */
const taker: Main = async (p) => {
  const fd = p.libc.socket(AF_INET, SOCK_DGRAM);
  p.libc.bind(fd, encodeSockaddr4(0, PORT));
  await p.libc.recv(fd, new Uint8Array(65536));
  return 0;
};

class Watched {
  private readonly buffer = new CaptureBuffer();
  readonly capture: ReturnType<typeof captureDevice>;

  constructor(lab: Lab, node: string, ifname: string, options: DeviceCaptureOptions = {}) {
    this.capture = captureDevice(lab.machine(node), ifname, this.buffer.sink, options);
  }

  read(): ReadCapture {
    return this.buffer.read();
  }
}

/** Lets the world rest, halts it, and checks that nothing is left. */
async function end(lab: Lab): Promise<void> {
  await lab.world.runPrograms({ untilNs: lab.world.nowNs + 10e9 });
  expect(lab.world.halt()).toEqual({});
}

const protocolOf = (bytes: Uint8Array): number => bytes[14 + 9] ?? -1;
const etherType = (bytes: Uint8Array): number => ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0);

describe('a device capture', () => {
  it('shows an e1000 in both directions, whole packets with times and link headers', async () => {
    const lab = await two();
    const seen = new Watched(lab, 'a', 'eth0');
    const sentNs = BigInt(lab.world.nowNs);
    lab.start('b', taker, ['taker']);
    await lab.run('a', datagram(0x0a000002, 100), ['datagram']);
    await end(lab);
    const { interfaces, packets } = seen.read();
    expect(interfaces).toEqual([{ name: 'eth0', linktype: LINKTYPE_ETHERNET, snaplen: 0 }]);
    expect(packets.map(({ direction, bytes }) => [direction, etherType(bytes)])).toEqual([
      [OUT, 0x0806],
      [IN, 0x0806],
      [OUT, 0x0800],
    ]);
    const [, , data] = packets;
    expect(data?.bytes.length).toBe(14 + 20 + 8 + 100);
    expect(data?.originalLength).toBe(142);
    expect([...(data?.bytes.subarray(42) ?? [])]).toEqual(Array.from({ length: 100 }, (_, i) => i));
    // Asking and answering takes a round trip of two milliseconds, to the nanosecond of the machine.
    const first = packets[0]?.timeNs ?? 0n;
    expect(first).toBe(EPOCH_NS + sentNs);
    expect((data?.timeNs ?? 0n) - first).toBeGreaterThan(2_000_000n);
    expect(packets.every(({ comment }) => comment === null)).toBe(true);
    expect(seen.capture.packets).toBe(3);
    expect(seen.capture.drops).toBe(0);
  });

  it('shows packets of loopback once, fragments gathered', async () => {
    const lab = await worldOf({ a: { exec: [] } }, false);
    const seen = new Watched(lab, 'a', 'lo');
    lab.start('a', taker, ['taker']);
    await lab.run('a', datagram(LOOPBACK, 30_000), ['datagram']);
    await end(lab);
    const { packets } = seen.read();
    expect(packets).toHaveLength(1);
    expect(packets[0]).toMatchObject({ direction: IN, originalLength: 14 + 28 + 30_000 });
    expect([...(packets[0]?.bytes.subarray(42) ?? [])]).toEqual(
      Array.from({ length: 30_000 }, (_, i) => i & 0xff),
    );
  });

  it('keeps no more than the snapshot length, and says how long packets were', async () => {
    const lab = await worldOf({ a: { exec: [] } }, false);
    const seen = new Watched(lab, 'a', 'lo', { snaplen: 60 });
    lab.start('a', taker, ['taker']);
    await lab.run('a', datagram(LOOPBACK, 500), ['datagram']);
    await end(lab);
    const { interfaces, packets } = seen.read();
    expect(interfaces[0]?.snaplen).toBe(60);
    expect(packets[0]?.bytes.length).toBe(60);
    expect(packets[0]?.originalLength).toBe(542);
  });

  it('puts a VLAN tag back where it was on the wire', async () => {
    const lab = await worldOf({ a: { exec: [] } }, false);
    const machine = lab.machine('a');
    const seen = new Watched(lab, 'a', 'lo');
    const skb = allocSkb(machine, 128);
    if (skb === null) throw new Error('no memory');
    const frame = Uint8Array.from({ length: 60 }, (_, i) => i);
    skbPutData(skb, frame);
    skbResetMacHeader(skb);
    skbPull(skb, 14);
    // As a card that strips tags leaves it: the tag beside the packet.
    __vlanHwaccelPutTag(skb, 0x8100, 0x6005);
    skb.dev = __devGetByName(machine.initNet, 'lo');
    machine.trace.net.netifReceiveSkb.probe?.(skb);
    consumeSkb(skb);
    await end(lab);
    const [packet] = seen.read().packets;
    expect([...(packet?.bytes ?? [])]).toEqual([
      ...frame.subarray(0, 12),
      ...[0x81, 0x00, 0x60, 0x05],
      ...frame.subarray(12),
    ]);
    expect(packet?.originalLength).toBe(64);
  });

  it('names function and reason of a drop', async () => {
    const lab = await two();
    const seen = new Watched(lab, 'b', 'eth0');
    await lab.run('a', datagram(0x0a000002, 10), ['datagram']);
    await end(lab);
    const drops = seen.read().packets.filter(({ comment }) => comment !== null);
    expect(drops).toHaveLength(1);
    expect(drops[0]).toMatchObject({
      direction: IN,
      comment: 'dropped in __udp4_lib_rcv: NO_SOCKET',
      originalLength: 14 + 28 + 10,
    });
    // The whole frame, although the stack had taken its headers off.
    expect(etherType(drops[0]?.bytes ?? new Uint8Array())).toBe(0x0800);
    expect(protocolOf(drops[0]?.bytes ?? new Uint8Array())).toBe(17);
    expect(seen.capture.drops).toBe(1);
  });

  it('shows what is dropped on its way down, before it has a link header', async () => {
    const lab = await two();
    const seen = new Watched(lab, 'a', 'eth0');
    // Nobody has this address: the datagram waits for ARP's answer, and is given up.
    await lab.run('a', datagram(0x0a000063, 10), ['datagram']);
    await end(lab);
    const { interfaces, packets } = seen.read();
    const drop = packets.find(({ comment }) => comment !== null);
    expect(drop?.comment).toMatch(/^dropped in \w+: NEIGH_FAILED$/);
    expect(drop?.direction).toBe(OUT);
    expect(drop?.interface).toMatchObject({ name: 'eth0', linktype: LINKTYPE_RAW });
    expect(drop?.bytes.length).toBe(28 + 10);
    expect((drop?.bytes[0] ?? 0) >> 4).toBe(4);
    expect(interfaces.map(({ linktype }) => linktype)).toEqual([LINKTYPE_ETHERNET, LINKTYPE_RAW]);
  });

  it('waits for a device that is made later, and sees both ends of a veth pair', async () => {
    const lab = await worldOf({ a: { exec: [] } }, false);
    const ends = [new Watched(lab, 'a', 'veth0'), new Watched(lab, 'a', 'veth1')];
    expect(ends[0]?.capture.device).toBe(null);
    for (const line of [
      'ip link add veth0 type veth peer name veth1',
      'ip addr add 10.1.0.1/24 dev veth0',
      'ip link set veth0 up',
      'ip link set veth1 up',
      'ip neigh add 10.1.0.2 lladdr 02:00:00:00:00:99 dev veth0 nud permanent',
    ]) {
      expect(await lab.command('a', line.split(' '))).toBe(0);
    }
    await lab.run('a', datagram(0x0a010002, 10), ['datagram']);
    await end(lab);
    const [out, into] = ends.map((watched) =>
      watched
        .read()
        .packets.filter(({ bytes }) => etherType(bytes) === 0x0800 && protocolOf(bytes) === 17),
    );
    expect(out?.map(({ direction }) => direction)).toEqual([OUT]);
    // Sent to somebody else, so the other end drops what came in.
    expect(into?.map(({ direction, comment }) => [direction, comment])).toEqual([
      [IN, null],
      [IN, 'dropped in ip_rcv_core: OTHERHOST'],
    ]);
    expect(into?.[0]?.bytes).toEqual(out?.[0]?.bytes);
  });

  it('stops when told, and takes nothing with it', async () => {
    const lab = await worldOf({ a: { exec: [] } }, false);
    const seen = new Watched(lab, 'a', 'lo');
    seen.capture.stop();
    lab.start('a', taker, ['taker']);
    await lab.run('a', datagram(LOOPBACK, 5), ['datagram']);
    await end(lab);
    expect(seen.read().packets).toEqual([]);
    const { net, skb } = lab.machine('a').trace;
    expect([net.netifReceiveSkb.probe, net.netDevStartXmit.probe, skb.kfreeSkb.probe]).toEqual([
      null,
      null,
      null,
    ]);
  });
});

it('a run is the same with all its devices captured, drops and all', async () => {
  const plain = await runScenario({ seed: 21, turn, size: 60_000 });
  const buffers: CaptureBuffer[] = [];
  const captured = await runScenario({
    seed: 21,
    turn,
    size: 60_000,
    prepare: (lab) => {
      for (const { name } of lab.spec.nodes) {
        for (const ifname of ['lo', 'eth0', 'eth1']) {
          const buffer = new CaptureBuffer();
          buffers.push(buffer);
          captureDevice(lab.machine(name), ifname, buffer.sink);
        }
      }
    },
  });
  const packets = buffers.flatMap((buffer) => buffer.read().packets);
  expect(packets.length).toBeGreaterThan(100);
  expect(packets.some(({ comment }) => comment?.startsWith('dropped in ') === true)).toBe(true);
  expect(captured).toEqual(plain);
});
