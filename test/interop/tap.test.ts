import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ended, Netns, type Outcome, said, whyNoInterop } from '../support/netns.ts';

const missing = whyNoInterop('ping', 'curl', 'nc', 'nstat');
const noNginx = whyNoInterop('nginx');

/** A counter of the namespace's kernel. */
function counter(ns: Netns, name: string): number {
  const line = ns
    .must('nstat', '-asz', name)
    .split('\n')
    .find((text) => text.startsWith(name));
  return Number(line?.split(/\s+/)[1]);
}

describe.skipIf(missing !== null)(
  `the real kernel's tools against softnet (skipped: ${missing})`,
  () => {
    let ns: Netns;
    let softnet: ChildProcess;
    let folder: string;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'softnet-tap-'));
      ns = new Netns('tap');
      softnet = await ns.softnet('tap', '--serve');
    }, 60_000);

    afterAll(async () => {
      await ns.remove();
      rmSync(folder, { recursive: true, force: true });
    }, 60_000);

    function ping(size: number): Promise<Outcome> {
      const count = ['-q', '-c', '1000', '-i', '0.002'];
      return ns.run('ping', ...count, '-s', String(size), '10.77.0.2');
    }

    it.each([56, 1472])(
      'answers 1,000 of 1,000 pings of %i bytes',
      { timeout: 60_000 },
      async (size) => {
        const { stdout } = await ping(size);
        expect(stdout).toContain('1000 packets transmitted, 1000 received, 0% packet loss');
      },
    );

    it('answers 1,000 of 1,000 pings of 20000 bytes, in fragments', {
      timeout: 60_000,
    }, async () => {
      const before = counter(ns, 'IpReasmOKs');
      const { stdout } = await ping(20_000);
      expect(stdout).toContain('1000 packets transmitted');
      // Not what ping counts: its receive buffer holds a few of these, and on a busy machine it reads
      // too late.
      expect(counter(ns, 'IpReasmOKs') - before).toBe(1000);
    });

    it('serves 100 MB with the right hash, and nothing is retransmitted', {
      timeout: 120_000,
    }, async () => {
      const file = join(folder, 'body');
      const headers = join(folder, 'headers');
      const before = counter(ns, 'TcpRetransSegs');
      const { status, stderr } = await ns.run(
        'curl',
        '-sS',
        '-o',
        file,
        '-D',
        headers,
        'http://10.77.0.2/bytes/104857600',
      );
      expect(stderr).toBe('');
      expect(status).toBe(0);
      const body = readFileSync(file);
      expect(body.length).toBe(104_857_600);
      const sha256 = /x-sha256: ([0-9a-f]{64})/i.exec(readFileSync(headers, 'latin1'))?.[1];
      expect(createHash('sha256').update(body).digest('hex')).toBe(sha256);
      expect(counter(ns, 'TcpRetransSegs') - before).toBe(0);
      expect(counter(ns, 'TcpExtTCPOFOQueue')).toBe(0);
    });

    it('shows its own state on a page', async () => {
      const { stdout } = await ns.run('curl', '-sS', 'http://10.77.0.2/');
      expect(stdout).toContain('10.77.0.2');
      expect(stdout).toMatch(/<html/i);
    });

    it('echoes on port 7 over TCP and UDP', async () => {
      const tcp = await ns.run('sh', '-c', 'printf hello | nc -N -w 2 10.77.0.2 7');
      expect(tcp.stdout).toBe('hello');
      const udp = await ns.run('sh', '-c', 'printf hello | nc -u -w 1 10.77.0.2 7');
      expect(udp.stdout).toBe('hello');
    });

    it('refuses: the kernel gets ECONNREFUSED on TCP and UDP', async () => {
      const tcp = await ns.run('nc', '-vz', '-w', '2', '10.77.0.2', '81');
      expect(tcp.stderr).toContain('Connection refused');
      const script = `const d = require('dgram').createSocket('udp4');
      d.connect(9999, '10.77.0.2', () => d.send('x'));
      d.on('error', (e) => { console.log(e.code); d.close(); });
      setTimeout(() => process.exit(3), 3000).unref();`;
      const udp = await ns.run(process.execPath, '-e', script);
      expect(udp.stdout.trim()).toBe('ECONNREFUSED');
    });

    it('takes the interface away when it is told to stop', { timeout: 20_000 }, async () => {
      expect(ns.must('ip', '-o', 'link')).toContain('softnet0');
      expect(await ended(softnet, 'SIGTERM')).toBe(0);
      expect(ns.must('ip', '-o', 'link')).not.toContain('softnet0');
    });
  },
);

