import { expect, test } from 'vitest';
import {
  E1000_GOTCL,
  E1000_GPTC,
  E1000_ICR,
  E1000_ICR_TXDW,
  E1000_ICR_TXQE,
  E1000_IMS,
  E1000_TADV,
  E1000_TDH,
  E1000_TIDV,
  E1000_TPT,
  E1000_TXD_CMD_DEXT,
  E1000_TXD_CMD_EOP,
  E1000_TXD_CMD_IC,
  E1000_TXD_CMD_IDE,
  E1000_TXD_CMD_IFCS,
  E1000_TXD_CMD_IP,
  E1000_TXD_CMD_RS,
  E1000_TXD_CMD_TCP,
  E1000_TXD_CMD_TSE,
  E1000_TXD_DTYP_D,
  E1000_TXD_POPTS_IXSM,
  E1000_TXD_POPTS_TXSM,
  E1000_TXD_STAT_DD,
} from '#hardware/e1000/e1000_regs.ts';
import { RING, Rig } from '#hardware/testing/rig.ts';
import { DEBUG } from '#kernel/config.ts';
import { csumFold, csumPartial, csumTcpudpMagic } from '#lib/checksum.ts';
import { livePages } from '#mm/page_alloc.ts';

const SEND = E1000_TXD_CMD_EOP | E1000_TXD_CMD_IFCS | E1000_TXD_CMD_RS;

function bytes(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);
}

function withRig(
  run: (rig: Rig) => void,
  options: ConstructorParameters<typeof Rig>[0] = {},
): void {
  const before = livePages().units;
  const rig = new Rig(options);
  run(rig);
  rig.close();
  expect(rig.machine.live.timers).toBe(0);
  expect(livePages().units).toBe(before);
}

test('a frame of several pieces leaves whole when its last bit has left', () => {
  withRig((rig) => {
    const pieces = [bytes(14), bytes(100, 2), bytes(900, 3)];
    rig.transmit(pieces, SEND);
    const wireNs = (1014 + 24) * 8;
    rig.pass(wireNs - 1);
    expect(rig.sent).toEqual([]);
    expect(rig.txStatus(2) & E1000_TXD_STAT_DD).toBe(0);
    expect(rig.txHead).toBe(0);
    rig.pass(1);
    expect(rig.sent).toHaveLength(1);
    expect(rig.sent[0]?.atNs).toBe(wireNs);
    expect([...(rig.sent[0]?.bytes ?? [])]).toEqual(pieces.flatMap((piece) => [...piece]));
    expect(rig.txStatus(2) & E1000_TXD_STAT_DD).toBe(E1000_TXD_STAT_DD);
    expect(rig.txHead).toBe(3);
    expect(rig.read(E1000_GPTC)).toBe(1);
    expect(rig.read(E1000_TPT)).toBe(1);
    expect(rig.read(E1000_GOTCL)).toBe(1018);
    expect(rig.read(E1000_GPTC), 'cleared by reading').toBe(0);
  });
});

test('short frames are padded with zeros to the least length', () => {
  withRig((rig) => {
    rig.transmit([bytes(20)], SEND);
    rig.pass(10_000);
    expect(rig.sent[0]?.bytes).toHaveLength(60);
    expect([...(rig.sent[0]?.bytes.subarray(20) ?? [])].every((octet) => octet === 0)).toBe(true);
  });
});

test('the ring wraps, and frames leave back to back', () => {
  withRig((rig) => {
    const count = 3 * RING;
    let queued = 0;
    for (let round = 0; round < count; round += RING - 1) {
      for (let n = 0; n < RING - 1; n++) {
        rig.transmit([bytes(60, queued++)], SEND);
      }
      rig.pass((RING - 1) * 84 * 8);
    }
    expect(rig.sent.map(({ bytes: sent }) => sent[0])).toEqual(
      Array.from({ length: queued }, (_, i) => (i & 0xff) % 256),
    );
    const gaps = rig.sent.slice(1, RING - 1).map(({ atNs }, i) => atNs - (rig.sent[i]?.atNs ?? 0));
    expect(new Set(gaps)).toEqual(new Set([84 * 8]));
    expect(rig.txHead).toBe(queued % RING);
  });
});

