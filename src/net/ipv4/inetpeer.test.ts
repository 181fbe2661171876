import { describe, expect, it } from 'vitest';
import type { Net } from '#include/net/net_namespace.ts';
import { inetGetpeerV4, inetPeerXrlimAllow } from '#net/ipv4/inetpeer.ts';

/** As much of a namespace as the peers look at. */
function fakeNet(): Net {
  const netGlobals = {
    inetPeerThreshold: 65664,
    inetPeerMinttl: 120_000,
    inetPeerMaxttl: 600_000,
  };
  return { machine: { jiffies: 1000, netGlobals }, ipv4: { peers: null } } as unknown as Net;
}

describe('peers', () => {
  it('are remembered by address and domain', () => {
    const net = fakeNet();
    const a = inetGetpeerV4(net, 1, 0);
    expect(inetGetpeerV4(net, 1, 0)).toBe(a);
    expect(inetGetpeerV4(net, 1, 5)).not.toBe(a);
    expect(inetGetpeerV4(net, 2, 0)).not.toBe(a);
  });

  it('are forgotten when nobody asked for ten minutes and others come', () => {
    const net = fakeNet();
    const machine = net.machine as { jiffies: number };
    const a = inetGetpeerV4(net, 1, 0);
    machine.jiffies += 599_000;
    inetGetpeerV4(net, 2, 0);
    expect(inetGetpeerV4(net, 1, 0)).toBe(a);
    machine.jiffies += 601_000;
    inetGetpeerV4(net, 3, 0);
    expect(net.ipv4.peers?.total).toBe(1);
    expect(inetGetpeerV4(net, 1, 0)).not.toBe(a);
  });

  it('live for as long as inet_peer_maxttl, and for less as inet_peer_threshold comes near', () => {
    const net = fakeNet();
    const { machine } = net;
    machine.netGlobals.inetPeerMinttl = 1000;
    machine.netGlobals.inetPeerMaxttl = 5000;
    machine.netGlobals.inetPeerThreshold = 4;
    const at = (ms: number): void => {
      (machine as { jiffies: number }).jiffies = 1000 + ms;
    };
    inetGetpeerV4(net, 1, 0);
    at(4000);
    // One of four: three thousand and a quarter more.
    inetGetpeerV4(net, 2, 0);
    expect(net.ipv4.peers?.total).toBe(1);
    inetGetpeerV4(net, 3, 0);
    inetGetpeerV4(net, 4, 0);
    at(5000);
    inetGetpeerV4(net, 5, 0);
    expect(net.ipv4.peers?.total).toBe(4);
    // Full: whoever is not in use just now.
    at(5001);
    inetGetpeerV4(net, 6, 0);
    expect(net.ipv4.peers?.total).toBe(1);
  });

  it('get a burst of messages, then one each period', () => {
    const net = fakeNet();
    const machine = net.machine as { jiffies: number };
    const peer = inetGetpeerV4(net, 1, 0);
    const sends = (): number => {
      let n = 0;
      while (inetPeerXrlimAllow(peer, 1000)) n++;
      return n;
    };
    expect(sends()).toBe(6);
    expect(sends()).toBe(0);
    machine.jiffies += 2500;
    expect(sends()).toBe(2);
    machine.jiffies += 500;
    expect(sends()).toBe(1);
    expect(inetPeerXrlimAllow(null, 1000)).toBe(true);
  });
});
