import { expect, test } from 'vitest';
import { MODELS } from '../../config/models.ts';
import { siteSchema } from '../../config/schema/site.ts';
import { resolveSite } from '../../config/site.ts';
import type { Planned } from '../../proof/faults.ts';
import { runSeed } from '../../proof/harness.ts';
import { NO_KEY } from '../../proof/site.ts';
import type { PublicEvent } from '../../protocols/events.ts';
import { simulatedSite } from '../../simulator/site.ts';

const SITE = resolveSite(
  siteSchema.parse(simulatedSite({ hostKey: NO_KEY, keyFile: '/sim/key', machines: 24 })),
  MODELS,
);
const SIGNAL_MS = 50_000;
const LIMIT_KW = 60;
const DEADLINE_S = 35;

interface Moved {
  readonly asleep: readonly string[];
  readonly woken: readonly string[];
  /** The most at the main meter from the deadline on, kW. */
  readonly mostKw: number;
}

/** Real agent and controller on a site that obeys; the controller dies so many seconds after the limit, or not. */
async function play(diesAfterS?: number): Promise<Moved> {
  const events: (PublicEvent & { readonly atMs: number })[] = [];
  const world = (atMs: number, change: object): Planned =>
    ({ atMs, happening: { kind: 'world', change }, fault: undefined }) as Planned;
  const obedient = SITE.machines.map(({ id }) =>
    world(0, { kind: 'machine', machine: id, behaviour: 'none' }),
  );
  const limit = { kind: 'utility-limit', limitKw: LIMIT_KW, deadlineS: DEADLINE_S, event: 'contracted' };
  const death: Planned = {
    atMs: SIGNAL_MS + (diesAfterS ?? 0) * 1_000,
    happening: { kind: 'kill', process: 'controller', disk: 'process', downMs: 1_500 },
    fault: undefined,
  };
  await runSeed({
    seed: 1,
    site: SITE,
    machines: SITE.machines.length,
    hours: (SIGNAL_MS + 75_000) / 3_600_000,
    wakeMaxS: 25,
    timeline: [...obedient, world(SIGNAL_MS, limit), ...(diesAfterS === undefined ? [] : [death])],
    onEvent: (atMs, event) => void events.push({ atMs, ...event }),
  });
  const told = (verbs: readonly string[]): string[] => [
    ...new Set(
      events.flatMap((event) =>
        event.event === 'acknowledged' && event.atMs > SIGNAL_MS && verbs.includes(event.verb)
          ? [event.machine]
          : [],
      ),
    ),
  ];
  const late = events.flatMap((event) =>
    event.event === 'meter' && event.meter === 'm-main' && event.atMs > SIGNAL_MS + DEADLINE_S * 1_000
      ? [event.powerW / 1_000]
      : [],
  );
  expect(late.length).toBeGreaterThan(10);
  return {
    asleep: told(['sleep', 'idle-handover']).toSorted(),
    woken: told(['wake', 'mine-handover', 'ai-handover']),
    mostKw: Math.max(...late),
  };
}

test('whenever the controller dies in the shed, the same machines rest and none is woken', async () => {
  const whole = await play();
  expect(whole.asleep.length).toBeGreaterThan(5);
  expect(whole.woken).toEqual([]);
  for (let second = 0; second <= 20; second += 4) {
    const broken = await play(second);
    expect({ second, asleep: broken.asleep, woken: broken.woken }).toEqual({
      second,
      asleep: whole.asleep,
      woken: [],
    });
    expect(broken.mostKw).toBeLessThanOrEqual(LIMIT_KW);
  }
}, 240_000);
