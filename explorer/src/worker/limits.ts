/** What a world may ask for at most, so that it is refused with a message before the tab dies. */
import type { TopologySpec } from '#sim/topology.ts';

export const MAX_MACHINES = 48;
export const MAX_LINKS = 96;
export const MAX_CPUS = 128;
export const MAX_YAML: number = 256 * 1024;
/** Events in one go without a rest: a world that spins in one instant is stopped. */
export const MAX_EVENTS_PER_INSTANT = 400_000;

/** A world that is refused, and why. */
export class LimitError extends Error {
  override readonly name = 'LimitError';
}

export function checkLimits(spec: TopologySpec): void {
  if (spec.nodes.length > MAX_MACHINES) {
    throw new LimitError(
      `This world has ${spec.nodes.length} machines; a page holds ${MAX_MACHINES}. The command softnet run takes more.`,
    );
  }
  if (spec.links.length > MAX_LINKS) {
    throw new LimitError(
      `This world has ${spec.links.length} cables; a page holds ${MAX_LINKS}. The command softnet run takes more.`,
    );
  }
  const cpus = spec.nodes.reduce((sum, node) => sum + node.cpus, 0);
  if (cpus > MAX_CPUS) {
    throw new LimitError(`This world has ${cpus} CPUs; a page holds ${MAX_CPUS}.`);
  }
}
