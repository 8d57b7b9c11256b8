import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as z from 'zod';
import type { RunResult } from './harness.ts';

const counts = z.strictObject({ twice: z.number(), late: z.number(), stale: z.number() });
const keptSchema = z.strictObject({
  seed: z.number(),
  hours: z.number(),
  machines: z.number(),
  /** The commit that was run, where it is known. */
  commit: z.string().optional(),
  /** The mutant whose fault was at stake, and whether the product had it. */
  stake: z.string().optional(),
  mutated: z.boolean().optional(),
  violations: z.array(z.strictObject({ invariant: z.string(), atMs: z.number(), text: z.string() })),
  atStake: z.record(z.string(), z.number()),
  commands: z.number(),
  wrong: counts,
  faultClasses: z.array(z.string()),
  hash: z.string(),
});

/** The result of one seed as a line of a file: what a long run over days is added up from. */
export type KeptResult = z.infer<typeof keptSchema>;

/** A result as it is kept. */
export function keptOf(
  result: RunResult,
  of: Pick<KeptResult, 'hours' | 'machines' | 'commit' | 'stake' | 'mutated'>,
): KeptResult {
  const { seed, violations, atStake, commands, wrong, faultClasses, hash } = result;
  return {
    ...of,
    seed,
    violations: violations.slice(0, 1),
    atStake,
    commands,
    wrong,
    faultClasses: [...faultClasses],
    hash,
  };
}

/** The results in the text of a file; a line that a kill broke off is none. */
export function parseResults(text: string): KeptResult[] {
  return text.split('\n').flatMap((line) => {
    try {
      return [keptSchema.parse(JSON.parse(line))];
    } catch {
      return [];
    }
  });
}

/** A file of results: those it holds, and a way to add to it, one after the other. */
export async function openResults(
  path: string,
): Promise<{ readonly kept: readonly KeptResult[]; add(result: KeptResult): void; close(): Promise<void> }> {
  await mkdir(dirname(path), { recursive: true });
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  });
  // What a kill broke off stays a line of its own.
  let writing = text === '' || text.endsWith('\n') ? Promise.resolve() : appendFile(path, '\n');
  return {
    kept: parseResults(text),
    add: (result) => {
      writing = writing.then(() => appendFile(path, `${JSON.stringify(result)}\n`));
    },
    close: () => writing,
  };
}
