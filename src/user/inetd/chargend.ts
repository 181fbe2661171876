/*
 * `chargend`: lines of 72 characters, each starting one further in the alphabet. RFC 864.
 */
import { type Service, serviceMain } from '#user/inetd/service.ts';
import type { Main } from '#user/lib/process.ts';

const FIRST = 32;
const CHARACTERS = 95;
const LINE = 74;

/** Line `number`, with its end. */
function lineOf(number: number): Uint8Array {
  const line = new Uint8Array(LINE);
  for (let i = 0; i < LINE - 2; i++) line[i] = FIRST + ((number + i) % CHARACTERS);
  line[LINE - 2] = 13;
  line[LINE - 1] = 10;
  return line;
}

/** All lines that differ, one after the other. */
function pattern(): Uint8Array {
  const bytes = new Uint8Array(CHARACTERS * LINE);
  for (let i = 0; i < CHARACTERS; i++) bytes.set(lineOf(i), i * LINE);
  return bytes;
}

const CHARGEN: Service = {
  name: 'chargend',
  port: 19,
  stream: async (stream) => {
    const bytes = pattern();
    for (;;) await stream.write(bytes);
  },
  datagram: (_bytes, from) => (from.port === 19 ? null : lineOf(0)),
};

export const main: Main = serviceMain(CHARGEN);
