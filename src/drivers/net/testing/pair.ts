/** Two machines with a card each, joined by a wire: what the tests of the drivers of cards begin with. */
import { expect } from 'vitest';
import { Lan, type LanMachine, TestWire } from '#drivers/net/testing/lan.ts';
import type { WireEnd, WirePort } from '#hardware/wire.ts';
import { type NetDevice, netifCarrierOk } from '#include/linux/netdevice.ts';

export const MAC_A: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0xa);
export const MAC_B: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0xb);
export const MS = 1_000_000;

/** What the pair gives to a card: an address and an end of the wire. */
export interface PairEnd {
  readonly mac: Uint8Array;
  readonly end: (port: WirePort) => WireEnd;
}

/** Puts a card into a machine. */
type Plug<Nic> = (machine: LanMachine, at: PairEnd) => Nic;

export interface NicPair<Nic> {
  readonly lan: Lan;
  readonly wire: TestWire;
  readonly a: LanMachine;
  readonly b: LanMachine;
  readonly nicA: Nic;
  readonly nicB: Nic;
}

/** The cards are probed, and their interfaces down. */
export function nicPair<Nic>(
  plugA: Plug<Nic>,
  plugB: Plug<Nic> = plugA,
  cpus: readonly [a: number, b: number] = [1, 1],
): NicPair<Nic> {
  const lan = new Lan();
  const wire = new TestWire(lan);
  const a = lan.boot('a', cpus[0]);
  const b = lan.boot('b', cpus[1]);
  const nicA = plugA(a, { mac: MAC_A, end: (port) => wire.plug(0, port) });
  const nicB = plugB(b, { mac: MAC_B, end: (port) => wire.plug(1, port) });
  return { lan, wire, a, b, nicA, nicB };
}

/** Runs a test with both cards up and a link, and holds it to leaving nothing behind. */
export function linkedPair<Pair extends NicPair<{ readonly dev: NetDevice }>>(
  all: Pair,
  run: (all: Pair) => void,
): void {
  const { lan, a, b, nicA, nicB } = all;
  a.up(nicA.dev);
  b.up(nicB.dev);
  lan.pass(10 * MS);
  expect(netifCarrierOk(nicA.dev) && netifCarrierOk(nicB.dev)).toBe(true);
  run(all);
  expect(lan.shutDown()).toEqual({});
}

/** A payload whose bytes, and whose neighbours by `seed`, differ. */
export function bytes(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) + seed) & 0xff);
}

/** What arrives of a payload: short frames are padded on the wire. */
export function padded(payload: Uint8Array): number[] {
  return [...payload, ...new Array<number>(Math.max(0, 46 - payload.length)).fill(0)];
}
