import { defineConfig, type ViteUserConfig } from 'vitest/config';
import { weavePlugin } from './scripts/weave/plugin.ts';

const config: ViteUserConfig = defineConfig({
  resolve: { conditions: ['softnet-source'] },
  ssr: { resolve: { conditions: ['softnet-source'] } },
  test: {
    setupFiles: ['test/setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    reporters: ['default', './test/reporter.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'plain',
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: ['**/*.woven.test.ts', '**/node_modules/**'],
        },
      },
      {
        // With the function tracer in the kernel's modules.
        extends: true,
        plugins: [weavePlugin()],
        test: { name: 'woven', include: ['test/**/*.woven.test.ts'] },
      },
    ],
  },
});

export default config;
