import { enableCompileCache, registerHooks } from 'node:module';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import type { DeathTask } from './dead-controller.ts';
import type { RunOptions } from './harness.ts';
import { MUTANTS, mutate } from './mutants.ts';

// Nobody waits for virtual time: what runs by the clock on the same machine, a site or other tests, comes first.
// On Linux this is the priority of this thread alone; elsewhere of the process, which does nothing else.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

// As the product does (switchyard.ts): each thread would strip and compile everything anew.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/switchyard', import.meta.url)));
const home = fileURLToPath(new URL('../', import.meta.url));
const name = (workerData as { readonly mutant?: string } | null)?.mutant;
const mutant = MUTANTS.find((one) => one.name === name);
if (name !== undefined && mutant === undefined) throw new Error(`there is no mutant '${name}'`);
if (mutant !== undefined)
  registerHooks({
    load: (url, context, next) => {
      const loaded = next(url, context);
      if (!url.startsWith('file:') || loaded.source === undefined) return loaded;
      const file = fileURLToPath(url).slice(home.length);
      if (!mutant.edits.some((edit) => edit.file === file)) return loaded;
      const text =
        typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
      return { ...loaded, source: mutate(mutant, file, text) };
    },
  });

/** What a thread can be asked for, again and again. Imported only now: what came before the hooks is what it is. */
const JOBS = {
  seed: async (options: RunOptions) => (await import('./harness.ts')).runSeed(options),
  death: async (task: DeathTask) => (await import('./dead-controller.ts')).playDeath(task),
};
export type Jobs = typeof JOBS;
type Asked = { [Name in keyof Jobs]: { job: Name; task: Parameters<Jobs[Name]>[0] } }[keyof Jobs];

/** One after another in a thread of their own, each as it is asked for. A run that throws ends the thread. */
parentPort?.on('message', (asked: Asked) => {
  const done = asked.job === 'seed' ? JOBS.seed(asked.task) : JOBS.death(asked.task);
  void done.then((result) => parentPort?.postMessage(result));
});
