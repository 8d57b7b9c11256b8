import * as z from 'zod';

/** What one model of machine draws and earns, and how fast it changes: `config/models/*.json`. */
const common = {
  id: z.string(),
  vendor: z.string(),
  /** Name of the driver that speaks to it. */
  driver: z.string(),
  /** The most it draws in any state it can be commanded into, W at the plug. */
  ratedW: z.number().positive(),
  /** Draw asleep: control board and fans, W. */
  sleepW: z.number().nonnegative(),
  /** From command to settled draw, s. */
  sleepS: z.number().positive(),
  wakeS: z.number().positive(),
  /** From a power limit until its machine shows it, at most, s; absent: as its driver says. */
  limitS: z.number().positive().optional(),
  /** Least time in a state before the controller changes it for money, s. */
  minOnS: z.number().nonnegative(),
  minOffS: z.number().nonnegative(),
  /** Asleep when its power goes, it comes back asleep. Absent, as where it is not known: it starts by itself. */
  keepsSleep: z.boolean().optional(),
  /** Where the figures come from. */
  sources: z.array(z.string()),
};

export const asicModelSchema = z.strictObject({
  kind: z.literal('asic'),
  ...common,
  /** Hash boards, and chips on all of them, as it leaves the factory; absent: units differ, or it is not known. */
  boards: z.int().positive().optional(),
  chips: z.int().positive().optional(),
  /** Power levels it can mine at, ascending; the last is its default. */
  rungs: z
    .array(z.strictObject({ powerW: z.number().positive(), hashrateThs: z.number().positive() }))
    .min(1),
});

export const gpuModelSchema = z.strictObject({
  kind: z.literal('gpu-host'),
  ...common,
  gpus: z.int().positive(),
  /** Whole host, no workload: W. */
  idleW: z.number().positive(),
  aiW: z.number().positive(),
  mineW: z.number().positive(),
  /** Range of the power limit of one GPU, W. */
  capMinW: z.number().positive(),
  capMaxW: z.number().positive(),
  /** Idle memory of one GPU, MiB. */
  memoryBaselineMib: z.number().nonnegative(),
  /** Idle draw of one GPU by its own sensor, W: below it plus 20 % a GPU counts as released. */
  gpuIdleW: z.number().positive().optional(),
});

export const modelSchema = z.discriminatedUnion('kind', [asicModelSchema, gpuModelSchema]);
export type Model = z.infer<typeof modelSchema>;
export type AsicModel = z.infer<typeof asicModelSchema>;
export type GpuModel = z.infer<typeof gpuModelSchema>;
