/**
 * Random and mutated frames into netif_receive_skb() and napi_gro_receive(): whatever comes, nothing
 * is thrown, nothing stays behind, and memory does not grow. A failing seed is printed and replays.
 */
import { describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { NETIF_F_GRO } from '#include/linux/netdev_features.ts';
import type { NapiStruct, NetDevice } from '#include/linux/netdevice.ts';
import { CHECKSUM_UNNECESSARY, type SkBuff, skbReserve } from '#include/linux/skbuff.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { Prandom } from '#lib/prandom.ts';
import { livePages } from '#mm/page_alloc.ts';
import {
  napiCompleteDone,
  napiDisable,
  napiEnable,
  napiSchedule,
  netifNapiAdd,
  netifNapiDel,
} from '#net/core/dev_napi.ts';
import { netifReceiveSkb } from '#net/core/dev_rx.ts';
import { napiGroReceive } from '#net/core/gro.ts';
import { allocSkbWithFrags } from '#net/core/skbuff.ts';
import { skbCopyBits, skbStoreBits } from '#net/core/skbuff_data.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import { parseTopology } from '#sim/topology.ts';
import {
  AF_INET,
  SO_KEEPALIVE,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_TCP,
} from '#uapi/socket.ts';
import { TCP_ESTABLISHED, TCP_KEEPIDLE, TCP_KEEPINTVL } from '#uapi/tcp.ts';
import type { Process } from '#user/lib/process.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { FrameMaker, TCP_PORT, UDP_PORT } from './frame_maker.ts';

const FRAMES = Number(
  process.env['SOFTNET_FUZZ_FRAMES'] ?? (process.env['CI'] === 'true' ? '1000000' : '100000'),
);
const SEED = process.env['SOFTNET_FUZZ_SEED'] ?? 'frames';
/** Frames between two looks at what is alive. */
const BATCH = 20_000;
/** Frames between two moments in which time passes. */
const BURST = 500;
const HEADROOM = 64;

const TARGET = {
  topology: {
    nodes: {
      target: {
        sysctls: {
          'net.ipv4.ip_forward': 1,
          'net.ipv4.tcp_retries2': 3,
          'net.ipv4.tcp_abort_on_overflow': 1,
        },
        exec: [
          'ip link add d0 type dummy',
          'ip addr add 10.0.0.1/24 dev d0',
          'ip link set d0 up',
          'ip link add d1 type dummy',
          'ip addr add 10.1.0.1/24 dev d1',
          'ip link set d1 up mtu 500',
          'ip route add default dev d1',
        ],
      },
    },
  },
};

/** Sends back what it gets, for as long as the peer answers at all. */
async function echo(p: Process, fd: number): Promise<void> {
  const buffer = new Uint8Array(4096);
  const int = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);
  try {
    p.libc.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, int(1));
    p.libc.setsockopt(fd, SOL_TCP, TCP_KEEPIDLE, int(5));
    p.libc.setsockopt(fd, SOL_TCP, TCP_KEEPINTVL, int(2));
    for (;;) {
      const n = await p.libc.recv(fd, buffer);
      if (n === 0) break;
      await p.libc.send(fd, buffer.subarray(0, n));
    }
  } catch {
    // A reset, or the peer has gone: as it must be.
  }
  await p.libc.close(fd);
}

/** Answers every datagram, where that is possible. */
async function echoDatagrams(p: Process, fd: number): Promise<void> {
  const buffer = new Uint8Array(2048);
  for (;;) {
    try {
      const { length, from } = await p.libc.recvfrom(fd, buffer);
      if (from !== null) await p.libc.sendto(fd, buffer.subarray(0, length), from);
    } catch (error) {
      // ICMP errors about what was sent, sources that cannot be answered; or the machine halts.
      if ((error as { code?: string }).code === 'EBADF') return;
    }
  }
}

async function serve(p: Process): Promise<number> {
  const tcp = p.libc.socket(AF_INET, SOCK_STREAM);
  p.libc.bind(tcp, encodeSockaddr4(0, TCP_PORT));
  p.libc.listen(tcp);
  const udp = p.libc.socket(AF_INET, SOCK_DGRAM);
  p.libc.bind(udp, encodeSockaddr4(0, UDP_PORT));
  void echoDatagrams(p, udp);
  p.libc.socket(AF_INET, SOCK_RAW, 1);
  for (;;) {
    const { fd } = await p.libc.accept(tcp);
    void echo(p, fd);
  }
}

/** Brings frames into a machine by one of its devices, in all the ways that drivers do. */
class Injector {
  private readonly dev: NetDevice;
  private readonly random: Prandom;
  private readonly napi: NapiStruct;
  private ring: Uint8Array[];