test('a packet without its last descriptor waits for it', () => {
  withRig((rig) => {
    rig.transmit([bytes(60)], 0);
    rig.pass(1_000_000);
    expect(rig.sent).toEqual([]);
    rig.transmit([bytes(40, 9)], SEND);
    rig.pass(10_000);
    expect(rig.sent[0]?.bytes).toHaveLength(100);
  });
});

test('the interrupt comes at the end of transmission, and once for a cleared cause', () => {
  withRig((rig) => {
    rig.read(E1000_ICR);
    rig.write(E1000_IMS, E1000_ICR_TXDW);
    rig.transmit([bytes(60)], SEND);
    expect(rig.interrupts).toEqual([]);
    rig.pass(84 * 8);
    expect(rig.interrupts).toEqual([84 * 8]);
    expect(rig.read(E1000_ICR) & (E1000_ICR_TXDW | E1000_ICR_TXQE)).toBe(
      E1000_ICR_TXDW | E1000_ICR_TXQE,
    );
    expect(rig.read(E1000_ICR)).toBe(0);
  });
});

test('a delayed report waits for quiet, but not for longer than the limit', () => {
  withRig((rig) => {
    rig.read(E1000_ICR);
    rig.write(E1000_IMS, E1000_ICR_TXDW);
    rig.write(E1000_TIDV, 10);
    rig.write(E1000_TADV, 25);
    rig.transmit([bytes(60)], SEND | E1000_TXD_CMD_IDE);
    const firstNs = 84 * 8;
    rig.pass(firstNs + 10 * 1024 - 1);
    expect(rig.interrupts).toEqual([]);
    rig.pass(1);
    expect(rig.interrupts).toEqual([firstNs + 10 * 1024]);
    rig.read(E1000_ICR);
    const start = rig.host.nowNs;
    // A packet every five microseconds leaves no quiet of ten.
    for (let n = 0; n < 6; n++) {
      rig.transmit([bytes(60)], SEND | E1000_TXD_CMD_IDE);
      rig.pass(5 * 1024);
    }
    expect(rig.interrupts[1]).toBe(start + firstNs + 25 * 1024);
  });
});

test('without a link nothing leaves, and all of it leaves afterwards', () => {
  withRig((rig) => {
    rig.card.linkChanged(false);
    rig.transmit([bytes(60, 1)], SEND);
    rig.transmit([bytes(60, 2)], SEND);
    rig.pass(1_000_000);
    expect(rig.sent).toEqual([]);
    rig.card.linkChanged(true);
    rig.pass(300);
    // Cut in the middle of the first frame: it starts again.
    rig.card.linkChanged(false);
    rig.pass(1_000);
    rig.card.linkChanged(true);
    rig.pass(2 * 84 * 8);
    expect(rig.sent.map(({ bytes: sent }) => sent[0])).toEqual([1, 2]);
  });
});

test('a hanging transmitter stands still until the chip is reset', () => {
  withRig((rig) => {
    rig.card.chip.faults.txHang = true;
    rig.transmit([bytes(60)], SEND);
    rig.pass(1_000_000_000);
    expect(rig.read(E1000_TDH)).toBe(0);
    rig.write(0, 0x04000000);
    expect(rig.card.chip.faults.txHang).toBe(false);
  });
});

test('the legacy format inserts a checksum from one offset at another', () => {
  withRig((rig) => {
    const frame = bytes(101);
    frame.fill(0, 50, 52);
    const css = 34;
    const cso = 50;
    rig.descriptor(
      rig.data(frame),
      0,
      frame.length | (cso << 16) | SEND | E1000_TXD_CMD_IC,
      css << 8,
    );
    rig.commit();
    rig.pass(10_000);
    const sent = rig.sent[0]?.bytes ?? new Uint8Array();
    expect(csumFold(csumPartial(sent, css, sent.length - css, 0))).toBe(0);
    expect([...sent.subarray(0, cso)]).toEqual([...frame.subarray(0, cso)]);
  });
});

