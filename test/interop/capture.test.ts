/** Captures as tshark reads them: what softnet puts on its wires is what the world calls TCP/IP. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Softnet } from '../support/softnet.ts';

const why = spawnSync('tshark', ['--version']).status === 0 ? null : 'no tshark on this machine';
const reason = why === null ? '' : ` (skipped: ${why})`;

/** Checksums are looked at, not taken on trust. */
const CHECK = [
  ['-o', 'ip.check_checksum:TRUE'],
  ['-o', 'tcp.check_checksum:TRUE'],
  ['-o', 'udp.check_checksum:TRUE'],
].flat();

function tshark(file: string, ...args: readonly string[]): string {
  return execFileSync('tshark', ['-r', file, ...CHECK, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** The fields of every packet that a display filter lets through. */
function fields(file: string, filter: string, ...names: readonly string[]): string[][] {
  const text = tshark(
    file,
    ...['-Y', filter, '-T', 'fields', '-E', 'occurrence=a'],
    ...names.flatMap((name) => ['-e', name]),
  );
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t'));
}

const count = (file: string, filter: string): number => fields(file, filter, 'frame.number').length;

/** The bytes that the server's end of the first TCP stream sent, put together by tshark. */
function streamFromServer(file: string): Buffer {
  const lines = tshark(file, '-q', '-z', 'follow,tcp,raw,0').split('\n');
  // The answering side is indented.
  return Buffer.concat(
    lines.filter((line) => line.startsWith('\t')).map((line) => Buffer.from(line.trim(), 'hex')),
  );
}

describe.skipIf(why !== null)(`tshark reads${reason}`, () => {
  let softnet: Softnet;
  let folder: string;

  beforeAll(async () => {
    softnet = await Softnet.build();
    folder = mkdtempSync(join(tmpdir(), 'softnet-capture-'));
  }, 60_000);

  afterAll(() => {
    softnet.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it('the capture of the demo: nothing malformed, every checksum good, the same file', {
    timeout: 180_000,
  }, async () => {
    const file = join(folder, 'demo.pcapng');
    const { status, stdout } = await softnet.run([
      'demo',
      '--json',
      '--size',
      '3mb',
      '--pcap',
      file,
    ]);
    expect(status).toBe(0);
    const summary = JSON.parse(stdout) as { sha256: string; bytes: number; retransmits: number };
    // With losses, or the test proves less than it says.
    expect(summary.retransmits).toBeGreaterThan(0);
    expect(count(file, '_ws.malformed')).toBe(0);
    const packets = count(file, 'tcp');
    expect(packets).toBeGreaterThan(2000);
    expect(count(file, 'ip.checksum.status == "Good" && tcp.checksum.status == "Good"')).toBe(
      packets,
    );
    expect(count(file, '!arp && !tcp')).toBe(0);
    const stream = streamFromServer(file);
    const body = stream.subarray(stream.indexOf('\r\n\r\n') + 4);
    expect(body.length).toBe(summary.bytes);
    expect(createHash('sha256').update(body).digest('hex')).toBe(summary.sha256);
    // One bit of the body, and tshark would have said so.
    const damaged = readFileSync(file);
    const at = damaged.indexOf(body.subarray(100_000, 100_032));
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    const bad = join(folder, 'bad.pcapng');
    writeFileSync(bad, damaged);
    expect(count(bad, 'tcp.checksum.status == "Bad"')).toBe(1);
    // Time never goes back, and both ends are there.
    expect(fields(file, 'frame.time_delta < 0', 'frame.number')).toEqual([]);
    expect(new Set(fields(file, 'tcp', 'frame.packet_flags_direction').flat()).size).toBe(2);
  });

  it('captures of devices, with function and reason of every drop', async () => {
    const topology = join(folder, 'drops.yaml');
    writeFileSync(
      topology,
      `topology:
  nodes:
    b:
      exec:
        - ip addr add 10.0.0.2/24 dev eth0
        - ip link set eth0 up
    a:
      exec:
        - ip addr add 10.0.0.1/24 dev eth0
        - ip link set eth0 up
        - ping -q -c 1 -s 4000 10.0.0.2
        - echo to nobody | nc -u -w 1 10.0.0.2 9999 || true
        - nc -z 10.0.0.2 9998 || true
  links:
    - endpoints: ['a:eth0', 'b:eth0']
      impairments: { delay: 1ms }
`,
    );
    const file = join(folder, 'b.pcapng');
    const lo = join(folder, 'lo.pcapng');
    const args = ['--capture', `b:eth0=${file}`, '--capture', `a:lo=${lo}`];
    const { status, stderr } = await softnet.run(['run', topology, ...args]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(count(file, '_ws.malformed')).toBe(0);
    expect(
      fields(file, 'frame.comment', 'frame.interface_name', 'udp.dstport', 'frame.comment'),
    ).toEqual(expect.arrayContaining([['eth0', '9999', 'dropped in __udp4_lib_rcv: NO_SOCKET']]));
    expect(
      fields(file, 'frame.comment && tcp.dstport == 9998', 'frame.comment', 'tcp.flags.syn'),
    ).toEqual([['dropped in tcp_v4_rcv: NO_SOCKET', '1']]);
    // The ping was cut into three, and put together again, both ways.
    expect(count(file, 'icmp && !icmp.type == 3')).toBe(2);
    expect(count(file, 'ip.flags.mf == 1')).toBe(4);
    expect(count(file, 'icmp.checksum.status == "Bad" || udp.checksum.status == "Bad"')).toBe(0);
    // Nothing passed over loopback; the capture says so and is whole.
    expect(count(lo, 'frame')).toBe(0);
  });
});
