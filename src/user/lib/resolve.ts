/*
 * Names of machines: an address in digits, or a name of the process's hosts. The seat of a resolver.
 */
import { inPton4 } from '#lib/parse_addr.ts';
import { INADDR_LOOPBACK } from '#uapi/in.ts';
import type { Process } from '#user/lib/process.ts';

/** Reads one to four numbers as inet_aton(3) does: `10.1` is 10.0.0.1, `127.1` is 127.0.0.1. */
export function inetAton(text: string): number | null {
  const parts = text.split('.');
  if (parts.length > 4) return null;
  const numbers: number[] = [];
  for (const part of parts) {
    if (/^0[xX][0-9a-fA-F]+$/.test(part)) numbers.push(Number.parseInt(part, 16));
    else if (/^0[0-7]*$/.test(part)) numbers.push(Number.parseInt(part, 8));
    else if (/^[1-9]\d*$/.test(part)) numbers.push(Number(part));
    else return null;
  }
  const last = numbers.pop() as number;
  // The last number fills all octets that are left.
  if (last >= 256 ** (4 - numbers.length) || numbers.some((number) => number > 255)) return null;
  return numbers.reduce((sum, number, i) => sum + number * 256 ** (3 - i), last);
}

/** The IPv4 address of a name; null when nobody knows it. */
export function lookup(p: Process, name: string): number | null {
  const digits = inetAton(name);
  if (digits !== null) return digits;
  const known = Object.hasOwn(p.hosts, name) ? p.hosts[name] : undefined;
  if (known !== undefined) return inPton4(known);
  return name === 'localhost' ? INADDR_LOOPBACK : null;
}
