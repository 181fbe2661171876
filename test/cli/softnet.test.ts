/**
 * The same commands in a network namespace of the real kernel, by the real tools, and on a softnet machine, by
 * softnet's: their texts must be equal, but for what is random or of another kernel's making.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { Box } from './machine.ts';
import { inNamespace, type Outcome, runReal, whyNotNative } from './native.ts';

const why = whyNotNative('ip', 'ping', 'ss', 'sysctl');
const golden = describe.skipIf(why !== null);
const reason = why === null ? '' : ` (skipped: ${why})`;

/** What differs by nature: the settings of IPv6, and what there is one of for each CPU. */
function steady({ status, stdout, stderr }: Outcome): Outcome {
  const text = stdout
    .replace(/addrgenmode \w+ /g, '')
    .replace(/(num[rt]xqueues|"num_[rt]x_queues":) \d+/g, '$1 N')
    .replace(/"inet6_addr_gen_mode": ?"\w+",?\s*/g, '')
    .replace(/(valid_lft|preferred_lft) \d+sec/g, '$1 Nsec')
    .replace(/"(valid|preferred)_life_time":( ?)\d+/g, '"$1_life_time":$2N')
    .replace(/time=[\d.]+ ms/g, 'time=T ms')
    .replace(/time \d+ms/g, 'time Tms')
    .replace(/= [\d./]+ ms/g, '= T ms')
    .replace(/used \d+\/\d+\/\d+/g, 'used N')
    .replace(/"(used|confirmed|updated|refcnt)": ?\d+/g, '"$1":N')
    .replace(/ ref \d+/g, '');
  return { status, stdout: text, stderr };
}

const NO_IPV6 = [
  'sysctl -q -w net.ipv6.conf.all.disable_ipv6=1',
  'sysctl -q -w net.ipv6.conf.default.disable_ipv6=1',
];

/** Commands after which the carrier of a link is another, and how long the kernel may take to say so. */
const CARRIER = /^ip link set [vw]1 (up|down)$/;
const LINKWATCH_MS = 1200;

const split = (line: string): string[] => line.split(' ').filter((word) => word !== '');

/** Runs the lines on both sides and compares each. */
async function compare(lines: readonly string[], box: Box): Promise<void> {
  const real = await inNamespace(async () => {
    for (const line of NO_IPV6) runReal(split(line));
    const outcomes: Outcome[] = [];
    for (const line of lines) {
      outcomes.push(steady(runReal(split(line))));
      if (CARRIER.test(line)) {
        await new Promise((resolve) => {
          setTimeout(resolve, LINKWATCH_MS);
        });
      }
    }
    return outcomes;
  });
  for (const [i, line] of lines.entries()) {
    const own = steady(await box.run(split(line)));
    if (CARRIER.test(line)) await box.run(['sleep', String(LINKWATCH_MS / 1000)]);
    expect.soft({ line, ...own }).toEqual({ line, ...real[i] });
  }
}

const SETUP = [
  'ip link set lo up',
  'ip link add v0 address 02:00:00:00:00:10 type veth peer name v1 address 02:00:00:00:00:11',
  'ip link set v0 up',
  'ip link set v1 up',
  'ip addr add 10.0.0.1/24 brd + dev v0',
  'ip addr add 10.0.0.7/24 dev v0 label v0:x',
  'ip addr add 10.9.0.1 peer 10.9.0.2/32 dev v0 scope link',
  'ip addr add 10.8.0.1/16 dev v1 valid_lft 1000 preferred_lft 500',
  'ip route add 10.1.0.0/16 via 10.0.0.2',
  'ip route add 10.2.0.0/16 via 10.0.0.2 metric 5 mtu 1400 advmss 1300 initcwnd 20 proto static src 10.0.0.1',
  'ip route add blackhole 10.4.0.0/16',
  'ip route add unreachable 10.5.0.0/16 metric 3',
  'ip route add prohibit 10.6.0.0/16',
  'ip route add 10.11.0.0/16 dev v0 table 100',
  'ip route add default via 10.0.0.254 dev v0 onlink',
  'ip neigh add 10.0.0.2 lladdr 2:0:0:0:0:1 dev v0',
  'ip neigh add 10.0.0.4 lladdr 2:0:0:0:0:4 dev v0 nud stale router',
  'ip neigh add proxy 10.0.0.5 dev v0',
];