describe.skipIf((missing ?? noNginx) !== null)(
  `softnet's tools against the real kernel (skipped: ${missing ?? noNginx})`,
  () => {
    it('pings the kernel and downloads from nginx', { timeout: 60_000 }, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'softnet-nginx-'));
      const ns = new Netns('nginx');
      try {
        const body = Buffer.alloc(5_000_000, 'softnet');
        writeFileSync(join(folder, 'file'), body);
        writeFileSync(
          join(folder, 'nginx.conf'),
          `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; user root;
         events {} http { access_log off; server { listen 0.0.0.0:8080; root ${folder}; } }`,
        );
        ns.start('nginx', '-c', join(folder, 'nginx.conf'));
        const child = ns.start(
          process.execPath,
          '--import',
          'tsx',
          '--conditions=softnet-source',
          'src/cli/main.ts',
          'tap',
          '--exec',
          'ping -c 3 -i 0.2 10.77.0.1',
          'sleep 1; curl -s -o /dev/null -w "%{http_code} %{size_download}\\n" http://10.77.0.1:8080/file',
        );
        let text = '';
        child.stdout?.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        await said(child, 'ready');
        const status = await new Promise((resolve) => {
          child.once('exit', resolve);
        });
        expect(text).toContain('3 packets transmitted, 3 received, 0% packet loss');
        expect(text).toContain('200 5000000');
        expect(status).toBe(0);
      } finally {
        await ns.remove();
        rmSync(folder, { recursive: true, force: true });
      }
    });
  },
);

describe.skipIf(missing !== null)(`routing (skipped: ${missing})`, () => {
  it('works for two softnet machines with the kernel between', { timeout: 60_000 }, async () => {
    const ns = new Netns('between');
    try {
      ns.must('sysctl', '-qw', 'net.ipv4.ip_forward=1');
      await ns.softnet('tap', '--serve');
      const child = ns.start(
        process.execPath,
        '--import',
        'tsx',
        '--conditions=softnet-source',
        'src/cli/main.ts',
        'tap',
        '--name',
        'softnet1',
        '--address',
        '10.78.0.2/24',
        '--host-address',
        '10.78.0.1/24',
        '--exec',
        'ping -c 3 -i 0.2 10.77.0.2',
        'curl -s -o /dev/null -w "%{http_code} %{size_download}\\n" http://10.77.0.2/bytes/3000000',
      );
      let text = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      const status = await new Promise((resolve) => {
        child.once('exit', resolve);
      });
      expect(text).toContain('3 packets transmitted, 3 received, 0% packet loss');
      expect(text).toContain('200 3000000');
      expect(status).toBe(0);
    } finally {
      await ns.remove();
    }
  });

  it('works for two kernel namespaces with softnet between', { timeout: 60_000 }, async () => {
    const left = new Netns('left');
    const right = new Netns('right');
    try {
      const router = left.start(
        process.execPath,
        '--import',
        'tsx',
        '--conditions=softnet-source',
        'test/interop/router.ts',
      );
      await said(router, 'ready');
      left.must('ip', 'link', 'set', 'softnetr', 'netns', right.name);
      right.must('ip', 'addr', 'add', '10.79.0.1/24', 'dev', 'softnetr');
      right.must('ip', 'link', 'set', 'softnetr', 'up');
      right.must('ip', 'route', 'add', 'default', 'via', '10.79.0.2');
      left.must('ip', 'route', 'add', '10.79.0.0/24', 'via', '10.77.0.2');
      const ping = await left.run(
        'ping',
        '-q',
        '-c',
        '100',
        '-i',
        '0.01',
        '-s',
        '4000',
        '10.79.0.1',
      );
      expect(ping.stdout).toContain('100 packets transmitted, 100 received, 0% packet loss');
      const script = `require('http').createServer((q, s) => s.end(Buffer.alloc(10000000, 7))).listen(8080, () => console.log('ready'))`;
      await said(right.start(process.execPath, '-e', script), 'ready');
      const got = await left.run(
        'curl',
        '-sS',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code} %{size_download}',
        'http://10.79.0.1:8080/',
      );
      expect(got.stdout).toBe('200 10000000');
      const trace = await left.run('ping', '-c', '1', '-t', '1', '-W', '2', '10.79.0.1');
      expect(trace.stdout).toContain('From 10.77.0.2');
      expect(trace.stdout).toContain('Time to live exceeded');
    } finally {
      await left.remove();
      await right.remove();
    }
  });
});
