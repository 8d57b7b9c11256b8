import { randomFillSync } from 'node:crypto';
import type { Random } from './deps.ts';

/** A reproducible stream of numbers in [0, 1) (sfc32): the same seed gives the same stream on every machine. */
export function seededRandom(seed: number): Random {
  // Spread over both halves so that seeds above 2^32 and neighbouring seeds give unrelated streams.
  let a = 0x9e3779b9 | 0;
  let b = Math.floor(seed / 0x1_0000_0000) | 0;
  let c = seed | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return (sum >>> 0) / 0x1_0000_0000;
  };
  for (let warmUp = 0; warmUp < 16; warmUp += 1) next();
  return { next };
}

/** Drawn so many at a time: one at a time costs as much as a read of a meter. */
const drawn = new Uint32Array(256);
let left = 0;

/** Unpredictable numbers in [0, 1) from the operating system. */
export const systemRandom: Random = {
  next: () => {
    if (left === 0) left = randomFillSync(drawn).length;
    left -= 1;
    return (drawn[left] ?? 0) / 0x1_0000_0000;
  },
};
