import { defineConfig } from 'vitest/config';

/** `npm run chaos`: whole processes under real faults of real disks, clocks, sockets and schedulers; minutes. */
export default defineConfig({
  test: {
    include: ['test/chaos/**/*.chaos.ts', 'test/chaos/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 240_000,
    hookTimeout: 60_000,
  },
});
