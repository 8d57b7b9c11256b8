import { registerHooks } from 'node:module';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import type { RunOptions } from './harness.ts';
import { MUTANTS, mutate } from './mutants.ts';

// Nobody waits for virtual time: what runs by the clock on the same machine, a site or other tests, comes first.
// On Linux this is the priority of this thread alone; elsewhere of the process, which does nothing else.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

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

// Only now: what is imported before the hooks stand is what it is.
const { runSeed } = await import('./harness.ts');

/** Seed after seed in a thread of its own, each as it is asked for. A run that throws ends the thread. */
parentPort?.on('message', (options: RunOptions) => {
  void runSeed(options).then((result) => parentPort?.postMessage(result));
});
