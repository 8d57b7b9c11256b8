import { parentPort } from 'node:worker_threads';
import { runSeed } from './harness.ts';
import type { RunOptions } from './harness.ts';

/** Seed after seed in a thread of its own, each as it is asked for. A run that throws ends the thread. */
parentPort?.on('message', (options: RunOptions) => {
  void runSeed(options).then((result) => parentPort?.postMessage(result));
});
