/** `softnet tap`: a machine in the network of the real kernel. */
import { type Capture, captureDeviceToFile } from '#cli/capture.ts';
import { explain, UsageError, UserError } from '#cli/errors.ts';
import { passTo } from '#cli/output.ts';
import { bootReal, forkReal, haltReal, type RealHost } from '#host/node/real_host.ts';
import { TapLink } from '#host/node/tap_link.ts';
import { defconfig } from '#init/defconfig.ts';
import type { Machine } from '#kernel/machine.ts';
import { formatPrefix4, inNtop4, type Prefix4 } from '#lib/parse_addr.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { type Main, Process, runProcess } from '#user/lib/process.ts';
import { Collector, type Output } from '#user/lib/streams.ts';
import { COMMANDS } from '#user/sh/commands.ts';
import { findProgram, main as sh } from '#user/sh/sh.ts';

export interface TapCommandOptions {
  readonly name: string;
  readonly address: Prefix4;
  readonly hostAddress: Prefix4;
  readonly serve?: boolean;
  readonly exec?: readonly string[];
  readonly forward?: boolean;
  readonly pcap?: string;
}

/** The machine's interface. */
const IFNAME = 'eth0';

/** Programs of a machine in real time. */
class RealPrograms {
  private readonly fork: (name: string) => SyscallTable;

  constructor(machine: Machine, host: RealHost) {
    this.fork = (name) => forkReal(machine, host, name);
  }

  async run(main: Main, argv: readonly string[], stdout: Output, stderr: Output): Promise<number> {
    const sys = this.fork(argv[0] ?? '');
    const status = await runProcess(
      main,
      new Process({ sys, argv, fork: this.fork, programs: findProgram, stdout, stderr }),
    );
    sys.exit(status);
    return status;
  }
}

function bytesOf(addr: number): number[] {
  return [addr >>> 24, (addr >>> 16) & 255, (addr >>> 8) & 255, addr & 255];
}

/** Two ends of one link: different addresses of the same network. Throws UsageError. */
function checkAddresses(address: Prefix4, hostAddress: Prefix4): void {
  if (address.addr === hostAddress.addr) {
    throw new UsageError(`the machine and the kernel cannot both be ${inNtop4(address.addr)}`);
  }
  const mask = address.len === 0 ? 0 : -1 << (32 - address.len);
  if (address.len !== hostAddress.len || ((address.addr ^ hostAddress.addr) & mask) !== 0) {
    throw new UsageError(
      `${formatPrefix4(address)} and ${formatPrefix4(hostAddress)} are not in the same network`,
    );
  }
}

export async function runTap(options: TapCommandOptions): Promise<void> {
  const { address, hostAddress } = options;
  checkAddresses(address, hostAddress);
  const { machine, host } = bootReal({ name: 'softnet', modules: defconfig });
  let link: TapLink | null = null;
  let capture: Capture | null = null;
  try {
    link = new TapLink(host, machine.initNet, {
      name: options.name,
      hostAddress: { address: bytesOf(hostAddress.addr), prefix: hostAddress.len },
      ifname: IFNAME,
      onGone: (reason) => {
        process.stderr.write(`softnet: the interface ${options.name} is gone (${reason})\n`);
        process.exitCode = 1;
        stop();
      },
    });
    if (options.pcap !== undefined) capture = captureDeviceToFile(machine, IFNAME, options.pcap);
  } catch (error) {
    link?.close();
    haltReal(machine, host);
    throw error;
  }
  let stopped = false;
  function stop(): void {
    if (stopped) return;
    stopped = true;
    link?.close();
    const left = haltReal(machine, host);
    try {
      capture?.close();
    } catch (error) {
      process.stderr.write(`softnet: ${explain(error)}\n`);
      process.exitCode = 1;
    }
    if (Object.keys(left).length > 0) {
      process.stderr.write(`softnet: something was lost at the end: ${JSON.stringify(left)}\n`);
      process.exitCode = 1;
    }
  }
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);

  const programs = new RealPrograms(machine, host);
  const stdout = passTo(1);
  const stderr = passTo(2);
  const configure = [
    'ip link set lo up',
    `ip addr add ${formatPrefix4(address)} dev ${IFNAME}`,
    `ip link set ${IFNAME} up`,
    `ip route add default via ${inNtop4(hostAddress.addr)}`,
    ...(options.forward === true ? ['sysctl -q -w net.ipv4.ip_forward=1'] : []),
  ];
  for (const line of configure) {
    const problems = new Collector();
    const status = await programs.run(sh, ['sh', '-c', line], new Collector(), problems);
    if (status !== 0) {
      stop();
      throw new UserError(`'${line}' ended with status ${status}: ${problems.text()}`);
    }
  }
  if (options.serve === true) {
    for (const name of ['httpd', 'echod', 'discardd']) {
      const main = COMMANDS[name];
      if (main === undefined) throw new Error(`there is no program ${name}`);
      void programs.run(main, [name], stdout, stderr).then((status) => {
        if (stopped) return;
        process.stderr.write(`softnet: ${name} ended with status ${status}\n`);
        process.exitCode = 1;
        stop();
      });
    }
  }
  // Servers listen when their first system calls have been made.
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  process.stdout.write(
    `${options.name} ready: the kernel is ${formatPrefix4(hostAddress)}, softnet is ${formatPrefix4(address)}\n`,
  );
  let failed = 0;
  for (const line of options.exec ?? []) {
    const status = await programs.run(sh, ['sh', '-c', line], stdout, stderr);
    if (status !== 0) failed = status;
  }
  // With commands and nothing to serve, the work is done.
  if (options.exec !== undefined && options.serve !== true) {
    stop();
    process.exitCode ||= failed;
  }
}
