/**
 * A congestion control from outside, beside those that are there: its window over time, from
 * TCP_INFO and from a tracepoint, and what it carried, over several seeds.
 */
import { Lab } from 'softnet/cli/lab';
import { tcpRegisterCongestionControl } from 'softnet/net/ipv4/tcp_cong';
import { parseTopology } from 'softnet/sim/topology';
import { IPPROTO_TCP } from 'softnet/uapi/in';
import { TCP_INFO } from 'softnet/uapi/tcp';
import { getTcpInfo, TCP_INFO_LEN, type TcpInfo } from 'softnet/uapi/tcp_info';
import { listen } from 'softnet/user/api/sockets';
import type { Process } from 'softnet/user/lib/process';
import { connectTcp, type TcpStream } from 'softnet/user/lib/tcp';
import { aimdOps } from '../modules/congestion-aimd.ts';

const SERVER = { addr: 0x0a000002, port: 5001 };

const topology = parseTopology({
  topology: {
    nodes: {
      a: { exec: ['ip addr add 10.0.0.1/24 dev eth0', 'ip link set eth0 up'] },
      b: { exec: ['ip addr add 10.0.0.2/24 dev eth0', 'ip link set eth0 up'] },
    },
    links: [
      {
        endpoints: ['a:eth0', 'b:eth0'],
        impairments: { delay: '20ms', rate: '10mbit', queue: '50kb', loss: '0.1%' },
      },
    ],
  },
});

function infoOf({ libc, fd }: TcpStream): TcpInfo {
  const bytes = new Uint8Array(TCP_INFO_LEN);
  const length = libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, bytes);
  return getTcpInfo(new DataView(bytes.buffer), 0, length);
}

/** A moment: seconds since the world began, the window in segments, the smoothed RTT in ms. */
export interface Sample {
  readonly seconds: number;
  readonly window: number;
  readonly rttMs: number;
}

export interface Flow {
  readonly mbps: number;
  readonly samples: readonly Sample[];
  /** Retransmitted segments by the tracepoint. */
  readonly retransmits: number;
}

/** Sends for some seconds under a congestion control. */
export async function run(name: string, seed: number, seconds: number): Promise<Flow> {
  const lab = new Lab(topology, { seed });
  const { world } = lab;
  const sender = lab.machine('a');
  const err = tcpRegisterCongestionControl(sender, aimdOps);
  if (err !== 0) throw new Error(`the algorithm is refused: errno ${-err}`);
  await lab.setUp();
  await lab.command('a', ['sysctl', '-w', `net.ipv4.tcp_congestion_control=${name}`]);
  let retransmits = 0;
  sender.trace.tcp.tcpRetransmitSkb.register(() => {
    retransmits++;
  });
  let received = 0;
  lab.start(
    'b',
    async (p) => {
      for await (const { readable } of listen(p, '0.0.0.0:5001').connections) {
        for await (const chunk of readable) received += chunk.length;
        break;
      }
      return 0;
    },
    ['sink'],
  );
  const samples: Sample[] = [];
  const send = async (p: Process): Promise<number> => {
    const stream = await connectTcp(p.libc, SERVER);
    const endNs = p.sys.monotonic() + seconds * 1e9;
    const bytes = new Uint8Array(16384);
    for (let now = 0; now < endNs; now = p.sys.monotonic()) {
      await stream.write(bytes);
      const { sndCwnd, rtt } = infoOf(stream);
      samples.push({ seconds: now / 1e9, window: sndCwnd, rttMs: rtt / 1000 });
    }
    stream.close();
    return 0;
  };
  lab.start('a', send, ['send']);
  await lab.finish();
  world.halt();
  return { mbps: (received * 8) / seconds / 1e6, samples, retransmits };
}
