/**
 * The classic bugs of network code, each as a small wrong program. In debug mode none of them goes
 * unnoticed: a KernelBug names the rule that was broken, and what broke it.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Socket } from '#include/linux/net.ts';
import {
  type NapiStruct,
  NETDEV_TX_BUSY,
  NETDEV_TX_OK,
  type NetDevice,
  type NetDeviceOps,
  netDeviceOps,
} from '#include/linux/netdevice.ts';
import { devHold, devPut, netdevHold, netdevPut } from '#include/linux/netdevice_ref.ts';
import { type SkBuff, SkBuffHead, skbGet, skbReserve } from '#include/linux/skbuff.ts';
import { __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import type { Sock } from '#include/net/sock.ts';
import { haltMachine } from '#init/main.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { IRQ_HANDLED, raiseIrq, requestIrq } from '#kernel/irq.ts';
import { rcuReadLock } from '#kernel/rcu.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { createTask } from '#kernel/sched/task.ts';
import { localBhDisable, localBhEnable, Tasklet, taskletSchedule } from '#kernel/softirq.ts';
import { view } from '#mm/memory.ts';
import { devClose } from '#net/core/dev.ts';
import {
  __napiSchedule,
  napiCompleteDone,
  napiEnable,
  napiSchedule,
  netifNapiAdd,
} from '#net/core/dev_napi.ts';
import { registerNetdev, registerNetdevice, unregisterNetdev } from '#net/core/dev_register.ts';
import { netifReceiveSkb } from '#net/core/dev_rx.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { allocSkb, consumeSkb, kfreeSkb, skbClone, skbPut, skbPutZero } from '#net/core/skbuff.ts';
import { pskbExpandHead, pskbMayPull, pskbPull } from '#net/core/skbuff_copy.ts';
import { lockSock, releaseSock } from '#net/core/sock.ts';
import { allocEtherdev } from '#net/ethernet/eth.ts';
import { tcpV4DoRcv } from '#net/ipv4/tcp_ipv4.ts';
import { tcpSetState } from '#net/ipv4/tcp_state.ts';
import { IpMachine, sin } from '#net/ipv4/testing/ip_machine.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { iphdr } from '#uapi/ip.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';
import { AF_INET, SOCK_DGRAM, SOCK_STREAM } from '#uapi/socket.ts';
import { TCP_CLOSE } from '#uapi/tcp.ts';

const WHY = SKB_DROP_REASON_NOT_SPECIFIED;

/** Each program runs on a machine of its own, which afterwards is as a kernel after a BUG. */
let m: IpMachine;

beforeEach(() => {
  m = new IpMachine();
});

/** The bug that a wrong program is stopped with. */
function bugOf(program: () => void): KernelBug {
  try {
    program();
  } catch (error) {
    if (error instanceof KernelBug) return error;
    throw error;
  }
  throw new Error('nobody noticed');
}

/** Expects a program to be stopped for breaking `invariant`, with words that `says` matches. */
function caught(program: () => void, invariant: string, says: RegExp): void {
  const bug = bugOf(program);
  expect(bug.invariant).toBe(invariant);
  expect(bug.message).toMatch(says);
  expect(bug.message.startsWith(`${invariant}: `)).toBe(true);
}

/** An IPv4 packet with room before and behind, its network header set. */
function packet(dev: NetDevice | null = null): SkBuff {
  const skb = allocSkb(m.machine, 256);
  if (skb === null) throw new Error('out of packet memory');
  skbReserve(skb, 64);
  skbPutZero(skb, 60);
  skb.networkHeader = skb.data;
  skb.protocol = ETH_P_IP;
  skb.dev = dev;
  return skb;
}

function device(ops: Partial<NetDeviceOps>, name = 'bad0'): NetDevice {
  const sink = (skb: SkBuff): number => {
    consumeSkb(skb, 'sink_xmit');
    return NETDEV_TX_OK;
  };
  const dev = allocEtherdev(m.net, netDeviceOps({ ndoStartXmit: sink, ...ops }), null);
  dev.name = name;
  expect(registerNetdev(dev)).toBe(0);
  m.up(dev);
  return dev;
}

