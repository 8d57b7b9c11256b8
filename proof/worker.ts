import { constants, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { runSeed } from './harness.ts';
import type { RunOptions } from './harness.ts';

// Nobody waits for virtual time: what runs by the clock on the same machine, a site or other tests, comes first.
// On Linux this is the priority of this thread alone; elsewhere of the process, which does nothing else.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

/** Seed after seed in a thread of its own, each as it is asked for. A run that throws ends the thread. */
parentPort?.on('message', (options: RunOptions) => {
  void runSeed(options).then((result) => parentPort?.postMessage(result));
});
