import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';
import { defineConfig } from 'vitest/config';

/** Begin first, in this order: the seeds take most of the time of all, the others mostly wait for real time to pass. */
const FIRST = ['test/sim/seeds.test.ts', 'test/wire/up.test.ts', 'test/wire/read-act.test.ts'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = (file: TestSpecification): number => {
      const place = FIRST.findIndex((name) => file.moduleId.endsWith(name));
      return place < 0 ? FIRST.length : place;
    };
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/bench/**'],
    pool: 'forks',
    // No file leaves anything behind in its process, and a process for each of 200 costs as much as half of the tests.
    isolate: false,
    // The seeds run in threads of their own, at low priority, and their worker waits for them.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
});
