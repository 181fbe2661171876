/**
 * Every reason for which the stack can drop a packet, made to happen. See README.md.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { advisedReasons } from '#trace/advice.ts';
import { deviceRows } from './devices.ts';
import { ipRows } from './ip.ts';
import { socketRows } from './sockets.ts';
import type { DropRow } from './table.ts';
import { tcpRows } from './tcp.ts';

const ROWS: readonly DropRow[] = [...ipRows, ...deviceRows, ...socketRows, ...tcpRows];

/** Reasons that the code names and that no packet can be dropped for, and why they are there. */
const VERDICTS: Readonly<Record<string, string>> = {
  ARP_PVLAN_DISABLE:
    'a verdict of ip_route_input() that only ARP can get; it then does not answer, and drops nothing',
  TCP_OLD_ACK:
    'what tcp_ack() says of an ACK below snd_una that is not too old: in SYN-RECV, the only state ' +
    'that asks, nothing was acknowledged before, and so every older ACK is TCP_TOO_OLD_ACK',
};

/** Reasons that other tests show: those of queueing disciplines need a load, those of signatures keys. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  QDISC_CONGESTED: 'src/net/sched/sch_codel.test.ts',
  FQ_BAND_LIMIT: 'src/net/sched/sch_fq.test.ts',
  FQ_FLOW_LIMIT: 'src/net/sched/sch_fq.test.ts',
  FQ_HORIZON_LIMIT: 'src/net/sched/sch_fq.test.ts',
  TCP_MD5NOTFOUND: 'test/sim/tcp_auth.test.ts',
  TCP_MD5UNEXPECTED: 'test/sim/tcp_auth.test.ts',
  TCP_MD5FAILURE: 'test/sim/tcp_auth.test.ts',
  TCP_AONOTFOUND: 'test/sim/tcp_auth.test.ts',
  TCP_AOUNEXPECTED: 'test/sim/tcp_auth.test.ts',
  TCP_AOKEYNOTFOUND: 'test/sim/tcp_auth.test.ts',
  TCP_AOFAILURE: 'test/sim/tcp_auth.test.ts',
};

/** Names of the reasons that a source text uses, beyond importing them. */
function reasonsIn(text: string): string[] {
  const code = text
    .replace(/^import [^;]*;/gm, '')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/\/\/.*$/gm, '');
  const names = [...code.matchAll(/\bSKB_DROP_REASON_([A-Z0-9_]+)/g)].map((m) => m[1] as string);
  return names.filter((name) => name !== 'MAX');
}

/** The kernel's files: not the constants' own, nor tests. */
function sources(): string[] {
  const src = join(import.meta.dirname, '../../src');
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .filter((name) => !name.startsWith('uapi/') && !name.includes('/testing/'))
    .map((name) => join(src, name));
}

/** Reasons of `given` that neither a row shows nor a verdict explains. */
function unshown(given: Iterable<string>, rows: readonly DropRow[]): string[] {
  const shown = new Set([
    ...rows.map(({ reason }) => reason),
    ...Object.keys(VERDICTS),
    ...Object.keys(ELSEWHERE),
  ]);
  return [...new Set(given)].filter((name) => !shown.has(name)).sort();
}

describe('a packet is dropped', () => {
  it.each(ROWS)('for $reason in $at: $when', ({ reason, at, run }) => {
    expect(run()).toContainEqual({ reason, at });
  });
});

describe('the table', () => {
  const given = new Set(sources().flatMap((file) => reasonsIn(readFileSync(file, 'utf8'))));

  it('has a row for each reason that the code gives', () => {
    expect(given.size).toBeGreaterThan(60);
    expect(unshown(given, ROWS)).toEqual([]);
  });

  it('has advice for each reason that a packet can be dropped for', () => {
    const advised = new Set(advisedReasons());
    const verdicts = new Set(Object.keys(VERDICTS));
    const silent = [...given].filter((name) => !advised.has(name) && !verdicts.has(name));
    expect(silent).toEqual([]);
  });

  it('finds a reason that has none', () => {
    const planted = `import { SKB_DROP_REASON_TCP_AOFAILURE } from 'x';
      // SKB_DROP_REASON_XDP
      kfreeSkb(skb, SKB_DROP_REASON_XFRM_POLICY, 'here');`;
    expect(unshown(reasonsIn(planted), ROWS)).toEqual(['XFRM_POLICY']);
  });

  it('finds what is shown elsewhere there', () => {
    for (const [name, file] of Object.entries(ELSEWHERE)) {
      const text = readFileSync(join(import.meta.dirname, '../..', file), 'utf8');
      expect(text, file).toContain(`SKB_DROP_REASON_${name}`);
    }
  });

  it('explains no verdict that is a row, or that nobody gives', () => {
    const reasons = new Set(ROWS.map(({ reason }) => reason));
    for (const name of Object.keys(VERDICTS)) {
      expect(reasons.has(name), `${name} has a row`).toBe(false);
      expect(given.has(name), `${name} is used`).toBe(true);
    }
  });
});
