/**
 * What programs print, kept until it is told: a message for each write would bury a page whose world prints
 * without rest, and so would all of it.
 */

/** Characters of one place kept between two tellings: the latest, more than anybody reads in that time. */
const MAX_KEPT = 32_768;

interface Kept<Place> {
  readonly place: Place;
  text: string;
  left: number;
}

export class Printed<Place> {
  private readonly places: Map<string, Kept<Place>>;

  constructor() {
    this.places = new Map();
  }

  add(key: string, place: Place, text: string): void {
    let kept = this.places.get(key);
    if (kept === undefined) {
      kept = { place, text: '', left: 0 };
      this.places.set(key, kept);
    }
    kept.text += text;
    // Now and then, so that each character is not moved with each write.
    if (kept.text.length > 2 * MAX_KEPT) cut(kept);
  }

  /** Tells what there is, and forgets it. */
  take(tell: (place: Place, text: string) => void): void {
    for (const kept of this.places.values()) {
      if (kept.text.length > MAX_KEPT) cut(kept);
      const gap = kept.left === 0 ? '' : `[${kept.left} characters left out]\n`;
      tell(kept.place, gap + kept.text);
    }
    this.places.clear();
  }
}

function cut(kept: { text: string; left: number }): void {
  const more = kept.text.length - MAX_KEPT;
  kept.text = kept.text.slice(more);
  kept.left += more;
}
