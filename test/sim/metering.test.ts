import { describe, expect, test } from 'vitest';
import { playDays } from '../../proof/metering-days.ts';
import { meteringSite, playMetering } from '../../proof/metering.ts';
import type { MeterFault } from '../../simulator/devices/meter.ts';

const site = meteringSite(3, { periodMs: 10_000 });

describe('wrong meters under load', () => {
  const cases: readonly (readonly [fault: MeterFault, meter: string, code: string])[] = [
    ['inverted-L2', 'm-main', 'METER_WIRING'],
    ['swapped-L1-L3', 'm-f3', 'METER_WIRING'],
    ['inverted-L1', 'm-solar', 'METER_WIRING'],
    ['ct-0.8', 'm-main', 'METER_RATIO'],
    ['ct-1.2', 'm-f2', 'METER_RATIO'],
    ['ct-0.8', 'm-r3', 'METER_RATIO'],
  ];
  for (const [fault, meter, code] of cases)
    test(`${fault} of ${meter} is named within a quarter of an hour, and nothing else is`, () => {
      const wrong = [{ meter, fault, fromMin: 5, untilMin: 25 }];
      const said = playDays({ site, seed: 3, hours: 0.7, wrong, isCalm: true });
      expect(said.map((one) => `${one.code} ${one.meter} ${one.state}`)).toEqual([
        `${code} ${meter} raised`,
        `${code} ${meter} cleared`,
      ]);
      expect(said[0]?.atMin).toBeLessThanOrEqual(5 + 15);
    });
});

test('nothing is said of right meters in five hours of feeders that go up and down', () => {
  expect(playDays({ site, seed: 4, hours: 5 })).toEqual([]);
});

test('in the whole product a main meter whose sign turns is used for half a minute at most, and steers nothing past the cap', async () => {
  const { said, believedS, violations } = await playMetering({
    seed: 1,
    hours: 0.12,
    perRack: 1,
    capShare: 0.62,
    isCalm: true,
    wrong: [{ meter: 'm-main', fault: 'sign', fromMin: 4, untilMin: 7 }],
  });
  expect(believedS[0]).toBeLessThanOrEqual(30);
  expect(said.every(({ meter }) => meter === 'm-main')).toBe(true);
  expect(violations).toEqual([]);
});

describe('a limit of the utility while the main meter is silent, on a site with virtual meters', () => {
  const play = (silent: readonly string[]) =>
    playMetering({
      seed: 2,
      hours: 0.2,
      perRack: 1,
      isCalm: true,
      isVirtual: true,
      limit: { fromMin: 7, untilMin: 11, share: 0.45 },
      wrong: silent.map((meter) => ({ meter, fault: 'silent', fromMin: 6, untilMin: 11.5 })),
    });

  test('is held at what really flows, by the meters below it with what their comparison has taught', async () => {
    const { said, standIns, curtailed, mostOfLimit, violations } = await play(['m-main']);
    expect(standIns.map(({ meter, state }) => `${meter} ${state}`).sort()).toEqual([
      'f3 cleared',
      'f3 raised',
      'main cleared',
      'main raised',
    ]);
    expect(standIns.find(({ meter }) => meter === 'main')?.text).toContain(
      'the meters below it with as much',
    );
    expect(curtailed).toBe(1);
    expect(mostOfLimit).toBeGreaterThan(0.3);
    expect(mostOfLimit).toBeLessThanOrEqual(1);
    expect(said).toEqual([]);
    expect(violations).toEqual([]);
  });

  test('is held by what the machines say when those are silent too', async () => {
    const { standIns, mostOfLimit, violations } = await play(['m-main', 'm-f2', 'm-r1', 'm-r2', 'm-r3']);
    expect(standIns.find(({ meter }) => meter === 'main')?.text).toContain(
      'the machines below it with as much',
    );
    expect(mostOfLimit).toBeLessThanOrEqual(1);
    expect(violations).toEqual([]);
  });
});
