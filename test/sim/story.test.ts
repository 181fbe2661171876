/** The story of a run: whose packet, where, through which functions; and that nobody notices the teller. */
import { describe, expect, it } from 'vitest';
import { turn } from '#cli/turn.ts';
import { type Stage, Story, tellStory } from '#sim/story.ts';
import { runScenario } from '../support/scenario.ts';

async function told(): Promise<{ stages: readonly Stage[]; fingerprint: string }> {
  const stories: Story[] = [];
  const { fingerprint } = await runScenario({
    seed: 5,
    turn,
    size: 20_000,
    loss: 0,
    prepare: ({ world }) => {
      const story = new Story(world);
      stories.push(story);
      for (const machine of world.machines) story.follow(machine);
    },
  });
  return { stages: stories.flatMap(({ stages }) => stages), fingerprint };
}

/** Are these functions in the path, in this order? */
function inOrder(path: readonly string[], names: readonly string[]): boolean {
  let from = 0;
  return names.every((name) => {
    const at = path.indexOf(name, from);
    from = at + 1;
    return at !== -1;
  });
}

describe('the story', () => {
  it('follows the first packet of each stage through the functions of every machine', async () => {
    const { stages } = await told();
    const titles = stages.map(({ title }) => title);
    for (const words of ['ARP asks', 'ARP answers', ': SYN (', ': SYN, ACK (', 'data (', 'FIN (']) {
      expect(
        titles.some((title) => title.includes(words)),
        words,
      ).toBe(true);
    }
    const syn = stages.find(({ title }) => title.includes(': SYN ('));
    const machines = syn?.lines.map(({ machine }) => machine) ?? [];
    expect([...new Set(machines)]).toEqual(['a', 'r', 'b']);
    const forward = syn?.lines.find(
      ({ machine, where }) => machine === 'b' && where === '__netif_receive_skb_core',
    );
    const interrupt = ['irqExit', 'netRxAction', 'e1000Clean', 'napiCompleteDone'];
    expect(inOrder(forward?.path ?? [], interrupt), String(forward?.path)).toBe(true);
    const data = stages.find(({ title }) => title.startsWith('data ('));
    const sent = ['tcpSendmsg', 'tcpWriteXmit', 'ipQueueXmit', 'ipOutput', 'devQueueXmit'];
    expect(inOrder(data?.lines[0]?.path ?? [], sent), String(data?.lines[0]?.path)).toBe(true);
    // Time goes on, and no line belongs to a later packet of the same looks.
    for (const { lines } of stages) {
      for (const [i, line] of lines.entries()) {
        const before = lines[i - 1]?.timeNs ?? line.timeNs;
        expect(line.timeNs - before).toBeGreaterThanOrEqual(0);
        expect(line.timeNs - before).toBeLessThan(500e6);
      }
    }
  });

  it('is told in rows, with each function once where paths share a beginning', async () => {
    const { stages } = await told();
    const text = tellStory(stages);
    for (const row of text.split('\n')) expect(row.length, row).toBeLessThanOrEqual(110);
    expect(text).toMatch(
      /__dev_xmit_skb > sch_direct_xmit > dev_hard_start_xmit|sch_direct_xmit > xmit_one/,
    );
    const named = tellStory(stages, { kernelName: (name) => (name === 'ipOutput' ? 'X' : null) });
    expect(named).toMatch(/^ +X$/m);
    expect(named).not.toContain('sch_direct_xmit');
    const painted = tellStory(stages, { paint: (part, words) => `<${part}>${words}` });
    expect(painted).toContain('<title>ARP asks');
  });

  it('does not change the run', async () => {
    const { fingerprint } = await told();
    const plain = await runScenario({ seed: 5, turn, size: 20_000, loss: 0 });
    expect(fingerprint).toBe(plain.fingerprint);
  });
});
