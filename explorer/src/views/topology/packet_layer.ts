/** Draws the packets under way onto the map: thousands of them, in one pass over a canvas. */

import { KIND_LABELS, kindPalette } from '../../model/kinds.ts';
import type { Store } from '../../model/store.ts';
import { reducedMotion } from '../../model/theme.ts';
import { PACKET_KINDS } from '../../protocol.ts';
import type { MapTransform } from './zoom.ts';

interface Point {
  readonly x: number;
  readonly y: number;
}

/** With more packets than this they are dots without words. */
const WORDS_UP_TO = 10;
const ENVELOPES_UP_TO = 220;
/** With more than this, those that would lie upon each other are drawn as one. */
const CROWD = 1500;
const MAX_PIXEL = 8191;
/** How long a loss stays visible, in seconds of watching. */
const LINGER_S = 0.9;
const LANE = 9;
const FATE_ARRIVES = 0;
const HIT_PX = 16;

interface Drawn {
  readonly packet: number;
  readonly x: number;
  readonly y: number;
}

export class PacketLayer {
  private readonly store: Store;
  private canvas: HTMLCanvasElement | null;
  private lines: readonly (readonly [Point, Point])[];
  private at: (name: string) => Point;
  private view: MapTransform;
  private colors: string[];
  private text: string;
  private paper: string;
  private danger: string;
  private accent: string;
  private drawn: Drawn[];
  /** Pixels of the cables that have a packet, by colour, while a crowd is drawn. */
  private readonly covered: Set<number>;

  constructor(store: Store) {
    this.store = store;
    this.canvas = null;
    this.lines = [];
    this.at = () => ({ x: 0, y: 0 });
    this.view = { x: 0, y: 0, k: 1 };
    this.colors = [];
    this.text = '';
    this.paper = '';
    this.danger = '';
    this.accent = '';
    this.drawn = [];
    this.covered = new Set();
  }

  attach(canvas: HTMLCanvasElement): void {
    this.canvas = canvas;
    this.refreshTheme();
  }

  refreshTheme(): void {
    if (this.canvas === null) return;
    const style = getComputedStyle(this.canvas);
    this.colors = kindPalette(this.canvas);
    this.text = style.getPropertyValue('--text').trim();
    this.paper = style.getPropertyValue('--surface').trim();
    this.danger = style.getPropertyValue('--danger').trim();
    this.accent = style.getPropertyValue('--accent').trim();
    this.draw();
  }

  place(
    lines: readonly (readonly [Point, Point])[],
    at: (name: string) => Point,
    size: { readonly width: number; readonly height: number },
    view: MapTransform,
  ): void {
    this.lines = lines;
    this.at = at;
    this.view = view;
    const { canvas } = this;
    if (canvas === null) return;
    const scale = Math.min(devicePixelRatio, 2);
    const width = Math.round(size.width * scale);
    const height = Math.round(size.height * scale);
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
  }

  draw(): void {
    const context = this.canvas?.getContext('2d') ?? null;
    if (this.canvas === null || context === null) return;
    const scale = Math.min(devicePixelRatio, 2);
    const { x, y, k } = this.view;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(scale * k, 0, 0, scale * k, scale * x, scale * y);
    this.drawFrames(context);
    this.drawDrops(context);
  }

  private drawFrames(context: CanvasRenderingContext2D): void {
    const { frames, state } = this.store;
    const now = this.store.moment();
    const linger = state.pace * LINGER_S;
    const list: number[] = [];
    frames.underWay(now, linger, (i) => {
      const arrives = frames.fate[i] === FATE_ARRIVES;
      if (!arrives || (frames.arrive[i] ?? 0) >= now) list.push(i);
    });
    this.drawn = [];
    const detailed = list.length <= ENVELOPES_UP_TO;
    const words = list.length <= WORDS_UP_TO;
    const crowd = list.length > CROWD;
    this.covered.clear();
    for (const i of list) {
      if (crowd && this.isCovered(i, now)) continue;
      this.drawFrame(context, i, now, linger, detailed, words);
    }
  }

  /** Is there one of the same colour on the same pixel of the cable already? Notes the place. */
  private isCovered(i: number, now: number): boolean {
    const { frames, state } = this.store;
    const cable = frames.cable[i] ?? 0;
    const line = this.lines[cable];
    const packet = frames.packet[i] ?? 0;
    if (line === undefined || frames.fate[i] !== FATE_ARRIVES || packet === state.packet)
      return false;
    const depart = frames.depart[i] ?? 0;
    const part = (now - depart) / Math.max(1, (frames.arrive[i] ?? 0) - depart);
    const [a, b] = line;
    const pixels = (Math.abs(a.x - b.x) + Math.abs(a.y - b.y)) * this.view.k;
    const place = Math.min(MAX_PIXEL, Math.floor(part * pixels));
    const lane = (cable * 2 + (frames.direction[i] ?? 0)) * PACKET_KINDS.length;
    const key = (lane + (frames.kind[i] ?? 0)) * (MAX_PIXEL + 1) + place;
    if (this.covered.has(key)) return true;
    this.covered.add(key);
    return false;
  }

