/**
 * Random and mutated frames into netif_receive_skb(): whatever comes, nothing is thrown, nothing
 * stays behind, and memory does not grow. A failing seed is printed and replays.
 */
import { describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { Machine } from '#kernel/machine.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { Prandom } from '#lib/prandom.ts';
import { mem } from '#mm/memory.ts';
import { livePages } from '#mm/page_alloc.ts';
import { netifReceiveSkb } from '#net/core/dev_rx.ts';
import { netdevAllocSkb, skbPut } from '#net/core/skbuff.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import { parseTopology } from '#sim/topology.ts';
import { AF_INET, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from '#uapi/socket.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';

const FRAMES = Number(
  process.env['SOFTNET_FUZZ_FRAMES'] ?? (process.env['CI'] === 'true' ? '1000000' : '100000'),
);
const SEED = process.env['SOFTNET_FUZZ_SEED'] ?? 'frames';
/** Frames between two looks at what is alive. */
const BATCH = 20_000;

const OWN = 0x0a000001;
const PEER = 0x0a000002;

function sum(bytes: Uint8Array, from: number, to: number, start = 0): number {
  let total = start;
  for (let i = from; i < to; i += 2)
    total += ((bytes[i] ?? 0) << 8) | (i + 1 < to ? (bytes[i + 1] ?? 0) : 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 0xff;
}

function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value & 0xffff);
}

/** Makes frames that are nearly right, so that they come far before something is wrong. */
class FrameMaker {
  private readonly random: Prandom;
  private readonly mac: Uint8Array;

  constructor(random: Prandom, mac: Uint8Array) {
    this.random = random;
    this.mac = mac;
  }

  next(): Uint8Array {
    const frame = this.template();
    const { random } = this;
    const mutations = random.below(4) === 0 ? 0 : random.below(4);
    for (let i = 0; i < mutations; i++) this.mutate(frame);
    const cut = random.below(12);
    if (cut === 0) return frame.subarray(0, Math.max(14, random.below(frame.length + 1)));
    if (cut === 1) {
      const longer = new Uint8Array(frame.length + random.below(64));
      longer.set(frame);
      return longer;
    }
    return frame;
  }

  private mutate(frame: Uint8Array): void {
    const { random } = this;
    const at = 12 + random.below(Math.max(1, frame.length - 12));
    const kind = random.below(4);
    if (kind === 0) frame[at] = random.below(256);
    else if (kind === 1) frame[at] = (frame[at] ?? 0) ^ (1 << random.below(8));
    else if (kind === 2) frame[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)] as number;
    else frame.fill(random.below(256), at, at + random.below(8));
  }

  private template(): Uint8Array {
    const { random } = this;
    switch (random.below(9)) {
      case 0:
        return this.arp();
      case 1:
        return this.ip(1, this.icmp());
      case 2:
        return this.ip(17, this.udp());
      case 3:
      case 4:
        return this.ip(6, this.tcp());
      case 5:
        return this.ip(17, this.udp(), { fragment: true });
      case 6:
        return this.ip(random.below(256), this.noise(random.below(64)));
      case 7:
        return this.ip(6, this.tcp(), { options: true });
      default:
        return this.ether(random.below(65536), this.noise(random.below(200)));
    }
  }

  private noise(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.random.below(256);
    return bytes;
  }

  private ether(type: number, payload: Uint8Array): Uint8Array {
    const frame = new Uint8Array(14 + payload.length);
    if (this.random.below(8) === 0) frame.fill(0xff, 0, 6);
    else frame.set(this.mac, 0);
    frame.set([2, 0, 0, 0, 0, 9], 6);
    put16(frame, 12, type);
    frame.set(payload, 14);
    return frame;
  }

  private arp(): Uint8Array {
    const p = new Uint8Array(28);
    put16(p, 0, 1);
    put16(p, 2, 0x0800);
    p[4] = 6;
    p[5] = 4;
    put16(p, 6, 1 + this.random.below(2));
    p.set([2, 0, 0, 0, 0, 9], 8);
    put32(p, 14, PEER + this.random.below(40));
    put32(p, 24, OWN);
    return this.ether(0x0806, p);
  }

  private icmp(): Uint8Array {
    const p = this.noise(8 + this.random.below(48));
    const type = [8, 0, 3, 5, 11, 12, 13][this.random.below(7)] as number;
    p[0] = type;
    p[1] = this.random.below(6);
    if (type === 3 || type === 11) {
      // Quotes a packet of ours, so that the error finds its socket.
      const quoted = this.ip(this.random.below(2) === 0 ? 6 : 17, this.tcp().slice(0, 8)).subarray(
        14,
      );
      const q = new Uint8Array(8 + quoted.length);
      q.set(p.subarray(0, 8));
      q.set(quoted, 8);
      put32(q, 8 + 12, OWN);
      put32(q, 8 + 16, PEER);
      put16(q, 2, 0);
      put16(q, 2, sum(q, 0, q.length));
      return q;
    }
    put16(p, 2, 0);
    put16(p, 2, sum(p, 0, p.length));
    return p;
  }

  private udp(): Uint8Array {
    const p = this.noise(8 + this.random.below(600));
    put16(p, 0, 1000 + this.random.below(5));
    put16(p, 2, this.random.below(4) === 0 ? this.random.below(65536) : 53);
    put16(p, 4, p.length);
    put16(p, 6, 0);
    return p;
  }

  private tcp(): Uint8Array {
    const { random } = this;
    const options = random.below(3) === 0 ? 4 * random.below(11) : 0;
    const p = this.noise(20 + options + random.below(100));
    put16(p, 0, 1000 + random.below(5));
    put16(p, 2, random.below(6) === 0 ? random.below(65536) : 80);
    put32(p, 4, random.below(3) === 0 ? random.u32() : random.below(4000));
    put32(p, 8, random.below(2) === 0 ? random.u32() : random.below(4000));
    p[12] = ((20 + options) / 4) << 4;
    p[13] = [0x02, 0x10, 0x12, 0x18, 0x11, 0x04, 0x14, 0x29, 0][random.below(9)] as number;
    if (options >= 4) p.set([2, 4, 5, 0xb4], 20);
    if (options >= 16) p.set([1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1], 24);
    put16(p, 16, 0);
    const pseudo = (PEER >>> 16) + (PEER & 0xffff) + (OWN >>> 16) + (OWN & 0xffff) + 6 + p.length;
    put16(p, 16, sum(p, 0, p.length, pseudo));
    return p;
  }

  private ip(
    protocol: number,
    payload: Uint8Array,
    how: { fragment?: boolean; options?: boolean } = {},
  ): Uint8Array {
    const { random } = this;
    const ihl = how.options === true ? 20 + 4 * (1 + random.below(10)) : 20;
    const p = new Uint8Array(ihl + payload.length);
    p[0] = 0x40 | (ihl / 4);
    put16(p, 2, p.length);
    put16(p, 4, random.below(8));
    if (how.fragment === true) put16(p, 6, (random.below(2) << 13) | random.below(40));
    p[8] = 1 + random.below(64);
    p[9] = protocol;
    put32(p, 12, random.below(20) === 0 ? random.u32() : PEER);
    put32(p, 16, random.below(20) === 0 ? random.u32() : OWN);
    for (let i = 20; i < ihl; i++)
      p[i] =
        random.below(3) === 0
          ? random.below(256)
          : ([7, 68, 131, 148, 1, 0, 11, 8, 4][random.below(9)] as number);
    p.set(payload, ihl);
    put16(p, 10, 0);
    put16(p, 10, sum(p, 0, ihl));
    return this.ether(0x0800, p);
  }
}

