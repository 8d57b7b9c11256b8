import type { Model } from '../../config/schema/model.ts';
import type { FailSafe } from '../../config/schema/site.ts';
import type { Mode } from '../../protocols/reading.ts';
import { drawW, restMode, shedRank } from './draw.ts';

export interface FailSafeMachine {
  readonly model: Model;
  readonly mode: Mode | undefined;
  /** Draw by the last reading; undefined when unknown. */
  readonly presentW: number | undefined;
  /** The fail-safe rests it already, or someone else's command does. */
  readonly resting: boolean;
  /** It took commands and did not obey: told when nobody else is left, and never counted on. */
  readonly ignores?: boolean;
}

export interface FailSafeInput {
  readonly rule: FailSafe;
  /** Firm cap of this agent's part of the site, W. */
  readonly firmCapW: number | undefined;
  /** What the part draws by its meter, W; undefined when unknown. */
  readonly meterW: number | undefined;
  /** What it draws beside the machines where no meter tells, W. */
  readonly auxiliaryW: number;
  readonly machines: readonly FailSafeMachine[];
}

/**
 * The machines (by index) that the fail-safe puts to rest now. ASICs sleep, GPU hosts idle. Asked again as time goes on:
 * what rests already counts as gone, so that only what is still missing is added.
 */
export function failSafeRests(input: FailSafeInput): number[] {
  const { rule, machines } = input;
  if (rule === 'hold') return [];
  if (rule === 'shed-to-firm-cap')
    return input.firmCapW === undefined ? [] : toFirmCap(input, input.firmCapW);
  const rests: number[] = [];
  for (const [index, machine] of machines.entries())
    if (!machine.resting && (rule === 'sleep' || machine.model.kind === 'asic')) rests.push(index);
  return rests;
}

/** Worst joules per terahash first, AI last, until the rest fits. Unknown machines count as rated where no meter tells. */
function toFirmCap({ machines, meterW, auxiliaryW }: FailSafeInput, firmCapW: number): number[] {
  let sumW = auxiliaryW;
  let goingW = 0;
  for (const machine of machines) {
    const restW = drawW(machine.model, restMode(machine.model));
    const presentW = machine.presentW ?? machine.model.ratedW;
    const isGoing = machine.resting && machine.ignores !== true;
    sumW += isGoing ? Math.min(presentW, restW) : presentW;
    if (isGoing && machine.presentW !== undefined) goingW += Math.max(0, machine.presentW - restW);
  }
  let loadW = meterW === undefined ? sumW : Math.max(0, meterW - goingW);
  const order = [...machines.keys()]
    .filter((index) => machines[index]?.resting === false)
    .map((index) => ({
      index,
      rank: rankOf(machines[index]),
      last: machines[index]?.ignores === true ? 1 : 0,
    }))
    .filter(({ rank }) => rank > 0)
    .sort((a, b) => a.last - b.last || b.rank - a.rank || a.index - b.index);
  const rests: number[] = [];
  for (const { index } of order) {
    if (loadW <= firmCapW) break;
    const machine = machines[index];
    if (machine === undefined) continue;
    rests.push(index);
    if (machine.ignores === true) continue;
    const presentW = machine.presentW ?? (meterW === undefined ? machine.model.ratedW : 0);
    loadW -= Math.max(0, presentW - drawW(machine.model, restMode(machine.model)));
  }
  return rests;
}

const rankOf = (machine: FailSafeMachine | undefined): number =>
  machine === undefined ? 0 : shedRank(machine.model, machine.mode);
