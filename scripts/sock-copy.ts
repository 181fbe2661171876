/**
 * Writes src/net/core/sock_copy_fields.ts and sock_reset_fields.ts from the class declarations: the fields of
 * a TCP socket, one assignment each. Run it after adding a field: what the copy lacks is copied too, but by name, which
 * costs twenty times as much; what the reset lacks is found by a test.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { DONTCOPY } from '#net/core/sock_clone.ts';

const OUT = 'src/net/core/sock_copy_fields.ts';
const CLASSES: readonly (readonly [string, string])[] = [
  ['src/include/net/sock_common.ts', 'SockCommon'],
  ['src/include/net/sock.ts', 'Sock'],
  ['src/include/net/sock.ts', 'InetSock'],
  ['src/include/net/inet_connection_sock.ts', 'InetConnectionSock'],
  ['src/include/linux/tcp.ts', 'TcpSock'],
];
const PER_FUNCTION = 80;

const RESET_OUT = 'src/net/core/sock_reset_fields.ts';
/** Not armed any more, these are the next connection's: all TCP sockets have the same. */
const KEPT: ReadonlySet<string> = new Set(['icskRetransmitTimer', 'icskDelackTimer']);
/** How to reset what is part of the socket. */
const EMBEDDED: Readonly<Record<string, string>> = {
  'new SkBuffHead()': 'resetQueue(sk.FIELD);',
  'new SkbRbRoot()': 'sk.FIELD.node = null;',
  'new Minmax()': 'sk.FIELD.clear();',
  'new TcpOptionsReceived()': 'sk.FIELD.clear();',
};

/** Names of the fields that hold numbers, flags or functions. */
function plainFields(file: string, name: string): string[] {
  const text = readFileSync(file, 'utf8');
  const body = new RegExp(`^export class ${name} [^\\n]*\\{\\n([\\s\\S]*?)^\\}`, 'm').exec(
    text,
  )?.[1];
  if (body === undefined) throw new Error(`${file} has no class ${name}`);
  const fields: string[] = [];
  for (const [, field, type, value] of body.matchAll(
    /^ {2}(\w+)(?:: ((?:=>|[^;=])+))?(?: = ([^;]+))?;$/gm,
  )) {
    const plain =
      type === undefined
        ? /^(-?[\d.x]\w*|true|false)$/.test(value ?? '')
        : /^(number|boolean|\(.*\) => \w+)$/.test(type);
    if (plain && !DONTCOPY.has(field as string)) fields.push(field as string);
  }
  return fields;
}

const all = CLASSES.flatMap(([file, name]) => plainFields(file, name));
const parts: string[][] = [];
for (let i = 0; i < all.length; i += PER_FUNCTION) parts.push(all.slice(i, i + PER_FUNCTION));

const functions = parts.map(
  (fields, i) =>
    `function part${i}(to: TcpSock, from: TcpSock): void {\n${fields
      .map((field) => `  to.${field} = from.${field};\n`)
      .join('')}}\n`,
);
writeFileSync(
  OUT,
  `/**
 * The plain fields of a TCP socket, written by scripts/sock-copy.ts. In Linux a socket is copied by
 * one memcpy; here one assignment a field comes nearest to it.
 */
import type { TcpSock } from '#include/linux/tcp.ts';

/** The fields that copyTcpSock() copies. */
export const COPIED_FIELDS: readonly string[] = [
${all.map((field) => `  '${field}',\n`).join('')}];

${functions.join('\n')}
/** Copies the plain fields of \`from\`. @kernel sock_copy net/core/sock.c */
export function copyTcpSock(to: TcpSock, from: TcpSock): void {
${parts.map((_, i) => `  part${i}(to, from);\n`).join('')}}
`,
);
process.stdout.write(`${OUT}: ${all.length} fields\n`);

/** What the constructors assign, in their order. */
function initialValues(file: string, name: string): [field: string, value: string][] {
  const text = readFileSync(file, 'utf8');
  const body = new RegExp(
    `^export (?:abstract )?class ${name} [^\\n]*\\{\\n([\\s\\S]*?)^\\}`,
    'm',
  ).exec(text)?.[1];
  if (body === undefined) throw new Error(`${file} has no class ${name}`);
  const start = body.indexOf('  constructor(');
  const assigned =
    start < 0
      ? body.matchAll(/^ {2}(?:private |readonly )*(\w+)(?:: [^=]+)? = ([^;]+);$/gm)
      : body
          .slice(start, body.indexOf('\n  }\n', start))
          .matchAll(/^ {4}this\.(\w+) = ([^;]+);$/gm);
  return [...assigned].map(([, field, value]) => [field as string, value as string]);
}

/** Names that only the class itself may write. */
function sealedFields(file: string, name: string): Set<string> {
  const text = readFileSync(file, 'utf8');
  const from = text.search(new RegExp(`^export (?:abstract )?class ${name} `, 'm'));
  const body = text.slice(from, text.indexOf('\n}\n', from));
  const sealed = body.matchAll(
    /^ {2}(?:private (\w+): \w+(?:\[\])? \| null|readonly (net): Net)/gm,
  );
  return new Set([...sealed].map(([, a, b]) => (a ?? b) as string));
}

