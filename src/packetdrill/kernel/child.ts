/*
 * A process that runs scripts against the real kernel, one after the other, as pool.ts tells it.
 * Each script enters a namespace of its own and never leaves it; the next enters another.
 */

import { dirname } from 'node:path';
import { KernelBackend, KernelHost } from '#packetdrill/kernel/backend.ts';
import type { Job, Reply } from '#packetdrill/kernel/pool.ts';
import { runScript } from '#packetdrill/main.ts';

// Of prctl(2).
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

async function runJob(hostOf: () => KernelHost, job: Job): Promise<Reply> {
  let host: KernelHost | null = null;
  const log: string[] = [];
  const packets: Reply['packets'][number][] = [];
  const result = await runScript(job.path, job.source, job.config, {
    makeBackend: (options) => {
      host = hostOf();
      return new KernelBackend(host, options, dirname(job.path));
    },
    log: job.verbose ? (line) => log.push(line) : null,
    capture: job.capture
      ? (timeNs, bytes, inbound) => packets.push({ timeNs, bytes, inbound })
      : null,
  });
  const used = host as KernelHost | null;
  return { result, log, packets, stuck: used?.sleeper.busy ?? false };
}

/** A script waits within system calls: whoever started it may end without this process hearing of it. */
function makeHost(): KernelHost {
  const host = new KernelHost();
  host.native.call('prctl', PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  return host;
}

function serve(): void {
  let host: KernelHost | null = null;
  // Threads that sleep would outlive an orderly end.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.on('message', (job: Job) => {
    const hostOf = (): KernelHost => {
      host ??= makeHost();
      return host;
    };
    void runJob(hostOf, job).then((reply) => process.send?.(reply));
  });
}

serve();
