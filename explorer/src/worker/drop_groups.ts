/** Drops by reason, machine and function, kept up as they happen: a question does not go over all of them. */
import type { DropRecord } from './recording.ts';

/** The drops of one reason, machine and function, in the order of their time. */
export class DropGroup {
  readonly id: string;
  private readonly list: DropRecord[];

  constructor(id: string) {
    this.id = id;
    this.list = [];
  }

  add(drop: DropRecord): void {
    const { list } = this;
    let at = list.length;
    while (at > 0 && (list[at - 1] as DropRecord).timeNs > drop.timeNs) at--;
    if (at === list.length) list.push(drop);
    else list.splice(at, 0, drop);
  }

  get first(): DropRecord | undefined {
    return this.list[0];
  }

  /** How many there were up to a time. */
  countAt(untilNs: number): number {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.list[middle] as DropRecord).timeNs <= untilNs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The latest of the first `count`; at most `limit`, the latest last. */
  latest(count: number, limit: number): readonly DropRecord[] {
    return this.list.slice(Math.max(0, count - limit), count);
  }
}

export class DropGroups {
  private readonly groups: Map<string, DropGroup>;

  constructor() {
    this.groups = new Map();
  }

  add(drop: DropRecord): void {
    const id = `${drop.machine}/${drop.fn}/${drop.reason}`;
    let group = this.groups.get(id);
    if (group === undefined) {
      group = new DropGroup(id);
      this.groups.set(id, group);
    }
    group.add(drop);
  }

  /** In the order in which each kind of drop was seen first. */
  all(): Iterable<DropGroup> {
    return this.groups.values();
  }
}
