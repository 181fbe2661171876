/** Frames that are written to a TAP device one by one and in batches: the real kernel sees the same. */
import { describe, expect, it } from 'vitest';
import { ended, Netns, whyNoInterop } from '../support/netns.ts';

const missing = whyNoInterop('ping');
const SOURCE = [process.execPath, '--import', 'tsx', '--conditions=softnet-source'] as const;

describe.skipIf(missing !== null)(`writing to a TAP device (skipped: ${missing})`, () => {
  it.for(['write', 'io_uring', 'auto'])(
    'by %s: all in order, and what is none is counted',
    {
      timeout: 120_000,
    },
    async (io, { skip }) => {
      const ns = new Netns('tapio');
      try {
        const { stdout, stderr } = await ns.run(...SOURCE, 'test/interop/tap_io.ts', io);
        // Where the kernel or its guards do not allow it, that is said, and there is nothing to test.
        skip(io === 'io_uring' && stderr.includes('does not let us use io_uring'), stderr.trim());
        expect(stderr).toBe('');
        const { io: by, wrong, ...seen } = JSON.parse(stdout) as Record<string, unknown>;
        if (io !== 'auto') expect(by).toBe(io);
        expect(wrong).toBeGreaterThan(400);
        expect(seen).toEqual({
          received: 3010,
          inOrder: true,
          errors: wrong,
          down: 10,
          again: Array.from({ length: 10 }, (_, i) => 3000 + i),
        });
      } finally {
        await ns.remove();
      }
    },
  );

  it('is chosen on the command line', { timeout: 120_000 }, async () => {
    const ns = new Netns('tapio');
    try {
      const softnet = await ns.softnet('tap', '--serve', '--io', 'write');
      const ping = await ns.run('ping', '-q', '-c', '3', '-i', '0.1', '-W', '5', '10.77.0.2');
      expect(ping.stdout).toContain('3 received');
      expect(await ended(softnet, 'SIGTERM')).toBe(0);
      const cli = [...SOURCE, 'src/cli/main.ts', 'attach', 'tap:t0,io=fast=10.0.0.2/24'] as const;
      const { status, stderr } = await ns.run(...cli);
      expect({ status, stderr }).toEqual({
        status: 2,
        stderr: expect.stringContaining("'fast' is no way to write frames"),
      });
    } finally {
      await ns.remove();
    }
  });
});