golden(`a softnet machine answers as the real kernel does${reason}`, () => {
  let box = new Box();
  afterEach(() => {
    // Nothing is left of what the commands made.
    expect(box.halt()).toEqual({});
  });

  test('links', async () => {
    box = new Box();
    await compare(
      [
        'ip link',
        ...SETUP.slice(0, 4),
        'ip link',
        'ip -d link',
        'ip -j link',
        'ip -j -p -d link show v0',
        'ip -br link',
        'ip -o link',
        'ip link show v0',
        'ip link show type veth',
        'ip link show up',
        'ip link set v1 mtu 1400',
        'ip link set v1 txqueuelen 5',
        'ip link set v1 alias hello',
        'ip link set v1 down',
        'ip link set v1 name w1',
        'ip link set w1 address 02:00:00:00:00:99',
        'ip link set w1 multicast off',
        'ip link set w1 promisc on',
        'ip link set w1 arp off',
        'ip link set w1 group 7',
        'ip link',
        'ip link set w1 up',
        'ip link show w1',
        'ip link del v0',
        'ip link',
      ],
      box,
    );
  });

  test('addresses', async () => {
    box = new Box();
    await compare(
      [
        ...SETUP.slice(0, 8),
        'ip addr',
        'ip -4 addr',
        'ip -d addr show v0',
        'ip -j addr',
        'ip -j -p addr show v0',
        'ip -br addr',
        'ip -o addr',
        'ip addr show to 10.0.0.0/8',
        'ip addr show scope link',
        'ip addr show secondary',
        'ip addr del 10.0.0.1/24 dev v0',
        'ip addr show v0',
        'ip addr flush dev v1',
        'ip addr show v1',
        'ip route',
      ],
      box,
    );
  });

  test('routes', async () => {
    box = new Box();
    await compare(
      [
        ...SETUP,
        'ip route',
        'ip -d route',
        'ip -j route',
        'ip -j -p route',
        'ip route show table all',
        'ip route show table local',
        'ip route show table 100',
        'ip route show 10.1.0.0/16',
        'ip route show root 10.0.0.0/8',
        'ip route show via 10.0.0.2',
        'ip route get 10.0.0.5',
        'ip route get 10.1.2.3',
        'ip route get 10.0.0.1',
        'ip route get 127.0.0.1',
        'ip route get 10.4.0.1',
        'ip route get 10.5.0.1',
        'ip route get 10.6.0.1',
        'ip route get 10.0.0.255',
        'ip route get 10.2.0.1',
        'ip -j route get 10.2.0.1',
        'ip route get 10.0.0.5 from 10.0.0.1',
        'ip route get fibmatch 10.1.2.3',
        'ip route append 10.1.0.0/16 via 10.0.0.3',
        'ip route replace 10.2.0.0/16 via 10.0.0.9',
        'ip route change 10.2.0.0/16 via 10.0.0.8',
        'ip route del 10.1.0.0/16 via 10.0.0.3',
        'ip route',
        'ip -s route flush 10.1.0.0/16',
        'ip link set v1 down',
        'ip route',
      ],
      box,
    );
  });

  test('neighbours', async () => {
    box = new Box();
    await compare(
      [
        ...SETUP,
        'ip neigh show 10.0.0.2',
        'ip neigh show 10.0.0.4',
        'ip neigh show nud permanent',
        'ip -j neigh show nud permanent',
        'ip -s neigh show 10.0.0.2',
        'ip neigh show proxy',
        'ip neigh get 10.0.0.2 dev v0',
        'ip neigh replace 10.0.0.2 lladdr 2:0:0:0:0:8 dev v0',
        'ip neigh show 10.0.0.2',
        'ip neigh del 10.0.0.2 dev v0',
        'ip neigh del 10.0.0.2 dev v0',
        'ip neigh change 10.0.0.88 lladdr 2:0:0:0:0:9 dev v0',
        'ip -s neigh flush dev v0',
        'ip neigh',
      ],
      box,
    );
  });

  test('complaints', async () => {
    box = new Box();
    await compare(
      [
        ...SETUP,
        'ip addr add 10.0.0.1/24 dev v0',
        'ip addr del 10.0.0.99/24 dev lo',
        'ip addr add 10.0.0.1/24 dev nosuch',
        'ip route add 10.1.0.0/16 via 10.0.0.2',
        'ip route add 10.77.0.0/16 via 10.99.9.9',
        'ip route add 10.55.0.0/16',
        'ip route add 10.55.0.1/16 dev v0',
        'ip route add 10.55.0.0/16 dev v0 src 1.1.1.1',
        'ip route del 10.55.0.0/16',
        'ip route get 8.8.8.8 oif lo',
        'ip neigh add 10.0.0.2 lladdr 2:0:0:0:0:1 dev v0',
        'ip neigh get 10.0.0.99 dev v0',
        'ip link set v0 mtu 10',
        'ip link set v0 mtu 999999',
        'ip link add foo type nosuchkind',
        'ip link add v0 type veth',
        'ip link del lo',
        'ip link del nosuch',
        'ip link set v0 name v1',
        'ip link add averyveryverylongname type veth',
        'sysctl -w net.ipv4.ip_forward=foo',
        'sysctl -w net.ipv4.nosuch=1',
        'sysctl net.ipv4.ip_forward net.ipv4.ip_default_ttl net.ipv4.conf.v0.rp_filter',
        'ping -c1 10.4.0.1',
        'ping -c1 10.5.0.1',
        'ping -c1 -I nosuch 127.0.0.1',
        'ping -c1 -I 1.2.3.4 127.0.0.1',
        'ping -c1 10.0.0.255',
      ],
      box,
    );
  });

  test('ping and ss', async () => {
    box = new Box();
    await compare(
      [
        ...SETUP,
        'ping -c1 127.0.0.1',
        'ping -c2 -i0.01 -s 5000 10.0.0.1',
        'ping -c1 -W0.2 10.0.0.9',
        'ping -c1 -W0.2 -M do -s 2000 10.0.0.99',
        'ping -c1 -t 1 127.0.0.1',
        'ping -q -c1 10.8.0.1',
        'ss -tan',
        'ss -tuan',
        'ss -uan',
        'nc -zv 127.0.0.1 81',
      ],
      box,
    );
  });
});
