/** Events of the scheduler a second: a thousand timers that always set themselves again. */
import { World } from '#sim/world.ts';
import { measure, report } from '../measure.ts';

const world = new World({ seed: 'bench' });
const random = world.fork('events');

function again(subject: unknown, detail: unknown): void {
  world.at(world.nowNs + 1 + random.below(1_000_000), 1, again, subject, detail);
}

for (let i = 0; i < 1000; i++) again(null, null);
report(
  measure('events', () => {
    for (let i = 0; i < 1000; i++) world.step();
    return 1000;
  }),
);
