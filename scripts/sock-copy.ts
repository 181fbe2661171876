/**
 * Writes src/net/core/sock_copy_fields.ts: the plain fields of a TCP socket, one assignment each,
 * from the class declarations. Run it after adding a field: what is missing there is copied too, but
 * by name, which costs twenty times as much.
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
