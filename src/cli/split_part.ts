/** One thread of a world that is spread over threads: runs its machines, and says what came of it. */
import { parentPort, workerData } from 'node:worker_threads';
import {
  beginCaptures,
  type Capture,
  type CaptureRequest,
  cableFile,
  captureCableToFile,
  captureDeviceToFile,
  closeCaptures,
  discardCaptures,
} from '#cli/capture.ts';
import { cableName, Lab, type LabEnd, type ProgramReport } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { tapBytes } from '#sim/capture.ts';
import { PartAborted, type SplitPlan, WorldPart } from '#sim/part.ts';
import type { PlacePrint } from '#sim/place.ts';
import type { TopologySpec } from '#sim/topology.ts';
import type { OrderKey } from '#sim/world.ts';
import type { Streams } from '#user/lib/process.ts';
import type { Output } from '#user/lib/streams.ts';

/** What a thread is given. */
export interface PartJob {
  readonly spec: TopologySpec;
  readonly plan: SplitPlan;
  readonly index: number;
  readonly seed: string;
  readonly untilNs: number;
  /** Folder for the captures of cables; null: none. Those between threads are written by who asked. */
  readonly pcap: string | null;
  readonly captures: readonly CaptureRequest[];
  /** `globalThis.softnetConfig` of who asked. */
  readonly config: unknown;
}

/** Something that happened, with its place in the order of all that happened in all threads. */
export interface PartRecord {
  readonly phase: number;
  readonly key: OrderKey;
  /** What a program printed: to 1 or 2, null when it closed the stream. Or a frame on a cable. */
  readonly what:
    | { readonly node: string; readonly fd: 1 | 2; readonly bytes: Uint8Array | null }
    | { readonly link: number; readonly end: 0 | 1; readonly bytes: Uint8Array };
}

export interface PartResult {
  readonly ended: LabEnd;
  readonly nowNs: number;
  readonly events: number;
  readonly prints: readonly PlacePrint[];
  readonly failed: readonly ProgramReport[];
  readonly running: readonly ProgramReport[];
  readonly live: Record<string, Record<string, number>>;
}

/** What a thread says. */
export type PartMessage =
  /** Nothing will follow that stands before `phase`, `timeNs`. */
  | {
      readonly type: 'records';
      readonly records: readonly PartRecord[];
      readonly phase: number;
      readonly timeNs: number;
    }
  | { readonly type: 'result'; readonly result: PartResult }
  | { readonly type: 'aborted' }
  | {
      readonly type: 'failure';
      /** The world never began. */
      readonly unbegun: boolean;
      readonly name: string;
      readonly message: string;
      readonly stack: string;
    };

/** So many bytes are passed on at once, or what gathers in so many ms. */
const FLUSH_BYTES = 1 << 18;
const FLUSH_MS = 200;

/** Gathers what happens here, and passes it on. */
class Reporter {
  private readonly lab: () => Lab;
  private readonly part: WorldPart;
  private records: PartRecord[];
  private bytes: number;
  private sinceMs: number;

  constructor(part: WorldPart, lab: () => Lab) {
    this.part = part;
    this.lab = lab;
    this.records = [];
    this.bytes = 0;
    this.sinceMs = performance.now();
  }

  add(what: PartRecord['what']): void {
    const { orderKey } = this.lab().world;
    this.records.push({ phase: this.part.phases, key: orderKey, what });
    this.bytes += 64 + (what.bytes?.length ?? 0);
  }

  /** Whether all threads had better pass on what they have; those that are asked do. */
  meeting(asked: boolean): boolean {
    const full =
      this.bytes > FLUSH_BYTES || (this.bytes > 0 && performance.now() - this.sinceMs > FLUSH_MS);
    if (full || asked) this.flush();
    return full && !asked;
  }

