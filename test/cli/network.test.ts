/**
 * The tools between machines: a client, a router and a server over cables, in virtual time.
 */
import { setImmediate } from 'node:timers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { hexDigest, Sha256 } from '#lib/sha256.ts';
import { parseTopology } from '#sim/topology.ts';
import { download } from '#user/http/download.ts';
import { makeBytes } from '#user/httpd/bytes.ts';
import type { Main, Process } from '#user/lib/process.ts';
import { SIGINT } from '#user/lib/process.ts';
import { Collector, encodeText, inputFrom, Pipe } from '#user/lib/streams.ts';
import type { Outcome } from './native.ts';

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** client 10.0.1.2 -- router -- 10.0.2.2 server, two milliseconds away. */
const TOPOLOGY = {
  name: 'tools',
  topology: {
    nodes: {
      client: {
        exec: [
          'ip addr add 10.0.1.2/24 dev eth0',
          'ip link set eth0 up',
          'ip route add default via 10.0.1.1',
        ],
      },
      router: {
        sysctls: { 'net.ipv4.ip_forward': 1 },
        exec: [
          'ip addr add 10.0.1.1/24 dev eth0',
          'ip addr add 10.0.2.1/24 dev eth1',
          'ip link set eth0 up',
          'ip link set eth1 up',
        ],
      },
      server: {
        exec: [
          'ip addr add 10.0.2.2/24 dev eth0',
          'ip link set eth0 up',
          'ip route add default via 10.0.2.1',
        ],
        programs: ['httpd', 'echod', 'discardd', 'chargend'],
      },
    },
    links: [
      { endpoints: ['client:eth0', 'router:eth0'], impairments: { delay: '1ms' } },
      { endpoints: ['router:eth1', 'server:eth0'], impairments: { delay: '1ms' } },
    ],
  },
};

const PATIENCE_NS = 300e9;

