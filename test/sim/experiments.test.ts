/** The published shapes in short runs; `npm run experiments` has the long ones, with plots. */
import { describe, expect, it } from 'vitest';
import { EXPERIMENTS } from '../../bench/experiments/all.ts';
import { svgOf } from '../../bench/experiments/svg.ts';

describe('published shapes', () => {
  it.each(EXPERIMENTS.map((experiment) => [experiment.title, experiment] as const))(
    '%s',
    { timeout: 480_000 },
    async (_title, experiment) => {
      const { checks, plots } = await experiment.run(true);
      expect(checks.length).toBeGreaterThan(0);
      for (const { name, value, from, to } of checks) {
        expect(value, name).toBeGreaterThanOrEqual(from);
        expect(value, name).toBeLessThanOrEqual(to);
      }
      for (const plot of Object.values(plots)) {
        const svg = svgOf(plot);
        expect(svg).not.toMatch(/NaN|undefined|Infinity/);
        expect(svg.length).toBeLessThan(40_000);
      }
    },
  );
});
