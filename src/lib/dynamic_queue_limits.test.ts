/** The learned byte limit: how it grows, shrinks and is bounded. */
import { expect, test } from 'vitest';
import {
  DQL_MAX_LIMIT,
  Dql,
  dqlAvail,
  dqlCompleted,
  dqlQueued,
  dqlReset,
} from '#lib/dynamic_queue_limits.ts';

const HOLD = 1000;
const PACKET = 1500;

test('with nothing learned one packet is over the limit, and its completion opens room for as much', () => {
  const dql = new Dql(HOLD, 0);
  expect(dqlAvail(dql)).toBe(0);
  dqlQueued(dql, PACKET);
  expect(dqlAvail(dql)).toBe(-PACKET);
  expect(dqlCompleted(dql, PACKET, 1)).toBe(true);
  expect(dql.limit).toBe(PACKET);
  expect(dqlAvail(dql)).toBe(PACKET);
});

/** Fills the queue to its limit and has the device do all of it: the device runs dry. */
function starve(dql: Dql, jiffies: number): number {
  let bytes = 0;
  while (dqlAvail(dql) >= 0) {
    dqlQueued(dql, PACKET);
    bytes += PACKET;
  }
  dqlCompleted(dql, bytes, jiffies);
  return bytes;
}

test('a device that runs dry each time gets more each time', () => {
  const dql = new Dql(HOLD, 0);
  const limits: number[] = [];
  for (let i = 0; i < 6; i++) {
    starve(dql, i);
    limits.push(dql.limit);
  }
  expect(limits[0]).toBeLessThan(limits[3] as number);
  expect(limits[3]).toBeLessThan(limits[5] as number);
});

test('a limit with slack shrinks, but not before the hold time', () => {
  const dql = new Dql(HOLD, 0);
  for (let i = 0; i < 10; i++) starve(dql, 0);
  const learned = dql.limit;
  // Now the device does two packets at a time, with the queue always kept full.
  const fill = (): void => {
    while (dqlAvail(dql) >= 0) dqlQueued(dql, PACKET);
  };
  fill();
  for (let now = 1; now <= HOLD; now += 50) {
    dqlCompleted(dql, 2 * PACKET, now);
    fill();
  }
  expect(dql.limit).toBe(learned);
  for (let now = HOLD + 1; now < 3 * HOLD; now += 50) {
    dqlCompleted(dql, 2 * PACKET, now);
    fill();
  }
  expect(dql.limit).toBeLessThan(learned);
  // Never below what the device does in an interval and the one to come.
  expect(dql.limit).toBeGreaterThanOrEqual(2 * PACKET);
});

test('min and max bound the limit', () => {
  const dql = new Dql(HOLD, 0);
  dql.maxLimit = 4000;
  for (let i = 0; i < 10; i++) starve(dql, i);
  expect(dql.limit).toBe(4000);
  dql.minLimit = 6000;
  dql.maxLimit = DQL_MAX_LIMIT;
  starve(dql, 11);
  expect(dql.limit).toBeGreaterThanOrEqual(6000);
});

test('counts wrap without harm', () => {
  const dql = new Dql(HOLD, 0);
  dql.numQueued = 0x7fffff00;
  dql.numCompleted = 0x7fffff00;
  dql.prevNumQueued = 0x7fffff00;
  dql.adjLimit = 0x7fffff00;
  for (let i = 0; i < 20; i++) starve(dql, i);
  expect(dql.numQueued).toBeLessThan(0);
  expect(dql.limit).toBeGreaterThan(0);
  expect(dqlAvail(dql)).toBe(dql.limit);
});

test('more completions than were queued are refused', () => {
  const dql = new Dql(HOLD, 0);
  dqlQueued(dql, PACKET);
  expect(dqlCompleted(dql, PACKET + 1, 0)).toBe(false);
  expect(dql.numCompleted).toBe(0);
});

test('a reset forgets what was learned', () => {
  const dql = new Dql(HOLD, 0);
  for (let i = 0; i < 5; i++) starve(dql, i);
  dqlQueued(dql, PACKET);
  dqlReset(dql, 7);
  expect([dql.limit, dqlAvail(dql), dql.numQueued, dql.slackStartTime]).toEqual([0, 0, 0, 7]);
});