/** The sock behind a new socket. */
function socket(type: number): Sock {
  const task = createTask(m.machine, 'wrong', m.net);
  const fd = makeSyscalls(task).socket(AF_INET, type, 0);
  const sock = task.files.get(fd)?.privateData as Socket | undefined;
  const sk = sock?.sk ?? null;
  if (sk === null) throw new Error('no sock');
  return sk;
}

/** Runs `fn` in a soft interrupt. */
function inSoftirq(fn: () => void): void {
  const tasklet = new Tasklet(m.machine, fn);
  taskletSchedule(tasklet);
  m.settle();
}

describe.runIf(DEBUG)('packets', () => {
  it('a header pointer is kept while the packet is pulled', () => {
    const skb = packet();
    caught(
      () => {
        const iph = skb.networkHeader;
        if (pskbMayPull(skb, iphdr.LEN + 20)) iphdr.ttl(view, iph);
      },
      'use-after-free',
      /stale header pointer/,
    );
  });

  it('what was pulled off is looked for at its old place', () => {
    const skb = packet();
    caught(
      () => {
        const header = skb.data;
        pskbPull(skb, iphdr.LEN);
        iphdr.saddr(view, header);
      },
      'use-after-free',
      /stale header pointer/,
    );
  });

  it('a header pointer is kept while the head is expanded', () => {
    const skb = packet();
    caught(
      () => {
        const iph = skb.networkHeader;
        pskbExpandHead(skb, 100, 0);
        iphdr.setTtl(view, iph, 1);
      },
      'use-after-free',
      /stale header pointer/,
    );
  });

  it('the bytes of a freed packet are read', () => {
    const skb = packet();
    caught(
      () => {
        kfreeSkb(skb, WHY, 'wrong');
        iphdr.ttl(view, skb.networkHeader);
      },
      'use-after-free',
      /freed packet/,
    );
  });

  it('a packet is freed twice', () => {
    const skb = packet();
    caught(
      () => {
        kfreeSkb(skb, WHY, 'wrong');
        kfreeSkb(skb, WHY, 'wrong');
      },
      'skb-double-free',
      new RegExp(`freed twice: skb ${skb.id}`),
    );
  });

  it('a packet is used after it was handed over', () => {
    const dev = device({});
    const skb = packet(dev);
    caught(
      () => {
        devQueueXmit(skb);
        skbPut(skb, 1);
      },
      'skb-use-after-free',
      /freed packet used/,
    );
  });

  it('a clone is forgotten on the error path', () => {
    const skb = packet();
    const forgetful = (): void => {
      const clone = skbClone(skb);
      if (clone.len > 0) return;
      kfreeSkb(clone, WHY, 'wrong');
    };
    forgetful();
    consumeSkb(skb);
    caught(
      () => haltMachine(m.machine),
      'skb-leak',
      new RegExp(`clone or copy of ${skb.id}.* from skbClone < forgetful`),
    );
  });

  it('skb_get() has no kfree_skb()', () => {
    const skb = packet();
    skbGet(skb);
    consumeSkb(skb);
    caught(() => haltMachine(m.machine), 'skb-leak', /users:1 from allocSkb < packet/);
  });

  it('more is put into a packet than it has room for', () => {
    caught(() => skbPut(packet(), 100_000), 'skb-over-panic', /skb_put of 100000 bytes/);
  });

  it('a packet is dropped without a reason', () => {
    caught(() => kfreeSkb(packet(), 0, 'wrong'), 'skb-drop-reason', /0 is no drop reason/);
  });
});

