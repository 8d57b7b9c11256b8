import { field, isList, isObject } from '../../protocols/asic/cgminer.ts';
import type { Json } from '../../protocols/asic/cgminer.ts';
import { Fault } from '../../protocols/faults.ts';
import { partOf, wordOf } from '../miner-readings.ts';
import { toNumber } from '../readings.ts';

const MOST_PRESETS = 256;

/** A level it can mine at; its name is its watts. */
interface Preset {
  readonly watts: number;
  readonly tuned: boolean;
  /** Beyond what the supply it was built with can give. */
  readonly modded: boolean;
}

/** A preset's watts by its name; `disabled`, which stands for clocks set by hand, has none. */
export function wattsOf(name: Json | undefined): number | undefined {
  const watts = toNumber(name);
  return watts !== undefined && Number.isInteger(watts) && watts > 0 ? watts : undefined;
}

/** The list, which some builds have in an object. */
export function presetsOf(page: Json | undefined): readonly Preset[] {
  const list = isList(page) ? page : (partOf(page, 'presets') ?? []);
  if (!isList(list)) throw new Fault('ANSWER_GARBAGE', 'autotune/presets is no list');
  return list.slice(0, MOST_PRESETS).flatMap((one): Preset[] => {
    const watts = isObject(one) ? wattsOf(field(one, 'name')) : undefined;
    if (!isObject(one) || watts === undefined) return [];
    const tuned = wordOf(field(one, 'status')) === 'tuned';
    return [{ watts, tuned, modded: field(one, 'modded_psu_required') === true }];
  });
}

/** The preset up to which its own switcher raises it while its boards are cool, W; undefined: it does not, or does not say. */
export function switchedUpTo(overclock: Json): number | undefined {
  const switcher = partOf(overclock, 'preset_switcher');
  return partOf(switcher, 'enabled') === true ? wattsOf(partOf(switcher, 'top_preset')) : undefined;
}

/**
 * One that is not tuned would start a tuning run of hours. One for a stronger supply is chosen only where exactly that is
 * named, as a restore does.
 */
export function presetFor(limitW: number, set: number, presets: readonly Preset[]): number {
  const tuned = presets.filter((preset) => preset.tuned);
  if (set === limitW || tuned.some(({ watts }) => watts === limitW)) return limitW;
  const within = tuned.filter(({ watts, modded }) => watts <= limitW && !modded).map(({ watts }) => watts);
  if (within.length > 0) return Math.max(...within);
  const lowest = Math.min(...tuned.map(({ watts }) => watts));
  throw new Fault(
    'VERB_REFUSED',
    `${limitW} W: ${tuned.length === 0 ? 'none of its presets is tuned' : `its lowest tuned preset is ${lowest} W`}; tune lower ones on its own page`,
  );
}
