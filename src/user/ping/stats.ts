/*
 * What ping counts, and the lines it ends with. Counterpart of gather_statistics and finish in iputils'
 * ping_common.c. Times are in whole microseconds.
 */
import { intSqrt } from '#lib/int64.ts';

/** Sequence numbers of which is remembered whether they were answered. */
const MAX_DUP_CHK = 0x10000;

export class PingStats {
  transmitted: number;
  received: number;
  repeats: number;
  corrupted: number;
  errors: number;
  /** Round trips were measured: the packets are large enough for a time. */
  readonly timing: boolean;
  min: number;
  max: number;
  private sum: number;
  private squares: number;
  /** Eight times the moving average. */
  private ewma: number;
  /** The most requests that were on the way at one time. */
  private pipe: number;
  private acked: number;
  private readonly answered: Uint8Array;

  constructor(timing: boolean) {
    this.transmitted = 0;
    this.received = 0;
    this.repeats = 0;
    this.corrupted = 0;
    this.errors = 0;
    this.timing = timing;
    this.min = Number.MAX_SAFE_INTEGER;
    this.max = 0;
    this.sum = 0;
    this.squares = 0;
    this.ewma = 0;
    this.pipe = -1;
    this.acked = 0;
    this.answered = new Uint8Array(MAX_DUP_CHK);
  }

  get inFlight(): number {
    return (this.transmitted - this.acked) & 0xffff;
  }

  /** Requests are numbered from 1, and their number is used anew after 65535. */
  sent(): void {
    this.transmitted++;
    this.answered[this.transmitted & 0xffff] = 0;
    // What is so old will not be answered.
    if (this.inFlight > 0x7fff) this.acked = (this.transmitted - 1) & 0xffff;
  }

  wasAnswered(sequence: number): boolean {
    return this.answered[sequence & 0xffff] === 1;
  }

  acknowledge(sequence: number): void {
    const behind = (this.transmitted - sequence) & 0xffff;
    if (behind > 0x7fff) return;
    if (behind + 1 > this.pipe) this.pipe = behind + 1;
    if (((sequence - this.acked) << 16) >> 16 > 0) this.acked = sequence;
  }

  /** Counts an answer; true when it is one of several to the same request. */
  answer(sequence: number, triptime: number, good: boolean): boolean {
    this.acknowledge(sequence);
    this.received++;
    if (this.timing && good) {
      this.sum += triptime;
      this.squares += triptime * triptime;
      this.min = Math.min(this.min, triptime);
      this.max = Math.max(this.max, triptime);
      this.ewma = this.ewma === 0 ? triptime * 8 : this.ewma + triptime - Math.floor(this.ewma / 8);
    }
    if (!good) {
      this.corrupted++;
      this.received--;
      return false;
    }
    if (this.wasAnswered(sequence)) {
      this.repeats++;
      this.received--;
      return true;
    }
    this.answered[sequence & 0xffff] = 1;
    return false;
  }

  /** @param elapsed from the first request to the last @param paced requests did not wait for answers */
  summary(hostname: string, elapsed: number, paced: boolean): string {
    const { transmitted, received } = this;
    let text = `\n--- ${hostname} ping statistics ---\n`;
    text += `${transmitted} packets transmitted, ${received} received`;
    if (this.repeats > 0) text += `, +${this.repeats} duplicates`;
    if (this.corrupted > 0) text += `, +${this.corrupted} corrupted`;
    if (this.errors > 0) text += `, +${this.errors} errors`;
    if (transmitted > 0) {
      const loss = ((transmitted - received) * 100) / transmitted;
      text += `, ${formatG(loss)}% packet loss, time ${Math.floor((elapsed + 500) / 1000)}ms`;
    }
    text += '\n';
    let comma = '';
    if (received > 0 && this.timing) {
      const total = received + this.repeats;
      const average = Math.floor(this.sum / total);
      const variance = Math.floor(
        (this.squares - Math.floor((this.sum * this.sum) / total)) / total,
      );
      const deviation = intSqrt(Math.max(0, variance));
      const values = [this.min, average, this.max, deviation].map(milliseconds).join('/');
      text += `rtt min/avg/max/mdev = ${values} ms`;
      comma = ', ';
    }
    if (this.pipe > 1) {
      text += `${comma}pipe ${this.pipe}`;
      comma = ', ';
    }
    if (received > 0 && !paced && transmitted > 1) {
      const gap = milliseconds(Math.floor(elapsed / (transmitted - 1)));
      text += `${comma}ipg/ewma ${gap}/${milliseconds(Math.floor(this.ewma / 8))} ms`;
    }
    return `${text}\n`;
  }
}

/** Microseconds as milliseconds with three decimals. */
export function milliseconds(us: number): string {
  return `${Math.floor(us / 1000)}.${String(us % 1000).padStart(3, '0')}`;
}

/** Microseconds as milliseconds with as many decimals as leave three digits. */
export function roundTrip(us: number): string {
  if (us >= 100000 - 50) return `${Math.floor((us + 500) / 1000)}`;
  if (us >= 10000 - 5) {
    return `${Math.floor((us + 50) / 1000)}.${Math.floor(((us + 50) % 1000) / 100)}`;
  }
  if (us >= 1000) {
    const hundredths = Math.floor(((us + 5) % 1000) / 10);
    return `${Math.floor((us + 5) / 1000)}.${String(hundredths).padStart(2, '0')}`;
  }
  return milliseconds(us);
}

/** A number as printf's %g has it, in the range of percentages. */
export function formatG(value: number): string {
  return String(Number(value.toPrecision(6)));
}
