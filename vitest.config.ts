import { defineConfig } from 'vitest/config';

/** Unit tests stand beside their file; journeys cross rooms and share one running Firebreak. */
export default defineConfig({
  test: {
    pool: 'forks',
    reporters: ['default', './test/tally.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{src,workflows,activities}/**/*.test.ts'],
          testTimeout: 20_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'journeys',
          include: ['test/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 90_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
