import { describe, expect, it } from 'vitest';
import { FlowSteering, STEER_TO_ALL } from '#lib/flow_steering.ts';

const TCP = 6;
const UDP = 17;
const ICMP = 1;

type Address = readonly [number, number, number, number];

const CLIENT: Address = [66, 9, 149, 187];
const SERVER: Address = [161, 142, 100, 80];

interface Packet {
  readonly src?: Address;
  readonly dst?: Address;
  readonly protocol?: number;
  /** Flags and offset of fragments. */
  readonly frag?: number;
  readonly id?: number;
  readonly options?: number;
  /** What follows the IP header. */
  readonly payload?: readonly number[];
}

function ports(sport: number, dport: number, flags = 0x10): number[] {
  const tail = [0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0];
  return [sport >> 8, sport & 255, dport >> 8, dport & 255, ...tail];
}

function ip(packet: Packet): number[] {
  const { src = CLIENT, dst = SERVER, protocol = TCP, frag = 0, id = 1, options = 0 } = packet;
  const { payload = ports(2794, 1766) } = packet;
  return [
    ...[0x45 + options, 0, 0, 0, 0, id, frag >> 8, frag & 255, 64, protocol, 0, 0],
    ...src,
    ...dst,
    ...new Array<number>(options * 4).fill(1),
    ...payload,
  ];
}

function frame(type: number, body: readonly number[]): Uint8Array {
  return Uint8Array.from([...new Array<number>(12).fill(2), type >> 8, type & 255, ...body]);
}

const steer = (steering: FlowSteering, bytes: Uint8Array): number =>
  steering.steer(bytes, 0, bytes.length);
const packet = (p: Packet): Uint8Array => frame(0x800, ip(p));

