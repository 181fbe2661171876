/**
 * `ip` of softnet beside the real one, on one and the same kernel: what they print and how they end must be
 * equal to the octet. Commands that change something are given to a namespace each, and the real `ip` then
 * says what came of them.
 */
import { describe, expect, test } from 'vitest';
import { main } from '#user/ip/main.ts';
import {
  inNamespace,
  type NativeKernel,
  type Outcome,
  runReal,
  runTool,
  whileSteady,
  whyNotNative,
} from './native.ts';

const why = whyNotNative('ip');
const golden = describe.skipIf(why !== null);
const reason = why === null ? '' : ` (skipped: ${why})`;

/** A namespace with something of everything. */
const SETUP = `
link add v0 address 02:00:00:00:00:10 type veth peer name v1 address 02:00:00:00:00:11
link set lo up
link set v0 up
link set v1 up
link add i0 address 02:00:00:00:00:12 type ifb
link set v1 alias hello
link property add dev v1 altname other
addr flush dev v0
addr flush dev v1
addr add 10.0.0.1/24 brd + dev v0
addr add 10.0.0.7/24 dev v0 label v0:x
addr add 10.9.0.1 peer 10.9.0.2/32 dev v0 scope link
addr add 10.8.0.1/16 dev v1 valid_lft 1000 preferred_lft 500
addr add 10.7.0.1/16 dev v1 noprefixroute metric 7
route add 10.1.0.0/16 via 10.0.0.2
route add 10.2.0.0/16 via 10.0.0.2 metric 5 mtu 1400 advmss 1300 initcwnd 20 proto static src 10.0.0.1
route add 10.3.0.0/16 nexthop via 10.0.0.2 weight 2 nexthop via 10.0.0.3 dev v0
route add blackhole 10.4.0.0/16
route add unreachable 10.5.0.0/16 metric 3
route add prohibit 10.6.0.0/16
route add 10.11.0.0/16 dev v0 table 100
route add default via 10.0.0.254 dev v0 onlink
route add 10.12.0.0/16 tos 0x10 via 10.0.0.2 congctl cubic mtu lock 1300 hoplimit 3 rtt 100ms rto_min 50ms window 1000 features ecn quickack 1 rttvar 20
neigh add 10.0.0.2 lladdr 2:0:0:0:0:1 dev v0
neigh add 10.0.0.4 lladdr 2:0:0:0:0:4 dev v0 nud stale router
neigh add proxy 10.0.0.5 dev v0
neigh add 10.0.0.6 lladdr 2:0:0:0:0:6 dev v0 nud noarp extern_learn
neigh add 10.0.0.8 lladdr 2:0:0:0:0:8 dev v0 protocol static
`;

function words(line: string): string[] {
  return line.split(' ').filter((word) => word !== '');
}

function setUp(script: string): void {
  const { status, stderr } = runReal(['ip', '-force', '-batch', '-'], script);
  expect(stderr).toBe('');
  expect(status).toBe(0);
}

/** What the kernel counts on while we look. */
function steady({ status, stdout, stderr }: Outcome): Outcome {
  const text = stdout
    .replace(/(valid_lft|preferred_lft) \d+sec/g, '$1 Nsec')
    .replace(/"(valid|preferred)_life_time":( ?)\d+/g, '"$1_life_time":$2N');
  return { status, stdout: text, stderr };
}

const ours = (kernel: NativeKernel, line: string, stdin = ''): Promise<Outcome> =>
  runTool(kernel, main, ['ip', ...words(line)], stdin);

const theirs = (line: string, stdin = ''): Outcome => runReal(['ip', ...words(line)], stdin);

