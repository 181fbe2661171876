import { afterAll, describe, expect, it } from 'vitest';
import { skbReserve, skbResetTransportHeader } from '#include/linux/skbuff.ts';
import { TcpOptionsReceived } from '#include/linux/tcp.ts';
import { mem, view } from '#mm/memory.ts';
import { allocSkb, kfreeSkb, skbPut } from '#net/core/skbuff.ts';
import { tcpParseMssOption, tcpParseOptions } from '#net/ipv4/tcp_input_options.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';
import { TCPHDR_ACK, TCPHDR_SYN, tcphdr } from '#uapi/tcp.ts';

const rig = new TcpRig();
const net = rig.machine.initNet;

afterAll(() => {
  expect(rig.end()).toEqual({});
});

interface Parsed {
  readonly opt: TcpOptionsReceived;
  /** Offset of the SACK option from the header; 0: none. */
  readonly sack: number;
  readonly mss: number;
}

/** Parses octets as the options of a SYN, or of a later segment. */
function parse(
  octets: readonly number[],
  estab = false,
  prepare?: (o: TcpOptionsReceived) => void,
): Parsed {
  const skb = allocSkb(rig.machine, 128);
  if (skb === null) throw new Error('no memory');
  skbReserve(skb, 32);
  skbResetTransportHeader(skb);
  const padded = [...octets];
  while (padded.length % 4 !== 0) padded.push(0);
  skbPut(skb, 20 + padded.length);
  mem.fill(0, skb.data, skb.data + skb.len);
  const th = skb.transportHeader;
  tcphdr.setDoffFlags(view, th, (20 + padded.length) >> 2, estab ? TCPHDR_ACK : TCPHDR_SYN);
  mem.set(padded, th + 20);
  const opt = new TcpOptionsReceived();
  prepare?.(opt);
  skb.tcpCb.sacked = 0;
  tcpParseOptions(net, skb, opt, estab);
  const result = { opt, sack: skb.tcpCb.sacked, mss: tcpParseMssOption(th, opt.userMss) };
  kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'test');
  return result;
}

describe('options of a SYN', () => {
  it('gives what every modern host sends', () => {
    const { opt, mss } = parse([2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 9, 1, 3, 3, 7]);
    expect([opt.mssClamp, mss, opt.sackOk, opt.sndWscale, opt.wscaleOk]).toEqual([
      1460,
      1460,
      1,
      7,
      true,
    ]);
    expect([opt.sawTstamp, opt.rcvTsval, opt.rcvTsecr]).toEqual([true, 0x01020304, 9]);
  });

  it('takes the lower of the MSS and what the user allows, and none that is zero', () => {
    const limit = (o: TcpOptionsReceived): void => {
      o.userMss = 1000;
    };
    expect(parse([2, 4, 5, 180], false, limit).opt.mssClamp).toBe(1000);
    expect(parse([2, 4, 5, 180], false, limit).mss).toBe(1000);
    expect(parse([2, 4, 2, 0], false, limit).opt.mssClamp).toBe(512);
    expect(parse([2, 4, 0, 0]).opt.mssClamp).toBe(0);
  });

  it('bounds the window scale at 14', () => {
    expect(parse([3, 3, 15]).opt.sndWscale).toBe(14);
  });

  it.each([
    ['a length of zero', [2, 0, 5, 180]],
    ['a length of one', [3, 1, 7, 0]],
    ['a length beyond the header', [2, 5, 5, 180]],
    ['a kind at the very end', [1, 1, 1, 2]],
    ['the wrong length for its kind', [2, 3, 5, 1]],
    ['the end of options before it', [0, 2, 4, 5, 180, 0, 0, 0]],
  ])('ignores an option with %s', (_name, octets) => {
    const { opt, mss } = parse(octets);
    expect([opt.mssClamp, mss, opt.wscaleOk]).toEqual([0, 0, false]);
  });

  it('skips kinds that it does not know', () => {
    expect(parse([77, 5, 1, 2, 3, 2, 4, 5, 180]).opt.mssClamp).toBe(1460);
  });

  it('obeys the sysctls', () => {
    const { ipv4 } = net;
    ipv4.sysctlTcpSack = 0;
    ipv4.sysctlTcpWindowScaling = 0;
    ipv4.sysctlTcpTimestamps = 0;
    const { opt } = parse([4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 3, 3, 7, 0]);
    expect([opt.sackOk, opt.wscaleOk, opt.sawTstamp]).toEqual([0, false, false]);
    ipv4.sysctlTcpSack = 1;
    ipv4.sysctlTcpWindowScaling = 1;
    ipv4.sysctlTcpTimestamps = 1;
  });
});

describe('options of later segments', () => {
  const negotiated = (o: TcpOptionsReceived): void => {
    o.tstampOk = true;
    o.sackOk = 1;
  };

  it('have no MSS, scale or SACK-permitted', () => {
    const { opt } = parse([2, 4, 5, 180, 3, 3, 7, 4, 2, 1, 1, 1], true);
    expect([opt.mssClamp, opt.wscaleOk, opt.sackOk]).toEqual([0, false, 0]);
  });

  it('have timestamps and SACK only when negotiated', () => {
    const octets = [1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    expect(parse(octets, true).opt.sawTstamp).toBe(false);
    expect(parse(octets, true).sack).toBe(0);
    const { opt, sack } = parse(octets, true, negotiated);
    expect([opt.sawTstamp, opt.rcvTsval, opt.rcvTsecr, sack]).toEqual([true, 5, 6, 20 + 14]);
  });

  it('refuse SACK blocks that are not whole', () => {
    expect(parse([1, 1, 5, 9, 0, 0, 0, 1, 0, 0, 0], true, negotiated).sack).toBe(0);
    expect(parse([1, 1, 5, 2], true, negotiated).sack).toBe(0);
  });
});