const RESET: readonly (readonly [string, string])[] = [
  ...CLASSES.slice(0, -1),
  ['src/include/linux/tcp_sock_rare.ts', 'TcpSockRare'],
  ...CLASSES.slice(-1),
];
const sealed = new Set(RESET.flatMap(([file, name]) => [...sealedFields(file, name)]));
const resets = RESET.flatMap(([file, name]) =>
  initialValues(file, name)
    .filter(([field, value]) => !KEPT.has(field) && !(field === 'isIcsk' && value === 'false'))
    .map(([field, value]) => {
      const embedded = EMBEDDED[value];
      if (embedded !== undefined) return `  ${embedded.replace('FIELD', field)}\n`;
      const to = sealed.has(field) ? 'own' : 'sk';
      return `  ${to}.${field} = ${value.replace(/^kind /, 'SOCK_KIND_FULL ')};\n`;
    }),
);
/** The same of requests. */
const requestResets = [
  CLASSES[0] as readonly [string, string],
  ['src/include/net/inet_connection_sock.ts', 'RequestSock'] as const,
].flatMap(([file, name]) =>
  initialValues(file, name)
    .filter(([field]) => field !== 'rskTimer')
    .map(([field, value]) => {
      const to = sealed.has(field) ? '(req as unknown as Sealed)' : 'req';
      const from = value === 'listener' ? 'null' : value.replace(/^kind /, 'SOCK_KIND_REQUEST ');
      return `  ${to}.${field} = ${from};\n`;
    }),
);
const PARAMETERS = `(
  sk: TcpSock,
  net: Net,
  family: number,
  prot: Proto,
  callbacks: SockCallbacks,
): void`;
const resetParts: string[][] = [];
for (let i = 0; i < resets.length; i += PER_FUNCTION)
  resetParts.push(resets.slice(i, i + PER_FUNCTION));
const used = (lines: readonly string[], word: string): string =>
  lines.some((line) => new RegExp(`\\b${word}\\b`).test(line)) ? word : `_${word}`;
const resetFunctions = resetParts.map((lines, i) => {
  const own = lines.some((line) => line.includes('own.'));
  const parameters = PARAMETERS.replace(
    /\b(net|family|prot|callbacks):/g,
    (_, word: string) => `${used(lines, word)}:`,
  );
  return `function part${i}${parameters} {\n${own ? '  const own = sk as unknown as Sealed;\n' : ''}${lines.join('')}}\n`;
});
writeFileSync(
  RESET_OUT,
  `/**
 * What the constructors of TCP sockets and requests do, again, for those that are over; written by
 * scripts/sock-copy.ts. In Linux it is one memset.
 */
import type { SkBuffHead } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { RequestSock, RequestSockOps } from '#include/net/inet_connection_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { type Proto, SK_DEFAULT_STAMP, type SockCallbacks } from '#include/net/sock.ts';
import { FAMILY_SHIFT, SOCK_KIND_FULL, SOCK_KIND_REQUEST } from '#include/net/sock_common.ts';
import { TCP_CLOSE } from '#uapi/tcp.ts';

/** What only the classes themselves write otherwise. */
interface Sealed {
${[...sealed].map((field) => `  ${field}: ${field === 'net' ? 'Net' : 'null'};\n`).join('')}}

function resetQueue(queue: SkBuffHead): void {
  queue.next = null;
  queue.prev = null;
  queue.qlen = 0;
}

${resetFunctions.join('\n')}
/** As the constructor leaves it, but that nobody holds it. Its timers stay. @kernel sk_prot_clear_nulls include/net/sock.h */
export function resetTcpSock${PARAMETERS} {
${resetParts.map((_, i) => `  part${i}(sk, net, family, prot, callbacks);\n`).join('')}  sk.refcnt = 0;
}

/** Makes a socket that was reset one of a namespace, held by the caller. @kernel sk_prot_alloc net/core/sock.c */
export function reviveTcpSock(sk: TcpSock, net: Net, family: number, prot: Proto): void {
  (sk as unknown as Sealed).net = net;
  sk.skcBits = SOCK_KIND_FULL | (family << FAMILY_SHIFT);
  sk.skProt = prot;
  sk.refcnt = 1;
}

/** As the constructor leaves a request, but for its timer. @kernel reqsk_free include/net/request_sock.h */
export function resetRequestSock(
  req: RequestSock,
  net: Net,
  family: number,
  ops: RequestSockOps,
): void {
${requestResets.join('')}}

/** Makes a request that was reset one of a namespace. @kernel reqsk_alloc_noprof include/net/request_sock.h */
export function reviveRequestSock(
  req: RequestSock,
  net: Net,
  family: number,
  ops: RequestSockOps,
): void {
  (req as unknown as Sealed).net = net;
  req.skcBits = SOCK_KIND_REQUEST | (family << FAMILY_SHIFT);
  req.rskOps = ops;
}
`,
);
process.stdout.write(`${RESET_OUT}: ${resets.length} fields\n`);