const SHOW = `
link
link show
-d link
-s link show v0
-s -s link show v0
-j link
-j -p link
-j -p -d -s -s link show v0
-br link
-br -j link
-o link
-h -s link show v1
link show type veth
link show up
link show other
link list i0
link show master v0
link show nomaster
addr
-4 addr
-d addr
-s addr show v0
-j addr
-j -p addr
-br addr
-br -j addr
-o addr
-o -4 addr
addr show dev v0
addr show to 10.0.0.0/8
addr show scope link
addr show scope host
addr show label v0:*
addr show secondary
addr show primary
addr show dynamic
addr show permanent
addr show up
-j addr show lo
a s lo
route
r
-d route
-j route
-j -p route
-o route
route show table all
route show table local
route show table 100
route show 10.1.0.0/16
route show root 10.0.0.0/8
route show match 10.1.2.3
route show exact default
route show default
route show dev v0
route show via 10.0.0.2
route show proto static
route show type blackhole
route show scope link
route show src 10.0.0.1
route show metric 5
-6 route
-j -p route show 10.3.0.0/16
route get 10.0.0.5
route get 10.1.2.3
route get 10.0.0.1
route get 127.0.0.1
route get 10.4.0.1
route get 10.5.0.1
route get 10.0.0.5 from 10.0.0.1
route get 10.0.0.255
route get 10.2.0.1
-d route get 10.2.0.1
-j -p route get 10.2.0.1
-o route get 10.2.0.1
route get fibmatch 10.1.2.3
route get 10.1.2.3 oif v1
route get 10.1.2.3 mark 5
neigh
-s neigh
-j neigh
-j -p -s neigh show dev v0
neigh show dev v0
neigh show nud permanent
neigh show nud stale
neigh show 10.0.0.2
neigh show proxy
-j neigh show proxy
-br neigh
neigh show nud all
neigh show unused
neigh get 10.0.0.2 dev v0
-4 neigh
n
`;

const COMPLAINTS = `
foo
-foo link
link foo
addr foo
addr add
addr add 10.0.0.1
addr add 10.0.0.1/33 dev lo
addr add 10.0.0.1/8/2 dev lo
addr add 10.0.0.1/24 dev nosuch
addr add foo dev lo
addr add 10.0.0.1/24 dev
addr add 10.0.0.1/24 dev lo bar
addr add 10.0.0.1/24 10.0.0.2/24 dev lo
addr add 10.0.0.1/24 dev lo scope foo
addr add 10.0.0.1/24 dev v0
addr add 10.0.0.1/24 dev v0 label foo
addr add 300.0.0.1/24 dev v0
addr add 1.2.3.4/24 brd foo dev v0
addr del 10.0.0.99/24 dev lo
addr del 10.0.0.1/24
addr show dev nosuch
addr show nosuch
addr flush
route add 10.1.0.0/16 via 10.0.0.2
route add 10.1.0.0/16 via 10.99.9.9
route add 10.1.0.0/16 dev nosuch
route add foo
route add 10.55.0.0/16
route add 10.55.0.1/16 dev v0
route add 10.55.0.0/16 via
route add 10.55.0.0/16 dev v0 mtu foo
route add 10.55.0.0/16 dev v0 metric foo
route add 10.55.0.0/16 dev v0 proto foo
route add 10.55.0.0/16 dev v0 table foo
route add 10.55.0.0/16 dev v0 scope foo
route add 10.55.0.0/16 10.56.0.0/16 dev v0
route add 10.55.0.0/16 nexthop
route add 10.55.0.0/16 nexthop via 10.0.0.2 weight 0
route add 10.55.0.0/16 nexthop via 10.0.0.2 foo
route add 10.55.0.0/16 dev v0 src 1.1.1.1
route del 10.55.0.0/16
route get
route get foo
route get 10.1.2.3 iif nosuch
route foo
route flush
route show table foo
route show foo
route show proto foo
route show dev nosuch
neigh add
neigh add 10.0.0.2
neigh add 10.0.0.2 lladdr xx dev lo
neigh add 10.0.0.2 lladdr 2:0:0:0:0:1 dev v0
neigh add foo dev v0
neigh add 10.0.0.3 dev nosuch
neigh add 10.0.0.33 lladdr 2:0:0:0:0:3 dev v0 nud foo
neigh change 10.0.0.88 lladdr 2:0:0:0:0:9 dev v0
neigh del 10.0.0.77 dev lo
neigh get
neigh get 10.0.0.99 dev v0
neigh show dev nosuch
neigh show nud foo
neigh flush
neigh foo
link set nosuch up
link set lo mtu foo
link set v0 mtu 10
link set v0 mtu 999999
link set v0 txqlen foo
link set v0 master nosuch
link set v0 group foo
link add foo type nosuchkind
link add foo
link add v0 type veth
link add averyveryverylongname type veth
link add x type veth foo
link add x type nosuch foo
link add type
link del nosuch
link del lo
link set lo foo
link set
link set dev
link set lo address xx
link set v0 address 1:2:3
link set lo arp foo
link set v0 name v1
link show dev lo foo
netns exec nosuch ls
netns foo
netns exec
-n nosuch link
-f foo link
`;

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

