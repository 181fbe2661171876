/** A small subset of Markdown, as the lessons use it, as plain pieces: no text becomes HTML. */

export type Inline =
  | { readonly kind: 'text' | 'code' | 'strong' | 'em'; readonly text: string }
  | { readonly kind: 'link'; readonly text: string; readonly to: string };

export type Block =
  | { readonly kind: 'heading'; readonly level: number; readonly inline: readonly Inline[] }
  | { readonly kind: 'paragraph'; readonly inline: readonly Inline[] }
  | {
      readonly kind: 'list';
      readonly ordered: boolean;
      readonly items: readonly (readonly Inline[])[];
    }
  | { readonly kind: 'table'; readonly rows: readonly (readonly (readonly Inline[])[])[] };

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*|\[((?:`[^`]*`|[^\]])+)\]\(([^)]+)\)/g;

export function parseInline(text: string): Inline[] {
  const list: Inline[] = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > at) list.push({ kind: 'text', text: text.slice(at, match.index) });
    const [all, code, strong, em, label, to] = match;
    if (code !== undefined) list.push({ kind: 'code', text: code });
    else if (strong !== undefined) list.push({ kind: 'strong', text: strong });
    else if (em !== undefined) list.push({ kind: 'em', text: em });
    else list.push({ kind: 'link', text: (label ?? '').replaceAll('`', ''), to: to ?? '' });
    at = match.index + all.length;
  }
  if (at < text.length) list.push({ kind: 'text', text: text.slice(at) });
  return list;
}

const ITEM = /^(?:[-*]|\d+\.)\s+/;

function listOf(lines: readonly string[]): Block {
  const items: string[] = [];
  for (const line of lines) {
    if (ITEM.test(line)) items.push(line.replace(ITEM, ''));
    else items[items.length - 1] = `${items.at(-1) ?? ''} ${line.trim()}`;
  }
  return { kind: 'list', ordered: /^\d/.test(lines[0] ?? ''), items: items.map(parseInline) };
}

function tableOf(lines: readonly string[]): Block {
  const rows = lines
    .filter((line) => !/^\|[\s|:-]+\|$/.test(line))
    .map((line) =>
      line
        .replace(/^\||\|$/g, '')
        .split('|')
        .map((cell) => parseInline(cell.trim())),
    );
  return { kind: 'table', rows };
}

export function parseMarkdown(source: string): Block[] {
  return source
    .split(/\n{2,}/)
    .map((part) => part.trimEnd().split('\n'))
    .filter((lines) => lines.some((line) => line.trim() !== ''))
    .map((lines): Block => {
      const [first = ''] = lines;
      const heading = /^(#+)\s+(.*)$/.exec(first);
      if (heading !== null) {
        const level = (heading[1] ?? '').length;
        return { kind: 'heading', level, inline: parseInline(heading[2] ?? '') };
      }
      if (ITEM.test(first)) return listOf(lines);
      if (first.startsWith('|')) return tableOf(lines);
      return { kind: 'paragraph', inline: parseInline(lines.join(' ')) };
    });
}
