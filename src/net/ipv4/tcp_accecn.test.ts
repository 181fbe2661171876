/** Accurate ECN: the arithmetic that packet scripts cannot reach one by one. RFC 9768. */
import { describe, expect, it } from 'vitest';
import {
  OPTION_SACK_ADVERTISE,
  OPTION_WSCALE,
  TcpOutOptions,
} from '#include/net/tcp_out_options.ts';
import { mem } from '#mm/memory.ts';
import { allocPages, getPage, putPage } from '#mm/page_alloc.ts';
import { tcpOptionsFitAccecn, writeAccecn } from '#net/ipv4/tcp_output_accecn.ts';

/** Fields, SACK blocks left, and octets taken. */
function chosen(
  required: number,
  remaining: number,
  set: Partial<Pick<TcpOutOptions, 'numSackBlocks' | 'options' | 'useSynackEcnBytes'>> = {},
): [fields: number, blocks: number, size: number] {
  const opts = Object.assign(new TcpOutOptions(), set);
  const size = tcpOptionsFitAccecn(opts, required, remaining);
  return [opts.numAccecnFields, opts.numSackBlocks, size];
}

describe('tcpOptionsFitAccecn', () => {
  it('takes three fields where there is room, padded to words', () => {
    expect(chosen(0, 40)).toEqual([3, 0, 12]);
    expect(chosen(0, 12)).toEqual([3, 0, 12]);
  });

  it('takes fewer where there is less', () => {
    expect(chosen(0, 11)).toEqual([2, 0, 8]);
    expect(chosen(0, 7)).toEqual([0, 0, 4]);
    expect(chosen(0, 3)).toEqual([0, 0, 0]);
  });

  it('uses the two octets of padding in front of SACK blocks', () => {
    expect(chosen(0, 3, { numSackBlocks: 1 })).toEqual([0, 1, 0]);
    expect(chosen(1, 4, { numSackBlocks: 1 })).toEqual([1, 1, 4]);
  });

  it('uses the padding of SACK-permitted, or a single one of the window scale', () => {
    const synack = { useSynackEcnBytes: true };
    expect(chosen(0, 4, { ...synack, options: OPTION_SACK_ADVERTISE })).toEqual([1, 0, 4]);
    expect(chosen(0, 4, { ...synack, options: OPTION_WSCALE })).toEqual([1, 0, 4]);
    expect(chosen(0, 3, { ...synack, options: OPTION_WSCALE })).toEqual([0, 0, 0]);
    expect(chosen(0, 3, { ...synack, options: OPTION_SACK_ADVERTISE })).toEqual([0, 0, 0]);
  });

  it('takes the room of SACK blocks, but leaves two, and only for what is required', () => {
    // 40 octets: 12 of timestamps, 4 + 3 * 8 of SACK.
    expect(chosen(2, 0, { numSackBlocks: 3 })).toEqual([2, 2, 0]);
    expect(chosen(3, 0, { numSackBlocks: 3 })).toEqual([0, 3, 0]);
    expect(chosen(0, 0, { numSackBlocks: 3 })).toEqual([0, 3, 0]);
    expect(chosen(2, 0, { numSackBlocks: 2 })).toEqual([0, 2, 0]);
    expect(chosen(3, 0, { numSackBlocks: 4 })).toEqual([3, 2, -4]);
  });
});

describe('writeAccecn', () => {
  it('leaves over what does not fill a word', () => {
    const page = allocPages(64);
    getPage(page);
    const opts = new TcpOutOptions();
    const written = (fields: number): string[] => {
      opts.numAccecnFields = fields;
      const end = writeAccecn(page, null, opts);
      const octets = [...mem.subarray(page, end)].map((x) => x.toString(16).padStart(2, '0'));
      return [octets.join(''), `${opts.leftoverHigh} ${opts.leftoverLow}`];
    };
    expect(written(3)).toEqual(['ae0b000001000000000001' + '01', '1 1']);
    expect(written(2)).toEqual(['ae080000' + '01000000', '1 1']);
    expect(written(1)).toEqual(['ae050000', '1 1']);
    expect(written(0)).toEqual(['', '174 2']);
    putPage(page);
    putPage(page);
  });
});
