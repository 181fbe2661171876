import { describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import {
  OPTION_SACK_ADVERTISE,
  OPTION_TS,
  OPTION_WSCALE,
  TcpOutOptions,
} from '#include/net/tcp_out_options.ts';
import { mem } from '#mm/memory.ts';
import { allocPages, putPage } from '#mm/page_alloc.ts';
import { tcpOptionsWrite } from '#net/ipv4/tcp_output_options.ts';
import { tcpSelectInitialWindow } from '#net/ipv4/tcp_output_window.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { SOL_TCP } from '#uapi/socket.ts';
import { TCP_NODELAY } from '#uapi/tcp.ts';

function hex(from: number, len: number): string {
  return [...mem.subarray(from, from + len)].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/** The option bytes behind a header. */
function written(fill: (opts: TcpOutOptions) => void, tp: TcpSock | null, len: number): string {
  const page = allocPages(2048);
  const opts = new TcpOutOptions();
  fill(opts);
  mem.fill(0xee, page, page + 64);
  tcpOptionsWrite(page, tp, opts);
  const text = hex(page + 20, len);
  expect(mem[page + 20 + len]).toBe(0xee);
  putPage(page);
  return text;
}

describe('option bytes', () => {
  it('of a SYN stand in the order of Linux', () => {
    const all = written(
      (o) => {
        o.mss = 1460;
        o.ws = 7;
        o.options = OPTION_TS | OPTION_SACK_ADVERTISE | OPTION_WSCALE;
        o.tsval = 0x01020304;
        o.tsecr = 0;
      },
      null,
      20,
    );
    expect(all).toBe('020405b4' + '0402080a' + '01020304' + '00000000' + '01030307');
  });

  it('are padded with NOPs where an option is missing', () => {
    const noTs = written(
      (o) => {
        o.mss = 536;
        o.ws = 0;
        o.options = OPTION_SACK_ADVERTISE | OPTION_WSCALE;
      },
      null,
      12,
    );
    expect(noTs).toBe('02040218' + '01010402' + '01030300');
    expect(written((o) => (o.mss = 536), null, 4)).toBe('02040218');
  });

  it('put a DSACK block before the SACK blocks, once', () => {
    const block = (startSeq: number, endSeq: number): object => ({ startSeq, endSeq });
    const tp = {
      rxOpt: { dsack: true },
      duplicateSack: [block(1, 2)],
      selectiveAcks: [block(16, 32), block(48, 64)],
    } as unknown as TcpSock;
    const text = written(
      (o) => {
        o.options = OPTION_TS;
        o.tsval = 1;
        o.tsecr = 2;
        o.numSackBlocks = 3;
      },
      tp,
      12 + 4 + 24,
    );
    expect(text).toBe(
      '0101080a' +
        '00000001' +
        '00000002' +
        '0101051a' +
        '00000001' +
        '00000002' +
        '00000010' +
        '00000020' +
        '00000030' +
        '00000040',
    );
    expect(tp.rxOpt.dsack).toBe(false);
  });
});

describe('the first window', () => {
  /** space, mss, clamp, wscale ok, route's window; window, scale. */
  const ROWS: readonly [number, number, number, boolean, number, number, number][] = [
    [65536, 1460, 0, true, 0, 64240, 10],
    [65536, 1448, 0, true, 0, 65160, 10],
    [65536, 1460, 0, false, 0, 64240, 0],
    [65536, 1460, 0, true, 10, 14600, 10],
    [65536, 1460, 20000, true, 0, 18980, 0],
    [1000, 1460, 0, true, 0, 1000, 10],
    [-5, 1460, 0, true, 0, 0, 10],
  ];
  const { machine } = new BareMachine();
  const sk = { net: machine.initNet } as unknown as TcpSock;
  for (const [space, mss, clamp, ws, route, wnd, scale] of ROWS) {
    it(`of ${space} bytes, mss ${mss}, clamp ${clamp}, route ${route} is ${wnd} scale ${scale}`, () => {
      const win = tcpSelectInitialWindow(sk, space, mss, clamp, ws, route);
      expect([win.rcvWnd, win.rcvWscale]).toEqual([wnd, scale]);
    });
  }
});

describe('segments', () => {
  it('are numbered right across 2^31 and 2^32', () => {
    for (const isn of [0x7ffffff0 | 0, -16]) {
      const rig = new TcpRig({ peerIsn: isn });
      const { fd, lfd } = rig.accepted();
      rig.close(lfd);
      rig.setInt(fd, SOL_TCP, TCP_NODELAY, 1);
      // Move our own numbers to the edge, as if that much had been sent.
      rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 100 });
      expect((rig.read(fd) as Uint8Array).length).toBe(100);
      rig.sent();
      rig.write(fd, 3000);
      expect(rig.sent().map((s) => [s.seq, s.ack])).toEqual([
        [1, 101],
        [1461, 101],
        [2921, 101],
      ]);
      rig.inject({ flags: '.', seq: 101, ack: 3001, win: 1000 });
      rig.inject({ flags: 'R', seq: 101 });
      rig.close(fd);
      expect(rig.end()).toEqual({});
    }
  });

  it('lost together are sent again together, when small, as one', () => {
    const rig = new TcpRig();
    const { fd, lfd } = rig.accepted();
    rig.close(lfd);
    rig.setInt(fd, SOL_TCP, TCP_NODELAY, 1);
    for (let i = 0; i < 3; i++) rig.write(fd, 100);
    expect(rig.sent().map((s) => s.len)).toEqual([100, 100, 100]);
    const again: string[] = [];
    for (let i = 0; i < 10; i++) {
      rig.advance(50);
      for (const s of rig.sent()) again.push(`${s.seq}:${s.seq + s.len}`);
    }
    // The loss probe is the last one; after the timeout they go as one.
    expect(again).toEqual(['201:301', '1:301']);
    rig.inject({ flags: 'R', seq: 1 });
    rig.close(fd);
    expect(rig.end()).toEqual({});
  });
});
