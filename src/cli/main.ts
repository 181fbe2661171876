/** The command `softnet`. */

import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import {
  type Attachment,
  parseAttachment,
  parseIo,
  parseLinkAddress,
  parseQueues,
  runAttach,
  runTap,
} from '#cli/attach.ts';
import { type CaptureRequest, parseCaptureRequest } from '#cli/capture.ts';
import { runDemo } from '#cli/demo.ts';
import { EXIT_INTERNAL, EXIT_USAGE } from '#cli/errors.ts';
import { runExplore } from '#cli/explore.ts';
import { fail } from '#cli/fail.ts';
import { painter } from '#cli/output.ts';
import { runPacketdrill } from '#cli/packetdrill.ts';
import { execInTopology, runTopology } from '#cli/run.ts';
import { runTrace, TRACE_FORMATS } from '#cli/trace.ts';
import { inPton4 } from '#lib/parse_addr.ts';
import { parseProbability, parseSizeBytes, parseTimeNs } from '#sim/units.ts';

/** Has commander say what is wrong with an argument. */
function checked<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };
}

function version(): string {
  const url = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version;
}

/** Examples below a command's help: what they do, and what to type. */
function examples(
  command: Command,
  lines: readonly (readonly [does: string, line: string])[],
): void {
  const paint = painter(process.stdout);
  const text = lines.map(
    ([does, line]) => `  ${paint('dim', `# ${does}`)}\n  ${paint('cyan', line)}`,
  );
  command.addHelpText('after', `\n${paint('bold', 'Examples:')}\n${text.join('\n')}`);
}

const SEED: readonly [string, string, string] = [
  '--seed <text>',
  'decides everything that is random: the same seed, the same run, byte for byte',
  '1',
];

function program(): Command {
  const paint = painter(process.stdout);
  const softnet = new Command('softnet')
    .description(
      'The Linux network stack in TypeScript: machines that boot in this process, with network ' +
        'cards, interrupts, sockets and the tools you know, in virtual time under one seed.',
    )
    .version(version())
    .configureHelp({
      styleTitle: (text) => paint('bold', text),
      styleCommandText: (text) => paint('cyan', text),
    })
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'softnet: ')),
    })
    .exitOverride()
    .enablePositionalOptions()
    .showSuggestionAfterError();
  examples(softnet, [
    ['a download through a router over a lossy link, and how it went', 'softnet demo'],
    ['the machines of a file, and what it has them do', 'softnet run examples/router.yaml'],
    ['one tool on one machine', 'softnet exec examples/router.yaml client -- ping -c 3 10.0.2.2'],
    [
      'a machine that the real kernel can reach: curl http://10.77.0.2/',
      'sudo softnet tap --serve',
    ],
  ]);
  softnet.addHelpText(
    'after',
    '\nStatus: 0 all went well, 1 something failed, 2 the command line or a file makes no sense.',
  );
  addDemo(softnet);
  addRun(softnet);
  addExec(softnet);
  addTap(softnet);
  addAttach(softnet);
  addExplore(softnet);
  addPacketdrill(softnet);
  addTrace(softnet);
  return softnet;
}

function addDemo(softnet: Command): void {
  const demo = softnet
    .command('demo')
    .description(
      'Boots a client, a router and a server, and downloads a file over lossy cables. Tells the ' +
        'first packet of each stage on its way through the machines, and sums up at the end.',
    )
    .summary('boot three machines and download a file over a lossy link')
    .option(...SEED)
    .addOption(
      new Option('--loss <probability>', 'chance that a cable loses a frame')
        .argParser(checked(parseProbability))
        .default(0.01, '1%'),
    )
    .addOption(
      new Option('--size <bytes>', 'how much to download')
        .argParser(checked(parseCount))
        .default(8 * 1024 * 1024, '8mb'),
    )
    .option('--pcap <file>', "where the capture of the client's cable goes", 'softnet-demo.pcapng')
    .option('--no-pcap', 'write no capture')
    .option('--json', 'print one object instead of the story')
    .action(runDemo);
  examples(demo, [
    ['another run, on worse cables', 'softnet demo --seed 2 --loss 5%'],
    ['one object, for a program to read', 'softnet demo --json --no-pcap'],
    ['what was on the cable; wireshark reads it too', 'tshark -r softnet-demo.pcapng'],
  ]);
}

