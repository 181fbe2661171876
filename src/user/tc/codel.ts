/*
 * Options of the discipline codel. Counterpart: iproute2's tc/q_codel.c.
 */
import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  TCA_CODEL_CE_THRESHOLD,
  TCA_CODEL_ECN,
  TCA_CODEL_INTERVAL,
  TCA_CODEL_LIMIT,
  TCA_CODEL_TARGET,
  tcCodelXstats,
} from '#uapi/pkt_sched.ts';
import { NlAttrs, NlBuilder } from '#user/lib/nlmsg.ts';
import { type Kind, OptionError, printTime, timeOf, unsigned } from '#user/tc/kinds.ts';

const USAGE =
  'Usage: ... codel [ limit PACKETS ] [ target TIME ]\n' +
  '\t\t [ interval TIME ] [ ecn | noecn ]\n' +
  '\t\t [ ce_threshold TIME ]';

const VALUES: Readonly<Record<string, readonly [type: number, read: typeof timeOf]>> = {
  limit: [TCA_CODEL_LIMIT, unsigned],
  target: [TCA_CODEL_TARGET, timeOf],
  ce_threshold: [TCA_CODEL_CE_THRESHOLD, timeOf],
  interval: [TCA_CODEL_INTERVAL, timeOf],
};

export const codel: Kind = {
  parse: (words) => {
    const builder = new NlBuilder(0, 0);
    for (let i = 0; i < words.length; i++) {
      const word = words[i] as string;
      if (word === 'ecn' || word === 'noecn') {
        builder.u32(TCA_CODEL_ECN, word === 'ecn' ? 1 : 0);
        continue;
      }
      const option = Object.hasOwn(VALUES, word) ? VALUES[word] : undefined;
      if (option === undefined) throw new OptionError(`What is "${word}"?\n${USAGE}`);
      const value = option[1](words[++i]);
      if (value === null) throw new OptionError(`Illegal "${word}"`);
      builder.u32(option[0], value);
    }
    return builder.finish().slice(NLMSG_HDRLEN);
  },
  print: (options) => {
    const view = new DataView(options.buffer, options.byteOffset, options.byteLength);
    const attrs = new NlAttrs(view, 0, options.length);
    const parts: string[] = [];
    const limit = attrs.u32(TCA_CODEL_LIMIT);
    if (limit !== null) parts.push(`limit ${limit}p`);
    for (const [name, type] of [
      ['target', TCA_CODEL_TARGET],
      ['ce_threshold', TCA_CODEL_CE_THRESHOLD],
      ['interval', TCA_CODEL_INTERVAL],
    ] as const) {
      const us = attrs.u32(type);
      if (us !== null) parts.push(`${name} ${printTime(us)}`);
    }
    if ((attrs.u32(TCA_CODEL_ECN) ?? 0) !== 0) parts.push('ecn');
    return `${parts.join(' ')} `;
  },
  printStats: (stats) => {
    if (stats.length < tcCodelXstats.LEN) return '';
    const v = new DataView(stats.buffer, stats.byteOffset, stats.byteLength);
    const next = tcCodelXstats.dropNext(v, 0);
    const drop = next < 0 ? `-${printTime(-next)}` : printTime(next);
    const ce = tcCodelXstats.ceMark(v, 0);
    return (
      `  count ${tcCodelXstats.count(v, 0)} lastcount ${tcCodelXstats.lastcount(v, 0)}` +
      ` ldelay ${printTime(tcCodelXstats.ldelay(v, 0))}` +
      `${tcCodelXstats.dropping(v, 0) !== 0 ? ' dropping' : ''} drop_next ${drop}\n` +
      `  maxpacket ${tcCodelXstats.maxpacket(v, 0)} ecn_mark ${tcCodelXstats.ecnMark(v, 0)}` +
      ` drop_overlimit ${tcCodelXstats.dropOverlimit(v, 0)}${ce === 0 ? '' : ` ce_mark ${ce}`}\n`
    );
  },
};