describe.runIf(DEBUG)('a packet has one owner', () => {
  it('it is put on two queues', () => {
    const skb = packet();
    __skbQueueTail(new SkBuffHead(), skb);
    caught(() => __skbQueueTail(new SkBuffHead(), skb), 'skb-double-queue', /already on a queue/);
  });

  it('it is freed while it is on a queue', () => {
    const skb = packet();
    __skbQueueTail(new SkBuffHead(), skb);
    caught(() => kfreeSkb(skb, WHY, 'wrong'), 'skb-freed-while-queued', /still on a queue/);
  });

  it('its head is moved though another holds it too', () => {
    const skb = skbGet(packet());
    caught(() => pskbExpandHead(skb, 64, 0), 'skb-expand-shared', /has 2 holders/);
  });
});

describe.runIf(DEBUG)('byte order', () => {
  it('htonl() is forgotten', () => {
    const skb = packet();
    caught(
      () => view.setUint32(skb.networkHeader + 16, 0x0a000001, true),
      'host-byte-order',
      /forgotten htonl/,
    );
  });

  it('ntohs() is forgotten', () => {
    const skb = packet();
    caught(() => view.getUint16(skb.networkHeader + 2, true), 'host-byte-order', /ntohl/);
  });
});

describe.runIf(DEBUG)('the socket lock', () => {
  it('is taken in a soft interrupt', () => {
    const sk = socket(SOCK_DGRAM);
    caught(() => inSoftirq(() => lockSock(sk)), 'wrong-context', /lock_sock may sleep/);
  });

  it('is not taken by a task that changes the socket', () => {
    const sk = socket(SOCK_STREAM);
    caught(() => tcpSetState(sk, TCP_CLOSE), 'sock-lock', /tcp_set_state: .* not locked/);
  });

  it('is ignored by a soft interrupt while a task holds it', () => {
    const sk = socket(SOCK_STREAM);
    lockSock(sk);
    caught(
      () => inSoftirq(() => tcpV4DoRcv(sk, packet())),
      'sock-lock',
      /a task holds the TCP socket; use the backlog/,
    );
  });

  it('is taken twice', () => {
    const sk = socket(SOCK_DGRAM);
    lockSock(sk);
    caught(() => lockSock(sk), 'sock-lock', /holds it already/);
  });

  it('is given back by one who does not hold it', () => {
    caught(() => releaseSock(socket(SOCK_DGRAM)), 'lock-balance', /sk_lock released but not held/);
  });

  it('is not given back at the end of a system call', () => {
    lockSock(socket(SOCK_DGRAM));
    caught(() => m.sys.monotonic(), 'lock-leak', /returned to user space with sk_lock held/);
  });
});

describe.runIf(DEBUG)('no socket lock goes into the device layer', () => {
  it('a driver takes the lock of the sender it transmits for', () => {
    const xmit = (skb: SkBuff): number => {
      if (skb.sk !== null) lockSock(skb.sk);
      consumeSkb(skb, 'bad_xmit');
      return NETDEV_TX_OK;
    };
    const dev = device({ ndoStartXmit: xmit });
    m.address(dev, '10.9.0.1', 24);
    const fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
    const send = (): number => m.sys.sendto(fd, Uint8Array.of(1), 0, sin('10.9.0.255', 9));
    m.sys.setsockopt(fd, 1, 6, Uint8Array.of(1, 0, 0, 0));
    caught(send, 'wrong-context', /lock_sock may sleep, but runs in an interrupt/);
  });

  it('devices are configured by one who holds a socket', () => {
    lockSock(socket(SOCK_DGRAM));
    caught(() => rtnlLock(m.machine), 'lock-order', /rtnl_lock taken with sk_lock held/);
  });
});

describe.runIf(DEBUG)('rtnl and RCU', () => {
  it('a device is registered without rtnl', () => {
    const dev = allocEtherdev(m.net, netDeviceOps({ ndoStartXmit: () => NETDEV_TX_OK }), null);
    caught(() => registerNetdevice(dev), 'rtnl-not-held', /only be changed under rtnl_lock/);
  });

  it('a device is closed without rtnl', () => {
    const dev = device({});
    caught(() => devClose(dev), 'rtnl-not-held', /rtnl_lock/);
  });

  it('rtnl is taken in a soft interrupt', () => {
    caught(() => inSoftirq(() => rtnlLock(m.machine)), 'wrong-context', /rtnl_lock may sleep/);
  });

  it('rtnl is given back without having been taken', () => {
    caught(() => rtnlUnlock(m.machine), 'rtnl-balance', /not held/);
  });

  it('somebody sleeps in an RCU read section', () => {
    rcuReadLock(m.machine);
    caught(() => rtnlLock(m.machine), 'wrong-context', /RCU read section/);
  });
});

