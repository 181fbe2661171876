/**
 * The places of a world: its machines, and the ground for all that is nowhere else. No Linux counterpart.
 *
 * A place is what a thread has as a whole. Each keeps the fingerprint of what happened there, in order,
 * and has a rank that orders what several places do in one instant; so neither the order of events nor
 * the fingerprint of the world depends on which thread a place is in.
 */
import { Fingerprint } from '#sim/fingerprint.ts';

export class Place {
  readonly name: string;
  /** Order among places: that in which they were made. */
  readonly rank: number;
  /** Of what happened here. Stays empty where the place is in another thread. */
  readonly print: Fingerprint;

  constructor(name: string, rank: number, frames: boolean) {
    this.name = name;
    this.rank = rank;
    this.print = new Fingerprint(frames);
  }
}

/** What one place has to say to the fingerprint of its world. */
export interface PlacePrint {
  readonly name: string;
  readonly rank: number;
  /** The place's own fingerprint. */
  readonly digest: string;
}

/** The fingerprint of a world from its seed and the fingerprints of all its places, in any order. */
export function combinePrints(seed: number | string, prints: readonly PlacePrint[]): string {
  const whole = new Fingerprint();
  whole.text(String(seed));
  for (const { name, digest } of [...prints].sort((a, b) => a.rank - b.rank)) {
    whole.text(name);
    whole.text(digest);
  }
  return whole.digest();
}

/** The fingerprint of a world: of all that happened in each of its places. */
export class WorldFingerprint {
  private readonly seed: number | string;
  private readonly places: readonly Place[];

  constructor(seed: number | string, places: readonly Place[]) {
    this.seed = seed;
    this.places = places;
  }

  /** The fingerprints of the places, to be combined with those of other threads. */
  prints(): PlacePrint[] {
    return this.places.map(({ name, rank, print }) => ({ name, rank, digest: print.digest() }));
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    return combinePrints(this.seed, this.prints());
  }
}
