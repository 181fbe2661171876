import { describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG, withOption } from '#packetdrill/config.ts';
import { runScript } from '#packetdrill/main.ts';
import { formatFailure, formatSummary, type ScriptResult, toJson } from '#packetdrill/report.ts';
import { machineBackend } from '#packetdrill/testbed.ts';

const machine = {
  seed: 1,
  turn: (): Promise<void> => new Promise((done) => setImmediate(done)),
  readFile: (): null => null,
};

function run(source: string): Promise<ScriptResult> {
  return runScript('x.pkt', source, DEFAULT_CONFIG, {
    makeBackend: machineBackend(machine),
    makeRecording: machineBackend({ ...machine, record: true }),
    log: null,
    capture: null,
  });
}

const OPEN = `    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 bind(3, ..., ...) = 0
   +0 listen(3, 4) = 0
   +0 < S 0:0(0) win 8000 <mss 1000>
   +0 > S. 0:0(0) ack 1 <mss 1460>
   +0 < . 1:1(0) ack 1 win 8000
   +0 accept(3, ..., ...) = 4
`;

it('passes', async () => {
  expect(await run(OPEN)).toMatchObject({ outcome: 'passed', line: 0, reason: '', journey: [] });
});

describe('a mismatch', () => {
  it('shows both packets, and the way of the one that came', async () => {
    const result = await run(`${OPEN}+0 write(4, ..., 10) = 10\n+0 > P. 1:12(11) ack 1\n`);
    expect(result).toMatchObject({
      outcome: 'failed',
      line: 9,
      expected: 'P. 1:12(11) ack 1',
      actual: 'P. 1:11(10) ack 1 win 64240',
    });
    expect(result.journey.join('\n')).toMatch(/net_dev_queue.*tun_do_read/s);
    expect(formatFailure(result)).toContain('the way of that packet:');
  });

  it('shows the last packet that went in when none came', async () => {
    const result = await run(`${OPEN}+0 < R 1:1(0) win 0\n+0 > . 1:1(0) ack 1\n`);
    expect(result).toMatchObject({ outcome: 'failed', line: 9, reason: 'the packet was not sent' });
    expect(formatFailure(result)).toContain('the last packet that went in:');
    expect(result.journey.length).toBeGreaterThan(0);
  });

  it.each([
    ['+0 read(4, ..., 0) = 1', /expected 1, got 0/],
    ['+0 listen(4, 1) = 0', /expected 0, got -1 EINVAL/],
    ['+0 close(9) = -1 EINVAL', /expected -1 EINVAL, got -1 EBADF/],
    ['+0 %{ assert tcpi_state == 2, "state" }%', /state/],
    ['+0 `false`', /the command ended with 1/],
    ['+0...0.1 read(4, ..., 5) = 5', /does not return/],
    ['+.1 > . 1:1(0) ack 1', /was not sent/],
  ])('%s', async (line, reason) => {
    const result = await run(`${OPEN}${line}\n`);
    expect(result.outcome).toBe('failed');
    expect(result.reason).toMatch(reason);
  });
});

describe('what cannot be run is an error, never a pass', () => {
  it.each([
    ['0 frobnicate(1) = 0', /x\.pkt:1: the system call frobnicate\(\) is not implemented/],
    ['0 socket(1) = 3', /x\.pkt:1:\d+: socket\(\) takes 3 arguments, not 1/],
    ['0 socket(..., NOSUCH, 0) = 3', /unknown symbol 'NOSUCH'/],
    ['--nosuch=1\n0 `true`', /unknown option --nosuch/],
    ['--ip_version=ipv6\n0 `true`', /ipv6 needs sockets of IPv6/],
    ['0 > S 0:0(0', /x\.pkt:2:1: expected '\)'/],
  ])('%s', async (source, reason) => {
    const result = await run(`${source}\n`);
    expect(result.outcome).toBe('error');
    expect(result.reason).toMatch(reason);
    expect(result.line).toBeGreaterThan(0);
  });
});

it('refuses IP versions that are none', () => {
  expect(() => withOption(DEFAULT_CONFIG, 'ip_version', 'ipv5')).toThrow(/must be ipv4/);
  expect(() => withOption(DEFAULT_CONFIG, 'ip_version', 'ipv4-mapped-ipv6')).toThrow(/only ipv4/);
});

it('counts errors as failures, also in JSON', async () => {
  const results = [await run(OPEN), await run('0 nosuch() = 0\n')];
  expect(formatSummary(results)).toBe('1 passed, 1 failed');
  const json = JSON.parse(toJson(results)) as {
    passed: number;
    failed: number;
    scripts: unknown[];
  };
  expect(json).toMatchObject({ passed: 1, failed: 1 });
  expect(json.scripts[1]).toMatchObject({ path: 'x.pkt', outcome: 'error', line: 1 });
});
