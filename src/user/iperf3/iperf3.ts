/*
 * `iperf3`: measures throughput between two machines. Counterpart of ESnet's iperf 3.
 */
import { runClient } from '#user/iperf3/client.ts';
import { readOptions, USAGE } from '#user/iperf3/options.ts';
import { IperfError } from '#user/iperf3/protocol.ts';
import { runServer } from '#user/iperf3/server.ts';
import { reasonOf, SystemError } from '#user/lib/errors.ts';
import type { Main } from '#user/lib/process.ts';

export const main: Main = async (p) => {
  let json = false;
  try {
    const options = readOptions(p.args);
    if (options === null) {
      p.print(USAGE);
      return 0;
    }
    json = options.json;
    return options.host === null
      ? await runServer(p, options)
      : await runClient(p, options, options.host);
  } catch (error) {
    if (!(error instanceof IperfError || error instanceof SystemError)) throw error;
    const why = error instanceof IperfError ? error.message : reasonOf(error);
    // Who asked for JSON gets the failure as JSON too.
    if (json) p.print(`${JSON.stringify({ error: why }, null, 2)}\n`);
    else p.warn(`iperf3: error - ${why}\n`);
    return 1;
  }
};
