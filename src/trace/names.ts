/** Names as small numbers, so that records have one size. */
export class Names {
  private readonly texts: string[] = [''];
  private readonly numbers: Map<string, number> = new Map([['', 0]]);

  /** The number of a name; a new one for a new name. */
  number(text: string): number {
    const known = this.numbers.get(text);
    if (known !== undefined) return known;
    const number = this.texts.length;
    this.texts.push(text);
    this.numbers.set(text, number);
    return number;
  }

  /** The number of a name, or -1 when it was never used. */
  find(text: string): number {
    return this.numbers.get(text) ?? -1;
  }

  text(number: number): string {
    return this.texts[number] ?? '';
  }

  /** All names in use. */
  all(): readonly string[] {
    return this.texts.slice(1);
  }
}
