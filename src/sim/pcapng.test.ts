import { describe, expect, it } from 'vitest';
import { DIRECTION_OUTBOUND, LINKTYPE_ETHERNET, PcapngWriter } from '#sim/pcapng.ts';

function collect(): { blocks: Uint8Array[]; writer: PcapngWriter } {
  const blocks: Uint8Array[] = [];
  return { blocks, writer: new PcapngWriter((bytes) => blocks.push(bytes)) };
}

describe('pcapng', () => {
  it('frames every block with its length at both ends, a multiple of four', () => {
    const { blocks, writer } = collect();
    const id = writer.addInterface({ name: 'eth0', linktype: LINKTYPE_ETHERNET });
    for (let n = 0; n < 9; n++) {
      writer.packet({
        interfaceId: id,
        sec: 1,
        nsec: n,
        bytes: new Uint8Array(n),
        comment: 'x'.repeat(n),
      });
    }
    expect(blocks).toHaveLength(11);
    for (const block of blocks) {
      const v = new DataView(block.buffer);
      expect(block.length % 4).toBe(0);
      expect(v.getUint32(4, true)).toBe(block.length);
      expect(v.getUint32(block.length - 4, true)).toBe(block.length);
    }
  });

  it('counts nanoseconds since the epoch exactly', () => {
    const { blocks, writer } = collect();
    writer.addInterface({ name: 'eth0', linktype: LINKTYPE_ETHERNET });
    const samples: [number, number][] = [
      [0, 0],
      [1767225600, 123456789],
      [4294967295, 999999999],
      [65535, 999999999],
    ];
    for (const [sec, nsec] of samples) {
      writer.packet({ interfaceId: 0, sec, nsec, bytes: new Uint8Array(1) });
      const block = blocks[blocks.length - 1] as Uint8Array;
      const v = new DataView(block.buffer);
      const got = (BigInt(v.getUint32(12, true)) << 32n) | BigInt(v.getUint32(16, true));
      expect(got).toBe(BigInt(sec) * 1000000000n + BigInt(nsec));
    }
  });

  it('keeps the direction, the comment and the length of what was cut off', () => {
    const { blocks, writer } = collect();
    writer.addInterface({ name: 'eth0', linktype: LINKTYPE_ETHERNET, snaplen: 4 });
    writer.packet({
      interfaceId: 0,
      sec: 0,
      nsec: 0,
      bytes: Uint8Array.of(1, 2, 3, 4, 5, 6),
      direction: DIRECTION_OUTBOUND,
      comment: 'ü',
    });
    const v = new DataView((blocks[2] as Uint8Array).buffer);
    expect(v.getUint32(20, true)).toBe(4);
    expect(v.getUint32(24, true)).toBe(6);
    expect([...(blocks[2] as Uint8Array).subarray(32, 40)]).toEqual([1, 0, 2, 0, 0xc3, 0xbc, 0, 0]);
    expect(v.getUint32(44, true)).toBe(DIRECTION_OUTBOUND);
  });

  it('refuses a packet of an interface that was not described', () => {
    expect(() =>
      collect().writer.packet({ interfaceId: 0, sec: 0, nsec: 0, bytes: new Uint8Array(1) }),
    ).toThrow(RangeError);
  });
});
