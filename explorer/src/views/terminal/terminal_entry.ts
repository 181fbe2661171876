/**
 * The terminal's own bundle: xterm.js and a line discipline in front of it. Loaded when a terminal is
 * first opened; the page finds it as `softnetTerminal`.
 */
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';

export interface TerminalHandle {
  write(text: string): void;
  /** Puts a command at the prompt, as if somebody had typed it; `enter` also runs it. */
  type(text: string, enter: boolean): void;
  fit(): void;
  focus(): void;
  recolor(): void;
  dispose(): void;
}

export interface TerminalOptions {
  readonly element: HTMLElement;
  readonly prompt: string;
  onLine(line: string): void;
  onInterrupt(): void;
}

const PROMPT = /(^|\n)# $/;

class LineTerminal implements TerminalHandle {
  private readonly terminal: Terminal;
  private readonly fitter: FitAddon;
  private readonly options: TerminalOptions;
  private readonly history: string[];
  private place: number;
  private line: string;
  private cursor: number;

  constructor(options: TerminalOptions) {
    this.options = options;
    this.history = [];
    this.place = 0;
    this.line = '';
    this.cursor = 0;
    this.terminal = new Terminal({
      fontFamily: 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
      fontSize: 14,
      cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches,
      convertEol: true,
      scrollback: 5000,
      screenReaderMode: true,
    });
    this.fitter = new FitAddon();
    this.terminal.loadAddon(this.fitter);
    this.terminal.open(options.element);
    this.recolor();
    this.fit();
    this.terminal.onData((data) => this.data(data));
  }

  private data(data: string): void {
    if (data === '\r') this.enter();
    else if (data === '\x7f') this.erase();
    else if (data === '\x03') this.interrupt();
    else if (data === '\x0c') this.terminal.clear();
    else if (data === '\x15') this.replace('');
    else if (data === '\x01' || data === '\x1b[H') this.moveTo(0);
    else if (data === '\x05' || data === '\x1b[F') this.moveTo(this.line.length);
    else if (data === '\x1b[A') this.recall(-1);
    else if (data === '\x1b[B') this.recall(1);
    else if (data === '\x1b[D') this.moveTo(this.cursor - 1);
    else if (data === '\x1b[C') this.moveTo(this.cursor + 1);
    else if (!data.startsWith('\x1b')) {
      const lines = data.replaceAll('\r\n', '\n').replaceAll('\r', '\n').split('\n');
      lines.forEach((part, i) => {
        this.insert(printable(part));
        if (i < lines.length - 1) this.enter();
      });
    }
  }

  private insert(text: string): void {
    if (text === '') return;
    const rest = this.line.slice(this.cursor);
    this.line = this.line.slice(0, this.cursor) + text + rest;
    this.cursor += text.length;
    this.terminal.write(text + rest + (rest === '' ? '' : `\x1b[${rest.length}D`));
  }

  private erase(): void {
    if (this.cursor === 0) return;
    const rest = this.line.slice(this.cursor);
    this.line = this.line.slice(0, this.cursor - 1) + rest;
    this.cursor--;
    this.terminal.write(`\b${rest} \x1b[${rest.length + 1}D`);
  }

  private moveTo(place: number): void {
    const target = Math.max(0, Math.min(this.line.length, place));
    const by = target - this.cursor;
    if (by < 0) this.terminal.write(`\x1b[${-by}D`);
    if (by > 0) this.terminal.write(`\x1b[${by}C`);
    this.cursor = target;
  }

  private replace(text: string): void {
    this.moveTo(this.line.length);
    const back = this.line.length;
    this.terminal.write(`${back === 0 ? '' : `\x1b[${back}D`}\x1b[K${text}`);
    this.line = text;
    this.cursor = text.length;
  }

  private recall(by: number): void {
    const place = Math.max(0, Math.min(this.history.length, this.place + by));
    this.place = place;
    this.replace(this.history[place] ?? '');
  }

  private enter(): void {
    const { line } = this;
    this.moveTo(line.length);
    this.terminal.write('\n');
    this.line = '';
    this.cursor = 0;
    if (line.trim() !== '' && this.history.at(-1) !== line) this.history.push(line);
    this.place = this.history.length;
    this.options.onLine(line);
  }

  private interrupt(): void {
    this.terminal.write('^C\n');
    this.line = '';
    this.cursor = 0;
    this.options.onInterrupt();
  }

  write(text: string): void {
    const shown = text.replace(PROMPT, (_all, before: string) => `${before}${this.options.prompt}`);
    // What the machine says comes before what is being typed.
    if (this.line !== '') {
      const { line } = this;
      this.replace('');
      this.terminal.write(`${shown}${line}`);
      this.line = line;
      this.cursor = line.length;
    } else this.terminal.write(shown);
  }

  type(text: string, enter: boolean): void {
    this.replace(text);
    if (enter) this.enter();
    this.terminal.focus();
  }

  fit(): void {
    if (this.options.element.clientWidth > 0) this.fitter.fit();
  }

  focus(): void {
    this.terminal.focus();
  }

  recolor(): void {
    const style = getComputedStyle(this.options.element);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    this.terminal.options.theme = {
      background: color('--terminal'),
      foreground: color('--terminal-text'),
      cursor: color('--accent'),
      selectionBackground: color('--accent-soft'),
    };
  }

  dispose(): void {
    this.terminal.dispose();
  }
}

function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\x00-\x1f]/g, '');
}

declare global {
  var softnetTerminal: ((options: TerminalOptions) => TerminalHandle) | undefined;
}

globalThis.softnetTerminal = (options) => new LineTerminal(options);
