/** A tiny drawing of a world's machines and cables, read from its description. */
import { createMemo, For, type JSX } from 'solid-js';
import { placeMachines } from '../topology/layout.ts';

/** The ends of links in a description: enough for a sketch, whatever else it says. */
function linksOf(yaml: string): [string, string][] {
  const links: [string, string][] = [];
  for (const match of yaml.matchAll(/endpoints:\s*\["([^":]+):[^"]*",\s*"([^":]+):[^"]*"\]/g)) {
    links.push([match[1] ?? '', match[2] ?? '']);
  }
  return links;
}

export function WorldSketch(props: { readonly yaml: string }): JSX.Element {
  const drawing = createMemo(() => {
    const links = linksOf(props.yaml);
    const names = [...new Set(links.flat())];
    const places = placeMachines(names, links);
    const at = (name: string): { x: number; y: number } => {
      const place = places.get(name) ?? { x: 0.5, y: 0.5 };
      return { x: 16 + place.x * 128, y: 14 + place.y * 36 };
    };
    return { links: links.map(([a, b]) => [at(a), at(b)] as const), nodes: names.map(at) };
  });
  return (
    <svg class="sketch" viewBox="0 0 160 64" aria-hidden="true">
      <For each={drawing().links}>{([a, b]) => <line x1={a.x} y1={a.y} x2={b.x} y2={b.y} />}</For>
      <For each={drawing().nodes}>
        {(n) => <rect x={n.x - 8} y={n.y - 8} width="16" height="16" rx="4" />}
      </For>
    </svg>
  );
}
