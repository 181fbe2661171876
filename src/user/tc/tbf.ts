/*
 * Options of the discipline tbf. Counterpart: iproute2's tc/q_tbf.c.
 */
import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  PSCHED_TICK_NS,
  TCA_TBF_BURST,
  TCA_TBF_PARMS,
  TCA_TBF_PBURST,
  TCA_TBF_PRATE64,
  TCA_TBF_RATE64,
  tcRatespec,
  tcTbfQopt,
} from '#uapi/pkt_sched.ts';
import { NlAttrs, NlBuilder } from '#user/lib/nlmsg.ts';
import {
  type Kind,
  OptionError,
  printRate,
  printSize,
  printTime,
  rateOf,
  sizeOf,
  timeOf,
} from '#user/tc/kinds.ts';

const USAGE =
  'Usage: ... tbf limit BYTES burst BYTES[/BYTES] rate KBPS [ mtu BYTES[/BYTES] ]\n' +
  '\t[ peakrate KBPS ] [ latency TIME ] [ overhead BYTES ] [ linklayer TYPE ]';

const UNLIMITED = 0xffffffff;

/** What each word means, by the names that tc(8) knows. */
const WORDS: Readonly<Record<string, readonly [name: string, read: typeof sizeOf]>> = {
  limit: ['limit', sizeOf],
  latency: ['latency', timeOf],
  burst: ['burst', sizeOf],
  buffer: ['burst', sizeOf],
  maxburst: ['burst', sizeOf],
  mtu: ['mtu', sizeOf],
  minburst: ['mtu', sizeOf],
  rate: ['rate', rateOf],
  peakrate: ['peakrate', rateOf],
};

function readWords(words: readonly string[]): Readonly<Record<string, number>> {
  const given: Record<string, number> = {};
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const entry = Object.hasOwn(WORDS, word) ? WORDS[word] : undefined;
    if (entry === undefined) throw new OptionError(`What is "${word}"?\n${USAGE}`);
    const [name, read] = entry;
    const value = read(words[++i]);
    if (value === null) {
      throw new OptionError(`tbf: illegal value for "${word}": "${words[i] ?? ''}"`);
    }
    if (given[name] !== undefined) {
      throw new OptionError(`tbf: duplicate "${word}" specification`);
    }
    given[name] = value;
  }
  return given;
}

function check(given: Readonly<Record<string, number>>): void {
  const { rate, burst, limit, latency, peakrate, mtu } = given;
  const wrong: string[] = [];
  if (!rate) wrong.push('tbf: the "rate" parameter is mandatory.');
  if (!burst) wrong.push('tbf: the "burst" parameter is mandatory.');
  if (peakrate && !mtu) wrong.push('tbf: when "peakrate" is specified, "mtu" must also be.');
  if (limit === undefined && latency === undefined) {
    wrong.push('tbf: either "limit" or "latency" is required.');
  }
  if (wrong.length > 0) throw new OptionError(`${wrong.join('\n')}\n${USAGE}`);
  if (limit !== undefined && latency !== undefined) {
    throw new OptionError('tbf: specifying both "latency" and "limit" is not allowed');
  }
}

/** The time of so many bytes in ticks; tc(8) reckons in whole us. */
function ticks(bytes: number, rate: number): number {
  const us = Math.floor((bytes * 1e6) / rate);
  return Math.min(Math.floor((us * 1e3) / PSCHED_TICK_NS), UNLIMITED);
}

const ticksToUs = (count: number): number => Math.floor((count * PSCHED_TICK_NS) / 1e3);

function u64(value: number): Uint8Array {
  const out = new Uint8Array(8);
  const v = new DataView(out.buffer);
  v.setUint32(0, value >>> 0, true);
  v.setUint32(4, Math.floor(value / 2 ** 32), true);
  return out;
}

export const tbf: Kind = {
  parse: (words) => {
    const given = readWords(words);
    check(given);
    const { rate = 0, burst = 0, peakrate = 0, mtu = 0, latency = 0 } = given;
    let { limit } = given;
    if (limit === undefined) {
      const least = (latency * rate) / 1e6 + burst;
      const most = peakrate === 0 ? least : (latency * peakrate) / 1e6 + mtu;
      limit = Math.floor(Math.min(least, most));
    }
    const parms = new Uint8Array(tcTbfQopt.LEN);
    const v = new DataView(parms.buffer);
    tcRatespec.setRate(v, tcTbfQopt.RATE, Math.min(rate, UNLIMITED));
    tcRatespec.setLinklayer(v, tcTbfQopt.RATE, 1);
    tcRatespec.setRate(v, tcTbfQopt.PEAKRATE, Math.min(peakrate, UNLIMITED));
    tcTbfQopt.setLimit(v, 0, limit);
    tcTbfQopt.setBuffer(v, 0, ticks(burst, rate));
    if (peakrate !== 0) tcTbfQopt.setMtu(v, 0, ticks(mtu, peakrate));
    const builder = new NlBuilder(0, 0).attr(TCA_TBF_PARMS, parms).u32(TCA_TBF_BURST, burst);
    if (rate > UNLIMITED) builder.attr(TCA_TBF_RATE64, u64(rate));
    if (peakrate !== 0) builder.u32(TCA_TBF_PBURST, mtu);
    if (peakrate > UNLIMITED) builder.attr(TCA_TBF_PRATE64, u64(peakrate));
    return builder.finish().slice(NLMSG_HDRLEN);
  },
  print: (options) => {
    const view = new DataView(options.buffer, options.byteOffset, options.byteLength);
    const at = new NlAttrs(view, 0, options.length).at(TCA_TBF_PARMS, tcTbfQopt.LEN);
    if (at < 0) return '';
    const rate = tcRatespec.rate(view, at + tcTbfQopt.RATE);
    const peak = tcRatespec.rate(view, at + tcTbfQopt.PEAKRATE);
    // Sizes come back as times.
    const size = (count: number, bps: number): number => Math.floor((ticksToUs(count) * bps) / 1e6);
    const latency = (limit: number, bps: number, count: number): number =>
      (limit * 1e6) / bps - ticksToUs(count);
    const limit = tcTbfQopt.limit(view, at);
    let us = latency(limit, rate, tcTbfQopt.buffer(view, at));
    const parts = [
      `rate ${printRate(rate)}`,
      `burst ${printSize(size(tcTbfQopt.buffer(view, at), rate))}`,
    ];
    if (peak !== 0) {
      parts.push(
        `peakrate ${printRate(peak)}`,
        `minburst ${printSize(size(tcTbfQopt.mtu(view, at), peak))}`,
      );
      us = Math.max(us, latency(limit, peak, tcTbfQopt.mtu(view, at)));
    }
    parts.push(`lat ${printTime(us)}`);
    return `${parts.join(' ')} `;
  },
};
