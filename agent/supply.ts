import { numberOf } from '../protocols/reading.ts';
import type { Supply } from './core/staging.ts';
import { meterW } from './plant.ts';
import type { PlantNode } from './plant.ts';

/** Below this there is no voltage, V. */
const DEAD_V = 50;
/** Some meters tell their voltages with every tenth poll only; later than this they are of another time. */
const VOLTS_POLLS = 15;

/**
 * What the meter at a node says of the voltage there, by all it tells between whatever lines: one voltage is enough to
 * be live, dead are all of them, and `isQuiet`: next to nothing is drawn. Zero volts while power flows is a blown fuse.
 */
export function supplyOf(
  node: Pick<PlantNode, 'meter'> | undefined,
  isQuiet: boolean,
  nowMs: number,
): Supply {
  const meter = node?.meter;
  if (meter === undefined) return 'unmeasured';
  if (meterW({ meter }, nowMs) === undefined) return 'unknown';
  const { readings, isWhole, config } = meter;
  const told = Object.entries(readings).filter(([quantity]) => quantity.startsWith('voltage.'));
  if (told.length === 0) return isWhole ? 'unmeasured' : 'unknown';
  const oldestMs = (readings['power.active.total']?.atMs ?? Infinity) - VOLTS_POLLS * config.periodMs;
  const volts = told
    // Some registers of a map are of another kind of network than the one it measures.
    .filter(([, reading]) => reading.ok || reading.why !== 'VALUE_MISSING')
    .map(([, reading]) => (reading.atMs < oldestMs ? undefined : numberOf(reading)));
  if (volts.some((value) => value !== undefined && value >= DEAD_V)) return 'live';
  return volts.length > 0 && !volts.includes(undefined) && isQuiet ? 'dead' : 'unknown';
}
