/**
 * Which machine of a world goes to which thread.
 *
 * Threads may only be apart by cables that take time: a frame that arrives at once would have to be
 * known in the other thread before it was sent. So machines joined by cables without delay, or with
 * reordering (a frame that overtakes skips the delay), stay together.
 */
import type { TopologySpec } from '#sim/topology.ts';

export interface Partition {
  /** Threads that are needed; no more than were asked for. */
  readonly parts: number;
  /** Part of each machine, in the order of the description. */
  readonly home: readonly number[];
  /** Shortest time from part i to part j at `i * parts + j`, in ns; on the diagonal, there and back. */
  readonly distances: readonly number[];
}

type Link = TopologySpec['links'][number];

/** Can the world be cut at a cable? */
function canCut({ impairments }: Link): boolean {
  return impairments.delayNs > 0 && impairments.reorder === 0;
}

/** Numbers of the machines at the ends of a cable. */
function endsOf(spec: TopologySpec, link: Link): [number, number] {
  const [a, b] = link.endpoints.map(({ node }) =>
    spec.nodes.findIndex(({ name }) => name === node),
  );
  return [a as number, b as number];
}

/** For each machine the first of those that it must stay with. */
function groupsOf(spec: TopologySpec): number[] {
  const group = spec.nodes.map((_, i) => i);
  for (const link of spec.links) {
    if (canCut(link)) continue;
    const [a, b] = endsOf(spec, link);
    const [low, high] = [group[a], group[b]].sort((x, y) => (x as number) - (y as number));
    group.forEach((g, i) => {
      if (g === high) group[i] = low as number;
    });
  }
  return group;
}

/** Groups in an order in which neighbours stand together, so that few cables are cut. */
function walk(spec: TopologySpec, group: readonly number[]): number[] {
  const order: number[] = [];
  const seen = new Set<number>();
  const near = spec.links.map((link) => endsOf(spec, link).map((end) => group[end] as number));
  for (const start of group) {
    const queue = [start];
    for (let g = queue.shift(); g !== undefined; g = queue.shift()) {
      if (seen.has(g)) continue;
      seen.add(g);
      order.push(g);
      for (const [a, b] of near) {
        if (a === g) queue.push(b as number);
        else if (b === g) queue.push(a as number);
      }
    }
  }
  return order;
}

/** Floyd and Warshall: the shortest way between each two parts, over any others. */
function distancesOf(spec: TopologySpec, home: readonly number[], parts: number): number[] {
  const distances = new Array<number>(parts * parts).fill(Number.POSITIVE_INFINITY);
  const at = (i: number, j: number): number => distances[i * parts + j] as number;
  for (const link of spec.links) {
    const [a, b] = endsOf(spec, link).map((end) => home[end] as number) as [number, number];
    if (a === b) continue;
    const { delayNs } = link.impairments;
    distances[a * parts + b] = Math.min(at(a, b), delayNs);
    distances[b * parts + a] = Math.min(at(b, a), delayNs);
  }
  for (let k = 0; k < parts; k++) {
    for (let i = 0; i < parts; i++) {
      for (let j = 0; j < parts; j++) {
        distances[i * parts + j] = Math.min(at(i, j), at(i, k) + at(k, j));
      }
    }
  }
  return distances;
}

/**
 * Spreads the machines of a description over at most `threads` parts of about equal weight; a machine
 * weighs as much as it has cables, and one more. Throws RangeError.
 */
export function partition(spec: TopologySpec, threads: number): Partition {
  if (!Number.isInteger(threads) || threads < 1 || threads > 64) {
    throw new RangeError(`a world runs in 1 to 64 threads, not ${threads}`);
  }
  const group = groupsOf(spec);
  const weights = new Map<number, number>();
  const add = (g: number, weight: number): void => {
    weights.set(g, (weights.get(g) ?? 0) + weight);
  };
  for (const g of group) add(g, 1);
  for (const link of spec.links) for (const end of endsOf(spec, link)) add(group[end] as number, 1);
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  const partOf = new Map<number, number>();
  const used: number[] = [];
  let sum = 0;
  for (const g of walk(spec, group)) {
    const weight = weights.get(g) as number;
    // By where its middle falls, so that a heavy group does not push the next one over the edge.
    const part = Math.floor(((sum + weight / 2) * threads) / total);
    sum += weight;
    if (!used.includes(part)) used.push(part);
    partOf.set(g, used.indexOf(part));
  }
  const home = group.map((g) => partOf.get(g) as number);
  return { parts: used.length, home, distances: distancesOf(spec, home, used.length) };
}
