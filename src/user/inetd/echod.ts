/*
 * `echod`: sends back what it gets. RFC 862.
 */
import { type Service, serviceMain } from '#user/inetd/service.ts';
import type { Main } from '#user/lib/process.ts';

const ECHO: Service = {
  name: 'echod',
  port: 7,
  stream: async (stream) => {
    const buf = new Uint8Array(65536);
    for (;;) {
      const length = await stream.readInto(buf);
      if (length === 0) return;
      await stream.write(buf.subarray(0, length));
    }
  },
  datagram: (bytes, from) => {
    // Two of us would answer each other for ever.
    return from.port === 7 ? null : bytes;
  },
};

export const main: Main = serviceMain(ECHO);
