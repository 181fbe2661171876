/*
 * The constants of Linux that scripts may name: those of uapi, so there is one list of them.
 */

import * as errno from '#uapi/errno.ts';
import * as errqueue from '#uapi/errqueue.ts';
import * as eventpoll from '#uapi/eventpoll.ts';
import * as fcntl from '#uapi/fcntl.ts';
import * as icmp from '#uapi/icmp.ts';
import * as inet from '#uapi/in.ts';
import * as ip from '#uapi/ip.ts';
import * as tstamp from '#uapi/net_tstamp.ts';
import * as poll from '#uapi/poll.ts';
import * as socket from '#uapi/socket.ts';
import * as sockios from '#uapi/sockios.ts';
import * as tcp from '#uapi/tcp.ts';
import * as udp from '#uapi/udp.ts';

const MODULES: readonly Readonly<Record<string, unknown>>[] = [
  icmp,
  ip,
  inet,
  tcp,
  udp,
  socket,
  sockios,
  tstamp,
  poll,
  fcntl,
  eventpoll,
  errqueue,
  errno,
];

function numbersOf(modules: readonly Readonly<Record<string, unknown>>[]): Map<string, number> {
  const out = new Map<string, number>([['NULL', 0]]);
  for (const module of modules) {
    for (const [name, value] of Object.entries(module)) {
      if (typeof value === 'number') out.set(name, value);
    }
  }
  return out;
}

/** Values by name. */
export const CONSTANTS: ReadonlyMap<string, number> = numbersOf(MODULES);

function errnoNames(): ReadonlyMap<number, string> {
  const out = new Map<number, string>();
  for (const [name, value] of Object.entries(errno)) {
    if (typeof value === 'number' && /^E[A-Z0-9]+$/.test(name) && !out.has(value)) {
      out.set(value, name);
    }
  }
  // The spellings that scripts and strace use.
  out.set(errno.EAGAIN, 'EAGAIN');
  return out;
}

const ERRNO_NAMES: ReadonlyMap<number, string> = errnoNames();

/** `EAGAIN` of 11; the number itself when it has no name. */
export function errnoName(number: number): string {
  return ERRNO_NAMES.get(number) ?? String(number);
}

/** The number of an errno's name; undefined when there is none of that name. */
export function errnoNumber(name: string): number | undefined {
  return name.startsWith('E') ? CONSTANTS.get(name) : undefined;
}