function inject(machine: Machine, dev: NetDevice, frame: Uint8Array): void {
  const skb = netdevAllocSkb(dev, Math.max(frame.length, 14));
  if (skb === null) throw new Error('packet memory is exhausted');
  mem.set(frame, skbPut(skb, frame.length));
  localBhDisable(machine);
  skb.protocol = ethTypeTrans(skb, dev);
  netifReceiveSkb(skb);
  localBhEnable(machine);
}

describe('hostile frames', () => {
  it(`${FRAMES} of them harm nothing`, { timeout: 1_200_000 }, async () => {
    const lab = new Lab(
      parseTopology({
        topology: {
          nodes: {
            target: {
              exec: [
                'ip link add d0 type dummy',
                'ip addr add 10.0.0.1/24 dev d0',
                'ip link set d0 up',
              ],
            },
          },
        },
      }),
      { seed: SEED, turn },
    );
    const { world } = lab;
    await lab.setUp();
    const machine = lab.machine('target');
    machine.initNet.ipv4.sysctlIpForward = 1;
    const server = lab.start(
      'target',
      async (p) => {
        const tcp = p.libc.socket(AF_INET, SOCK_STREAM);
        p.libc.bind(tcp, encodeSockaddr4(0, 80));
        p.libc.listen(tcp);
        const udp = p.libc.socket(AF_INET, SOCK_DGRAM);
        p.libc.bind(udp, encodeSockaddr4(0, 53));
        p.libc.socket(AF_INET, SOCK_RAW, 1);
        await p.libc.sleep(1e9);
        return 0;
      },
      ['server'],
    );
    await world.runPrograms({ untilNs: world.nowNs + 1e6 });
    expect(server.program.error).toBe(null);
    const dev = machine.initNet.devNameHead.get('d0') as NetDevice;
    const maker = new FrameMaker(new Prandom(SEED), dev.devAddr.slice(0, 6));
    let units = 0;
    for (let n = 0; n < FRAMES; n++) {
      const frame = maker.next();
      try {
        inject(machine, dev, frame);
      } catch (error) {
        const hex = [...frame].map((byte) => byte.toString(16).padStart(2, '0')).join('');
        throw new Error(`frame ${n} of seed ${SEED}: ${hex}`, { cause: error });
      }
      if (n % 500 === 0) world.run({ untilNs: world.nowNs + 5e6 });
      if (n % BATCH === BATCH - 1) {
        // Whatever waits for time has it: reassembly, requests, neighbours.
        world.run({ untilNs: world.nowNs + 400e9 });
        const now = livePages().units;
        if (n >= 2 * BATCH) expect(now).toBeLessThanOrEqual(units + 64);
        units = Math.max(units, now);
      }
    }
    expect(world.halt()).toEqual({});
  });
});
