/**
 * Two machines on a line that loses, doubles, delays and damages packets, all from one seed, in
 * virtual time; and a transfer in both directions over it that checks every byte.
 */
import { Prandom } from '#lib/prandom.ts';
import { LOCAL, REMOTE, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { SHUT_WR } from '#uapi/socket.ts';

const MS = 1e6;
export const CLIENT_PORT = 40000;

export interface LineOptions {
  readonly seed: number;
  /** One way, in ms. */
  readonly delayMs: number;
  /** Probabilities, 0 to 1, for each packet. */
  readonly loss?: number;
  readonly duplicate?: number;
  /** Delayed by up to four times the delay more, so that later ones overtake. */
  readonly reorder?: number;
  readonly corrupt?: number;
  readonly mtu?: number;
  /** So many packets, the first ones, come through unharmed. */
  readonly spared?: number;
}

export interface TransferOptions {
  /** Both sockets before they listen or connect. */
  readonly prepare?: (rig: TcpRig, fd: number) => void;
  /** Both sockets when the connection stands. */
  readonly opened?: (server: number, client: number) => void;
  /** Programs read so many bytes at once; all by default. */
  readonly readBytes?: number;
  /** They read again after so many ms of virtual time; at once by default. */
  readonly readEveryMs?: number;
}

interface Flying {
  readonly at: number;
  readonly order: number;
  readonly to: TcpRig;
  readonly packet: Uint8Array;
}

/** What one side of a transfer has done. */
class Side {
  readonly rig: TcpRig;
  readonly fd: number;
  readonly out: Uint8Array;
  readonly expected: Uint8Array;
  sent = 0;
  received = 0;
  ended = false;
  private readonly options: TransferOptions;
  /** ns */
  nextRead = 0;

  constructor(
    rig: TcpRig,
    fd: number,
    out: Uint8Array,
    expected: Uint8Array,
    options: TransferOptions,
  ) {
    this.options = options;
    this.rig = rig;
    this.fd = fd;
    this.out = out;
    this.expected = expected;
  }

  /** Writes and reads as much as there is room for. */
  pump(): void {
    while (this.sent < this.out.length) {
      const n = this.rig.sys.write(this.fd, this.out.subarray(this.sent, this.sent + 16384));
      if (n <= 0) break;
      this.sent += n;
      if (this.sent === this.out.length) this.rig.sys.shutdown(this.fd, SHUT_WR);
    }
    this.read();
    this.rig.settle();
  }

  private read(): void {
    const { readBytes = 65536, readEveryMs = 0 } = this.options;
    for (;;) {
      if (readEveryMs > 0) {
        if (this.rig.host.clock < this.nextRead) return;
        this.nextRead = this.rig.host.clock + readEveryMs * MS;
      }
      const data = this.rig.read(this.fd, readBytes);
      if (typeof data === 'number') {
        if (data !== -11) throw new Error(`read: ${data}`);
        break;
      }
      if (data.length === 0) {
        this.ended = true;
        break;
      }
      for (let i = 0; i < data.length; i++) {
        if (data[i] !== this.expected[this.received + i]) {
          throw new Error(`byte ${this.received + i} is wrong`);
        }
      }
      this.received += data.length;
    }
  }

  /** When it will read again, in ns. */
  wakesAt(): number {
    return this.ended ? Infinity : this.nextRead;
  }

  done(): boolean {
    return this.ended && this.sent === this.out.length;
  }
}

export class TcpWire {
  readonly a: TcpRig;
  readonly b: TcpRig;
  private readonly options: LineOptions;
  private readonly random: Prandom;
  private flying: Flying[] = [];
  private order = 0;
  /** Packets put on the line, and how many of them it lost. */
  packets = 0;
  lost = 0;
  /** Sees each packet before the line does anything to it. */
  tap: ((packet: Uint8Array, from: TcpRig) => void) | null = null;

  constructor(options: LineOptions) {
    this.options = options;
    this.random = new Prandom(options.seed);
    const mtu = options.mtu ?? 1500;
    this.a = new TcpRig({ seed: options.seed * 2 + 1, address: LOCAL, mtu });
    this.b = new TcpRig({ seed: options.seed * 2 + 2, address: REMOTE, mtu });
  }

  private chance(p: number | undefined): boolean {
    return p !== undefined && p > 0 && this.random.u32() < p * 0x100000000;
  }

  private launch(to: TcpRig, packet: Uint8Array): void {
    const { delayMs } = this.options;
    let delay = delayMs * MS;
    if (this.chance(this.options.reorder)) delay += (this.random.u32() % 4000) * delayMs * 1000;
    const at = this.a.host.clock + delay;
    this.flying.push({ at, order: this.order++, to, packet });
  }

  /** Takes what a machine has sent onto the line. */
  private collect(from: TcpRig, to: TcpRig): void {
    for (const packet of from.sentRaw()) {
      this.packets++;
      this.tap?.(packet, from);
      if (this.packets <= (this.options.spared ?? 0)) {
        this.launch(to, packet);
        continue;
      }
      if (this.chance(this.options.loss)) {
        this.lost++;
        continue;
      }
      if (this.chance(this.options.corrupt)) {
        // Not the version: a tun device refuses what is no IP packet.
        const at = 1 + (this.random.u32() % (packet.length - 1));
        packet[at] = (packet[at] ?? 0) ^ (1 << (this.random.u32() % 8));
      }
      this.launch(to, packet);
      if (this.chance(this.options.duplicate)) this.launch(to, packet.slice());
    }
  }

  /** One event: the next packet arrives, or the next timer fires. False: nothing will happen. */
  step(untilNs: number): boolean {
    this.collect(this.a, this.b);
    this.collect(this.b, this.a);
    let first: Flying | null = null;
    for (const f of this.flying) {
      if (first === null || f.at < first.at || (f.at === first.at && f.order < first.order))
        first = f;
    }
    const timer = Math.min(this.a.machine.nextExpiry(), this.b.machine.nextExpiry());
    const next = Math.min(timer, first === null ? Infinity : first.at);
    if (next > untilNs) return false;
    const now = Math.max(next, this.a.host.clock);
    this.a.advanceTo(now);
    this.b.advanceTo(now);
    if (first !== null && first.at <= now) {
      const arrived = first;
      this.flying = this.flying.filter((f) => f !== arrived);
      arrived.to.raw(arrived.packet);
    }
    return true;
  }

  /** Time passes, and whatever is on the line arrives. */
  idle(ms: number): void {
    const end = this.a.host.clock + ms * MS;
    while (this.step(end));
    this.a.advanceTo(end);
    this.b.advanceTo(end);
  }

  /** Until `done`; `wake` says when a program will do something of itself, in ns. */
  private run(done: () => boolean, limitMs: number, wake: () => number = () => Infinity): void {
    const until = this.a.host.clock + limitMs * MS;
    while (!done()) {
      const next = Math.min(until, wake());
      if (this.step(next)) continue;
      if (next === until) throw new Error(`stalled after ${limitMs} ms`);
      this.a.advanceTo(next);
      this.b.advanceTo(next);
    }
  }

  /** Bytes that differ at each place and in each direction. */
  private payload(size: number, salt: number): Uint8Array {
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) bytes[i] = (Math.imul(i + salt, 0x9e3779b1) >>> 24) & 0xff;
    return bytes;
  }

  /**
   * Opens a connection from `b` to `a` and sends `size` bytes each way. Throws when a byte is wrong
   * or the transfer takes longer than `limitMs` of virtual time; returns that time in ms.
   */
  transfer(size: number, limitMs: number, options: TransferOptions = {}): number {
    const start = this.a.host.clock;
    const lfd = this.a.listen();
    const client = this.b.open();
    options.prepare?.(this.a, lfd);
    options.prepare?.(this.b, client);
    this.b.sys.bind(client, this.b.sockaddr(REMOTE, CLIENT_PORT));
    this.b.sys.connect(client, this.b.sockaddr(LOCAL, this.a.localPort));
    let server = -1;
    this.run(() => {
      if (server < 0) server = this.a.sys.accept4(lfd, null, 0);
      return server >= 0;
    }, limitMs);
    options.opened?.(server, client);
    const up = this.payload(size, 1);
    const down = this.payload(size, 77);
    const sides = [
      new Side(this.a, server, down, up, options),
      new Side(this.b, client, up, down, options),
    ];
    const pump = (): boolean => {
      for (const side of sides) side.pump();
      return sides.every((side) => side.done());
    };
    const slow = options.readEveryMs !== undefined;
    const wake = (): number => Math.min(...sides.map((side) => side.wakesAt()));
    this.run(pump, limitMs, slow ? wake : undefined);
    const took = (this.a.host.clock - start) / MS;
    this.a.close(server);
    this.b.close(client);
    this.a.close(lfd);
    // Let the last packets and both sides' waits come to an end.
    const end = this.a.host.clock + 200_000 * MS;
    while (this.step(end));
    return took;
  }
}