describe.runIf(DEBUG)('a full queue', () => {
  it('is not stopped: the driver would be asked for ever', () => {
    const dev = device({ ndoStartXmit: () => NETDEV_TX_BUSY });
    caught(
      () => devQueueXmit(packet(dev)),
      'queue-not-stopped',
      /bad0 returned NETDEV_TX_BUSY without netif_stop_queue/,
    );
  });
});

describe.runIf(DEBUG)('a device polls or waits for interrupts, never both', () => {
  let dev: NetDevice;

  beforeEach(() => {
    dev = device({});
  });

  function polling(poll: (n: NapiStruct, budget: number) => number): NapiStruct {
    const napi = netifNapiAdd(dev, poll);
    napiEnable(napi);
    return napi;
  }

  function schedule(napi: NapiStruct): void {
    localBhDisable(m.machine);
    napiSchedule(napi);
    localBhEnable(m.machine);
  }

  it('polling is ended that has not begun', () => {
    const napi = polling(() => 0);
    caught(() => napiCompleteDone(napi, 0), 'napi-complete-idle', /bad0 is not scheduled/);
  });

  it('it is scheduled twice', () => {
    const napi = polling(() => 0);
    localBhDisable(m.machine);
    napiSchedule(napi);
    caught(() => __napiSchedule(napi), 'napi-double-schedule', /bad0 is on a poll list already/);
  });

  it('the poll says it is done and goes on being scheduled', () => {
    const napi = polling(() => 1);
    caught(() => schedule(napi), 'napi-not-completed', /returned 1 without napi_complete_done/);
  });

  it('a driver delivers from its hard interrupt instead of scheduling', () => {
    const handler = (): number => {
      netifReceiveSkb(packet(dev));
      return IRQ_HANDLED;
    };
    requestIrq(m.machine, 99, handler, 'bad0', dev);
    caught(() => raiseIrq(m.machine, 99), 'rx-context', /outside of a soft interrupt/);
  });

  it('a driver delivers from a task', () => {
    caught(() => netifReceiveSkb(packet(dev)), 'rx-context', /outside of a soft interrupt/);
  });

  it('a poll takes more than its budget', () => {
    const napi = polling((_n, budget) => budget + 1);
    caught(() => schedule(napi), 'napi-budget', /bad0 took 65 packets, its budget is 64/);
  });
});

describe.runIf(DEBUG)('references on devices', () => {
  it('dev_hold() has no dev_put(): told when the machine halts', () => {
    devHold(device({}, 'kept0'));
    caught(
      () => haltMachine(m.machine),
      'dev-ref-leak',
      /waiting for kept0 to become free: dev_hold\(\) without dev_put\(\).*1 not named/,
    );
  });

  it('and ten seconds after the device was unregistered', () => {
    const dev = device({}, 'kept1');
    netdevHold(dev, 'wrong_module');
    unregisterNetdev(dev);
    m.advance(5000);
    caught(() => m.advance(6000), 'dev-ref-leak', /kept1 .* usage count 2 \(1 wrong_module\)/);
  });

  it('dev_put() has no dev_hold()', () => {
    const dev = device({});
    caught(
      () => {
        for (let i = 0; i < 100; i++) devPut(dev);
      },
      'dev-put-underflow',
      /device bad0 has no holder/,
    );
  });

  it('somebody gives back what another holds', () => {
    const dev = device({});
    caught(
      () => netdevPut(dev, 'wrong_module'),
      'dev-put-unheld',
      /wrong_module does not hold bad0/,
    );
  });
});
