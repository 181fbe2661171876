/** A packet script run from a program; docs/networking/packetdrill.md tells of the language. */
import { turn } from 'softnet/cli/turn';
import { DEFAULT_CONFIG, withOption } from 'softnet/packetdrill/config';
import { runScript } from 'softnet/packetdrill/main';
import type { ScriptResult } from 'softnet/packetdrill/report';
import { machineBackend } from 'softnet/packetdrill/testbed';

/** Nagle: the second write, of SECOND octets, waits for the ACK of the first. */
export const NAGLE = `
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 bind(3, ..., ...) = 0
   +0 listen(3, 4) = 0
   +0 < S 0:0(0) win 20000 <mss 1000>
   +0 > S. 0:0(0) ack 1 <mss 1460>
   +0 < . 1:1(0) ack 1 win 20000
   +0 accept(3, ..., ...) = 4
   +0 write(4, ..., 100) = 100
   +0 > P. 1:101(100) ack 1
   +0 write(4, ..., SECOND) = SECOND
  +.1 < . 1:1(0) ack 101 win 20000
   +0 > P. 101:201(100) ack 1
`;

/** Runs a script against a machine of its own. `defines` are symbols, e.g. `SECOND=100`. */
export function run(
  source: string,
  defines: readonly string[],
  seed: number,
): Promise<ScriptResult> {
  let config = DEFAULT_CONFIG;
  for (const define of defines) config = withOption(config, 'define', define);
  const machine = { seed, turn, readFile: () => null };
  return runScript('nagle.pkt', source, config, {
    makeBackend: machineBackend(machine),
    // Only for what fails: it runs once more, watched, and the result tells the packet's way.
    makeRecording: machineBackend({ ...machine, record: true }),
    log: null,
    capture: null,
  });
}
