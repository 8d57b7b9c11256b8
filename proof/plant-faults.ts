import type { Site } from '../config/site.ts';
import type { Controller } from '../controller/main.ts';
import type { Clock } from '../host/deps.ts';
import type { OperatorRequest } from '../protocols/console/view.ts';
import type { WorldChange } from '../simulator/scenarios.ts';
import type { World } from '../simulator/world.ts';
import type { TripJudge } from './trip-judge.ts';

/** A person looks at what tripped for so long before permitting the restart, and again when it was not taken. */
const PERMIT_MS = 120_000;

export interface PlantFaultsOptions {
  readonly site: Site;
  readonly world: World;
  readonly trips: TripJudge;
  readonly clock: Clock;
  readonly controller: () => Controller | undefined;
  readonly operate: (request: OperatorRequest) => void;
  /** Machines behind one outlet have their power again. */
  readonly onPower: (machines: readonly number[], nowMs: number) => void;
  readonly reach: (machine: number, up: boolean, nowMs: number) => void;
}

/** What follows from equipment of the plant that fails or is whole again, besides what the world does. */
export class PlantFaults {
  readonly #options: PlantFaultsOptions;
  /** Machines without power. */
  readonly #dark = new Set<number>();

  constructor(options: PlantFaultsOptions) {
    this.#options = options;
  }

  happened({ part, failed }: Extract<WorldChange, { kind: 'plant' }>, nowMs: number): void {
    const { trips, clock } = this.#options;
    if (failed) trips.failed(part, nowMs);
    else trips.returned(part, nowMs);
    this.look(nowMs);
    if (!failed) clock.after(PERMIT_MS, () => this.#permit(part));
  }

  /** Who has its power and who does not: outlets are switched by the product too. */
  look(nowMs: number): void {
    const { site, world, reach, onPower } = this.#options;
    const back = new Set<number>();
    for (const { index } of site.machines)
      if (!world.supplied(index)) {
        this.#dark.add(index);
        reach(index, false, nowMs);
      } else if (this.#dark.delete(index)) {
        reach(index, true, nowMs);
        back.add(index);
      }
    for (const { machines } of back.size > 0 ? site.outlets : [])
      onPower(
        machines.filter((index) => back.has(index)),
        nowMs,
      );
  }

  /** A person permits the restart, as long as a console shows that somebody waits for it. */
  #permit(part: string): void {
    const { site, clock, controller, operate } = this.#options;
    const held = site.config.plant.protections.find(({ id, autoRelease }) => id === part && !autoRelease);
    const state = controller()?.state;
    if (held === undefined) return;
    const waits = [...(state?.agents.values() ?? [])].some(({ inhibitions }) =>
      inhibitions.some(({ why, node }) => why === 'PROTECTION_TRIPPED' && node === held.node),
    );
    if (state !== undefined && !waits) return;
    operate({ scope: [held.node], action: 'permit', reason: 'looked at it' });
    clock.after(PERMIT_MS, () => this.#permit(part));
  }
}