  constructor(dev: NetDevice, random: Prandom) {
    this.dev = dev;
    this.random = random;
    this.ring = [];
    dev.features |= NETIF_F_GRO;
    this.napi = netifNapiAdd(dev, (napi, budget) => this.poll(napi, budget));
    napiEnable(this.napi);
  }

  /** At once, or with others in a poll that merges what belongs together. */
  receive(frame: Uint8Array): void {
    const { machine } = this.dev.net;
    localBhDisable(machine);
    if (this.random.below(2) === 0) {
      netifReceiveSkb(this.packet(frame));
    } else {
      this.ring.push(frame);
      if (this.random.below(4) === 0) napiSchedule(this.napi);
    }
    localBhEnable(machine);
  }

  remove(): void {
    napiDisable(this.napi);
    netifNapiDel(this.napi);
  }

  private poll(napi: NapiStruct, budget: number): number {
    const frames = this.ring.splice(0, budget);
    for (const frame of frames) napiGroReceive(napi, this.packet(frame));
    if (frames.length < budget) napiCompleteDone(napi, frames.length);
    return frames.length;
  }

  /** The frame as a packet, all in its head or partly in fragments. */
  private packet(frame: Uint8Array): SkBuff {
    const { dev, random } = this;
    const inHead = random.below(3) === 0 ? 14 + random.below(60) : frame.length;
    const linear = Math.min(frame.length, inHead);
    const rest = frame.length - linear;
    const skb = allocSkbWithFrags(dev.net.machine, HEADROOM + linear, rest);
    if (skb === null) throw new Error('packet memory is exhausted');
    skbReserve(skb, HEADROOM);
    skb.tail += linear;
    skb.len = frame.length;
    skb.dataLen = rest;
    skbStoreBits(skb, 0, frame, 0, frame.length);
    skb.dev = dev;
    skb.protocol = ethTypeTrans(skb, dev);
    // A card may vouch for sums that are wrong: then what is behind them gets further.
    if (random.below(4) === 0) skb.ipSummed = CHECKSUM_UNNECESSARY;
    return skb;
  }
}

describe('hostile frames', () => {
  it(`${FRAMES} of them harm nothing`, { timeout: 1_200_000 }, async () => {
    const lab = new Lab(parseTopology(TARGET), { seed: SEED, turn });
    const { world } = lab;
    await lab.setUp();
    const machine = lab.machine('target');
    const server = lab.start('target', serve, ['server']);
    await world.runPrograms({ untilNs: world.nowNs + 1e6 });
    const dev = machine.initNet.devNameHead.get('d0') as NetDevice;
    const maker = new FrameMaker(new Prandom(SEED), dev.devAddr.slice(0, 6));
    const injector = new Injector(dev, new Prandom(`${SEED}/injector`));

    /** How deep the frames come: ways in which they end, and connections that they open. */
    const ends = new Set<string>();
    let established = 0;
    machine.trace.skb.kfreeSkb.register((_skb, at, reason) => ends.add(`${reason} ${at}`));
    machine.trace.sock.inetSockSetState.register((_sk, _old, state) => {
      if (state === TCP_ESTABLISHED) established++;
    });
    machine.trace.net.netDevStartXmit.register((skb) => {
      const ip = new Uint8Array(skb.len - (skb.networkHeader - skb.data));
      skbCopyBits(skb, skb.networkHeader - skb.data, ip, 0, ip.length);
      maker.learn(ip);
    });

    let units = 0;
    for (let n = 0; n < FRAMES; n++) {
      const frame = maker.next();
      try {
        injector.receive(frame);
      } catch (error) {
        const hex = [...frame].map((byte) => byte.toString(16).padStart(2, '0')).join('');
        throw new Error(`frame ${n} of seed ${SEED}: ${hex}`, { cause: error });
      }
      if (n % BURST === 0) await world.runPrograms({ untilNs: world.nowNs + 5e6 });
      if (n % BATCH === BATCH - 1) {
        // Whatever waits for time has it: reassembly, requests, connections, neighbours.
        await world.runPrograms({ untilNs: world.nowNs + 400e9 });
        const now = livePages().units;
        if (n >= 2 * BATCH) expect(now).toBeLessThanOrEqual(units + 64);
        units = Math.max(units, now);
      }
    }
    expect(server.program.error).toBe(null);
    if (FRAMES >= 100_000) {
      expect(ends.size).toBeGreaterThan(40);
      expect(established).toBeGreaterThan(100);
    }
    injector.remove();
    expect(world.halt()).toEqual({});
  });
});
