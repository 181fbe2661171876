/*
 * What a kernel reserves in front of each packet it sends depends on which link layers and tunnels it
 * was built with (MAX_TCP_HEADER), and with that how much fits a send buffer.
 */

import type { Event, Scenario } from './events.ts';
import type { Kernel } from './kernel.ts';
import type { Recording } from './record.ts';
import { playOnSoftnet } from './softnet.ts';

const SYN = 0x02;
const ACK = 0x10;

function segment(flags: number, seq: number, ack: number): Event {
  const fields = { flags, seq, ack, length: 0, window: 20_000, urgent: 0, ecn: 0, options: [] };
  return { gapMs: 20, action: { kind: 'segment', segment: fields } };
}

/** A connection on which one octet waits for its ACK. */
const ONE_OCTET: Scenario = {
  name: 'calibration',
  sysctls: [],
  remoteIsn: 0,
  passive: true,
  events: [
    { gapMs: 0, action: { kind: 'call', call: { name: 'socket', which: 'listener' } } },
    { gapMs: 0, action: { kind: 'call', call: { name: 'bind', which: 'listener', port: 8080 } } },
    { gapMs: 0, action: { kind: 'call', call: { name: 'listen', backlog: 1 } } },
    segment(SYN, 0, 0),
    segment(ACK, 1, 1),
    { gapMs: 20, action: { kind: 'call', call: { name: 'accept' } } },
    {
      gapMs: 20,
      action: { kind: 'call', call: { name: 'send', length: 1, flags: 0, addressed: false } },
    },
  ],
};

const WMEM_QUEUED = 5;

/** Do send buffers hold the same on both? If not, scenarios have to be such that they never fill. */
export async function sameSendBuffers(kernel: Kernel): Promise<boolean> {
  const queued = (recording: Recording | null | undefined): number | undefined =>
    recording?.outcomes.at(-1)?.memory[WMEM_QUEUED];
  const [other] = await kernel.play([ONE_OCTET]);
  return queued(await playOnSoftnet(ONE_OCTET)) === queued(other);
}
