import { describe, expect, test } from 'vitest';
import type { SiteConfigInput } from '../../../../config/schema/site.ts';
import { isInHours } from '../../../../controller/core/contract.ts';
import { viewOf } from '../../../../controller/core/view.ts';
import { Plant } from './plant.ts';
import { smallSite } from './small-site.ts';

type Envelope = NonNullable<NonNullable<SiteConfigInput['utility']>['envelope']>;

const atWork = (envelope: Envelope): Plant => {
  const utility = { target: 'modbus://127.0.0.1:1503/1', envelope };
  return new Plant({ ...smallSite, utility }).run(20);
};
const asks = (plant: Plant, limitKw: number, sequence: number, kind?: 'emergency'): Plant => {
  plant.utility = { limitKw, deadlineS: 60, sequence, ...(kind && { kind }) };
  return plant.run(60);
};
const ends = (plant: Plant, sequence: number): Plant => {
  plant.utility = { deadlineS: 0, sequence };
  return plant.run(60);
};
const agrees = (plant: Plant, value: number): Plant => {
  plant.records.push({ t: 'agree', atMs: 1_000_000 + plant.nowMs, actor: 'anna#1', input: 'limit', value });
  plant.take({ kind: 'agree', input: 'limit', value, actor: 'anna#1' });
  return plant.run(60);
};
const alarm = (plant: Plant): string | undefined => plant.state.alarms.get('LIMIT_OUTSIDE:utility')?.text;
const kw = (plant: Plant): number => plant.nodeW('site') / 1_000;
/** The site at work draws some 70 kW. */
const SHARED_KW = 0.6 * 70;

describe('a limit beyond its contract', () => {
  test('of fewer kW is obeyed as far as the contract goes, and further when a person agrees', () => {
    const plant = asks(atWork({ minLimitKw: 40 }), 20, 1);
    expect(alarm(plant)).toContain("20 kW is below the contract's 40 kW");
    expect(kw(plant)).toBeLessThanOrEqual(40);
    expect(kw(plant)).toBeGreaterThan(34);
    const now = { wallMs: 1_000_000 + plant.nowMs, monoMs: plant.nowMs };
    const shown = viewOf(plant.state, now).signals.find((signal) => signal.kind === 'limit');
    expect(shown?.waits).toMatchObject({ value: 20, text: expect.stringContaining('agree limit') });
    expect(plant.acks.at(-1)?.utility?.status).toBe('cannot-comply');
    agrees(plant, 20);
    expect(alarm(plant)).toBeUndefined();
    expect(kw(plant)).toBeLessThanOrEqual(20);
  });

  test('that comes too often takes no more than the share of what flows; a restart forgets neither', () => {
    const plant = atWork({ eventsPerDay: 1 });
    ends(asks(plant, 60, 1), 2);
    expect(alarm(plant)).toBeUndefined();
    plant.restart(2).run(20);
    asks(plant, 10, 3);
    expect(alarm(plant)).toContain('it is number 2 in 24 h, 1 are allowed');
    const reducedKw = kw(plant);
    expect(reducedKw).toBeGreaterThan(SHARED_KW - 8);
    expect(reducedKw).toBeLessThanOrEqual(SHARED_KW + 3);
    plant.restart(2).run(40);
    expect(alarm(plant)).toContain('it is number 2');
    expect(Math.abs(kw(plant) - reducedKw)).toBeLessThan(4);
    agrees(plant, 10);
    expect(kw(plant)).toBeLessThanOrEqual(10);
    plant.restart(2).run(40);
    expect(kw(plant)).toBeLessThanOrEqual(10);
    expect(alarm(plant)).toBeUndefined();
  });

  test('that lasts too long is kept as it is and takes no more, lowered or not', () => {
    const plant = asks(atWork({ maxMinutes: 2 }), 50, 1);
    expect(alarm(plant)).toBeUndefined();
    const beforeKw = kw(plant);
    plant.run(90);
    expect(alarm(plant)).toContain('it lasts longer than 2 min');
    expect(kw(plant)).toBeCloseTo(beforeKw, 0);
    asks(plant, 5, 2);
    expect(kw(plant)).toBeGreaterThan(0.6 * beforeKw - 6);
  });

  test('outside its hours takes the share', () => {
    // The plant’s clock begins at 00:16 of a Thursday.
    const inside = asks(atWork({ hours: [{ days: ['thu'], from: '00:00', until: '06:00' }] }), 20, 1);
    expect(alarm(inside)).toBeUndefined();
    expect(kw(inside)).toBeLessThanOrEqual(20);
    const outside = asks(atWork({ hours: [{ from: '06:00', until: '22:00' }] }), 20, 1);
    expect(alarm(outside)).toContain('outside the hours');
    expect(kw(outside)).toBeGreaterThan(SHARED_KW - 8);
  });

  test('an emergency stands above it', () => {
    const plant = asks(
      atWork({ minLimitKw: 40, eventsPerDay: 1, hours: [{ from: '06:00', until: '22:00' }] }),
      20,
      1,
      'emergency',
    );
    expect(alarm(plant)).toBeUndefined();
    expect(kw(plant)).toBeLessThanOrEqual(20);
  });
});

