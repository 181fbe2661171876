import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeSyscalls } from '#init/syscalls.ts';
import { createTask } from '#kernel/sched/task.ts';
import { World } from '#sim/world.ts';
import { ENODEV, ENOENT } from '#uapi/errno.ts';
import {
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  NLMSG_ERROR,
} from '#uapi/netlink.ts';
import {
  RTM_DELQDISC,
  RTM_GETQDISC,
  RTM_NEWQDISC,
  TCA_KIND,
  TCA_OPTIONS,
  tcmsg,
} from '#uapi/rtnetlink.ts';
import { AF_NETLINK, SOCK_RAW } from '#uapi/socket.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { splitMessages } from '#user/lib/netlink.ts';
import { NlBuilder, type NlMessage } from '#user/lib/nlmsg.ts';

const LO = 1;
const TC_H_ROOT = 0xffffffff;

let world: World;
let sys: SyscallTable;
let fd: number;

beforeEach(() => {
  world = new World({ seed: 1, turn: () => Promise.resolve() });
  const machine = world.boot('a');
  machine.enter(world.nowNs);
  sys = makeSyscalls(createTask(machine, 'tc', machine.initNet));
  fd = sys.socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
});

afterEach(() => {
  sys.exit(0);
  expect(world.halt()).toEqual({});
});

interface Target {
  readonly ifindex?: number;
  readonly handle?: number;
  readonly parent?: number;
}

/** Sends a request; what comes back. */
function ask(
  type: number,
  flags: number,
  { ifindex = LO, handle = 0, parent = TC_H_ROOT }: Target,
  fill: (b: NlBuilder) => void,
): NlMessage[] {
  const b = new NlBuilder(type, NLM_F_REQUEST | NLM_F_ACK | flags).header(tcmsg.LEN, (v, o) => {
    tcmsg.setIfindex(v, o, ifindex);
    tcmsg.setHandle(v, o, handle);
    tcmsg.setParent(v, o, parent);
  });
  fill(b);
  expect(sys.sendto(fd, b.finish(), 0, null)).toBeGreaterThan(0);
  const buf = new Uint8Array(8192);
  const out: NlMessage[] = [];
  for (;;) {
    const length = sys.recvfrom(fd, buf, 0, null);
    if (length <= 0) return out;
    out.push(...splitMessages(buf.slice(0, length)));
  }
}

/** The errno of an answer; 0 for an acknowledgement. */
function errnoOf(messages: readonly NlMessage[]): number {
  const error = messages.find(({ type }) => type === NLMSG_ERROR);
  return error === undefined ? 1 : Math.abs(error.view.getInt32(error.payload, true));
}

const kind =
  (name: string) =>
  (b: NlBuilder): void => {
    b.string(TCA_KIND, name);
  };

const add = (name: string, target: Target = {}): number =>
  errnoOf(ask(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, target, kind(name)));

function rootKind(): string | null {
  const got = ask(RTM_GETQDISC, 0, {}, () => {});
  const found = got.find(({ type }) => type === RTM_NEWQDISC);
  return found?.attrs(tcmsg.LEN).string(TCA_KIND) ?? null;
}

describe('RTM_NEWQDISC', () => {
  it('puts a discipline at the root, and shows it', () => {
    expect(add('pfifo', { handle: 0x10000 })).toBe(0);
    expect(rootKind()).toBe('pfifo');
  });

  it('replaces it by another kind', () => {
    expect(add('pfifo', { handle: 0x10000 })).toBe(0);
    const flags = NLM_F_CREATE | NLM_F_REPLACE;
    expect(errnoOf(ask(RTM_NEWQDISC, flags, {}, kind('bfifo')))).toBe(0);
    expect(rootKind()).toBe('bfifo');
  });

  it('refuses what it does not know', () => {
    expect(add('nosuch')).toBe(ENOENT);
    expect(add('pfifo', { ifindex: 99 })).toBe(ENODEV);
  });

  it('refuses options that are too short', () => {
    const got = ask(RTM_NEWQDISC, NLM_F_CREATE, {}, (b) => {
      b.string(TCA_KIND, 'pfifo').attr(TCA_OPTIONS, new Uint8Array(2));
    });
    expect(errnoOf(got)).toBeGreaterThan(0);
    expect(rootKind()).not.toBe('pfifo');
  });
});

describe('RTM_DELQDISC', () => {
  it('takes a discipline away once', () => {
    expect(add('pfifo', { handle: 0x10000 })).toBe(0);
    expect(errnoOf(ask(RTM_DELQDISC, 0, {}, () => {}))).toBe(0);
    expect(rootKind()).not.toBe('pfifo');
    expect(errnoOf(ask(RTM_DELQDISC, 0, {}, () => {}))).toBe(ENOENT);
  });
});
