/*
 * Reads a script: options, an init command, events, a cleanup command.
 */

import {
  type CallResult,
  type EventTime,
  type OptionSpec,
  type Place,
  type Script,
  ScriptError,
  type ScriptEvent,
  type ShellSpec,
  type SyscallEvent,
} from '#packetdrill/ast.ts';
import { type Defines, parseItems, parseUnary } from '#packetdrill/expr.ts';
import { Lexer } from '#packetdrill/lexer.ts';
import { parsePacket } from '#packetdrill/packet_parse.ts';

const OPTION_NAME = /[A-Za-z_][A-Za-z0-9_-]*/y;
const OPTION_VALUE = /[^\s]*/y;

class Parser {
  private readonly lexer: Lexer;
  private readonly defines: Defines;

  constructor(lexer: Lexer, defines: Defines) {
    this.lexer = lexer;
    this.defines = defines;
  }

  script(): Script {
    const { lexer } = this;
    const options = this.options();
    const init = this.shell();
    const events: ScriptEvent[] = [];
    let cleanup: ShellSpec | null = null;
    while (!lexer.atEnd) {
      if (lexer.sees('`')) {
        cleanup = this.shell();
        if (!lexer.atEnd) lexer.fail('the end of the script after the last command');
        break;
      }
      events.push(this.event());
    }
    return { file: lexer.file, options, init, events, cleanup };
  }

  private options(): OptionSpec[] {
    const { lexer } = this;
    const options: OptionSpec[] = [];
    while (lexer.sees('--')) {
      const place = lexer.skip();
      lexer.expect('--');
      const name = lexer.take(OPTION_NAME) ?? lexer.fail("the name of an option after '--'");
      let value = '';
      if (lexer.source[lexer.at] === '=') {
        lexer.at++;
        value = lexer.take(OPTION_VALUE) ?? '';
      }
      options.push({ name, value, place });
    }
    return options;
  }

  /** A command between backticks; null when there is none here. */
  private shell(): ShellSpec | null {
    const place = this.lexer.skip();
    if (!this.lexer.accept('`')) return null;
    return { command: this.lexer.until('`', "'`' after the command"), place };
  }

  private event(): ScriptEvent {
    const { lexer } = this;
    const place = lexer.skip();
    const { time, endNs } = this.time();
    if (lexer.sees('`')) {
      const shell = this.shell() as ShellSpec;
      this.unended(endNs, place);
      return { kind: 'command', time, command: shell.command, place: shell.place };
    }
    if (lexer.accept('%{')) {
      this.unended(endNs, place);
      return { kind: 'code', time, code: lexer.until('}%', "'}%' after the code"), place };
    }
    const inbound = lexer.accept('<');
    if (inbound || lexer.accept('>')) {
      this.unended(endNs, place);
      if (inbound && (time.ranged || time.kind === 'any')) {
        throw new ScriptError(place, 'an inbound packet needs one time, not a range');
      }
      return { kind: 'packet', time, inbound, packet: parsePacket(lexer, this.defines), place };
    }
    return this.syscall(time, endNs);
  }

  private unended(endNs: number | null, place: Place): void {
    if (endNs !== null) throw new ScriptError(place, 'only a system call can have an end time');
  }

  private time(): { time: EventTime; endNs: number | null } {
    const { lexer } = this;
    const place = lexer.skip();
    if (lexer.accept('*')) {
      return { time: { kind: 'any', fromNs: 0, toNs: 0, ranged: false }, endNs: null };
    }
    const relative = lexer.accept('+');
    if (!relative && !lexer.seesDigit() && !lexer.sees('.')) {
      lexer.fail("the time of an event: '+0.1', '0.1', '*' or a range");
    }
    const kind = relative ? 'relative' : 'absolute';
    const fromNs = lexer.seconds();
    if (lexer.accept('...')) {
      lexer.accept('+');
      const endNs = lexer.seconds();
      if (endNs < fromNs) throw new ScriptError(place, 'the call would end before it begins');
      return { time: { kind, fromNs, toNs: fromNs, ranged: false }, endNs };
    }
    if (!lexer.accept('~')) {
      return { time: { kind, fromNs, toNs: fromNs, ranged: false }, endNs: null };
    }
    if (lexer.accept('+') !== relative) {
      throw new ScriptError(place, "both ends of a range need a '+', or none");
    }
    const toNs = lexer.seconds();
    if (toNs < fromNs) throw new ScriptError(place, 'the range of times ends before it begins');
    return { time: { kind, fromNs, toNs, ranged: true }, endNs: null };
  }

  private syscall(time: EventTime, endNs: number | null): SyscallEvent {
    const { lexer } = this;
    const place = lexer.skip();
    const begin = lexer.at;
    const name = lexer.word("'<', '>', '`', '%{' or the name of a system call");
    lexer.expect('(');
    const args = parseItems(lexer, ')');
    const text = lexer.source.slice(begin, lexer.at).replaceAll(/\s+/g, ' ');
    lexer.expect('=');
    const result = this.result();
    if (time.ranged || time.kind === 'any') {
      throw new ScriptError(place, 'a system call needs one time, not a range');
    }
    return { kind: 'syscall', time, endNs, name, args, result, text, place };
  }

  /** `3`, `-1 EAGAIN (text)`, `0x2 (flags O_RDWR)`, `...`. */
  private result(): CallResult {
    const { lexer } = this;
    const expr = parseUnary(lexer);
    const value = expr.kind === 'ellipsis' ? null : expr;
    const next = lexer.peekWord();
    let errno = '';
    if (/^E[A-Z0-9]+$/.test(next)) errno = lexer.word('an errno');
    if (lexer.accept('(')) lexer.until(')', "')' after the note");
    return { value, errno };
  }
}

/** Reads a script. Throws ScriptError. */
export function parseScriptText(
  file: string,
  source: string,
  defines: Defines = new Map(),
): Script {
  return new Parser(new Lexer(file, source), defines).script();
}
