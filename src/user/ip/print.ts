/*
 * Where `ip` prints to: text or JSON from the same calls. Counterpart of iproute2's lib/json_print.c.
 *
 * Each value has its key for JSON and its words for people; what belongs to one of them only goes through
 * `words` or the calls of `json`.
 */
import { JsonWriter } from '#user/lib/json_writer.ts';

export class Printer {
  /** Null when text is printed. */
  readonly json: JsonWriter | null;
  private readonly parts: string[];
  private readonly newline: string;

  constructor(options: { json: boolean; pretty: boolean; oneline: boolean }) {
    this.json = options.json ? new JsonWriter(options.pretty) : null;
    this.parts = [];
    this.newline = options.oneline ? '\\' : '\n';
  }

  /** A value as text. @param text what people see; the value itself when left out */
  string(key: string, value: string, text: string = value): void {
    const { json } = this;
    if (json === null) {
      this.parts.push(text);
      return;
    }
    json.name(key);
    json.string(value);
  }

  number(key: string, value: number, text: string): void {
    const { json } = this;
    if (json === null) {
      this.parts.push(text);
      return;
    }
    json.name(key);
    json.number(value);
  }

  /** A number in an open array. */
  item(value: number, text: string): void {
    if (this.json === null) this.parts.push(text);
    else this.json.number(value);
  }

  /** A text in an open array. */
  itemString(value: string, text: string): void {
    if (this.json === null) this.parts.push(text);
    else this.json.string(value);
  }

  bool(key: string, value: boolean, text: string): void {
    const { json } = this;
    if (json === null) {
      this.parts.push(text);
      return;
    }
    json.name(key);
    json.bool(value);
  }

  nothing(key: string, text: string): void {
    const { json } = this;
    if (json === null) {
      this.parts.push(text);
      return;
    }
    json.name(key);
    json.nothing();
  }

  /** `on` or `off` for people. */
  onOff(key: string, value: boolean, label: string): void {
    this.bool(key, value, `${label} ${value ? 'on' : 'off'} `);
  }

  /** Words for people only. */
  words(text: string): void {
    if (this.json === null) this.parts.push(text);
  }

  /** The end of a line; with -oneline a backslash. */
  line(): void {
    this.words(this.newline);
  }

  openObject(key: string | null = null): void {
    if (key !== null) this.json?.name(key);
    this.json?.startObject();
  }

  closeObject(): void {
    this.json?.endObject();
  }

  openArray(key: string | null = null): void {
    if (key !== null) this.json?.name(key);
    this.json?.startArray();
  }

  closeArray(): void {
    this.json?.endArray();
  }

  /** Everything that was printed, and a clean sheet. */
  take(): string {
    if (this.json !== null) return `${this.json.text()}\n`;
    return this.parts.splice(0).join('');
  }
}
