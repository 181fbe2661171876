/**
 * What tracefs of the real kernel tells of a scenario, and what our tracepoints tell of the same: line by
 * line the same, but for a written list of differences, each with its reason.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoInterop } from '../support/netns.ts';
import { runOnKernel, Tracefs } from './trace_kernel.ts';
import { SCENARIOS } from './trace_scenarios.ts';
import { runOnSoftnet } from './trace_softnet.ts';
import { differences, kernelLines, ownLines } from './trace_words.ts';

const why = whyNoInterop('python3', 'chrt', 'taskset', 'tc');
const reason = why === null ? '' : ` (skipped: ${why})`;

/** Lines that one side has alone: `-` the kernel, `+` softnet. */
interface Explained {
  readonly lines: readonly string[];
  readonly because: string;
}

const IPSEC =
  'icmp_route_lookup() looks the way up a second time, as the packet in question went, in case an IPsec ' +
  'policy applies to it; softnet has no IPsec';

const EXPLAINED: Readonly<Record<string, Explained>> = {
  'closed UDP port': {
    lines: [
      '- fib_table_lookup 10.201.1.1 tpba',
      '- fib_table_lookup 10.201.1.2 tpba',
      '- fib_table_lookup 10.201.1.1 tpba',
    ],
    because: IPSEC,
  },
  'TTL expiry': {
    lines: [
      '- fib_table_lookup 10.201.2.1 tpra',
      '- fib_table_lookup 10.201.3.2 tprb',
      '- fib_table_lookup 10.201.3.2 tprb',
      '- fib_table_lookup 10.201.2.1 tpra',
    ],
    because: IPSEC,
  },
  'ARP failure': { lines: ['- fib_table_lookup 10.201.1.1 tpab'], because: IPSEC },
  fragments: {
    lines: ['- consume_skb inet_frag_reasm_prepare'],
    because:
      'Linux gives the reassembled datagram the structure of the fragment that came last, and frees that ' +
      "structure's former self; here the first fragment's own structure stays the head",
  },
};

/** The kernel has other things to do, too: what differs once may not the next time. */
const ATTEMPTS = 5;

describe.skipIf(why !== null)(`tracepoints are those of the real kernel${reason}`, () => {
  let tracefs: Tracefs;
  beforeAll(() => {
    tracefs = new Tracefs();
  });
  afterAll(() => tracefs.close());

  it.each(SCENARIOS)('$name', { timeout: 120_000 }, async (scenario) => {
    const own = await runOnSoftnet(scenario);
    const lines = ownLines(own);
    const allowed = EXPLAINED[scenario.name]?.lines ?? [];
    let found: string[] = [];
    let results: readonly number[] = [];
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const kernel = runOnKernel(tracefs, scenario);
      results = kernel.results;
      expect(kernel.events.length).toBeGreaterThan(3);
      found = differences(kernelLines(kernel), lines).filter((line) => !line.startsWith(' '));
      if (found.join('\n') === allowed.join('\n')) break;
    }
    expect(found).toEqual(allowed);
    expect(own.results).toEqual(results);
  });

  it('explains no scenario that is not there', () => {
    const names = new Set(SCENARIOS.map(({ name }) => name));
    for (const name of Object.keys(EXPLAINED)) expect(names.has(name)).toBe(true);
  });
});

describe('the comparison', () => {
  it('tells lines that one side has alone', () => {
    expect(differences(['a', 'b', 'd'], ['a', 'c', 'd'])).toEqual(['  a', '- b', '+ c', '  d']);
    expect(differences([], ['x'])).toEqual(['+ x']);
    expect(differences(['x'], [])).toEqual(['- x']);
  });
});
