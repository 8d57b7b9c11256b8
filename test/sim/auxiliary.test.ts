/** Chillers and pumps below the same breakers as the machines: they follow the heat with a lag, on a node with a meter and on one without. */
import { expect, test } from 'vitest';
import { MODELS } from '../../config/models.ts';
import { resolveSite } from '../../config/site.ts';
import type { Site } from '../../config/site.ts';
import type { Planned } from '../../proof/faults.ts';
import { runSeed } from '../../proof/harness.ts';
import { harnessSite } from '../../proof/site.ts';
import type { WorldChange } from '../../simulator/scenarios.ts';

const MACHINES = 28;
const SPIKE_S = 90;
const OVER_S = 270;
const LIMIT_S = 500;
const DEADLINE_S = 60;
const LIMIT_KW = 60;
const COOLING = { main: 0.08, 'feeder-1-pdu-a': 0.15 } as const;

/** Its caps hold the machines by themselves, and not with the coolers that follow them. */
function chilledSite(): Site {
  const { config } = harnessSite(MACHINES, { capShare: 0.88 });
  const nodes = config.nodes.map((node) => {
    const perItKw = Object.entries(COOLING).find(([id]) => id === node.id)?.[1];
    if (perItKw === undefined) return node;
    return { ...node, auxiliary: { fixedKw: node.capKw * 0.02, perItKw, lagS: 90 } };
  });
  return resolveSite({ ...config, nodes }, MODELS);
}

const at = (s: number, change: WorldChange): Planned => ({
  atMs: s * 1_000,
  happening: { kind: 'world', change },
  fault: undefined,
});

test('a start from nothing and a limit are met with all that follows, and the room is used', async () => {
  const site = chilledSite();
  const seen: { readonly atMs: number; readonly nodeKw: readonly number[] }[] = [];
  const guarded: number[] = [];
  const { violations, atStake } = await runSeed({
    seed: 1,
    machines: MACHINES,
    site,
    hours: 0.25,
    timeline: [
      at(SPIKE_S, { kind: 'price', usdPerMwh: 400, nextUsdPerMwh: 400 }),
      at(OVER_S, { kind: 'price', usdPerMwh: 10, nextUsdPerMwh: 10 }),
      at(LIMIT_S, {
        kind: 'utility-limit',
        limitKw: LIMIT_KW,
        deadlineS: DEADLINE_S,
        event: 'contracted',
      }),
    ],
    unsettled: true,
    onLine: (line) => line.t === 'truth' && seen.push(line),
    onEvent: (atMs, event) => {
      if (event.event === 'alarm' && event.code === 'CAP_EXCEEDED' && event.state === 'raised')
        guarded.push(atMs);
    },
  });
  // The site begins with every machine at work, above its caps; a minute later it is below them for good.
  expect(violations.filter(({ atMs }) => atMs > 60_000)).toEqual([]);
  expect(atStake.cap).toBeGreaterThan(0);
  expect(guarded.filter((atMs) => atMs > 60_000)).toEqual([]);
  for (const id of Object.keys(COOLING)) {
    const node = site.nodes.find((one) => one.id === id);
    const kw = (fromS: number, toS: number): number[] =>
      seen
        .filter(({ atMs }) => atMs >= fromS * 1_000 && atMs < toS * 1_000)
        .map(({ nodeKw }) => nodeKw[node?.index ?? -1] ?? 0);
    const capKw = node?.capKw ?? 0;
    expect(Math.min(...kw(OVER_S - 30, OVER_S))).toBeLessThan(capKw / 2);
    // Whole machines: on the smaller node one is a fifth of it.
    const started = kw(LIMIT_S - 30, LIMIT_S);
    expect(Math.min(...started), id).toBeGreaterThan(capKw * (id === 'main' ? 0.94 : 0.75));
    expect(Math.max(...kw(OVER_S, LIMIT_S)), id).toBeLessThanOrEqual(capKw);
    if (id !== 'main') continue;
    expect(Math.max(...kw(LIMIT_S + DEADLINE_S, 900))).toBeLessThanOrEqual(LIMIT_KW);
    // What the chillers gave back since then is given to machines again.
    expect(Math.min(...kw(870, 900))).toBeGreaterThan(LIMIT_KW * 0.8);
  }
}, 120_000);