golden(`ip shows what the real ip shows${reason}`, () => {
  test('every view of links, addresses, routes and neighbours', async () => {
    await inNamespace(async (kernel) => {
      setUp(SETUP);
      for (const line of lines(SHOW)) {
        const { real, own } = await whileSteady(
          () => steady(theirs(line)),
          async () => steady(await ours(kernel, line)),
        );
        expect.soft({ line, ...own }).toEqual({ line, ...real });
      }
    });
  });

  test('every complaint, with its status', async () => {
    await inNamespace(async (kernel) => {
      setUp(SETUP);
      for (const line of lines(COMPLAINTS)) {
        const real = theirs(line);
        const own = await ours(kernel, line);
        expect(real.status, `the real ip accepts "${line}"`).not.toBe(0);
        expect.soft({ line, ...own }).toEqual({ line, ...real });
      }
    });
  });
});

const CHANGES = `
link add v0 address 02:00:00:00:00:10 type veth peer name v1 address 02:00:00:00:00:11 mtu 1400
link add name i0 address 02:00:00:00:00:12 numtxqueues 2 txqueuelen 5 mtu 1000 type ifb
link set lo up
link set dev v0 up mtu 1300 txqueuelen 77
link set v1 up
link set v1 alias hello group 5
link set v1 promisc on
link set v1 multicast off arp off
link set i0 name i1
link set i1 address 02:00:00:00:00:13
link property add dev v1 altname other
addr flush dev v0
addr flush dev v1
addr add 10.0.0.1/24 brd + dev v0
addr add 10.0.0.7/24 dev v0 label v0:x
addr add 10.0.0.8/24 brd - dev v0
addr add 10.0.0.9/24 broadcast 10.0.0.77 dev v0
addr add 10.9.0.1 peer 10.9.0.2/32 dev v0 scope link
addr add local 10.8.0.1/16 dev v1 valid_lft forever preferred_lft forever
addr add 10.7.0.1/16 dev v1 noprefixroute metric 7
addr add 127.5.0.1/8 dev lo
addr add 10.10.10.1/255.255.255.0 dev i1
addr del 10.0.0.8/24 dev v0
addr replace 10.9.0.1 peer 10.9.0.2/32 dev v0 scope global
addr change 10.7.0.1/16 dev v1 valid_lft forever
route add 10.1.0.0/16 via 10.0.0.2
route add 10.2/16 via 10.0.0.2 metric 5 mtu 1400 advmss 1300 initcwnd 20 proto static src 10.0.0.1
route add 10.3.0.0/16 nexthop via 10.0.0.2 weight 2 nexthop via 10.0.0.3 dev v0
route add blackhole 10.4.0.0/16
route add unreachable 10.5.0.0/16 metric 3
route add prohibit 10.6.0.0/16
route add throw 10.66.0.0/16
route add local 10.67.0.0/16 dev lo
route add 10.11.0.0/16 dev v0 table 100
route add 10.11.0.0/16 dev v0 table 1000
route add default via 10.0.0.254 dev v0 onlink
route add 10.12.0.0/16 tos 0x10 via 10.0.0.2 congctl cubic mtu lock 1300 hoplimit 3 rtt 100ms rto_min 50ms window 1000 ssthresh 30 features ecn quickack 1 initrwnd 5 reordering 4 rttvar 20 cwnd 10
route add 10.13.0.0/16 dev v1 scope link proto 77
route append 10.1.0.0/16 via 10.0.0.3
route prepend 10.1.0.0/16 via 10.0.0.4
route change 10.2.0.0/16 via 10.0.0.5 metric 5
route replace 10.13.0.0/16 via 10.0.0.6
route replace 10.14.0.0/16 via 10.0.0.6
route del 10.66.0.0/16
route del 10.1.0.0/16 via 10.0.0.3
route add 10.15.0.0/16 via 10.0.0.6
route flush 10.15.0.0/16
neigh add 10.0.0.2 lladdr 2:0:0:0:0:1 dev v0
neigh add 10.0.0.4 lladdr 2:0:0:0:0:4 dev v0 nud stale router
neigh add proxy 10.0.0.5 dev v0
neigh add 10.0.0.6 lladdr 2:0:0:0:0:6 dev v0 nud noarp extern_learn
neigh replace 10.0.0.2 lladdr 2:0:0:0:0:9 dev v0
neigh change 10.0.0.4 lladdr 2:0:0:0:0:4 dev v0 nud permanent
neigh add 10.0.0.40 lladdr 2:0:0:0:0:4 dev v0
neigh del 10.0.0.40 dev v0
-s neigh flush dev v1
-s route flush table 1000
-s -s route flush 10.14.0.0/16
-s addr flush dev i1
link set lo down
link del i1
`;

