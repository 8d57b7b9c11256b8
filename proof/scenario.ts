import { MODELS } from '../config/models.ts';
import { siteSchema } from '../config/schema/site.ts';
import { resolveSite } from '../config/site.ts';
import { Fault } from '../protocols/faults.ts';
import { fitScenario, SCENARIOS } from '../simulator/scenarios.ts';
import type { WorldChange } from '../simulator/scenarios.ts';
import { simulatedSite } from '../simulator/site.ts';
import type { Happening, Planned } from './faults.ts';
import { runSeed } from './harness.ts';
import type { RunResult } from './harness.ts';
import { NO_KEY } from './site.ts';
import { summarize } from './summary.ts';
import type { ScenarioSummary, Timed } from './summary.ts';

/** How long the site gets to come under control and to settle before a scenario begins, ms. */
const SETTLE_MS = 60_000;
/** How long a killed process is away: the supervisor starts it again at once. */
const DOWN_MS = 1_500;
const WAKE_MAX_S = 25;

/**
 * Plays a scenario of the table on the simulated site in virtual time: the same site, the same changes and the same
 * judgement as `up --scenario` over real sockets. `machines`: how many, 272 when absent.
 */
export async function playScenario(
  name: string,
  seed: number,
  machines?: number,
  onEvent?: (event: Timed) => void,
): Promise<{
  readonly summary: ScenarioSummary;
  readonly events: readonly Timed[];
  readonly run: RunResult;
}> {
  const site = resolveSite(
    siteSchema.parse(
      simulatedSite({
        hostKey: NO_KEY,
        keyFile: '/sim/key',
        ...(machines === undefined ? {} : { machines }),
      }),
    ),
    MODELS,
  );
  const scenario = fitScenario(name, site);
  if (scenario === undefined)
    throw new Fault(
      'USAGE',
      `there is no scenario '${name}'; there are ${SCENARIOS.map((one) => one.name).join(', ')}`,
    );
  const events: Timed[] = [];
  const run = await runSeed({
    seed,
    site,
    machines: site.machines.length,
    hours: (SETTLE_MS + scenario.durationS * 1_000) / 3_600_000,
    wakeMaxS: WAKE_MAX_S,
    timeline: scenario.steps.map(({ atS, change }): Planned => ({
      atMs: SETTLE_MS + atS * 1_000,
      happening: happeningOf(change, site.agents),
      fault: undefined,
    })),
    onEvent: (atMs, event) => {
      if (atMs < SETTLE_MS) return;
      const timed = { tMs: Math.round(atMs - SETTLE_MS), ...event };
      events.push(timed);
      onEvent?.(timed);
    },
  });
  const { lost, duplicated } = run;
  return {
    summary: summarize({
      scenario: name,
      site,
      events,
      lost,
      duplicated,
      underControl: events.some((event) => event.event === 'meter'),
    }),
    events,
    run,
  };
}

function happeningOf(change: WorldChange, agents: readonly string[]): Happening {
  if (change.kind !== 'process' || change.action !== 'kill') return { kind: 'world', change };
  if (change.process === 'broker') return { kind: 'broker', downMs: DOWN_MS };
  const process = change.process === 'agent' ? (agents[0] ?? 'agent') : change.process;
  return { kind: 'kill', process, disk: 'process', downMs: DOWN_MS };
}
