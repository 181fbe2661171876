/**
 * A test of networked code: a client and a server on two machines, a slow line that loses frames and
 * is cut in the middle, virtual time and a seed. docs/programs.md goes through it.
 */
import { Lab } from 'softnet/cli/lab';
import { parseTopology } from 'softnet/sim/topology';
import { connect, listen } from 'softnet/user/api/sockets';
import type { Process } from 'softnet/user/lib/process';

const topology = parseTopology({
  topology: {
    nodes: {
      server: { exec: ['ip addr add 10.0.0.1/24 dev eth0', 'ip link set eth0 up'] },
      client: { exec: ['ip addr add 10.0.0.2/24 dev eth0', 'ip link set eth0 up'] },
    },
    links: [
      {
        endpoints: ['server:eth0', 'client:eth0'],
        impairments: { delay: '50ms', loss: '2%', rate: '1mbit' },
      },
    ],
  },
});

/** Sends back what one client sends. */
async function echo(p: Process): Promise<number> {
  const server = listen(p, '0.0.0.0:7000');
  for await (const { readable, writable } of server.connections) {
    await readable.pipeTo(writable);
    break;
  }
  server.close();
  return 0;
}

export interface Outcome {
  readonly ended: string;
  readonly echoed: number;
  /** Virtual time that it took. */
  readonly seconds: number;
  readonly fingerprint: string;
  /** What has been lost at the end: nothing. */
  readonly left: object;
}

/** Echoes 100 kB; the line is cut from one time to another, in seconds from the client's start. */
export async function run(
  seed: number,
  cut?: { readonly from: number; readonly to: number },
): Promise<Outcome> {
  const lab = new Lab(topology, { seed });
  const { world } = lab;
  await lab.setUp();
  const beganNs = world.nowNs;
  const [line] = lab.cables;
  if (line !== undefined && cut !== undefined) {
    world.schedule(beganNs + cut.from * 1e9, () => line.setConnected(false));
    world.schedule(beganNs + cut.to * 1e9, () => line.setConnected(true));
  }
  let echoed = 0;
  let endedNs = 0;
  lab.start('server', echo, ['echo']);
  const client = async (p: Process): Promise<number> => {
    const { readable, writable } = connect(p, '10.0.0.1:7000', { allowHalfOpen: true });
    const writer = writable.getWriter();
    const written = writer.write(new Uint8Array(100_000)).then(() => writer.close());
    for await (const chunk of readable) echoed += chunk.length;
    await written;
    endedNs = world.nowNs;
    return 0;
  };
  lab.start('client', client, ['client']);
  const ended = await lab.finish();
  const fingerprint = world.fingerprint.digest();
  const left = world.halt();
  return { ended, echoed, seconds: (endedNs - beganNs) / 1e9, fingerprint, left };
}
