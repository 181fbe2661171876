/*
 * `discardd`: throws away what it gets. RFC 863.
 */
import { type Service, serviceMain } from '#user/inetd/service.ts';
import type { Main } from '#user/lib/process.ts';

const DISCARD: Service = {
  name: 'discardd',
  port: 9,
  stream: async (stream) => {
    const buf = new Uint8Array(65536);
    while ((await stream.readInto(buf)) > 0) {
      // Nothing is done with it.
    }
  },
  datagram: () => null,
};

export const main: Main = serviceMain(DISCARD);
