/** Where machines stand on the map: along the longest way through the world, neighbours beside it. */

export interface Place {
  /** 0..1 along the way, and across it. */
  readonly x: number;
  readonly y: number;
}

function distances(
  from: string,
  neighbours: ReadonlyMap<string, readonly string[]>,
): Map<string, number> {
  const found = new Map([[from, 0]]);
  const queue = [from];
  for (let i = 0; i < queue.length; i++) {
    const name = queue[i] ?? '';
    for (const next of neighbours.get(name) ?? []) {
      if (found.has(next)) continue;
      found.set(next, (found.get(name) ?? 0) + 1);
      queue.push(next);
    }
  }
  return found;
}

function farthest(map: ReadonlyMap<string, number>): string {
  let best = '';
  let most = -1;
  for (const [name, distance] of map) {
    if (distance > most) {
      best = name;
      most = distance;
    }
  }
  return best;
}

export function placeMachines(
  names: readonly string[],
  links: readonly (readonly [string, string])[],
): Map<string, Place> {
  const neighbours = new Map<string, string[]>(names.map((name) => [name, []]));
  for (const [a, b] of links) {
    neighbours.get(a)?.push(b);
    neighbours.get(b)?.push(a);
  }
  const columns = new Map<string, number>();
  let base = 0;
  for (const name of names) {
    if (columns.has(name)) continue;
    // One end of the longest way is the farthest from anywhere; clients are named first, so start there.
    const end = farthest(distances(name, neighbours));
    const other = farthest(distances(end, neighbours));
    const first = names.indexOf(end) < names.indexOf(other) ? end : other;
    let most = 0;
    for (const [reached, distance] of distances(first, neighbours)) {
      columns.set(reached, base + distance);
      most = Math.max(most, distance);
    }
    base += most + 1;
  }
  const byColumn = new Map<number, string[]>();
  for (const name of names) {
    const column = columns.get(name) ?? 0;
    byColumn.set(column, [...(byColumn.get(column) ?? []), name]);
  }
  const width = Math.max(1, base - 1);
  const places = new Map<string, Place>();
  for (const [column, members] of byColumn) {
    members.forEach((name, i) => {
      const y = members.length === 1 ? 0.5 : i / (members.length - 1);
      places.set(name, { x: base === 1 ? 0.5 : column / width, y });
    });
  }
  return places;
}
