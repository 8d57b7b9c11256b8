import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Fault } from '../protocols/faults.ts';
import type { Jobs } from './worker.ts';

type Task<Name extends keyof Jobs> = Parameters<Jobs[Name]>[0];
type Result<Name extends keyof Jobs> = Awaited<ReturnType<Jobs[Name]>>;

/**
 * Does all tasks on all cores; the results as they end. With `mutant`, by a product that has this fault. Tasks are
 * independent: each core takes the next one, in a thread whose code is warm after its first.
 */
export async function onAllCores<Name extends keyof Jobs>(
  job: Name,
  tasks: readonly Task<Name>[],
  onResult: (result: Result<Name>) => void,
  mutant?: string,
): Promise<Result<Name>[]> {
  const results: Result<Name>[] = [];
  const waiting = [...tasks];
  const lane = async (): Promise<void> => {
    const thread = new Thread(job, mutant);
    try {
      for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) {
        const result = await thread.run(task);
        results.push(result);
        onResult(result);
      }
    } finally {
      thread.end();
    }
  };
  await Promise.all(Array.from({ length: Math.min(tasks.length, availableParallelism()) }, lane));
  return results;
}

/** A thread that does one task at a time. */
class Thread<Name extends keyof Jobs> {
  readonly #job: Name;
  readonly #worker: Worker;

  constructor(job: Name, mutant: string | undefined) {
    this.#job = job;
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: { mutant } });
  }

  run(task: Task<Name>): Promise<Result<Name>> {
    return new Promise((resolve, reject) => {
      const worker = this.#worker.removeAllListeners();
      worker.once('message', (result: Result<Name>) => resolve(result));
      worker.once('error', reject);
      worker.once('exit', (code) =>
        reject(new Fault('INTERNAL', `the thread of ${this.#job} ${task.seed} ended with ${code}`)),
      );
      worker.postMessage({ job: this.#job, task });
    });
  }

  end(): void {
    void this.#worker.removeAllListeners().terminate();
  }
}
