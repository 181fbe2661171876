/**
 * One case of the table in a process of its own: two ends, a cable of softnet between them in real
 * time, a stream each way. Argument: the case as JSON. Prints the result as one line of JSON.
 */
import { execFileSync } from 'node:child_process';
import { Cable } from '#sim/cable.ts';
import { checkImpairments, type Impairments } from '#sim/impairments.ts';
import { BEGUN, type CaseResult, type CaseSpec, isVirtual, parsePrefix } from './cells.ts';
import { kernelPeer, type Part, type Report, type Round, softnetPeer } from './peers.ts';
import { type CaseWorld, RealtimeWorld, TapPort, VirtualWorld } from './realtime.ts';

const ADDRESSES = ['10.88.0.1', '10.88.0.2'] as const;
const PORT = 5001;

/**
 * Bytes each way before the case, on a connection of its own: a kernel has been compiled long before
 * its first packet, softnet's code is while its first packets pass.
 */
const WARM_UP_BYTES = 8_000_000;
/** What happens to them: some of everything that may happen in a case. */
const WARM_UP: Partial<Impairments> = { delayNs: 5e6, loss: 0.001, reorder: 0.02 };

const ip = (...args: readonly string[]): void => {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
};

function makeNetns(name: string): void {
  ip('netns', 'add', name);
  const inside = (...args: readonly string[]): void => ip('netns', 'exec', name, ...args);
  inside('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
  inside('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
  // The connection before the case leaves nothing behind.
  inside('sysctl', '-qw', 'net.ipv4.tcp_no_metrics_save=1');
  inside('ip', 'link', 'set', 'lo', 'up');
}

/** What passes through the cable: a connection to warm up, and the case. */
function roundsOf(spec: CaseSpec, realtime: CaseWorld, cable: Cable): readonly Round[] {
  const calm = { loss: 0, reorder: 0 };
  const before: Round = {
    bytes: WARM_UP_BYTES,
    opens: () => cable.impair({ ...WARM_UP, ...calm }),
    opened: () => cable.impair(WARM_UP),
    turned: () => {},
  };
  const measured: Round = {
    bytes: spec.bytes,
    opens: () => cable.impair({ delayNs: (spec.rttMs / 2) * 1e6, ...calm }),
    // Chance begins when the connection stands: a lost SYN would tell of nothing but its timeout.
    opened: () => {
      process.stdout.write(BEGUN);
      realtime.latestNs = 0;
      cable.impair({ loss: spec.loss, reorder: spec.reorder });
      cable.reseed('out');
    },
    // The nth frame of either stream meets the same fate, whoever sends it.
    turned: () => cable.reseed('back'),
  };
  return isVirtual(spec) ? [measured] : [before, measured];
}

/** Runs a case. Throws when an end fails; a wrong byte or algorithm is told by the result. */
async function runCase(spec: CaseSpec): Promise<CaseResult> {
  const realtime = isVirtual(spec) ? new VirtualWorld(spec.seed) : new RealtimeWorld(spec.seed);
  // The same name in every kind of case, so that chance falls alike on their frames.
  const line = checkImpairments({
    rateBps: spec.rateMbit * 1e6,
    queueBytes: spec.queueBytes,
  });
  const cable = new Cable(realtime.world, 'wire', line);
  const rounds = roundsOf(spec, realtime, cable);
  const parts = ([0, 1] as const).map(
    (end): Part => ({
      opens: end === 0,
      address: parsePrefix(ADDRESSES[1]),
      port: PORT,
      congestionControl: spec.congestionControl,
      rounds,
    }),
  );
  const taps: TapPort[] = [];
  const names: string[] = [];
  try {
    const ends = spec.ends.map((kind, i): Promise<Report> => {
      const end = i as 0 | 1;
      const own = ADDRESSES[end];
      const part = parts[end] as Part;
      if (kind === 'softnet') return softnetPeer(realtime, cable, end, own, part);
      const name = `softnet-bench-${process.pid}-${end}`;
      makeNetns(name);
      names.push(name);
      const hostAddress = { address: own.split('.').map(Number), prefix: 24 };
      taps.push(new TapPort(realtime, cable, end, name, hostAddress));
      // The end that listens does so before the other calls.
      return delay(end === 0 ? 300 : 0).then(() => kernelPeer(realtime, name, part));
    });
    let done = false;
    const both = Promise.all(ends).finally(() => {
      done = true;
      realtime.wake();
    });
    const limitNs = spec.limitSeconds * 1e9;
    // Looked at below; until then it is nobody's.
    both.catch(() => {});
    await realtime.run(() => done || realtime.clock() > limitNs);
    if (!done) throw new Error(`had not ended after ${spec.limitSeconds} s`);
    const [opener, listener] = (await both) as [Report, Report];
    return resultOf(spec, realtime, opener, listener);
  } finally {
    for (const tap of taps) tap.close();
    realtime.halt();
    for (const name of names) ip('netns', 'del', name);
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function resultOf(
  spec: CaseSpec,
  realtime: CaseWorld,
  opener: Report,
  listener: Report,
): CaseResult {
  const rate = (from: Report, to: Report): number =>
    (spec.bytes * 8) / ((to.receivedAtNs - from.sentFromNs) / 1e9) / 1e6;
  return {
    spec,
    intact: opener.sent === listener.received && listener.sent === opener.received,
    congestionControls: [opener.congestionControl, listener.congestionControl],
    outMbit: rate(opener, listener),
    backMbit: rate(listener, opener),
    longestGapMs: Math.max(opener.longestGapNs, listener.longestGapNs) / 1e6,
    latestMs: realtime.latestNs / 1e6,
  };
}

const spec = JSON.parse(process.argv[2] ?? '') as CaseSpec;
process.stdout.write(`${JSON.stringify(await runCase(spec))}\n`);
process.exit(0);
