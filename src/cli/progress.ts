/** Progress of long work, shown only to people: on a terminal, on standard error. */
import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  update(done: number): void;
  stop(): void;
}

const SILENT: Progress = { update: () => {}, stop: () => {} };

/** A bar that counts bytes to `total`. Silent where nobody watches. */
export function progressBar(what: string, total: number, silent: boolean): Progress {
  if (silent || !process.stderr.isTTY || total === 0) return SILENT;
  const bar = new SingleBar(
    {
      format: `${what} {bar} {percentage}% {value}/{total} bytes`,
      stream: process.stderr,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  bar.start(total, 0);
  return { update: (done) => bar.update(done), stop: () => bar.stop() };
}