describe('tools between machines', () => {
  let lab = new Lab(parseTopology(TOPOLOGY), { seed: 1, turn });

  beforeEach(async () => {
    lab = new Lab(parseTopology(TOPOLOGY), { seed: 1, turn });
    await lab.setUp();
    // Servers first.
    await lab.world.runPrograms({ untilNs: lab.world.nowNs + 1e6 });
  });

  afterEach(() => {
    expect(lab.world.halt()).toEqual({});
  });

  async function run(node: string, line: string, stdin = ''): Promise<Outcome> {
    const stdout = new Collector();
    const stderr = new Collector();
    const streams = { stdin: inputFrom(encodeText(stdin)), stdout, stderr };
    const status = await lab.command(node, ['sh', '-c', line], streams, {
      untilNs: lab.world.nowNs + PATIENCE_NS,
    });
    return { status: status ?? -1, stdout: stdout.text(), stderr: stderr.text() };
  }

  const client = (line: string, stdin = ''): Promise<Outcome> => run('client', line, stdin);

  test('ping crosses the router, with times that are those of the cables', async () => {
    const { status, stdout } = await client('ping -c 3 10.0.2.2');
    expect(status).toBe(0);
    expect(stdout).toContain('3 packets transmitted, 3 received, 0% packet loss');
    expect(stdout).toContain('ttl=63');
    // Two cables there, two back, of a millisecond each.
    expect(stdout).toMatch(/icmp_seq=2 ttl=63 time=4\.0\d ms/);
  });

  test('ping tells who says that there is no way', async () => {
    const { status, stdout } = await client('ping -c 1 10.0.2.99');
    expect(status).toBe(1);
    expect(stdout).toContain('From 10.0.1.1 icmp_seq=1 Destination Host Unreachable');
    const expired = await client('ping -c 1 -t 1 10.0.2.2');
    expect(expired.stdout).toContain('From 10.0.1.1 icmp_seq=1 Time to live exceeded');
  });

  test('ping that is interrupted ends with its statistics', async () => {
    const stdout = new Collector();
    const ping: Main = async (p) => {
      const main = p.find('ping');
      lab.world.schedule(lab.world.nowNs + 2.5e9, () => p.kill(SIGINT));
      return p.spawn(main as Main, ['ping', '10.0.2.2']);
    };
    const status = await lab.run('client', ping, ['ping'], { stdout }, { untilNs: PATIENCE_NS });
    expect(stdout.text()).toContain('3 packets transmitted, 3 received');
    expect(status).toBe(0);
  });

  test('traceroute names the router and the server', async () => {
    const expected =
      /^ 1 {2}10\.0\.1\.1( {2}2\.\d{3} ms){3}\n 2 {2}10\.0\.2\.2( {2}4\.\d{3} ms){3}$/m;
    // So that all neighbours are known.
    await client('ping -c 1 10.0.2.2');
    expect((await client('traceroute -n 10.0.2.2')).stdout).toMatch(expected);
    expect((await client('traceroute -n -I 10.0.2.2')).stdout).toMatch(expected);
    const none = await client('traceroute -n -q 1 -m 3 10.0.2.99');
    expect(none.stdout).toContain('!H');
  });

  test('curl fetches pages, bytes and files of /proc', async () => {
    const page = await client('curl -s http://10.0.2.2/');
    expect(page.stdout).toMatch(/^<!doctype html>/);
    expect(page.stdout).toContain('inet 10.0.2.2/24');
    expect(page.stdout).toContain('ESTAB');
    const facts = '%{http_code} %{size_download} %{remote_ip}:%{remote_port}';
    const bytes = await client(`curl -s -o /dev/null -w '${facts}' http://10.0.2.2/bytes/100000`);
    expect(bytes.stdout).toBe('200 100000 10.0.2.2:80');
    expect((await client('curl -s http://10.0.2.2/proc/net/dev')).stdout).toContain('eth0:');
    const missing = await client('curl -s -f http://10.0.2.2/nosuch');
    expect(missing.status).toBe(22);
    expect((await client('curl -s http://10.0.2.2/proc/net/../version')).stdout).toContain(
      'not here',
    );
    const head = await client('curl -sI http://10.0.2.2/bytes/5');
    expect(head.stdout).toContain('content-length: 5');
    const posted = await client('curl -s -d hello http://10.0.2.2/');
    expect(posted.stdout).toBe('5 bytes\n');
  });

  test('a download has the hash that the server announces, which is that of the bytes', async () => {
    const size = 300_001;
    const hash = new Sha256();
    for (const block of makeBytes(size)) hash.update(block);
    const result = { bytes: 0, sha256: '', expectedSha256: '' };
    const body = async (p: Process): Promise<number> => {
      Object.assign(result, await download(p, `http://10.0.2.2/bytes/${size}`));
      return 0;
    };
    await lab.run('client', body, ['download'], {}, { untilNs: PATIENCE_NS });
    const sha256 = hexDigest(hash.digest());
    expect(result).toEqual({ bytes: size, sha256, expectedSha256: sha256 });
  });

  test('nc talks to echo by TCP and UDP, and is refused where nobody listens', async () => {
    expect(await client('nc -N 10.0.2.2 7', 'hello\n')).toEqual({
      status: 0,
      stdout: 'hello\n',
      stderr: '',
    });
    const udp = await client('nc -u -w 1 10.0.2.2 7', 'datagram');
    expect(udp.stdout).toBe('datagram');
    const refused = await client('nc -v 10.0.2.2 81');
    expect(refused).toEqual({
      status: 1,
      stdout: '',
      stderr: 'nc: connect to 10.0.2.2 port 81 (tcp) failed: Connection refused\n',
    });
    const scan = await client('nc -zvn 10.0.2.2 79-80');
    expect(scan.stderr).toContain('port 79 (tcp) failed: Connection refused');
    expect(scan.stderr).toContain('Connection to 10.0.2.2 80 port [tcp/*] succeeded!');
  });

  test('one nc sends a file to another', async () => {
    const text = 'line\n'.repeat(20_000);
    const received = new Collector();
    const stdin = new Pipe();
    lab.start('server', (p) => (p.find('nc') as Main)(p), ['nc', '-l', '-N', '9000'], {
      stdout: received,
      stdin: stdin.input,
    });
    stdin.output.close();
    const sent = await client('sleep 0.1; nc -N 10.0.2.2 9000', text);
    expect(sent.status).toBe(0);
    // The last of it was still on its way when the sender had handed it over.
    await lab.world.runPrograms({ untilNs: lab.world.nowNs + 10e9 });
    expect(received.text() === text).toBe(true);
  });

  test('chargen pours until its reader has enough', async () => {
    const { stdout } = await client('nc 10.0.2.2 19 | head -n 2');
    expect(stdout.split('\n')[0]?.replace('\r', '')).toHaveLength(72);
    expect(stdout.startsWith(' !"#$%&')).toBe(true);
  });

  test('ss and nstat on the client tell of what happened', async () => {
    await client('curl -s -o /dev/null http://10.0.2.2/bytes/10000');
    const { stdout } = await client('nstat TcpActiveOpens TcpRetransSegs');
    expect(stdout).toMatch(/^TcpActiveOpens {18}1 /m);
    expect(stdout).not.toContain('TcpRetransSegs');
    expect((await run('server', 'ss -tln')).stdout).toContain('0.0.0.0:80');
    expect((await run('server', 'ss -s')).stdout).toContain('TCP:');
  });

  test('the same seed gives the same run', async () => {
    const go = async (): Promise<string> => {
      const again = new Lab(parseTopology(TOPOLOGY), { seed: 7, turn });
      await again.setUp();
      await again.command('client', [
        'sh',
        '-c',
        'ping -c 2 10.0.2.2; curl -s 10.0.2.2/bytes/5000',
      ]);
      const digest = again.world.fingerprint.digest();
      expect(again.world.halt()).toEqual({});
      return digest;
    };
    expect(await go()).toBe(await go());
  });
});
