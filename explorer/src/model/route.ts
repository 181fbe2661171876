/** The address bar: world, seed, moment, view and what people did, so that a link brings it all back. */
import type { Action, ActionBody, LinkImpairments, WorldSource } from '../protocol.ts';

export const VIEWS = [
  'map',
  'stack',
  'journey',
  'microscope',
  'cpu',
  'tcp',
  'drops',
  'time',
  'terminal',
  'lessons',
] as const;
export type ViewName = (typeof VIEWS)[number];

export interface Route {
  readonly view: ViewName;
  /** Null: no world is named. */
  readonly source: WorldSource | null;
  readonly seed: string;
  /** ns after the programs began; null: from the beginning. */
  readonly momentNs: number | null;
  readonly packet: number;
  readonly machine: string;
  readonly depth: number;
  readonly lesson: string;
  readonly actions: readonly Action[];
}

export const DEFAULT_SEED = '1';

/** A link that makes no sense. */
export class RouteError extends Error {
  override readonly name = 'RouteError';
}

function encode(text: string): string {
  const bytes = new TextEncoder().encode(text);
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function decode(text: string): string {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return new TextDecoder('utf-8', { fatal: true }).decode(
    Uint8Array.from(binary, (c) => c.charCodeAt(0)),
  );
}

function wholeNumber(text: string, what: string): number {
  if (!/^\d{1,16}$/.test(text)) throw new RouteError(`the ${what} must be a number, not '${text}'`);
  return Number(text);
}

const isIndex = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
const isText = (value: unknown): boolean => typeof value === 'string';

const IMPAIRMENTS: Readonly<Record<keyof LinkImpairments, true>> = {
  rateBps: true,
  delayNs: true,
  jitterNs: true,
  loss: true,
  duplicate: true,
  reorder: true,
  corrupt: true,
  queueBytes: true,
};

/** What each kind of action must have. What the numbers may be, the world says. */
const BODIES: Readonly<
  Record<ActionBody['kind'], (body: Readonly<Record<string, unknown>>) => boolean>
> = {
  input: ({ terminal, machine, text }) => isIndex(terminal) && isText(machine) && isText(text),
  interrupt: ({ terminal, machine }) => isIndex(terminal) && isText(machine),
  command: ({ machine, text }) => isText(machine) && isText(text),
  impair: ({ cable, change }) =>
    isIndex(cable) &&
    typeof change === 'object' &&
    change !== null &&
    Object.entries(change).every(
      ([name, value]) => Object.hasOwn(IMPAIRMENTS, name) && typeof value === 'number',
    ),
  connect: ({ cable, connected }) => isIndex(cable) && typeof connected === 'boolean',
};

function isBody(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const body = value as Readonly<Record<string, unknown>>;
  const kind = String(body['kind']);
  return Object.hasOwn(BODIES, kind) && BODIES[kind as ActionBody['kind']](body);
}

function actionsOf(text: string): Action[] {
  let list: unknown;
  try {
    list = JSON.parse(decode(text));
  } catch {
    throw new RouteError('the list of actions is damaged');
  }
  if (!Array.isArray(list)) throw new RouteError('the list of actions is damaged');
  return list.map((item: unknown): Action => {
    const action = (item ?? {}) as { readonly [K in keyof Action]?: unknown };
    if (
      !isIndex(action.event) ||
      typeof action.atNs !== 'number' ||
      !Number.isFinite(action.atNs) ||
      !isBody(action.body)
    ) {
      throw new RouteError('an action of the link is damaged');
    }
    const { event, atNs, body } = action as Action;
    return { event, atNs, body };
  });
}

function sourceOf(query: URLSearchParams): WorldSource | null {
  const yaml = query.get('yaml');
  if (yaml !== null) {
    try {
      return { kind: 'yaml', text: decode(yaml) };
    } catch {
      throw new RouteError('the world in the link is damaged');
    }
  }
  const id = query.get('world');
  return id === null ? null : { kind: 'gallery', id };
}

/** Reads `#/view?world=ping&seed=1&t=...`. Throws RouteError. */
export function parseRoute(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const query = new URLSearchParams(search);
  const [name = '', lesson = ''] = path.split('/');
  const view = VIEWS.find((known) => known === name);
  if (name !== '' && view === undefined) throw new RouteError(`there is no view '${name}'`);
  const seed = query.get('seed') ?? DEFAULT_SEED;
  if (seed === '' || seed.length > 64) {
    throw new RouteError('the seed must be a text of 1 to 64 characters');
  }
  const time = query.get('t');
  const actions = query.get('did');
  return {
    view: view ?? 'map',
    source: sourceOf(query),
    seed,
    momentNs: time === null ? null : wholeNumber(time, 'moment t'),
    packet: wholeNumber(query.get('packet') ?? '0', 'packet'),
    machine: query.get('machine') ?? '',
    depth: Math.min(4, wholeNumber(query.get('depth') ?? '1', 'depth')),
    lesson,
    actions: actions === null ? [] : actionsOf(actions),
  };
}

/** Longest list of actions that goes into a link, in characters. */
const MAX_ACTIONS = 6000;

/** Does a link bring it all back? What was done may be too much for one. */
export function fitsLink({ actions }: Route): boolean {
  return actions.length === 0 || encode(JSON.stringify(actions)).length <= MAX_ACTIONS;
}

export function formatRoute(route: Route): string {
  const query = new URLSearchParams();
  if (route.source?.kind === 'gallery') query.set('world', route.source.id);
  if (route.source?.kind === 'yaml') query.set('yaml', encode(route.source.text));
  query.set('seed', route.seed);
  if (route.momentNs !== null) query.set('t', String(Math.round(route.momentNs)));
  if (route.packet !== 0) query.set('packet', String(route.packet));
  if (route.machine !== '') query.set('machine', route.machine);
  if (route.depth !== 1) query.set('depth', String(route.depth));
  if (route.actions.length > 0 && fitsLink(route)) {
    query.set('did', encode(JSON.stringify(route.actions)));
  }
  const path =
    route.view === 'lessons' && route.lesson !== '' ? `lessons/${route.lesson}` : route.view;
  return `#/${path}?${query.toString()}`;
}