function addRun(softnet: Command): void {
  const run = softnet
    .command('run')
    .description(
      'Boots the machines of a topology, runs their exec lists one after the other, then their ' +
        'programs side by side, until nothing more happens.',
    )
    .summary('boot the machines of a topology file and run what it says')
    .argument(
      '<topology>',
      'a YAML file in the shape of containerlab, or a module that exports `topology`',
    )
    .option('--until <time>', 'stop at this virtual time, e.g. 10s', checked(parseTimeNs))
    .option(...SEED)
    .option('--pcap <folder>', 'capture every cable, into files of this folder')
    .option(
      '--capture <node:interface=file>',
      'capture a device, with where and why packets were dropped (repeatable)',
      addCapture,
    )
    .option(
      '--workers <n>',
      'spread the machines over up to n threads, with the same run and fingerprint; they are only ' +
        'parted at cables that have a delay',
      checked(parseWorkers),
    )
    .option('--json', 'print one object at the end; what programs print goes to standard error')
    .action(runTopology);
  examples(run, [
    ['two machines and a cable', 'softnet run examples/two-hosts.yaml'],
    ['what was on each cable', 'softnet run examples/router.yaml --pcap captures'],
    [
      'what one interface saw, and why packets were dropped',
      'softnet run examples/router.yaml --capture router:eth1=router.pcapng',
    ],
    [
      'the first five seconds under another seed',
      'softnet run examples/router.yaml --seed 7 --until 5s',
    ],
    ['the same run on two cores', 'softnet run examples/router.yaml --workers 2'],
  ]);
}

function addExec(softnet: Command): void {
  const exec = softnet
    .command('exec')
    .description(
      'Boots a topology as `run` does, then runs one command on one of its machines. Its output, ' +
        'input and status are those of softnet.',
    )
    .summary('boot a topology and run one command on one of its machines')
    .argument('<topology>', 'as for `softnet run`')
    .argument('<node>', 'name of the machine')
    .argument('<command...>', 'what to run there')
    .passThroughOptions()
    .option('--until <time>', 'give up at this virtual time, e.g. 10s', checked(parseTimeNs))
    .option(...SEED)
    .option('--pcap <folder>', 'capture every cable, into files of this folder')
    .option('--capture <node:interface=file>', 'capture a device, as for `softnet run`', addCapture)
    .action(execInTopology);
  examples(exec, [
    [
      'three pings through the router',
      'softnet exec examples/router.yaml client -- ping -c 3 10.0.2.2',
    ],
    [
      'the counters of an interface',
      'softnet exec examples/two-hosts.yaml a -- ip -s link show eth1',
    ],
    [
      'what a ping looks like on the wire, for Wireshark',
      'softnet exec --capture client:eth1=ping.pcapng examples/router.yaml client -- ping -c 1 10.0.2.2',
    ],
    ['a shell on the machine', 'softnet exec examples/two-hosts.yaml a -- sh -i'],
  ]);
  exec.addHelpText(
    'after',
    "\nStatus: the command's own; 124 it had not ended, 125 softnet itself failed, 127 no such command.",
  );
}

function addTap(softnet: Command): void {
  const tap = softnet
    .command('tap')
    .description(
      'Joins a machine to the real kernel of the present network namespace through /dev/net/tun, ' +
        'in real time, until Ctrl-C. Needs root, or CAP_NET_ADMIN.',
    )
    .summary('join a machine to the real kernel (needs root)')
    .option('--name <interface>', "the kernel's interface", checked(parseIfname), 'softnet0')
    .addOption(cidrOption('--address', "the machine's address", '10.77.0.2/24'))
    .addOption(cidrOption('--host-address', "the kernel's address", '10.77.0.1/24'))
    .option('--serve', 'answer HTTP on 80, echo on 7, discard on 9')
    .option('--exec <command...>', 'run commands on the machine once it is up')
    .option('--forward', 'let the machine forward packets')
    .option('--pcap <file>', "capture the machine's interface")
    .option(
      '--queues <n>',
      'give the interface n queues: the frames of a connection come and go by one, and each queue ' +
        'interrupts a CPU of its own (1 to 64)',
      checked(parseQueues),
    )
    .option(
      '--io <how>',
      'write frames one by one (write, the default), in batches (io_uring), or in batches where the kernel lets us (auto)',
      checked(parseIo),
    )
    .option(
      '--workers <n>',
      'serve from n machines of the same address, each in a thread of its own; connections are ' +
        'spread over them',
      checked(parseWorkers),
    )
    .action(runTap);
  examples(tap, [
    ['then: ping 10.77.0.2, curl http://10.77.0.2/', 'sudo softnet tap --serve'],
    ["the machine's own ping, towards the kernel", 'sudo softnet tap --exec "ping -c 3 10.77.0.1"'],
    [
      'four queues, with how many frames each has had',
      'sudo softnet tap --queues 4 --exec "ethtool -l eth0" "cat /proc/interrupts"',
    ],
    ['the same from two cores', 'sudo softnet tap --serve --workers 2'],
    ['away from your own network', 'sudo ip netns exec lab softnet tap --serve'],
  ]);
}

