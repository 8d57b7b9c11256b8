/** `commission` against the whole product in virtual time: a site file that is wrong about the plant, and one that is right. */
import { expect, test } from 'vitest';
import { commission } from '../../commands/commission-run.ts';
import type { RackReport } from '../../commands/commission-run.ts';
import type { Product } from '../../commands/commission-watch.ts';
import { MODELS } from '../../config/models.ts';
import type { SiteConfig } from '../../config/schema/site.ts';
import { resolveSite } from '../../config/site.ts';
import type { Site } from '../../config/site.ts';
import type { SiteState } from '../../controller/core/state.ts';
import type { Controller } from '../../controller/main.ts';
import { makeOperatorPort } from '../../controller/operator/port.ts';
import type { Clock } from '../../host/deps.ts';
import { seededRandom } from '../../host/random.ts';
import type { OperatorPort, OperatorRequest } from '../../protocols/console/view.ts';
import { runSeed } from '../../proof/harness.ts';
import type { RunResult } from '../../proof/harness.ts';
import { harnessSite } from '../../proof/site.ts';
import type { Happening, Planned } from '../../proof/faults.ts';
import type { WorldChange } from '../../simulator/scenarios.ts';

const MACHINES = 26;
const base = harnessSite(MACHINES).config;
/** Polled as often as a real site's; without the hosts, whose telemetry takes most of the time of a run. */
const quick: SiteConfig = {
  ...base,
  machines: base.machines
    .filter(({ rack }) => !rack.startsWith('g'))
    .map((group) => ({ ...group, periodMs: 10_000 })),
};
const siteOf = (config: SiteConfig): Site => resolveSite(config, MODELS);
const plant = siteOf(quick);

const at = (s: number, change: WorldChange): Planned => ({
  atMs: s * 1_000,
  happening: { kind: 'world', change },
  fault: undefined,
});

interface Ended {
  readonly reports: readonly RackReport[];
  readonly run: RunResult;
  readonly ledger: readonly string[];
  readonly modes: ReadonlyMap<string, string>;
  readonly holds: number;
}

const second = (clock: Clock): Promise<void> =>
  new Promise((resolve) => {
    clock.after(1_000, resolve);
  });

/** The site, once it has been under control for some time. */
async function inCharge(
  clock: Clock,
  controller: () => Controller | undefined,
): Promise<{ readonly operator: OperatorPort & { close(): void }; readonly state: SiteState }> {
  let operator: (OperatorPort & { close(): void }) | undefined;
  for (;;) {
    await second(clock);
    const found = controller();
    if (found === undefined) continue;
    operator ??= makeOperatorPort(found, { clock, random: seededRandom(1) });
    if (operator.view().site.underControl && clock.monoMs() >= 60_000)
      return { operator, state: found.state };
  }
}

function productOf(operator: OperatorPort, noted: (phase: string) => void): Product {
  let orders = 0;
  return {
    view: () => operator.view(),
    meters: () => Promise.resolve(operator.meters()),
    order: async (request) => {
      const preview = operator.preview(request, 'anna#1');
      const { previewId, hash } = preview;
      await operator.execute({ previewId, hash, key: `order-${orders++}` }, 'anna#1');
      return preview;
    },
    note: async (note) => {
      await operator.commissioning(note, 'anna#1');
      noted(note.phase);
    },
  };
}

/** The running product as `commission` has it, without the wire between. */
async function prove(options: {
  readonly site: Site;
  readonly racks: readonly string[];
  readonly timeline?: readonly Planned[];
  readonly stopAtS?: number;
  /** What happens to the world once it has said something that begins so. */
  readonly whenSaid?: { readonly text: string; readonly change: WorldChange };
  /** What another person orders then. */
  readonly ordered?: { readonly text: string; readonly request: OperatorRequest };
}): Promise<Ended> {
  const happening: Happening[] = [];
  const ledger: string[] = [];
  let reports: readonly RackReport[] = [];
  let modes = new Map<string, string>();
  let holds = -1;
  let over = false;
  const stop = new AbortController();
  const run = await runSeed({
    seed: 5,
    machines: MACHINES,
    hours: 1.2,
    wakeMaxS: 20,
    site: options.site,
    plant,
    unsettled: true,
    timeline: [at(0, { kind: 'price', usdPerMwh: 20 }), ...allObey, ...(options.timeline ?? [])],
    react: () => (over ? 'end' : happening.splice(0)),
    beside: async ({ clock, controller }) => {
      const { operator, state } = await inCharge(clock, controller);
      if (options.stopAtS !== undefined) clock.after(options.stopAtS * 1_000, () => stop.abort());
      try {
        reports = await commission({
          site: options.site,
          product: productOf(operator, (phase) => ledger.push(phase)),
          clock,
          signal: stop.signal,
          racks: options.racks,
          windowMs: 16_000,
          cycles: 2,
          confirm: () => Promise.resolve(true),
          say: (line) => {
            const { whenSaid } = options;
            if (whenSaid !== undefined && line.startsWith(whenSaid.text))
              happening.push({ kind: 'world', change: whenSaid.change });
            const { ordered } = options;
            if (ordered === undefined || !line.startsWith(ordered.text)) return;
            const { previewId, hash } = operator.preview(ordered.request, 'bob#2');
            void operator.execute({ previewId, hash, key: 'by-another' }, 'bob#2');
          },
        });
        for (let waited = 0; waited < 90; waited++) await second(clock);
        modes = new Map(operator.view().machines.map(({ id, mode }) => [id, mode ?? 'unknown']));
        holds = state.holds.size;
      } finally {
        operator.close();
        over = true;
      }
    },
  });
  return { reports, run, ledger, modes, holds };
}

