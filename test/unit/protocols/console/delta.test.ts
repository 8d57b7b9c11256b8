import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { applyDelta, diffView } from '../../../../protocols/console/delta.ts';
import type { ConsoleView } from '../../../../protocols/console/view.ts';
import { alarmOf, siteView } from '../../../wire/fake-operator.ts';

const ids = fc.constantFrom('a', 'b', 'c', 'd', 'e', '__proto__', 'constructor', '7', '3');
const maybe = fc.option(fc.integer({ min: -5, max: 5 }), { nil: null });
const entries = fc.uniqueArray(
  fc.record({
    id: ids,
    powerW: maybe,
    mode: fc.constantFrom('mine', 'sleep', null),
    owner: fc.constantFrom('x', 'y'),
  }),
  { selector: (entry) => entry.id, maxLength: 8 },
);
// The delta never looks at what a field means, so that any fields serve.
const views = fc.record({
  site: fc.record({ id: fc.constant('s'), powerW: maybe, capKw: fc.integer({ min: 0, max: 3 }) }),
  nodes: entries,
  machines: entries,
  signals: entries,
  commands: entries,
  alarms: entries,
  agents: entries,
}) as unknown as fc.Arbitrary<ConsoleView>;

const overTheWire = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

test('applying the difference gives the other view, also after the wire', () => {
  fc.assert(
    fc.property(views, views, (a, b) => {
      const delta = diffView(a, b);
      expect(delta === undefined ? a : applyDelta(a, overTheWire(delta))).toEqual(b);
    }),
    { numRuns: 500 },
  );
});

test('a view does not differ from an equal one', () => {
  fc.assert(
    fc.property(views, (a) => {
      expect(diffView(a, overTheWire(a))).toBeUndefined();
    }),
    { numRuns: 100 },
  );
});

test('only changed fields are sent, and what did not change stays the same object', () => {
  const a = siteView({ racks: 2, perRack: 4, atMs: 1_000 });
  const b: ConsoleView = {
    ...a,
    machines: a.machines.map((machine, at) => (at === 3 ? { ...machine, powerW: 17 } : machine)),
    alarms: [alarmOf('x', 5)],
  };
  const delta = diffView(a, b);
  expect(delta).toEqual({
    machines: { set: [[a.machines[3]?.id, { powerW: 17 }]] },
    alarms: { set: [['x', alarmOf('x', 5)]] },
  });
  const after = applyDelta(a, delta ?? {});
  expect(after.nodes).toBe(a.nodes);
  expect(after.machines[0]).toBe(a.machines[0]);
});