const at = (text: string): number => Date.parse(`2026-11-${text}:00Z`);
const night: NonNullable<Envelope['hours']> = [{ days: ['fri'], from: '22:00', until: '06:00' }];
test.each([
  // 20 November 2026 is a Friday.
  ['20T21:59', night, false],
  ['20T22:00', night, true],
  ['21T05:59', night, true],
  ['21T06:00', night, false],
  ['20T03:00', night, false],
  ['22T12:00', [{ days: ['sat'], from: '00:00', until: '23:59' }] as const, false],
  ['21T12:00', [{ from: '12:00', until: '12:01' }], true],
  ['21T12:01', [{ from: '12:00', until: '12:01' }], false],
] as const)('%s in %j: %s', (text, hours, isIn) => {
  const plain = hours.map((one) =>
    'days' in one ? { ...one, days: [...(one.days ?? [])] } : { ...one, days: undefined },
  );
  expect(isInHours(plain, at(text), 'UTC')).toBe(isIn);
});

test.each([
  // Sunday, 25 October 2026: clocks in Berlin go back at 03:00 (01:00 UTC); in Chicago on 1 November.
  ['Europe/Berlin', '2026-10-24T05:30Z', false],
  ['Europe/Berlin', '2026-10-24T06:30Z', true],
  ['Europe/Berlin', '2026-10-26T06:30Z', false],
  ['Europe/Berlin', '2026-10-26T07:30Z', true],
  ['Europe/Berlin', '2026-03-28T06:30Z', false],
  ['Europe/Berlin', '2026-03-30T06:30Z', true],
  ['America/Chicago', '2026-10-30T13:30Z', true],
  ['America/Chicago', '2026-11-02T13:30Z', false],
  ['America/Chicago', '2026-11-02T14:30Z', true],
  ['Asia/Kolkata', '2026-07-01T02:29Z', false],
  ['Asia/Kolkata', '2026-07-01T02:31Z', true],
] as const)('hours from 08:00 to 18:00 in %s at %s: %s', (timeZone, text, isIn) => {
  expect(isInHours([{ from: '08:00', until: '18:00' }], Date.parse(text), timeZone)).toBe(isIn);
});

test('the weekday of hours that pass midnight is the one in which they begin, there', () => {
  const night = [{ days: ['fri' as const], from: '22:00', until: '04:00' }];
  // Friday 23:00 in Los Angeles is Saturday in UTC.
  expect(isInHours(night, Date.parse('2026-07-04T06:00Z'), 'America/Los_Angeles')).toBe(true);
  expect(isInHours(night, Date.parse('2026-07-04T06:00Z'), 'UTC')).toBe(false);
  expect(isInHours(night, Date.parse('2026-07-04T10:30Z'), 'America/Los_Angeles')).toBe(true);
  expect(isInHours(night, Date.parse('2026-07-05T06:00Z'), 'America/Los_Angeles')).toBe(false);
});