function addAttach(softnet: Command): void {
  const attach = softnet
    .command('attach')
    .argument(
      '<door...>',
      'KIND:WHERE=ADDRESS/PREFIX, one for each interface: eth0, eth1 and so on',
      (text: string, all: readonly Attachment[] | undefined) => [
        ...(all ?? []),
        checked(parseAttachment)(text),
      ],
    )
    .description(
      'Joins a machine to virtual machines and to the real kernel, in real time, until Ctrl-C. Each door is ' +
        'one interface: tap:NAME[,queues=N][,io=HOW] makes a TAP device, packet:NAME takes an interface that is there through a ' +
        'packet socket, macvtap:NAME a macvtap device; stream:PATH or stream:HOST:PORT waits for QEMU ' +
        '(-netdev stream), connect:PATH goes to it.',
    )
    .summary('join a machine to virtual machines and to the real kernel')
    .addOption(new Option('--via <address>', 'default route').argParser(checked(parseAddress4)))
    .option('--serve', 'answer HTTP on 80, echo on 7, discard on 9')
    .option('--exec <command...>', 'run commands on the machine once it is up')
    .option('--forward', 'let the machine forward packets')
    .option('--pcap <file>', 'capture the first interface')
    .action(runAttach);
  examples(attach, [
    [
      'a gateway for a virtual machine, without root',
      'softnet attach stream:/tmp/vm.sock=10.0.2.2/24 --serve',
    ],
    [
      'its other end',
      'qemu-system-x86_64 -netdev stream,id=n,server=off,addr.type=unix,addr.path=/tmp/vm.sock -device virtio-net,netdev=n',
    ],
    [
      'a router between that and the kernel',
      'sudo softnet attach stream:/tmp/vm.sock=10.0.2.2/24 tap:softnet0=10.77.0.2/24 --via 10.77.0.1 --forward',
    ],
    ["one end of the kernel's veth pair", 'sudo softnet attach packet:veth1=10.77.0.2/24 --serve'],
  ]);
}

function addExplore(softnet: Command): void {
  const explore = softnet
    .command('explore')
    .description(
      'Serves the explorer on this machine: a page in which worlds of machines run, and every packet can ' +
        'be followed, taken apart and explained. The worlds run in the browser; nothing leaves the page.',
    )
    .summary('open worlds in the browser and follow every packet')
    .option(
      '--port <number>',
      'port to listen on; 0 takes any that is free',
      checked(parsePort),
      8686,
    )
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .action(runExplore);
  examples(explore, [['the explorer, on any free port', 'softnet explore --port 0']]);
}

function addPacketdrill(softnet: Command): void {
  const packetdrill = softnet
    .command('packetdrill')
    .description(
      'Runs packet scripts in the language of packetdrill against a machine in virtual time, or against the real kernel.',
    )
    .summary('run packet scripts against a machine')
    .argument('<path...>', 'scripts, or folders of them')
    .addOption(
      new Option('--against <what>', "a softnet machine, or this host's kernel (needs root)")
        .choices(['softnet', 'kernel'])
        .default('softnet'),
    )
    .option('--ip-version <version>', 'ipv4', 'ipv4')
    .option('-v, --verbose', 'tell each event and packet')
    .option('--json', 'print one object at the end')
    .option('--pcap <file>', 'capture the packets (several scripts: a folder)')
    .option(
      '--tolerance <us>',
      'how far times may be off (default: 0; kernel: 8000)',
      checked(parseNumber),
    )
    .option('--tolerance-percent <n>', 'the same, relative to the gap', checked(parsePercent), 0)
    .option('-D, --define <NAME=VALUE>', 'what a symbol in scripts stands for', collect, [])
    .option('-o, --option <name=value>', 'an option as in the head of a script', collect, [])
    .option('--jobs <n>', 'kernel: how many scripts run at once', checked(parseNumber), 1)
    .option('--retries <n>', 'kernel: tries more for one that fails', checked(parseNumber), 0)
    .option(...SEED)
    .action(runPacketdrill);
  examples(packetdrill, [
    ['every script of a folder', 'softnet packetdrill test/packetdrill'],
    ['one script, event by event', 'softnet packetdrill -v test/packetdrill/cork.pkt'],
    ['the same against this kernel', 'sudo softnet packetdrill --against kernel cork.pkt'],
  ]);
}

