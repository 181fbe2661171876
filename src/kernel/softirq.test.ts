import { describe, expect, it } from 'vitest';
import { TraceEvents } from '#include/trace/events/events.ts';
import {
  disableIrq,
  enableIrq,
  IRQ_HANDLED,
  IRQ_NONE,
  localIrqRestore,
  localIrqSave,
  raiseIrq,
  requestIrq,
} from '#kernel/irq.ts';
import { Machine, type MachineHost, runPending } from '#kernel/machine.ts';
import { callRcu } from '#kernel/rcu.ts';
import {
  localBhDisable,
  localBhEnable,
  NET_RX_SOFTIRQ,
  NET_TX_SOFTIRQ,
  openSoftirq,
  raiseSoftirq,
  Tasklet,
  taskletSchedule,
} from '#kernel/softirq.ts';
import { EBUSY, EINVAL } from '#uapi/errno.ts';

class Host implements MachineHost {
  kicks = 0;
  clock = 0;
  readClock(): number {
    return this.clock;
  }
  kick(): void {
    this.kicks++;
  }
  timerChanged(): void {}
}

function boot(cpus = 1): { m: Machine; host: Host } {
  const host = new Host();
  return {
    host,
    m: new Machine({ name: 'm', host, seed: 1, cpus, bootEpochSec: 0, trace: new TraceEvents() }),
  };
}

describe('softirqs', () => {
  it('run when the outermost interrupt ends, lowest number first', () => {
    const { m } = boot();
    const ran: string[] = [];
    openSoftirq(m, NET_TX_SOFTIRQ, () => ran.push('tx'));
    openSoftirq(m, NET_RX_SOFTIRQ, () => ran.push('rx'));
    requestIrq(
      m,
      16,
      () => {
        raiseSoftirq(m, NET_RX_SOFTIRQ);
        raiseSoftirq(m, NET_TX_SOFTIRQ);
        ran.push('irq');
        return IRQ_HANDLED;
      },
      'eth0',
      null,
    );
    raiseIrq(m, 16);
    expect(ran).toEqual(['irq', 'tx', 'rx']);
  });

  it('wait while they are disabled and run with the last enable', () => {
    const { m } = boot();
    let ran = 0;
    openSoftirq(m, NET_RX_SOFTIRQ, () => ran++);
    localBhDisable(m);
    localBhDisable(m);
    raiseSoftirq(m, NET_RX_SOFTIRQ);
    localBhEnable(m);
    expect(ran).toBe(0);
    localBhEnable(m);
    expect(ran).toBe(1);
  });

  it('go to ksoftirqd after ten rounds', () => {
    const { m, host } = boot();
    let ran = 0;
    openSoftirq(m, NET_RX_SOFTIRQ, () => {
      ran++;
      if (ran < 25) raiseSoftirq(m, NET_RX_SOFTIRQ);
    });
    localBhDisable(m);
    raiseSoftirq(m, NET_RX_SOFTIRQ);
    localBhEnable(m);
    expect(ran).toBe(10);
    expect(host.kicks).toBe(1);
    runPending(m);
    expect(ran).toBe(20);
    runPending(m);
    expect(ran).toBe(25);
  });

  it('go to ksoftirqd after two milliseconds', () => {
    const { m, host } = boot();
    let ran = 0;
    openSoftirq(m, NET_RX_SOFTIRQ, () => {
      ran++;
      host.clock += 1_500_000;
      raiseSoftirq(m, NET_RX_SOFTIRQ);
    });
    localBhDisable(m);
    raiseSoftirq(m, NET_RX_SOFTIRQ);
    localBhEnable(m);
    expect(ran).toBe(2);
    expect(host.kicks).toBe(1);
  });

  it('raised by a task wake ksoftirqd', () => {
    const { m, host } = boot();
    let ran = 0;
    openSoftirq(m, NET_RX_SOFTIRQ, () => ran++);
    raiseSoftirq(m, NET_RX_SOFTIRQ);
    expect([ran, host.kicks]).toEqual([0, 1]);
    runPending(m);
    expect(ran).toBe(1);
  });

  it('run RCU callbacks last, and tasklets once', () => {
    const { m } = boot();
    const ran: string[] = [];
    const tasklet = new Tasklet(m, () => ran.push('tasklet'));
    openSoftirq(m, NET_RX_SOFTIRQ, () => {
      callRcu(m, () => ran.push('rcu'));
      taskletSchedule(tasklet);
      taskletSchedule(tasklet);
      ran.push('rx');
    });
    localBhDisable(m);
    raiseSoftirq(m, NET_RX_SOFTIRQ);
    localBhEnable(m);
    expect(ran).toEqual(['rx', 'tasklet', 'rcu']);
  });
});

describe('hard interrupts', () => {
  it('are shared, and refused twice for one device', () => {
    const { m } = boot();
    const calls: string[] = [];
    const handler = (name: string) => (): number => {
      calls.push(name);
      return name === 'b' ? IRQ_HANDLED : IRQ_NONE;
    };
    expect(requestIrq(m, 5, handler('a'), 'a', 'a')).toBe(0);
    expect(requestIrq(m, 5, handler('b'), 'b', 'b')).toBe(0);
    expect(requestIrq(m, 5, handler('a'), 'a', 'a')).toBe(-EBUSY);
    expect(requestIrq(m, -1, handler('a'), 'a', 'a')).toBe(-EINVAL);
    raiseIrq(m, 5);
    expect(calls).toEqual(['a', 'b']);
  });

  it('wait while the line or the CPU does not take them, and come once', () => {
    const { m } = boot();
    let count = 0;
    requestIrq(
      m,
      7,
      () => {
        count++;
        return IRQ_HANDLED;
      },
      'x',
      null,
    );
    disableIrq(m, 7);
    raiseIrq(m, 7);
    raiseIrq(m, 7);
    expect(count).toBe(0);
    enableIrq(m, 7);
    expect(count).toBe(1);
    localIrqSave(m);
    raiseIrq(m, 7);
    raiseIrq(m, 7);
    expect(count).toBe(1);
    localIrqRestore(m);
    expect(count).toBe(2);
  });

  it('do not nest on one CPU, and run on the CPU they are routed to', () => {
    const { m } = boot(2);
    const ran: string[] = [];
    m.irqs.desc(9).affinity = 1;
    requestIrq(
      m,
      8,
      () => {
        ran.push(`8 on ${m.cpu.id}`);
        raiseIrq(m, 10);
        ran.push('8 ends');
        return IRQ_HANDLED;
      },
      'x',
      null,
    );
    requestIrq(
      m,
      9,
      () => {
        ran.push(`9 on ${m.cpu.id}`);
        return IRQ_HANDLED;
      },
      'y',
      null,
    );
    requestIrq(
      m,
      10,
      () => {
        ran.push('10');
        return IRQ_HANDLED;
      },
      'z',
      null,
    );
    raiseIrq(m, 8);
    raiseIrq(m, 9);
    expect(ran).toEqual(['8 on 0', '8 ends', '10', '9 on 1']);
    expect(m.cpu.id).toBe(0);
  });
});