const STATE = [
  '-d link',
  '-d addr',
  '-d route show table all',
  '-4 neigh show nud all',
  'neigh show proxy',
];

golden(`ip changes what the real ip changes${reason}`, () => {
  test('a long configuration gives the same state, told by the real ip', async () => {
    const all = lines(CHANGES);
    // IPv6 configures itself, and the state of a link follows a moment later.
    const told = (): string[] =>
      STATE.map((line) =>
        theirs(line)
          .stdout.replace(/.*(inet6|ff02|ff00|fe80|::1).*\n(.*_lft.*\n)?/g, '')
          .replace(/ state \w+ /g, ' ')
          .replace(/NO-CARRIER,|,LOWER_UP|,M-DOWN| linkdown/g, '')
          // Hashed with a key: the order of neighbours is not ours to say.
          .split(line.includes('neigh') ? '\n' : '\0')
          .sort()
          .join('\n'),
      );
    const real = await inNamespace(async () => {
      const outcomes = all.map((line) => theirs(line));
      return { outcomes, state: told() };
    });
    const own = await inNamespace(async (kernel) => {
      const outcomes: Outcome[] = [];
      for (const line of all) outcomes.push(await ours(kernel, line));
      return { outcomes, state: told() };
    });
    all.forEach((line, i) => {
      expect.soft({ line, ...own.outcomes[i] }).toEqual({ line, ...real.outcomes[i] });
    });
    expect(own.state).toEqual(real.state);
  });

  test('batches stop or go on, and say where they failed', async () => {
    const batch =
      'link add d1 type veth\nfoo\nlink set d1 up # why\n\n#x\naddr add \\\n 1.2.3.4/8 dev d1\nlink show nosuch\n';
    for (const options of ['-batch -', '-force -batch -', '-j -batch -']) {
      const real = await inNamespace(async () => ({
        ...theirs(options, batch),
        state: theirs('-4 -o addr').stdout,
      }));
      const own = await inNamespace(async (kernel) => ({
        ...(await ours(kernel, options, batch)),
        state: theirs('-4 -o addr').stdout,
      }));
      expect({ options, ...own }).toEqual({ options, ...real });
    }
  });
});
