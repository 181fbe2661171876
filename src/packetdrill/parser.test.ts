import { describe, expect, it } from 'vitest';
import type { PacketEvent, SyscallEvent, TcpSpec } from '#packetdrill/ast.ts';
import { evaluate } from '#packetdrill/expr.ts';
import { Lexer } from '#packetdrill/lexer.ts';
import { formatPacket } from '#packetdrill/packet_format.ts';
import { parseScriptText } from '#packetdrill/parser.ts';

const parse = (source: string): ReturnType<typeof parseScriptText> =>
  parseScriptText('x.pkt', source, new Map([['COOKIE', '0102030405060708']]));

const one = (source: string): PacketEvent => parse(source).events[0] as PacketEvent;
const call = (source: string): SyscallEvent => parse(source).events[0] as SyscallEvent;

describe('lexer', () => {
  it('knows lines and columns, also behind comments', () => {
    const lexer = new Lexer('x', '// one\n/* two\n */  word 0x10');
    expect(lexer.word('a word')).toBe('word');
    expect(lexer.skip()).toEqual({ file: 'x', line: 3, column: 11 });
    expect(lexer.integer('a number')).toBe(16);
    expect(lexer.atEnd).toBe(true);
  });

  it('takes seconds as exact ns', () => {
    expect(new Lexer('x', '0.123456').seconds()).toBe(123_456_000);
    expect(new Lexer('x', '.5').seconds()).toBe(500_000_000);
    expect(new Lexer('x', '1.').seconds()).toBe(1_000_000_000);
    // Two dots after a number are the start of `...`.
    const lexer = new Lexer('x', '0...1');
    expect(lexer.seconds()).toBe(0);
    expect(lexer.accept('...')).toBe(true);
  });
});

describe('times', () => {
  it.each([
    ['0.5 > . 1:1(0) ack 1', { kind: 'absolute', fromNs: 5e8, toNs: 5e8, ranged: false }],
    ['+0.5 > . 1:1(0) ack 1', { kind: 'relative', fromNs: 5e8, toNs: 5e8, ranged: false }],
    ['* > . 1:1(0) ack 1', { kind: 'any', fromNs: 0, toNs: 0, ranged: false }],
    ['1~2 > . 1:1(0) ack 1', { kind: 'absolute', fromNs: 1e9, toNs: 2e9, ranged: true }],
    ['+1~+2 > . 1:1(0) ack 1', { kind: 'relative', fromNs: 1e9, toNs: 2e9, ranged: true }],
  ])('%s', (source, time) => {
    expect(one(source).time).toEqual(time);
  });

  it('gives sleeping calls an end', () => {
    const event = call('+0...0.25 read(3, ..., 10) = 5');
    expect(event.time.fromNs).toBe(0);
    expect(event.endNs).toBe(250_000_000);
  });
});

describe('packets', () => {
  it.each([
    'S 0:0(0) win 20000 <mss 1000,sackOK,TS val 1 ecr 0,nop,wscale 7>',
    'SEWA 0:0(0) <...>',
    'P. 1:101(100) ack 1 win 5 urg 3',
    '. 1:1(0) ack 1 <nop,nop,sack 1:2 3:4>',
    '[ect0] P. 1:2(1) ack 1',
    'S 0:0(0) <FO 0102030405060708,nop,nop>',
    '40000 > 8080: udp (100)',
    'icmp unreachable frag_needed mtu 1000 [1:1001(1000)]',
  ])('%s is the same again as text', (text) => {
    expect(formatPacket(one(`0 > ${text}`).packet)).toBe(text);
  });

  it('puts symbols in for octets', () => {
    const { options } = one('0 < S 0:0(0) <FO COOKIE,nop,nop>').packet as TcpSpec;
    expect(options?.[0]).toEqual({ kind: 'FO', cookie: '0102030405060708' });
  });
});

describe('calls', () => {
  it('reads C expressions', () => {
    const event = call('0 f(1 + 2 * 3, 1 << 4 | 1, -(~0), O_RDWR|O_NONBLOCK, htons(80)) = 0');
    expect(event.args.map((arg) => evaluate(arg, new Map()))).toEqual([7, 17, 1, 0o4002, 80]);
  });

  it('reads structures and lists', () => {
    const [list, struct] = call('0 f([1, 2], {a=1, b(2)=[{..., 3}]}) = -1 EAGAIN (note)').args;
    expect(list).toMatchObject({ kind: 'list', items: [{ value: 1 }, { value: 2 }] });
    expect(struct).toMatchObject({
      kind: 'struct',
      fields: [
        { name: 'a', count: null },
        { name: 'b', count: { value: 2 } },
      ],
    });
  });

  it('keeps the errno apart from the value', () => {
    expect(call('0 f() = -1 EAGAIN (note)').result).toMatchObject({ errno: 'EAGAIN' });
    expect(call('0 f() = ...').result).toEqual({ value: null, errno: '' });
  });
});

it('tells options, commands and code from events', () => {
  const script = parse('--tolerance_usecs=10\n`init`\n0 `run`\n+0 %{ print(1) }%\n`cleanup`\n');
  expect(script.options.map(({ name, value }) => [name, value])).toEqual([
    ['tolerance_usecs', '10'],
  ]);
  expect(script.init?.command).toBe('init');
  expect(script.events.map(({ kind }) => kind)).toEqual(['command', 'code']);
  expect(script.cleanup?.command).toBe('cleanup');
});

describe('mistakes name file, line, column and what was expected', () => {
  it.each([
    ['0 > X 1:1(0)', /^x\.pkt:1:5: .*X/],
    ['0 > . 1:2(0) ack 1', /^x\.pkt:1:\d+: 1:2 are 1 bytes, not 0$/],
    ['0 > . 1:1(0', /^x\.pkt:1:12: expected '\)'/],
    ['0 > S 0:0(0) <mss>', /^x\.pkt:1:18: expected a segment size/],
    ['0 > S 0:0(0) <mss 1460,nop>', /4 does not divide/],
    ['0 > S 0:0(0) <mxx 1>', /^x\.pkt:1:15: expected an option.*'mxx'/],
    ['0 > P 1:2(1) ack 1', /'ack' needs the flag '\.'/],
    ['\n\n0 read(3, ..., ', /^x\.pkt:3:/],
    ['0 read(3) 5', /^x\.pkt:1:11: expected '='/],
    ['+0 < . 1:1(0) ack 1\n+0', /^x\.pkt:2:3: expected/],
    ['0 %{ print(1)', /'\}%' after the code/],
    ['0 `ls', /'`' after the command/],
    ['1~2 < . 1:1(0) ack 1', /an inbound packet needs one time/],
    ['2~1 > . 1:1(0) ack 1', /ends before it begins/],
    ['0...1 > . 1:1(0) ack 1', /only a system call can have an end time/],
    ['0 > icmp unreachable sideways', /expected the code of an ICMP message/],
  ])('%s', (source, message) => {
    expect(() => parse(source)).toThrow(message);
  });
});
