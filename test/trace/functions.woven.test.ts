import { afterEach, expect, it } from 'vitest';
import { turn } from '#cli/turn.ts';
import { recordWorld } from '#sim/record_world.ts';
import { findFunction, functionTable, stopFunctions, traceFunctions } from '#trace/ftrace.ts';
import { journey, steps } from '#trace/query.ts';
import { KIND_FUNCTION_ENTRY, KIND_FUNCTION_EXIT, type Step } from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';
import { runScenario, type ScenarioResult } from '../support/scenario.ts';

afterEach(() => stopFunctions());

async function traced(functions: boolean): Promise<{ recorder: Recorder; result: ScenarioResult }> {
  const seen: Recorder[] = [];
  const result = await runScenario({
    seed: 9,
    turn,
    size: 20_000,
    prepare: (lab) => {
      const recorder = recordWorld(lab.world, { bytes: 128 << 20 });
      seen.push(recorder);
      if (functions) expect(traceFunctions(recorder)).toBe(true);
    },
  });
  return { recorder: seen[0] as Recorder, result };
}

/** Entries and exits of one machine, checked to be nested. */
function checkNesting(recorder: Recorder, machine: string): number {
  const open: Step[] = [];
  let count = 0;
  for (const step of steps(recorder, {
    machine,
    kinds: [KIND_FUNCTION_ENTRY, KIND_FUNCTION_EXIT],
  })) {
    if (step.kind === KIND_FUNCTION_ENTRY) {
      open.push(step);
      count++;
      continue;
    }
    expect(step.name).toBe(open.pop()?.name);
  }
  expect(open).toEqual([]);
  return count;
}

it('enters and leaves functions in order, and changes nothing', async () => {
  const plain = await runScenario({ seed: 9, turn, size: 20_000 });
  const { recorder, result } = await traced(true);
  expect(result).toEqual(plain);
  for (const machine of ['a', 'r', 'b']) {
    expect(checkNesting(recorder, machine)).toBeGreaterThan(1000);
  }
  expect(recorder.checkEnds()).toEqual([]);
  stopFunctions();
  const before = recorder.nextSeq;
  await traced(false);
  expect(recorder.nextSeq).toBe(before);
});

it('shows the functions that a forwarded packet passes', async () => {
  const { recorder } = await traced(true);
  const [forwarded] = steps(recorder, { machine: 'r', name: 'ip_forward' });
  expect(forwarded).toMatchObject({ kind: KIND_FUNCTION_ENTRY, context: 1 });
  const path = journey(recorder, forwarded?.packet ?? 0)
    .filter(({ kind, machine }) => kind === KIND_FUNCTION_ENTRY && machine === 'r')
    .map(({ name }) => name);
  const inOrder = [
    'ip_rcv',
    'ip_rcv_finish',
    'ip_forward',
    'ip_forward_finish',
    'ip_output',
    'ip_finish_output2',
    '__dev_queue_xmit',
    'e1000_xmit_frame',
  ];
  expect(path.filter((name) => inOrder.includes(name)).slice(0, inOrder.length)).toEqual(inOrder);
});

it('knows where a function is, here and in Linux', () => {
  expect(functionTable().length).toBeGreaterThan(1500);
  expect(findFunction('tcp_v4_rcv')).toMatchObject({
    own: 'tcpV4Rcv',
    file: 'src/net/ipv4/tcp_ipv4.ts',
    kernelFile: 'net/ipv4/tcp_ipv4.c',
  });
  expect(findFunction('no_such_function')).toBeNull();
});
