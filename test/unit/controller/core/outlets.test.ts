import { expect, test } from 'vitest';
import { siteSchema } from '../../../../config/schema/site.ts';
import { committedW } from '../../../../controller/core/room.ts';
import { decideTargets } from '../../../../controller/core/target.ts';
import { order } from './order.ts';
import { Plant } from './plant.ts';
import { smallSite } from './small-site.ts';

const outlet = { id: 'k1', node: 'r1', target: 'modbus://127.0.0.1/1', kind: 'coil' as const, address: 9 };

/** r1 has lost its power while everything rested, and its outlet is open; what is published reaches nobody. */
function darkRack(): Plant {
  const plant = new Plant({
    ...siteSchema.parse(smallSite),
    plant: siteSchema.shape.plant.parse({ outlets: [outlet] }),
  });
  plant.run(20);
  plant.priceUsdPerMwh = 500;
  plant.run(120);
  for (const { index, rack } of plant.state.site.machines) if (rack === 'r1') plant.mode[index] = 'off';
  plant.openOutlets = ['k1'];
  plant.delivers = false;
  return plant.run(5);
}

const targets = (plant: Plant): string[] => {
  const now = { wallMs: 1_000_000 + plant.nowMs, monoMs: plant.nowMs };
  const { of } = decideTargets(plant.state, now);
  return plant.state.site.machines.flatMap(({ index, rack }) =>
    rack === 'r1' ? [of[index]?.mode ?? '?'] : [],
  );
};
const all = (mode: string): string[] => Array.from({ length: 10 }, () => mode);

test('what is behind an open outlet is off: it counts nothing, is nobody’s fault, and may be wanted at work', () => {
  const plant = darkRack();
  // No more than what it is wanted to come to: rest.
  expect(committedW(plant.state)[3]).toBe(500);
  plant.run(60);
  expect([...plant.state.alarms.keys()].filter((key) => /LOST|IGNORED/.test(key))).toEqual([]);
  plant.priceUsdPerMwh = 20;
  plant.run(60);
  expect(targets(plant)).toEqual(all('mine'));
  // Wanted, it counts with what it will draw.
  expect(committedW(plant.state)[3]).toBeCloseTo(34_500);
});

test('all behind one outlet or none: room for eight of ten starts nobody', () => {
  const plant = darkRack();
  plant.extraW.set('f1', 9_000);
  plant.run(30);
  plant.priceUsdPerMwh = 20;
  plant.run(60);
  expect(targets(plant)).toEqual(all('sleep'));
  plant.extraW.set('f1', 0);
  plant.run(60);
  expect(targets(plant)).toEqual(all('mine'));
  // With its power each is decided for itself again.
  plant.openOutlets = [];
  for (const { index, rack } of plant.state.site.machines) if (rack === 'r1') plant.mode[index] = 'mine';
  plant.extraW.set('f1', 9_000);
  plant.delivers = true;
  plant.run(120);
  expect(new Set(targets(plant))).toEqual(new Set(['mine', 'sleep']));
});

test('one that shall rest keeps the others from starting, and they say so', () => {
  const plant = darkRack();
  plant.priceUsdPerMwh = 20;
  order(plant, 'anna#1', 'lockout', ['r1-04']);
  plant.run(60);
  expect(targets(plant)).toEqual(all('sleep'));
  expect(plant.state.wish[0]?.because).toMatchObject({
    rule: 'outlet-open',
    text: "behind 'k1', which is open and starts all or none: r1-04 shall rest",
  });
});

test('as it closes, one that is not known any more leaves the others as they are, and starts none', () => {
  const plant = darkRack();
  const lost = { ok: false, why: 'DEVICE_LOST' } as const;
  // Its frame comes before the status that says that the outlet is closed.
  const lose = (): Plant => {
    plant.silent.add('r1-01');
    const tickMs = 1_000_000 + plant.nowMs + 500;
    const rows = [{ id: 'r1-01', readings: { mode: { ...lost, atMs: tickMs } } }];
    plant.take({ kind: 'frame', agent: 'a1', boot: 1, seq: plant.nowMs + 1, group: 'r1', tickMs, rows });
    return plant.run(1);
  };
  lose();
  plant.priceUsdPerMwh = 20;
  plant.run(60);
  expect(targets(plant)).toEqual(['?', ...all('sleep').slice(1)]);
  expect(plant.state.wish[1]?.because.text).toBe(
    "behind 'k1', which is open and starts all or none: r1-01 is not known",
  );
  plant.silent.clear();
  plant.run(60);
  expect(targets(plant)).toEqual(all('mine'));
  lose();
  expect(targets(plant)).toEqual(['?', ...all('mine').slice(1)]);
  // What comes before them takes their room all the same.
  plant.extraW.set('f1', 20_000);
  plant.run(30);
  expect(targets(plant)).toEqual(['?', ...all('sleep').slice(1)]);
});

test('who is seen at work behind an outlet said open is decided for itself', () => {
  const plant = darkRack();
  plant.priceUsdPerMwh = 20;
  plant.run(60);
  plant.mode[0] = 'mine';
  plant.run(2);
  order(plant, 'anna#1', 'lockout', ['r1-01']);
  expect(targets(plant)).toEqual(['sleep', ...all('mine').slice(1)]);
});
