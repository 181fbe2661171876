/** The command `softnet`. */
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { runDemo } from '#cli/demo.ts';
import { fail } from '#cli/errors.ts';
import { runPacketdrill } from '#cli/packetdrill.ts';
import { execInTopology, runTopology } from '#cli/run.ts';
import { runTap } from '#cli/tap.ts';
import { type Prefix4, parsePrefix4 } from '#lib/parse_addr.ts';
import { parseProbability, parseTimeNs } from '#sim/units.ts';

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

function program(): Command {
  const softnet = new Command('softnet')
    .description('The Linux network stack in TypeScript: machines that boot in this process.')
    .version(version())
    .showHelpAfterError('(softnet --help tells what there is)')
    .showSuggestionAfterError();

  softnet
    .command('demo')
    .description('boot a client, a router and a server, and download a file over a lossy link')
    .option('--seed <text>', 'decides everything that is random', '1')
    .option(
      '--loss <probability>',
      'chance that a cable loses a frame, e.g. 1%',
      checked(parseProbability),
      0.01,
    )
    .option('--size <bytes>', 'bytes to download', checked(parseCount), 8 * 1024 * 1024)
    .option('--pcap <file>', 'where the capture goes', 'softnet-demo.pcapng')
    .option('--no-pcap', 'write no capture')
    .option('--json', 'print one object instead of the story')
    .action(runDemo);

  softnet
    .command('run')
    .description('boot the machines of a topology file and run what it says')
    .argument(
      '<topology>',
      'a YAML file in the shape of containerlab, or a module that exports `topology`',
    )
    .option('--until <time>', 'stop at this virtual time, e.g. 10s', checked(parseTimeNs))
    .option('--seed <text>', 'decides everything that is random', '1')
    .option('--pcap <folder>', 'capture every cable into a file of this folder')
    .option('--json', 'print one object at the end')
    .action(runTopology);

  softnet
    .command('exec')
    .description('boot a topology and run one command on one of its machines')
    .argument('<topology>')
    .argument('<node>', 'name of the machine')
    .argument('<command...>', 'what to run there, after --')
    .option('--until <time>', 'give up at this virtual time', checked(parseTimeNs))
    .option('--seed <text>', 'decides everything that is random', '1')
    .action(execInTopology);

  softnet
    .command('tap')
    .description('join a machine to the real kernel through /dev/net/tun (needs root)')
    .option('--name <interface>', "the kernel's interface", 'softnet0')
    .option(
      '--address <address/prefix>',
      "the machine's address",
      checked(parseCidr),
      parseCidr('10.77.0.2/24'),
    )
    .option(
      '--host-address <address/prefix>',
      "the kernel's address",
      checked(parseCidr),
      parseCidr('10.77.0.1/24'),
    )
    .option('--serve', 'answer HTTP on 80, echo on 7, discard on 9')
    .option('--exec <command...>', 'run commands on the machine once it is up')
    .option('--forward', 'let the machine forward packets')
    .action(runTap);

  softnet
    .command('packetdrill')
    .description('run packet scripts against a machine in virtual time')
    .argument('<path...>', 'scripts, or folders of them')
    .option('--ip-version <version>', 'ipv4', 'ipv4')
    .option('-v, --verbose', 'tell each event and packet')
    .option('--json', 'print one object at the end')
    .option('--tolerance <us>', 'how far times may be off', checked(parseCount), 0)
    .option('--tolerance-percent <n>', 'the same, relative to the gap', checked(parseCount), 0)
    .option('-D, --define <NAME=VALUE>', 'what a symbol in scripts stands for', collect, [])
    .option('-o, --option <name=value>', 'an option as in the head of a script', collect, [])
    .option('--seed <text>', 'decides everything that is random', '1')
    .action(runPacketdrill);

  return softnet;
}

/** Gathers the values of an option that may be given several times. */
function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

/** An address with its prefix length, e.g. 10.77.0.2/24. */
function parseCidr(text: string): Prefix4 {
  const parsed = parsePrefix4(text);
  if (!parsed.ok) throw new RangeError(parsed.error);
  return parsed.value;
}

function parseCount(text: string): number {
  if (!/^[0-9]+$/.test(text)) throw new RangeError(`'${text}' is no number of bytes`);
  return Number(text);
}

// Whoever reads us may stop in the middle, as head(1) does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

program().parseAsync().catch(fail);
