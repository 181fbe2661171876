/*
 * The page on which a machine shows its own state, as its own tools print it.
 */

import { readText } from '#user/lib/files.ts';
import type { Process } from '#user/lib/process.ts';
import { Collector } from '#user/lib/streams.ts';

/** What is shown: a title, and a command or a file. */
const SECTIONS: readonly (readonly [title: string, source: string])[] = [
  ['Interfaces', 'ip -s link'],
  ['Addresses', 'ip address'],
  ['Routes', 'ip route'],
  ['Neighbours', 'ip neighbour'],
  ['Sockets', 'ss -tuan'],
  ['Counters of interfaces', '/proc/net/dev'],
  ['Counters of IP, ICMP, TCP and UDP', '/proc/net/snmp'],
  ['More counters', '/proc/net/netstat'],
  ['Sockets in use', '/proc/net/sockstat'],
  ['Packet processing of each CPU', '/proc/net/softnet_stat'],
];

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}' +
  'h1{font-size:1.6rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}' +
  'pre{background:#f4f4f4;padding:.75rem 1rem;overflow-x:auto;font-size:.85rem;line-height:1.4}' +
  '@media(prefers-color-scheme:dark){body{color:#eee;background:#111}pre{background:#1d1d1d}}';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}

/** What a command prints, or a file has; null when the machine has neither. */
async function show(p: Process, source: string): Promise<string | null> {
  if (source.startsWith('/')) {
    try {
      return await readText(p.libc, source);
    } catch {
      return null;
    }
  }
  const argv = source.split(' ');
  const main = p.find(argv[0] as string);
  if (main === null) return null;
  const stdout = new Collector();
  await p.spawn(main, argv, { stdout, stderr: stdout });
  return stdout.text();
}

/** The page as HTML. */
export async function statePage(p: Process): Promise<string> {
  const { nodename, release, sysname } = p.sys.uname();
  const seconds = (p.sys.monotonic() / 1e9).toFixed(3);
  const parts: string[] = [];
  for (const [title, source] of SECTIONS) {
    const text = await show(p, source);
    if (text === null) continue;
    parts.push(
      `<h2>${escapeHtml(title)} <small><code>${escapeHtml(source)}</code></small></h2>` +
        `<pre tabindex="0">${escapeHtml(text)}</pre>`,
    );
  }
  const name = escapeHtml(nodename);
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>${name}</title>` +
    '<meta name="viewport" content="width=device-width,initial-scale=1">' +
    `<style>${STYLE}</style></head>\n<body><h1>${name}</h1>\n` +
    `<p>${escapeHtml(sysname)} ${escapeHtml(release)}, up ${seconds} s. ` +
    'This page was served by the network stack it shows. ' +
    '<a href="/bytes/1000000">A megabyte</a> with its SHA-256 in a header.</p>\n' +
    `${parts.join('\n')}\n</body></html>\n`
  );
}
