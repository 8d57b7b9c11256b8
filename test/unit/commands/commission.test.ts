import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { coverOf, wiringOf } from '../../../commands/commission-plan.ts';
import { whyNot } from '../../../commands/commission-watch.ts';
import { machinesOf } from '../../../controller/core/operator.ts';
import { emptyState } from '../../../controller/core/state.ts';
import { viewOf } from '../../../controller/core/view.ts';
import { harnessSite } from '../../../proof/site.ts';
import type { AlarmView, ConsoleView, SignalView } from '../../../protocols/console/view.ts';

const site = harnessSite(60, { feeds: 2 });

describe('a scope', () => {
  test('names exactly the machines that are meant, by few names', () => {
    const state = emptyState(site, 1, 0);
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...site.racks.map(({ id }) => id), ...site.machines.map(({ id }) => id))),
        (names) => {
          const meant = new Set(machinesOf(state, names));
          const cover = coverOf(site, meant);
          expect(new Set(machinesOf(state, cover))).toEqual(meant);
          expect(cover.length).toBeLessThanOrEqual(new Set(names).size);
        },
      ),
      { numRuns: 100 },
    );
    expect(coverOf(site, new Set(site.machines.map(({ index }) => index)))).toEqual(['main']);
    expect(coverOf(site, new Set())).toEqual([]);
  });
});

describe('the wiring by the site file', () => {
  test('has every meter of a node, each machine at all above it, and half of it at each of two feeds', () => {
    const wiring = wiringOf(site);
    expect(wiring.meters.map(({ id }) => id)).not.toContain('m-solar');
    const seen = (id: string): Record<string, number> => {
      const machine = site.machines.findIndex((one) => one.id === id);
      const shares = wiring.meters.map((meter, place) => [meter.id, wiring.share(machine, place)] as const);
      return Object.fromEntries(shares.filter(([, share]) => share > 0));
    };
    expect(seen('r1-01')).toEqual({ 'm-main': 1, 'm-feeder-1': 1 });
    expect(seen('g1-01')).toEqual({
      'm-main': 1,
      'm-feeder-1': 0.5,
      'm-feeder-3': 0.5,
      'm-gpu-row': 0.5,
      'm-gpu-row-b': 0.5,
    });
  });
});

describe('load is not switched for a proof', () => {
  const empty = viewOf(emptyState(site, 1, 0), { wallMs: 0, monoMs: 0 });
  const well: ConsoleView = {
    ...empty,
    signals: [],
    alarms: [],
    site: { ...empty.site, underControl: true },
  };
  const signal = (kind: SignalView['kind']): SignalView => ({
    id: `${kind}-1`,
    kind,
    source: 's',
    text: `${kind} words`,
    quality: 'good',
    sinceMs: 0,
    untilMs: null,
    waits: null,
  });
  const alarm = (code: AlarmView['code']): AlarmView => ({
    id: code,
    code,
    subject: 'x',
    text: 'words',
    next: '',
    priority: 'high',
    sinceMs: 0,
    acknowledgedBy: null,
  });

  test.each<[string, Partial<ConsoleView>, RegExp]>([
    ['out of control', { site: { ...well.site, underControl: false } }, /not under control/],
    ['under a limit', { signals: [signal('price'), signal('limit')] }, /limit words/],
    ['above a cap', { alarms: [alarm('CAP_EXCEEDED')] }, /CAP_EXCEEDED/],
    ['after a trip', { alarms: [alarm('PROTECTION_TRIPPED')] }, /PROTECTION_TRIPPED/],
    ['when AI work comes', { signals: [signal('ai')] }, /AI work has come/],
  ])('%s', (_, change, why) => {
    expect(whyNot({ ...well, ...change }, new Set())).toMatch(why);
  });

  test('but is otherwise, beside AI work that was there before and what a wrong topology itself raises', () => {
    const busy = { ...well, signals: [signal('price'), signal('ai')], alarms: [alarm('SHED_SHORTFALL')] };
    expect(whyNot(busy, new Set(['ai-1']))).toBeUndefined();
    expect(whyNot(busy)).toBeUndefined();
  });
});