const allObey = plant.machines.map(({ id }) => at(0, { kind: 'machine', machine: id, behaviour: 'none' }));
const verdicts = ({ reports }: Ended): unknown => reports.map(({ rack, verdict }) => `${rack} ${verdict}`);

/** The site file with r2 and r5 on each other's PDU, and the last machine of r3 listed in r9. */
function wrongSite(): Site {
  const parentOf = (id: string): string | undefined => quick.nodes.find((node) => node.id === id)?.parent;
  const swapped = new Map([
    ['r2', parentOf('r5')],
    ['r5', parentOf('r2')],
  ]);
  const third = quick.machines.find(({ rack }) => rack === 'r3');
  if (third === undefined) throw new Error('no r3');
  const first = third.first ?? 1;
  const left = (third.count ?? 0) - 1;
  const nodes = quick.nodes.map((node) => {
    const parent = swapped.get(node.id);
    return parent === undefined ? node : { ...node, parent };
  });
  const machines = quick.machines.map((group) => (group === third ? { ...group, count: left } : group));
  return siteOf({
    ...quick,
    nodes: nodes.map((node) => ({ ...node, capKw: node.capKw * 1.6 })),
    machines: [...machines, { ...third, rack: 'r9', first: first + left, count: 1 }],
  });
}

test('a right site file is confirmed; a limit in the middle of the next rack stops it, and that is given back', async () => {
  const limitKw = 60;
  const ended = await prove({
    site: plant,
    racks: ['r6', 'r1'],
    whenSaid: {
      text: 'r1: ',
      change: { kind: 'utility-limit', limitKw, deadlineS: 60, event: 'contracted' },
    },
  });
  expect(verdicts(ended)).toEqual(['r6 confirmed', 'r1 untested']);
  expect(ended.reports[0]?.text).toMatch(/^proven at m-main ×[01]\.\d\d, m-feeder-2 ×[01]\.\d\d/);
  expect(ended.reports[1]?.text).toMatch(/limit 60 kW/);
  expect(ended.holds).toBe(0);
  expect(ended.run.violations).toEqual([]);
  expect(ended.ledger).toEqual(['begun', 'ended']);
}, 120_000);

test('swapped racks, a machine listed in the wrong rack and a wrong CT ratio are each named', async () => {
  const site = wrongSite();
  const ended = await prove({
    site,
    racks: ['r2', 'r9', 'r7', 'r1'],
    timeline: [at(1, { kind: 'meter', meter: 'm-feeder-2', fault: 'ct-0.8' })],
  });
  const of = (rack: string): RackReport | undefined => ended.reports.find((report) => report.rack === rack);
  expect(verdicts(ended)).toEqual([
    'r2 wrong-feeder',
    'r9 machine-elsewhere',
    'r7 other-size',
    'r1 confirmed',
  ]);
  expect(of('r2')?.text).toMatch(/m-feeder-2 did not move; m-feeder-1 moved/);
  expect(of('r9')?.elsewhere).toEqual([{ machine: site.machines.at(-1)?.id, meter: 'm-feeder-1' }]);
  expect(of('r7')?.text).toMatch(/m-feeder-2 shows 0\.\d+ .*CT or PT ratio is off by ×0\.[78]/);
}, 240_000);

test('stopped by its person in the middle of a rack it gives everything back', async () => {
  const ended = await prove({ site: plant, racks: ['r1'], stopAtS: 40 });
  expect(verdicts(ended)).toEqual(['r1 untested']);
  expect(ended.holds).toBe(0);
  for (const [machine, mode] of ended.modes) expect(mode, machine).toBe('mine');
}, 120_000);

test('what another person orders meanwhile stays as ordered', async () => {
  const ended = await prove({
    site: plant,
    racks: ['r6', 'r1'],
    ordered: {
      text: 'r6: 2',
      request: { scope: ['r1-01'], action: 'sleep', minutes: 600, reason: 'its fan is changed' },
    },
  });
  expect(ended.modes.get('r1-01')).toBe('sleep');
  expect(ended.holds).toBe(1);
  expect(ended.reports[1]).toMatchObject({ rack: 'r1', verdict: 'confirmed' });
  expect(ended.reports[1]?.tested).not.toContain('r1-01');
}, 120_000);