function addTrace(softnet: Command): void {
  const trace = softnet
    .command('trace')
    .description(
      'Runs a topology as `run` does, records what every machine does with every packet, and tells ' +
        "it: each packet's way through functions, queues, decisions and cables, to its end.",
    )
    .summary('run a topology and tell what became of its packets')
    .argument('[topology]', 'as for `softnet run`')
    .option('--demo', "the demo's download instead of a file")
    .option(
      '-f, --filter <expression>',
      "packets to show, in tcpdump's language, with their relatives",
    )
    .addOption(
      new Option('--format <format>', 'how to tell it').choices(TRACE_FORMATS).default('pwru'),
    )
    .option('-o, --output <file>', 'where it goes; standard output by default')
    .option('-m, --machine <name>', 'this machine only (repeatable)', collect, [])
    .option('--packet <number>', 'the whole journey of one packet', checked(parseNumber))
    .option('--reason <name>', 'packets dropped for this reason, e.g. NO_SOCKET')
    .option('--drops', 'the ledger of drops, and what to do about each')
    .option('--functions', 'also entry and exit of every function (uses the woven build)')
    .option('--bytes', "also each packet's pointers and first bytes")
    .option('--all', 'also what concerns no packet: interrupts, timers, sockets')
    .addOption(
      new Option('--limit <n>', 'most steps to tell')
        .argParser(checked(parseNumber))
        .default(Number.MAX_SAFE_INTEGER, 'all'),
    )
    .addOption(
      new Option('--memory <size>', 'for the recording')
        .argParser(checked(parseCount))
        .default(256 * 1024 * 1024, '256M'),
    )
    .option('--until <time>', 'stop at this virtual time, e.g. 10s', checked(parseTimeNs))
    .option(...SEED)
    .action(runTrace);
  examples(trace, [
    [
      'the handshake and what follows, as pwru would show it',
      "softnet trace --demo --filter 'tcp[tcpflags] & tcp-syn != 0'",
    ],
    ['every drop, and what to do about it', 'softnet trace --demo --drops'],
    [
      'all of it, to be opened in ui.perfetto.dev; with --functions it has those, too',
      'softnet trace examples/router.yaml --format perfetto -o trace.pftrace',
    ],
    [
      'what the router dropped or forwarded, one object a line',
      "softnet trace examples/router.yaml -m router -f 'icmp or arp' --format json",
    ],
  ]);
}

function cidrOption(flag: string, description: string, example: string): Option {
  return new Option(`${flag} <address/prefix>`, description)
    .argParser(checked(parseLinkAddress))
    .default(parseLinkAddress(example), example);
}

/** Gathers the values of an option that may be given several times. */
function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

function parseAddress4(text: string): number {
  const addr = inPton4(text);
  if (addr === null) throw new RangeError(`'${text}' is no IPv4 address`);
  return addr;
}

function parseIfname(text: string): string {
  if (/^[A-Za-z0-9_.-]{1,15}$/.test(text) && text !== '.' && text !== '..') return text;
  throw new RangeError("An interface name is 1 to 15 letters, digits, '_', '.' or '-'.");
}

function parseNumber(text: string): number {
  if (!/^[0-9]+$/.test(text)) throw new RangeError(`'${text}' is no whole number`);
  return Number(text);
}

function parsePercent(text: string): number {
  const value = Number(text);
  if (/^[0-9]+(?:\.[0-9]+)?$/.test(text) && value <= 100) return value;
  throw new RangeError(`'${text}' is no number from 0 to 100`);
}

/** The demo's cables carry no more than this within the hour that it waits. */
const MAX_DOWNLOAD = 4 * 1024 * 1024 * 1024;

function parseCount(text: string): number {
  const bytes = /^[0-9]+$/.test(text) ? Number(text) : parseSizeBytes(text);
  if (bytes > MAX_DOWNLOAD) throw new RangeError(`'${text}' is too much: at most 4gb`);
  return bytes;
}

function parseWorkers(text: string): number {
  const workers = /^[0-9]{1,2}$/.test(text) ? Number(text) : 0;
  if (workers < 1 || workers > 64) {
    throw new RangeError(`'${text}' is no number of threads; there can be 1 to 64`);
  }
  return workers;
}

function parsePort(text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65535)) throw new RangeError(`'${text}' is no port; one is a number up to 65535`);
  return port;
}

function addCapture(text: string, before: readonly CaptureRequest[] = []): CaptureRequest[] {
  return [...before, checked(parseCaptureRequest)(text)];
}

/** Whoever reads our output may stop reading, e.g. `| head`: then we are done, as by SIGPIPE. */
function endWithReader(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(128 + 13);
    throw error;
  });
}

/**
 * A packet takes some 150 small functions in a row. By default V8 puts up to 920 bytes of bytecode into the function
 * that calls them; with room for more, small packets and connections cost a tenth less (docs/performance.md).
 */
const INLINE_MORE = '--max-inlined-bytecode-size-cumulative=1500';

async function main(argv: readonly string[]): Promise<void> {
  setFlagsFromString(INLINE_MORE);
  endWithReader(process.stdout);
  endWithReader(process.stderr);
  try {
    const softnet = program();
    if (argv.length === 0) softnet.help({ error: true });
    await softnet.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) fail(error);
    // Commander has said what there is to say.
    if (error.exitCode === 0) return;
    process.exitCode = argv[0] === 'exec' ? EXIT_INTERNAL : EXIT_USAGE;
  }
}

await main(process.argv.slice(2));