  flush(): void {
    const { part, records } = this;
    const { nowNs } = this.lab().world;
    post({ type: 'records', records, phase: part.phases, timeNs: nowNs });
    this.records = [];
    this.bytes = 0;
    this.sinceMs = performance.now();
  }

  streams(node: string): Streams {
    const output = (fd: 1 | 2): Output => ({
      write: (bytes) => {
        this.add({ node, fd, bytes: bytes.slice() });
        return true;
      },
      ready: () => null,
      close: () => this.add({ node, fd, bytes: null }),
    });
    return { stdout: output(1), stderr: output(2) };
  }
}

function post(message: PartMessage): void {
  parentPort?.postMessage(message);
}

/** Begins the captures that are in this thread alone, and watches the ends here of cables between threads. */
function startCaptures(lab: Lab, job: PartJob, reporter: Reporter): Capture[] {
  const { spec, pcap, captures } = job;
  const begin: (() => Capture)[] = [];
  spec.links.forEach((link, index) => {
    const cable = lab.cables.find(({ name }) => name === cableName(link));
    if (pcap === null || cable === undefined) return;
    if (link.endpoints.every(({ node }) => lab.isHere(node))) {
      begin.push(() => captureCableToFile(lab.world, cable, cableFile(pcap, cable.name)));
      return;
    }
    link.endpoints.forEach(({ node }, end) => {
      if (!lab.isHere(node)) return;
      tapBytes(cable, end as 0 | 1, (bytes) => {
        reporter.add({ link: index, end: end as 0 | 1, bytes: bytes.slice() });
      });
    });
  });
  for (const { node, ifname, path } of captures) {
    if (lab.isHere(node)) begin.push(() => captureDeviceToFile(lab.machine(node), ifname, path));
  }
  return beginCaptures(begin);
}

/** Sets the part up and begins its captures. The world has not begun where that fails in any thread. */
function begin(
  job: PartJob,
  part: WorldPart,
): { readonly lab: Lab; readonly reporter: Reporter; readonly captures: Capture[] } {
  const { spec, seed } = job;
  let made: Lab | null = null;
  const reporter = new Reporter(part, () => made as Lab);
  try {
    const lab = new Lab(spec, { seed, turn, part });
    made = lab;
    part.onMeeting = (asked) => reporter.meeting(asked);
    return { lab, reporter, captures: startCaptures(lab, job, reporter) };
  } catch (error) {
    part.refuse();
    throw error;
  }
}

async function run(job: PartJob, part: WorldPart): Promise<void> {
  const { untilNs } = job;
  const { lab, reporter, captures } = begin(job, part);
  const { world } = lab;
  try {
    await lab.setUp((node) => reporter.streams(node), { untilNs });
    const ended = await lab.finish({ untilNs });
    part.end();
    closeCaptures(captures.splice(0));
    reporter.flush();
    const failed = lab.failed();
    const running = lab.running();
    const live = world.halt();
    const { nowNs, eventCount: events } = world;
    const prints = world.fingerprint
      .prints()
      .filter(({ name }) => (name === '' ? job.index === 0 : part.has(name)));
    post({ type: 'result', result: { ended, nowNs, events, prints, failed, running, live } });
  } catch (error) {
    part.end();
    reporter.flush();
    if (part.unbegun) {
      discardCaptures(captures);
      throw error;
    }
    // What was captured until then helps to find out why it failed, which is the news.
    try {
      closeCaptures(captures);
    } catch {}
    throw error;
  }
}

/** Does the job that this thread was started with. Never throws: what goes wrong is said. */
export async function runPart(): Promise<void> {
  const job = workerData as PartJob;
  const part = new WorldPart(job.plan, job.index);
  try {
    await run(job, part);
  } catch (error) {
    part.abort();
    if (error instanceof PartAborted) {
      post({ type: 'aborted' });
      return;
    }
    const { name, message, stack = '' } = error instanceof Error ? error : new Error(String(error));
    post({ type: 'failure', unbegun: part.unbegun, name, message, stack });
  }
}