describe('spreading flows over stacks', () => {
  it('goes by the low bits of the hash that the specification gives for its example', () => {
    // 66.9.149.187:2794 to 161.142.100.80:1766 hashes to 0x51ccc178.
    const steering = new FlowSteering(128);
    expect(steer(steering, packet({}))).toBe(0x78);
    expect(steer(steering, packet({ options: 3 })), 'past the options').toBe(0x78);
    expect(steer(steering, packet({ protocol: UDP }))).toBe(0x78);
    steering.indirection[0x78] = 5;
    expect(steer(steering, packet({}))).toBe(5);
    // By the addresses alone it would be 0x323e8fc2.
    expect(steer(new FlowSteering(128), packet({ frag: 100 }))).toBe(0x42);
  });

  it('finds frames anywhere in a buffer', () => {
    const bytes = packet({});
    const buffer = new Uint8Array(200);
    buffer.set(bytes, 77);
    expect(new FlowSteering(128).steer(buffer, 77, bytes.length)).toBe(0x78);
  });

  it('spreads many connections about evenly', () => {
    const steering = new FlowSteering(4);
    const counts = [0, 0, 0, 0];
    for (let port = 1024; port < 5120; port++) {
      const stack = steer(steering, packet({ payload: ports(port, 80) }));
      counts[stack] = (counts[stack] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1024)).toBeLessThan(200);
  });

  it('lets fragments follow the first of their packet', () => {
    const steering = new FlowSteering(128);
    const UNORDERED = 0x42;
    expect(steer(steering, packet({ frag: 10, id: 7 }))).toBe(UNORDERED);
    expect(steer(steering, packet({ frag: 0x2000, id: 7 }))).toBe(0x78);
    expect(steer(steering, packet({ frag: 0x2000 + 10, id: 7 }))).toBe(0x78);
    expect(steer(steering, packet({ frag: 20, id: 7, payload: [1, 2] }))).toBe(0x78);
    expect(steer(steering, packet({ frag: 20, id: 8 })), 'of another packet').toBe(UNORDERED);
  });

  it('sends errors to the stack that sent what they are about', () => {
    const steering = new FlowSteering(128);
    const inner = ip({ src: SERVER, dst: CLIENT, payload: ports(1766, 2794) });
    const error = (type: number): Uint8Array =>
      packet({ protocol: ICMP, payload: [type, 4, 0, 0, 0, 0, 0, 0, ...inner] });
    for (const type of [3, 4, 11, 12]) expect(steer(steering, error(type))).toBe(0x78);
    for (const type of [0, 8, 13]) expect(steer(steering, error(type))).toBe(0);
    const short = packet({ protocol: ICMP, payload: [3, 4, 0, 0, 0, 0, 0, 0, 0x45] });
    expect(steer(steering, short)).toBe(0);
  });

  it('sends answers to connections that began here back to where they began', () => {
    const steering = new FlowSteering(128);
    const begin = (stack: number, sport: number, protocol: number, flags: number): void => {
      const bytes = packet({
        src: SERVER,
        dst: CLIENT,
        protocol,
        payload: ports(sport, 53, flags),
      });
      steering.sent(stack, bytes, 0, bytes.length);
    };
    const answer = (sport: number, protocol: number): number =>
      steer(steering, packet({ protocol, payload: ports(53, sport) }));
    const byHash = answer(4000, TCP);
    begin(byHash + 1, 4000, TCP, 0x10);
    expect(answer(4000, TCP), 'an ACK begins nothing').toBe(byHash);
    begin(byHash + 1, 4000, TCP, 0x12);
    expect(answer(4000, TCP), 'nor does the answer to a SYN').toBe(byHash);
    begin(byHash + 1, 4000, TCP, 0x02);
    expect(answer(4000, TCP)).toBe(byHash + 1);
    begin(byHash, 4000, TCP, 0x02);
    expect(answer(4000, TCP), 'where the hash leads, too').toBe(byHash);
    begin(9, 4001, UDP, 0);
    expect(answer(4001, UDP)).toBe(9);
    begin(10, 4001, UDP, 0);
    expect(answer(4001, UDP), 'the port has passed to another').toBe(10);
    for (let port = 10_000; port < 12_000; port++) begin(port % 128, port, UDP, 0);
    let kept = 0;
    for (let port = 10_000; port < 12_000; port++) if (answer(port, UDP) === port % 128) kept++;
    expect(kept).toBe(2000);
  });

  it('forgets what was idle for longest, also where its clock passes 2^31', () => {
    const steering = new FlowSteering(128);
    const clock = steering as unknown as { clock: number };
    const begin = (sport: number): void => {
      const payload = ports(sport, 53);
      const bytes = packet({ src: SERVER, dst: CLIENT, protocol: UDP, payload });
      steering.sent(sport % 128, bytes, 0, bytes.length);
    };
    const kept = (sport: number): boolean =>
      steer(steering, packet({ protocol: UDP, payload: ports(53, sport) })) === sport % 128;
    clock.clock = 0x7fffffff - 20_000;
    for (let port = 10_000; port < 30_000; port++) begin(port);
    clock.clock = 0x7fffffff;
    const fresh = Array.from({ length: 2000 }, (_, i) => 40_000 + i);
    for (const port of fresh) begin(port);
    expect(fresh.filter(kept).length).toBeGreaterThan(1980);
  });

  it('sends ARP replies to all, and what is nobody else’s to the first', () => {
    const steering = new FlowSteering(8);
    const arp = (op: number): Uint8Array =>
      frame(0x806, [0, 1, 8, 0, 6, 4, 0, op, ...new Array<number>(20).fill(0)]);
    expect(steer(steering, arp(2))).toBe(STEER_TO_ALL);
    expect(steer(steering, arp(1))).toBe(0);
    expect(steer(steering, frame(0x86dd, new Array<number>(60).fill(255)))).toBe(0);
    expect(steer(steering, packet({ protocol: 89 }))).toBe(0);
    expect(steer(steering, packet({ payload: [1, 2, 3] })), 'without ports').toBe(0);
    expect(steer(steering, Uint8Array.of(1, 2, 3))).toBe(0);
    // A header length that makes no sense.
    const bad = packet({});
    bad[14] = 0x42;
    expect(steer(steering, bad)).toBe(0);
    bad[14] = 0x4f;
    expect(steer(steering, bad.subarray(0, 50))).toBe(0);
  });

  it('refuses numbers of stacks and keys that are none', () => {
    for (const stacks of [0, 129, 1.5]) expect(() => new FlowSteering(stacks)).toThrow(RangeError);
    expect(() => new FlowSteering(2, [1, 2, 3])).toThrow(RangeError);
  });

  it('tells TCP from UDP between the same addresses and ports', () => {
    const steering = new FlowSteering(128);
    const toServer = packet({ src: SERVER, dst: CLIENT, payload: ports(1766, 2794, 0x02) });
    const other = 3;
    steering.sent(other, toServer, 0, toServer.length);
    expect(steer(steering, packet({}))).toBe(other);
    expect(steer(steering, packet({ protocol: UDP })), 'by the hash').toBe(0x78);
    expect(steer(steering, packet({ protocol: UDP, frag: 0x2000, id: 9 }))).toBe(0x78);
    expect(steer(steering, packet({ frag: 0x2000, id: 9 }))).toBe(other);
    expect(steer(steering, packet({ protocol: UDP, frag: 10, id: 9 }))).toBe(0x78);
    const datagram = packet({
      src: SERVER,
      dst: CLIENT,
      protocol: UDP,
      payload: ports(1766, 2794),
    });
    steering.sent(7, datagram, 0, datagram.length);
    expect(steer(steering, packet({ protocol: UDP }))).toBe(7);
    expect(steer(steering, packet({}))).toBe(other);
  });
});
