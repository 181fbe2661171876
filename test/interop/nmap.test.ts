/** Tools that name a host's system by its TCP/IP stack take softnet for Linux. */
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Netns, said, whyNoInterop } from '../support/netns.ts';

const noNmap = whyNoInterop('nmap');
const noP0f = whyNoInterop('p0f', 'curl');

/** An open TCP port of softnet's servers and of the kernel's; 81 is closed. */
const OPEN = '7';
const CLOSED = '81';

/** Tests of nmap whose answers are the same every time. SEQ's numbers are measured. */
const FIXED = ['OPS', 'WIN', 'ECN', 'T1', 'T2', 'T3', 'T4', 'T5', 'T6', 'T7', 'U1', 'IE'];

interface Guess {
  readonly text: string;
  /** Lines of the fingerprint by the test's name. */
  readonly tests: Readonly<Record<string, string>>;
}

/** Has nmap guess the system of 10.77.0.2. */
async function guess(ns: Netns): Promise<Guess> {
  const options = ['-O', '-n', '-Pn', '-d', '--osscan-guess', '--max-os-tries', '1'];
  const { stdout } = await ns.run('nmap', ...options, '-p', `${OPEN},${CLOSED}`, '10.77.0.2');
  const print = stdout
    .split('\n')
    .filter((line) => line.startsWith('OS:'))
    .map((line) => line.slice(3))
    .join('');
  const tests: Record<string, string> = {};
  for (const [, name = '', fields = ''] of print.matchAll(/([A-Z][A-Z0-9]+)\(([^)]*)\)/g)) {
    tests[name] = fields;
  }
  return { text: stdout, tests };
}

/** A field of a test, e.g. TI of SEQ. */
function field(fields: string | undefined, name: string): string | undefined {
  const found = fields?.split('%').find((part) => part.startsWith(`${name}=`));
  return found?.slice(name.length + 1);
}

describe.skipIf(noNmap !== null)(`nmap -O (skipped: ${noNmap})`, () => {
  let ns: Netns;
  let left: Netns;
  let right: Netns;

  beforeAll(async () => {
    ns = new Netns('nmap');
    await ns.softnet('tap', '--serve');
    left = new Netns('nmapl');
    right = new Netns('nmapr');
    const link = ['ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1'] as const;
    left.must(...link, 'netns', right.name);
    left.must('ip', 'addr', 'add', '10.77.0.1/24', 'dev', 'v0');
    right.must('ip', 'addr', 'add', '10.77.0.2/24', 'dev', 'v1');
    left.must('ip', 'link', 'set', 'v0', 'up');
    right.must('ip', 'link', 'set', 'v1', 'up');
    const server = `require('net').createServer((s) => s.end()).listen(${OPEN}, '0.0.0.0', () => console.log('ready'))`;
    await said(right.start(process.execPath, '-e', server), 'ready');
  }, 60_000);

  afterAll(async () => {
    await Promise.all([ns, left, right].map((made) => made.remove()));
  }, 60_000);

  it('names Linux 5 or 6, and sees what it sees of the real kernel', {
    timeout: 120_000,
  }, async () => {
    const softnet = await guess(ns);
    const kernel = await guess(left);
    const names = /^(?:OS details|Aggressive OS guesses): (.*)$/m.exec(softnet.text)?.[1] ?? '';
    expect(names).toMatch(/^Linux (?:[4-6]\.\d+ - )?[56]\./);
    for (const name of FIXED) {
      expect(`${name}: ${softnet.tests[name]}`).toBe(`${name}: ${kernel.tests[name]}`);
    }
    // The greatest common divisor of how far six random numbers are apart: 2 once in 32 times, with the kernel
    // too. nmap's own prints of Linux have 1 to 6.
    expect(field(softnet.tests['SEQ'], 'GCD')).toMatch(/^[1-6]$/);
    for (const name of ['TI', 'CI']) {
      expect([name, field(softnet.tests['SEQ'], name)]).toEqual([
        name,
        field(kernel.tests['SEQ'], name),
      ]);
    }
    // II is not looked at: identifiers grow by chance with the time between two, which a busy machine
    // draws out.
    // Initial sequence numbers nobody can guess: the index of their spread, and their rate.
    for (const name of ['SP', 'ISR']) {
      expect(Number.parseInt(field(softnet.tests['SEQ'], name) ?? '', 16)).toBeGreaterThan(0xf0);
    }
  });
});

/** The signature that p0f wrote of each packet kind from an address. */
function signatures(log: string, address: string, kind: string): string[] {
  return log
    .split('.-[ ')
    .filter((part) => part.includes(` (${kind}) ]-`))
    .filter((part) => new RegExp(`^\\| (?:client|server) += ${address}/`, 'm').test(part))
    .map((part) => {
      const os = /^\| os +=\s*(.*)$/m.exec(part)?.[1] ?? '';
      const raw = /^\| raw_sig +=\s*(.*)$/m.exec(part)?.[1] ?? '';
      return `${os} ${raw}`;
    });
}

describe.skipIf(noP0f !== null)(`p0f (skipped: ${noP0f})`, () => {
  it("takes softnet's SYN for Linux's, and sees the same in its SYN-ACK", {
    timeout: 60_000,
  }, async () => {
    const ns = new Netns('p0f');
    try {
      const server = `require('http').createServer((q, s) => s.end('x')).listen(8080, '0.0.0.0', () => console.log('ready'))`;
      await said(ns.start(process.execPath, '-e', server), 'ready');
      const ask = 'sleep 4; curl -s -o /dev/null http://10.77.0.1:8080/; sleep 30';
      const softnet: ChildProcess = await ns.softnet('tap', '--serve', '--exec', ask);
      const p0f = ns.start('p0f', '-i', 'softnet0', '-p');
      let log = '';
      p0f.stdout?.on('data', (chunk: Buffer) => {
        log += chunk.toString();
      });
      await said(p0f, 'Entered main event loop');
      await ns.run('curl', '-s', '-o', '/dev/null', 'http://10.77.0.2/');
      const seen = (): boolean =>
        signatures(log, '10.77.0.2', 'syn').length > 0 &&
        signatures(log, '10.77.0.1', 'syn+ack').length > 0;
      for (let i = 0; i < 200 && !seen(); i++) {
        await new Promise((resolve) => {
          setTimeout(resolve, 100);
        });
      }
      expect(softnet.exitCode).toBe(null);
      const [mine = ''] = signatures(log, '10.77.0.2', 'syn');
      const [its = ''] = signatures(log, '10.77.0.1', 'syn');
      expect(mine).toMatch(/^Linux /);
      expect(mine).toBe(its);
      expect(signatures(log, '10.77.0.2', 'syn+ack')).toEqual(
        signatures(log, '10.77.0.1', 'syn+ack'),
      );
    } finally {
      await ns.remove();
    }
  });
});
