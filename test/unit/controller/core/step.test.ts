import { believedW } from '../../../../controller/core/economics.ts';
import { describe, expect, test } from 'vitest';
import { Plant } from './plant.ts';
import { smallSite } from './small-site.ts';

const indexOf = (plant: Plant, predicate: (event: Plant['events'][number]) => boolean): number =>
  plant.events.findIndex(predicate);

describe('taking over', () => {
  test('starting moves no load', () => {
    const plant = new Plant().run(20);
    expect(plant.state.deciding).toBe(true);
    expect(plant.count('mine')).toBe(18);
    expect(plant.desired.length).toBeGreaterThan(0);
    expect(plant.events.filter((event) => event.event === 'alarm')).toEqual([]);
  });

  test('every desired state has its ledger line before it, with a higher generation each time', () => {
    const plant = new Plant().run(20);
    plant.priceUsdPerMwh = 80;
    plant.run(60);
    const commands = plant.records.filter((record) => record.t === 'command');
    for (const desired of plant.desired)
      expect(
        commands.some((record) => record.rack === desired.rack && record.generation === desired.generation),
      ).toBe(true);
  });
});

describe('price', () => {
  test('a spike sleeps exactly the machines whose breakeven it exceeds, proves it, and wakes them after', () => {
    const plant = new Plant().run(20);
    plant.priceUsdPerMwh = 80;
    plant.run(60);
    expect(plant.count('sleep', 'r1')).toBe(10);
    expect(plant.count('mine', 'r2')).toBe(8);
    expect(plant.events.some((event) => event.event === 'verified' && event.node === 'f1')).toBe(true);
    plant.priceUsdPerMwh = 40;
    plant.run(120);
    expect(plant.count('mine')).toBe(18);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 1e9, -1e9])(
    '%s is no price: nothing moves and it is said',
    (value) => {
      const plant = new Plant().run(20);
      plant.priceUsdPerMwh = undefined;
      plant.take({ kind: 'price', usdPerMwh: value, startMs: 0, endMs: 9e15 });
      plant.run(30);
      expect(plant.count('mine')).toBe(18);
      expect(plant.events.some((event) => event.event === 'alarm' && event.code === 'PRICE_INVALID')).toBe(
        true,
      );
    },
  );

  test('a price that ages out changes nothing without a declared fallback', () => {
    const plant = new Plant().run(20);
    plant.priceUsdPerMwh = 80;
    plant.run(60);
    plant.priceUsdPerMwh = undefined;
    plant.run(120);
    expect(plant.count('sleep', 'r1')).toBe(10);
    expect(plant.count('mine', 'r2')).toBe(8);
    expect(plant.state.price.quality).toBe('none');
    expect([...plant.state.alarms.keys()]).toContain('PRICE_STALE:price');
  });

  test('a price alone moves no more than its share of the site in its window', () => {
    const energy = smallSite.prices.energy;
    if (energy === undefined) throw new Error('the site has a price');
    const plant = new Plant({
      ...smallSite,
      prices: { ...smallSite.prices, energy: { ...energy, sharePct: 25, windowS: 60 } },
    }).run(20);
    const wishedW = (): number =>
      plant.state.site.machines.reduce(
        (sum, { index }) =>
          sum + (plant.state.wish[index]?.mode === 'mine' ? believedW(plant.state, index) : 0),
        0,
      );
    const beforeW = wishedW();
    plant.priceUsdPerMwh = 500;
    const seconds = [beforeW];
    for (let second = 0; second < 300; second += 1) {
      plant.run(1);
      seconds.push(wishedW());
    }
    const fell = seconds.map((watts, at) => (seconds[Math.max(0, at - 59)] ?? 0) - watts);
    const ratedW = plant.state.site.machines.reduce((sum, { model }) => sum + model.ratedW, 0);
    expect(Math.max(...fell)).toBeLessThanOrEqual(0.25 * ratedW);
    expect(Math.max(...fell)).toBeGreaterThan(0.15 * ratedW);
    expect(plant.count('mine')).toBe(0);
  });
});

