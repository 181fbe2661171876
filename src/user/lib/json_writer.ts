/*
 * JSON as iproute2's tools lay it out: on one line, or indented by four columns with arrays of scalars on the
 * line of their name. Counterpart of iproute2's lib/json_writer.c.
 */

export class JsonWriter {
  private readonly pretty: boolean;
  private readonly parts: string[];
  private depth: number;
  /** What goes before the next item: a comma, or nothing after an opening bracket or a name. */
  private separator: string;

  constructor(pretty: boolean) {
    this.pretty = pretty;
    this.parts = [];
    this.depth = 0;
    this.separator = '';
  }

  startObject(): void {
    this.begin('{');
  }

  endObject(): void {
    this.end('}');
  }

  startArray(): void {
    this.begin('[');
    if (this.pretty) this.parts.push(' ');
  }

  endArray(): void {
    if (this.pretty && this.separator !== '') this.parts.push(' ');
    this.separator = '';
    this.end(']');
  }

  name(name: string): void {
    this.endRecord();
    this.endLine();
    this.separator = '';
    this.parts.push(JSON.stringify(name), ':');
    if (this.pretty) this.parts.push(' ');
  }

  string(value: string): void {
    this.scalar(JSON.stringify(value));
  }

  number(value: number): void {
    this.scalar(String(value));
  }

  bool(value: boolean): void {
    this.scalar(value ? 'true' : 'false');
  }

  nothing(): void {
    this.scalar('null');
  }

  /** A number in whatever digits it has. */
  raw(text: string): void {
    this.scalar(text);
  }

  text(): string {
    return this.parts.join('');
  }

  private scalar(text: string): void {
    this.endRecord();
    this.parts.push(text);
  }

  private begin(bracket: string): void {
    this.endRecord();
    this.parts.push(bracket);
    this.depth++;
    this.separator = '';
  }

  private end(bracket: string): void {
    this.depth--;
    if (this.separator !== '') this.endLine();
    this.parts.push(bracket);
    this.separator = ',';
  }

  private endRecord(): void {
    if (this.separator !== '') this.parts.push(this.separator);
    this.separator = ',';
  }

  private endLine(): void {
    if (this.pretty) this.parts.push('\n', '    '.repeat(this.depth));
  }
}
