/**
 * Size of the kernel as one ES module, minified, then gzipped: the core that docs/embedding.md describes
 * (init/core.ts: IPv4, TCP, UDP, sockets, epoll, veth, a cable's end, the old ioctls), and every module there is.
 * test/bundle.test.ts runs what is measured here. `npm run bundle` says what each module adds.
 */
import { bundleKernel, CORE_SOURCE, FULL_SOURCE } from '../../scripts/bundle.ts';
import { report } from '../measure.ts';

const core = await bundleKernel(process.cwd(), CORE_SOURCE);
const full = await bundleKernel(process.cwd(), FULL_SOURCE);
const cpu = process.cpuUsage();
report({
  unit: 'bundles',
  count: 2,
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  wallSeconds: 1,
  extra: {
    minifiedBytes: core.minifiedBytes,
    gzippedBytes: core.gzippedBytes,
    fullMinifiedBytes: full.minifiedBytes,
    fullGzippedBytes: full.gzippedBytes,
  },
});
