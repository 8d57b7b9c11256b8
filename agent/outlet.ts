import type { SiteOutlet } from '../config/outlets.ts';
import type { PlantPoint } from '../config/schema/plant.ts';
import type { Site } from '../config/site.ts';
import { asFault } from '../protocols/faults.ts';
import type { Alarms } from './alarms.ts';
import { lookAt, makeRule } from './core/permissive.ts';
import type { Rule, RuleState, Sample } from './core/permissive.ts';
import { isJudged } from './core/staging.ts';
import type { Standing, Told } from './core/staging.ts';
import type { ModbusOutput } from './drivers/modbus-io.ts';
import type { Machine } from './machine.ts';
import type { Plant, PlantNode } from './plant.ts';

export interface OutletOptions {
  readonly site: Site;
  readonly plant: Plant;
  readonly alarms: Alarms;
  /** Throws what is wrong with its target. */
  readonly openOutput: (outlet: SiteOutlet) => ModbusOutput;
}

/** Two looks that agree: a contact bounces. */
const BOUNCE_MS = 1_500;

/** One contactor or switched outlet, and what is known of it. Owned by the switchroom. Times are monotonic ms. */
export class Outlet {
  readonly config: SiteOutlet;
  readonly machines: readonly Machine[];
  /** The nearest node above it with a meter of this agent. */
  readonly metered: PlantNode | undefined;
  readonly rule: Rule;
  readonly state: RuleState = makeRule();
  /** `state` is of what is known now. */
  isRead = false;
  readonly output: ModbusOutput | undefined;
  /** Since when it is seen open; undefined: it is not. */
  openSinceMs: number | undefined;
  told: Told | undefined;
  /** As `OutletSight.shownMs`. */
  shownMs = Number.NEGATIVE_INFINITY;
  /** Since when its read-back says open, believed or not; undefined: it does not. */
  readOpenMs: number | undefined;
  againMs = Number.NEGATIVE_INFINITY;
  silentSinceMs: number | undefined;
  isWriting = false;
  /** It was seen closed after it was last told to close. */
  hasFollowed = false;
  /** It failed to be so; seen so, as it was told, it has ended. */
  failed: Standing | undefined;
  /** Something behind it has answered since its read-back says open: until that says closed, nobody believes it. */
  isDenied = false;
  /** Since when a meter shows a draw behind it, while it is read as open and nothing answers; undefined: none does. */
  drawnMs: number | undefined;
  /** That was said. */
  isDrawnSaid = false;
  /** A meter that would show it has shown no draw behind it since it is read as open: other load comes and goes. */
  isShownDead = false;

  constructor(config: SiteOutlet, { site, plant, alarms, openOutput }: OutletOptions) {
    this.config = config;
    const ids = new Set(config.machines.map((machine) => site.machines[machine]?.id));
    this.machines = plant.machines.filter((machine) => ids.has(machine.config.id));
    const above = site.nodes[config.nodeIndex]?.path.filter((node) => node !== config.nodeIndex) ?? [];
    this.metered = above
      .map((node) => plant.nodes.find(({ id }) => id === site.nodes[node]?.id))
      .find((node) => node?.meter !== undefined);
    this.rule = {
      is: config.input === undefined || config.closedWhen,
      hysteresis: 0,
      delayMs: BOUNCE_MS,
      returnMs: BOUNCE_MS,
      unknownMs: config.unknownS * 1_000,
    };
    try {
      this.output = openOutput(config);
    } catch (error) {
      alarms.raise('TARGET_INVALID', config.id, asFault(error).message.slice(0, 300));
    }
  }

  /** Takes in what its read-back said last, true or not; one that says open is still to be believed. */
  read(sample: Sample | undefined, nowMs: number): Standing {
    const { config, rule, state } = this;
    if (sample === undefined || nowMs - sample.goodMs > rule.unknownMs) {
      this.isRead = false;
      this.#showsOpen(undefined);
      return 'unknown';
    }
    // An output with a value that is neither of the two is nobody's word.
    const { on, off } = config.state;
    if (config.input === undefined && sample.value !== on && sample.value !== off) return 'unknown';
    const value = config.input === undefined ? Number(sample.value === on) : sample.value;
    // The first word after none is taken as it is; from then on it must last.
    if (!this.isRead) Object.assign(state, makeRule(), { lost: (value !== 0) !== rule.is });
    this.isRead = true;
    const isOpen = lookAt(rule, state, { ...sample, value }, nowMs) === 'lost';
    this.shownMs = state.turningMs === undefined ? sample.goodMs : Number.NEGATIVE_INFINITY;
    this.#showsOpen(isOpen ? (this.readOpenMs ?? nowMs) : undefined);
    if (!isOpen) this.isDenied = false;
    return isOpen ? 'open' : 'closed';
  }

  #showsOpen(sinceMs: number | undefined): void {
    this.readOpenMs = sinceMs;
    if (sinceMs === undefined) this.isShownDead = false;
  }

  /** Read as open, and nothing behind it answers: whether it is so is for the meters to say. */
  get isSuspect(): boolean {
    return this.readOpenMs !== undefined && this.silentSinceMs !== undefined && !this.isDenied;
  }
}

/** It was told to close, and has not shown yet whether it did. */
export const isClosing = ({ told, shownMs }: Outlet): boolean =>
  told?.closed === true && !isJudged(told, shownMs);

/** Its auxiliary contact by the outlet's own name, or what it says itself. */
export function pointOf({ id, input, target, state }: SiteOutlet, points: readonly PlantPoint[]): PlantPoint {
  const contact = points.find((point) => point.id === input);
  if (contact !== undefined) return { ...contact, id };
  const plain = { type: 'uint16', wordOrder: 'msw', scale: 1, offset: 0, periodMs: 1_000 } as const;
  return { id, target, kind: state.kind, address: state.address, ...plain };
}