describe('utility limit', () => {
  test('is met by its deadline by the machines that earn least, and released in order', () => {
    const plant = new Plant().run(20);
    plant.utility = { limitKw: 45, deadlineS: 60, sequence: 1 };
    plant.run(50);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(45_000);
    expect(plant.count('mine', 'r2')).toBe(8);
    expect(plant.state.limit.met).toBe(true);
    plant.utility = { deadlineS: 0, sequence: 2 };
    plant.run(120);
    expect(plant.count('mine')).toBe(18);
    expect(plant.events.some((event) => event.event === 'restored' && event.signalId === 'limit-1')).toBe(
      true,
    );
  });

  test('a stubborn machine is named and its share taken elsewhere', () => {
    const plant = new Plant().run(20);
    plant.stubborn.add('r1-09');
    plant.stubborn.add('r1-10');
    plant.utility = { limitKw: 45, deadlineS: 60, sequence: 1 };
    plant.run(60);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(45_000);
    expect([...plant.state.alarms.keys()]).toEqual(
      expect.arrayContaining(['COMMAND_IGNORED:r1-09', 'COMMAND_IGNORED:r1-10']),
    );
  });

  test('machines that say they sleep and draw power are found by the meter', () => {
    const plant = new Plant().run(20);
    for (const id of ['r1-05', 'r1-06', 'r1-07', 'r1-08']) plant.liars.add(id);
    plant.utility = { limitKw: 45, deadlineS: 60, sequence: 1 };
    plant.run(120);
    expect([...plant.state.alarms.keys()].some((id) => id.startsWith('SHED_SHORTFALL'))).toBe(true);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(45_000);
  });

  test('sleeping machines that become unreachable cost nobody else anything', () => {
    const plant = new Plant().run(20);
    plant.priceUsdPerMwh = 80;
    plant.run(60);
    for (let n = 1; n <= 10; n++) plant.silent.add(`r1-${String(n).padStart(2, '0')}`);
    plant.run(40);
    expect([...plant.state.alarms.keys()]).toContain('RACK_LOST:r1');
    const before = plant.count('mine', 'r2');
    plant.utility = { limitKw: 40, deadlineS: 60, sequence: 1 };
    plant.run(60);
    expect(plant.count('mine', 'r2')).toBe(before);
  });
});

describe('AI work', () => {
  const job = { id: 'j1', contract: 'acme', hosts: 4, fromMs: 0, untilMs: 1e12 };

  test('at a full feeder ASIC load falls and is verified before the first GPU starts', () => {
    const plant = new Plant().run(20);
    plant.take({ kind: 'ai-demand', jobs: [job] });
    plant.run(120);
    expect(plant.count('ai')).toBe(4);
    expect(plant.nodeW('f2')).toBeLessThanOrEqual(60_000);
    const shed = indexOf(
      plant,
      (event) => event.event === 'verified' && event.node === 'f2' && event.expectedKw < 0,
    );
    const start = indexOf(
      plant,
      (event) => event.event === 'desired' && Object.values(event.machines).includes('ai'),
    );
    expect(shed).toBeGreaterThan(0);
    expect(start).toBeGreaterThan(shed);
    plant.take({ kind: 'ai-demand', jobs: [] });
    plant.run(120);
    expect(plant.count('mine', 'r2')).toBe(8);
  });

  test('firm work survives a limit until nothing else is left', () => {
    const plant = new Plant().run(20);
    plant.take({ kind: 'ai-demand', jobs: [job] });
    plant.run(120);
    plant.utility = { limitKw: 42, deadlineS: 60, sequence: 1 };
    plant.run(90);
    expect(plant.count('ai')).toBe(4);
    expect(plant.count('mine')).toBe(0);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(42_000);
    plant.utility = { limitKw: 30, deadlineS: 60, sequence: 2 };
    plant.run(90);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(30_000);
    expect(plant.count('ai')).toBeGreaterThan(0);
    expect([...plant.state.alarms.keys()]).toContain('AI_INTERRUPTED:ai');
  });
});