  private drawFrame(
    context: CanvasRenderingContext2D,
    i: number,
    now: number,
    linger: number,
    detailed: boolean,
    words: boolean,
  ): void {
    const { frames, state } = this.store;
    const line = this.lines[frames.cable[i] ?? 0];
    if (line === undefined) return;
    const backwards = frames.direction[i] === 1;
    const [from, to] = backwards ? [line[1], line[0]] : line;
    const depart = frames.depart[i] ?? 0;
    const arrive = frames.arrive[i] ?? 0;
    const lost = frames.fate[i] !== FATE_ARRIVES;
    // What is lost gets as far as the middle of the cable, and falls from there.
    const end = lost ? depart + (arrive - depart) / 2 : arrive;
    const along = end > depart ? Math.min(1, (now - depart) / (end - depart)) : 1;
    const part = lost ? along * 0.5 : along;
    const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
    const side = LANE;
    const px = from.x + (to.x - from.x) * part + ((to.y - from.y) / length) * -side;
    let py = from.y + (to.y - from.y) * part + ((to.x - from.x) / length) * side;
    let alpha = 1;
    if (lost && now > end) {
      const fall = Math.min(1, (now - end) / linger);
      if (!reducedMotion()) py += 26 * fall * fall;
      alpha = 1 - fall;
    }
    const packet = frames.packet[i] ?? 0;
    const chosen = packet !== 0 && packet === state.packet;
    const color = this.colors[frames.kind[i] ?? 0] ?? this.text;
    context.globalAlpha = alpha;
    if (detailed || chosen)
      envelope(context, px, py, color, this.paper, chosen ? this.accent : null);
    else {
      context.fillStyle = color;
      context.fillRect(px - 2.5, py - 2.5, 5, 5);
    }
    if (lost && now > end) cross(context, px, py, this.danger);
    if (words || chosen) this.label(context, i, px, py, backwards);
    context.globalAlpha = 1;
    this.drawn.push({ packet, x: px, y: py });
  }

  private label(
    context: CanvasRenderingContext2D,
    i: number,
    x: number,
    y: number,
    below: boolean,
  ): void {
    const { frames } = this.store;
    const kind = PACKET_KINDS[frames.kind[i] ?? 0] ?? 'other';
    const text = KIND_LABELS[kind];
    context.font = '600 11px system-ui, sans-serif';
    context.textAlign = 'center';
    const width = context.measureText(text).width + 10;
    const dy = below ? -24 : 24;
    context.fillStyle = this.paper;
    context.globalAlpha *= 0.88;
    context.beginPath();
    context.roundRect(x - width / 2, y + dy - 9, width, 17, 5);
    context.fill();
    context.globalAlpha /= 0.88;
    context.fillStyle = this.text;
    context.fillText(text, x, y + dy + 3.5);
  }

  /** A ring spreads from a machine where a packet ended badly. */
  private drawDrops(context: CanvasRenderingContext2D): void {
    const { frames, state } = this.store;
    const now = this.store.moment();
    const linger = state.pace * LINGER_S;
    for (let i = frames.drops.length - 1; i >= 0; i--) {
      const drop = frames.drops[i];
      if (drop === undefined || drop.timeNs > now) continue;
      if (now - drop.timeNs > linger) break;
      if (drop.expected) continue;
      const part = (now - drop.timeNs) / linger;
      const { x, y } = this.at(drop.machine);
      if (x === 0 && y === 0) continue;
      context.globalAlpha = 1 - part;
      context.strokeStyle = this.danger;
      context.lineWidth = 3;
      context.beginPath();
      context.arc(x, y, 30 + (reducedMotion() ? 20 : 60 * part), 0, 7);
      context.stroke();
      context.globalAlpha = 1;
    }
  }

  /** The packet drawn at a place of the view; 0: none. */
  packetAt(viewX: number, viewY: number): number {
    const { x, y, k } = this.view;
    const px = (viewX - x) / k;
    const py = (viewY - y) / k;
    let best = 0;
    let nearest = HIT_PX;
    for (const drawn of this.drawn) {
      const distance = Math.hypot(drawn.x - px, drawn.y - py);
      if (distance < nearest) {
        nearest = distance;
        best = drawn.packet;
      }
    }
    return best;
  }

  /** Is there no packet under the pointer? */
  isFree(event: MouseEvent, host: HTMLElement | undefined): boolean {
    const rect = host?.getBoundingClientRect();
    if (rect === undefined) return true;
    return this.packetAt(event.clientX - rect.left, event.clientY - rect.top) === 0;
  }
}

const WIDTH = 22;
const HEIGHT = 15;

function envelope(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  color: string,
  paper: string,
  halo: string | null,
): void {
  if (halo !== null) {
    context.strokeStyle = halo;
    context.lineWidth = 3;
    context.beginPath();
    context.roundRect(x - WIDTH / 2 - 5, y - HEIGHT / 2 - 5, WIDTH + 10, HEIGHT + 10, 8);
    context.stroke();
  }
  context.fillStyle = color;
  context.beginPath();
  context.roundRect(x - WIDTH / 2, y - HEIGHT / 2, WIDTH, HEIGHT, 3);
  context.fill();
  context.strokeStyle = paper;
  context.lineWidth = 1.6;
  context.beginPath();
  context.moveTo(x - WIDTH / 2 + 2, y - HEIGHT / 2 + 2.5);
  context.lineTo(x, y + 1.5);
  context.lineTo(x + WIDTH / 2 - 2, y - HEIGHT / 2 + 2.5);
  context.stroke();
}

function cross(context: CanvasRenderingContext2D, x: number, y: number, color: string): void {
  context.strokeStyle = color;
  context.lineWidth = 3;
  context.beginPath();
  context.moveTo(x - 9, y - 9);
  context.lineTo(x + 9, y + 9);
  context.moveTo(x + 9, y - 9);
  context.lineTo(x - 9, y + 9);
  context.stroke();
}
