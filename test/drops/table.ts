/** What a row of the table of drop reasons is, and the machines that rows run on. */
import { expect } from 'vitest';
import type { Machine } from '#kernel/machine.ts';
import { SLOT_SIZE } from '#mm/memory.ts';
import { allocPages, BLOCK_SIZE, CHUNK_SIZE, putPage } from '#mm/page_alloc.ts';
import { IpMachine, type WireDevice } from '#net/ipv4/testing/ip_machine.ts';
import { TcpRig, type TcpRigOptions } from '#net/ipv4/testing/tcp_rig.ts';
import { dropLedger } from '#trace/drops.ts';
import { journey } from '#trace/query.ts';
import { KIND_BIRTH, KIND_DERIVE, KIND_END } from '#trace/record.ts';
import { Recorder } from '#trace/recorder.ts';
import { dropReasonName } from '#uapi/net_dropreason.ts';

/** One packet that was dropped: why, and the kernel function that did it. */
export interface Drop {
  readonly reason: string;
  readonly at: string;
}

export interface DropRow extends Drop {
  /** What has to happen. */
  readonly when: string;
  /** Makes it happen on a machine of its own; the drops it saw. Ends with nothing alive. */
  readonly run: () => readonly Drop[];
}

/** Drops of a machine as they happen, and its recording. */
interface Watch {
  readonly drops: Drop[];
  readonly recorder: Recorder;
}

function watch(machine: Machine): Watch {
  const drops: Drop[] = [];
  machine.trace.skb.kfreeSkb.register((_skb, at, reason) => {
    drops.push({ reason: dropReasonName(reason), at });
  });
  const recorder = new Recorder({ bytes: 1 << 20 });
  recorder.attach(machine);
  return { drops, recorder };
}

/** Each packet has ended, the dropped ones as they were seen, with a journey from birth to end. */
function checkJourneys({ drops, recorder }: Watch): void {
  expect(recorder.checkEnds()).toEqual([]);
  const counted = dropLedger(recorder).flatMap(({ name, location, count, packet, advice }) => {
    const path = journey(recorder, packet);
    expect(path[0]?.kind, 'it begins with a birth').toBeOneOf([KIND_BIRTH, KIND_DERIVE]);
    // After the end there is at most the driver's answer.
    const own = path.filter((step) => step.packet === packet && step.name !== 'net:net_dev_xmit');
    expect(own.at(-1)).toMatchObject({ kind: KIND_END });
    expect(advice.meaning).not.toBe('');
    return location === '__kfree_skb' ? [] : Array<string>(count).fill(`${name} in ${location}`);
  });
  expect(counted.sort()).toEqual(drops.map(({ reason, at }) => `${reason} in ${at}`).sort());
}

/** A host with two Ethernet devices; the neighbours of PEER and FAR are known. */
export interface IpBench {
  readonly m: IpMachine;
  readonly eth0: WireDevice;
  readonly eth1: WireDevice;
}

export const HERE = '10.0.0.1';
/** On eth0's link. */
export const PEER = '10.0.0.2';
/** On eth1's link. */
export const FAR = '10.1.0.2';

/** A row that plays on a host between two links. */
export function onIp(
  reason: string,
  at: string,
  when: string,
  cause: (bench: IpBench) => void,
): DropRow {
  const run = (): readonly Drop[] => {
    const m = new IpMachine();
    const eth0 = m.device('eth0', HERE, 24);
    const eth1 = m.device('eth1', '10.1.0.1', 24);
    m.neighbour(eth0, PEER);
    m.neighbour(eth1, FAR);
    const watched = watch(m.machine);
    cause({ m, eth0, eth1 });
    const seen = [...watched.drops];
    m.end();
    checkJourneys(watched);
    return seen;
  };
  return { reason, at, when, run };
}

/** A row that plays between a TCP socket and a peer that is played by hand. */
export function onTcp(
  reason: string,
  at: string,
  when: string,
  cause: (rig: TcpRig) => void,
  options: TcpRigOptions = {},
): DropRow {
  const run = (): readonly Drop[] => {
    const rig = new TcpRig(options);
    const watched = watch(rig.machine);
    cause(rig);
    const seen = [...watched.drops];
    expect(rig.end()).toEqual({});
    checkJourneys(watched);
    return seen;
  };
  return { reason, at, when, run };
}

/** Takes all packet memory that is free; the function gives it back. */
export function takeMemory(): () => void {
  const taken: number[] = [];
  for (const size of [BLOCK_SIZE, CHUNK_SIZE, SLOT_SIZE]) {
    for (let page = allocPages(size); page !== 0; page = allocPages(size)) taken.push(page);
  }
  return () => {
    for (const page of taken) putPage(page);
  };
}