/** An Ethernet, IPv4 and TCP header with no lengths and no checksums, as a driver prepares them. */
function prototype(): Uint8Array {
  const header = new Uint8Array(54);
  const v = new DataView(header.buffer);
  header.set([2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0]);
  v.setUint8(14, 0x45);
  v.setUint16(18, 0xfffe); // identification, about to wrap
  v.setUint8(22, 64);
  v.setUint8(23, 6);
  v.setUint32(26, 0x0a000001);
  v.setUint32(30, 0x0a000002);
  v.setUint16(34, 1000);
  v.setUint16(36, 80);
  v.setUint32(38, 0xffffff00); // sequence number, about to wrap
  v.setUint32(42, 77);
  v.setUint8(46, 0x50);
  v.setUint8(47, 0x19); // FIN, PSH, ACK
  v.setUint16(50, ~csumTcpudpMagic(0x0a000001, 0x0a000002, 0, 6, 0) & 0xffff);
  return header;
}

function putTsoContext(rig: Rig, payload: number, mss: number): void {
  const command = E1000_TXD_CMD_DEXT | E1000_TXD_CMD_TSE | E1000_TXD_CMD_IP | E1000_TXD_CMD_TCP;
  rig.descriptor(
    14 | (24 << 8) | (33 << 16),
    34 | (50 << 8),
    command | payload,
    (54 << 8) | (mss << 16),
  );
}

test('segmentation makes frames whose headers and checksums are right', () => {
  withRig((rig) => {
    const header = prototype();
    const payload = bytes(3500, 5);
    putTsoContext(rig, payload.length, 1460);
    const data = E1000_TXD_CMD_DEXT | E1000_TXD_DTYP_D | E1000_TXD_CMD_TSE | E1000_TXD_CMD_IFCS;
    const options = (E1000_TXD_POPTS_IXSM | E1000_TXD_POPTS_TXSM) << 8;
    rig.descriptor(rig.data(header), 0, data | header.length, options);
    rig.descriptor(rig.data(payload.subarray(0, 1000)), 0, data | 1000, options);
    const last = rig.descriptor(
      rig.data(payload.subarray(1000)),
      0,
      data | 2500 | E1000_TXD_CMD_EOP | E1000_TXD_CMD_RS,
      options,
    );
    rig.commit();
    rig.pass(100_000);
    expect(rig.sent.map(({ bytes: sent }) => sent.length)).toEqual([1514, 1514, 634]);
    const joined: number[] = [];
    for (const [n, { bytes: sent }] of rig.sent.entries()) {
      const v = new DataView(sent.buffer, sent.byteOffset);
      expect(v.getUint16(16)).toBe(sent.length - 14);
      expect(v.getUint16(18)).toBe((0xfffe + n) & 0xffff);
      expect(csumFold(csumPartial(sent, 14, 20, 0))).toBe(0);
      expect(v.getUint32(38)).toBe((0xffffff00 + n * 1460) >>> 0);
      expect(v.getUint8(47)).toBe(n === 2 ? 0x19 : 0x10);
      const tcpLen = sent.length - 34;
      const sum = csumPartial(sent, 34, tcpLen, 0);
      expect(csumTcpudpMagic(0x0a000001, 0x0a000002, tcpLen, 6, sum)).toBe(0);
      joined.push(...sent.subarray(54));
    }
    expect(joined).toEqual([...payload]);
    expect(rig.txStatus(last) & E1000_TXD_STAT_DD).toBe(E1000_TXD_STAT_DD);
  });
});

test('a card with no rate sends at once', () => {
  withRig(
    (rig) => {
      rig.transmit([bytes(60)], SEND);
      expect(rig.sent).toHaveLength(1);
      expect(rig.txHead).toBe(1);
    },
    { rateBps: 0 },
  );
});

test.runIf(DEBUG)('memory that is not mapped for the card is not read', () => {
  const rig = new Rig();
  const addr = rig.data(bytes(60));
  rig.descriptor(addr, 0, 200 | SEND, 0);
  expect(() => rig.commit()).toThrow(/dma-fault.*82540EM/);
});
