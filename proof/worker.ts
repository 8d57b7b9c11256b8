import { parentPort, workerData } from 'node:worker_threads';
import { runSeed } from './harness.ts';
import type { RunOptions } from './harness.ts';

/** One seed in a thread of its own. */
parentPort?.postMessage(await runSeed(workerData as RunOptions));
