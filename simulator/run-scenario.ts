import type { Clock } from '../host/deps.ts';
import type { Scenario, WorldChange } from './scenarios.ts';

/** A scenario under way; `done` resolves after its last second, never when it repeats. */
export interface RunningScenario {
  readonly done: Promise<void>;
  stop(): void;
}

/**
 * Carries a scenario out on `clock`: `act` gets every change at its time. A scenario that repeats starts again, with
 * new ids for its jobs, so that work of one round is not taken for that of the next.
 */
export function runScenario(
  scenario: Scenario,
  { clock, act }: { readonly clock: Clock; readonly act: (change: WorldChange) => void },
): RunningScenario {
  const startedMs = clock.monoMs();
  let cancel = (): void => undefined;
  let finish = (): void => undefined;
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const go = (round: number, place: number): void => {
    const step = scenario.steps[place];
    const offsetS = round * scenario.durationS + (step?.atS ?? scenario.durationS);
    const waitMs = startedMs + offsetS * 1_000 - clock.monoMs();
    cancel = clock.after(Math.max(0, waitMs), () => {
      if (step !== undefined) {
        act(inRound(step.change, round));
        go(round, place + 1);
      } else if (scenario.repeats === true) go(round + 1, 0);
      else finish();
    });
  };
  go(0, 0);
  return {
    done,
    stop: () => {
      cancel();
      finish();
    },
  };
}

function inRound(change: WorldChange, round: number): WorldChange {
  if (round === 0 || (change.kind !== 'ai-job' && change.kind !== 'ai-end')) return change;
  return { ...change, id: `${change.id}-${round + 1}` };
}
