import type { AsicModel, GpuModel } from '../../../../config/schema/model.ts';

/** A small miner for tests. */
export const asic = (changes: Partial<AsicModel> = {}): AsicModel => ({
  kind: 'asic',
  id: 'toy-asic',
  vendor: 'toy',
  driver: 'toy',
  ratedW: 3_400,
  sleepW: 30,
  sleepS: 4,
  wakeS: 8,
  minOnS: 0,
  minOffS: 0,
  sources: [],
  rungs: [{ powerW: 3_200, hashrateThs: 100 }],
  ...changes,
});

/** A small GPU host for tests. */
export const gpuHost = (changes: Partial<GpuModel> = {}): GpuModel => ({
  kind: 'gpu-host',
  id: 'toy-gpu',
  vendor: 'toy',
  driver: 'gpu-host',
  ratedW: 10_500,
  sleepW: 2_000,
  sleepS: 10,
  wakeS: 20,
  minOnS: 0,
  minOffS: 0,
  sources: [],
  gpus: 8,
  idleW: 2_000,
  aiW: 10_000,
  mineW: 7_000,
  capMinW: 200,
  capMaxW: 700,
  memoryBaselineMib: 500,
  ...changes,
});
