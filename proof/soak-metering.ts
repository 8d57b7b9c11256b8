/**
 * `npm run soak:metering -- [--seeds N] [--seed FIRST] [--days D] [--hours H] [--only PART]`: so many times D days of
 * meters that are right, by the judge alone; every wiring fault on every meter; then the whole product: H hours (a week)
 * with meters that are right and three that are virtual, with nights at rest, feeders that idle, and limits of the
 * utility; meters that are lost during a limit; and wrong meters at the cap. PART: days, sweep, product, lost or cap. One
 * line per run; fails when anything right is named, anything wrong is not, or a limit is not held.
 */
import { parseArgs } from 'node:util';
import { isVirtual } from '../protocols/metering/virtual.ts';
import { METER_FAULTS } from '../simulator/devices/meter.ts';
import type { MeterFault } from '../simulator/devices/meter.ts';
import { playDays } from './metering-days.ts';
import { meteringSite, playMetering } from './metering.ts';
import type { Said } from './metering.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    days: { type: 'string', default: '7' },
    hours: { type: 'string', default: '168' },
    only: { type: 'string' },
  },
});
const first = Number(values.seed);
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const seeds = Array.from({ length: Number(values.seeds) }, (_, place) => first + place);
const site = meteringSite(3, { periodMs: 10_000 });
let good = true;
const judge = (isGood: boolean, line: object): void => {
  good &&= isGood;
  say({ ...line, good: isGood });
};

const plays = (part: string): boolean => values.only === undefined || values.only === part;

for (const seed of plays('days') ? seeds : []) {
  const said = playDays({ site, seed, hours: Number(values.days) * 24 });
  judge(said.length === 0, { part: 'days', seed, days: Number(values.days), said });
}

/** From this minute on a meter is wrong, and until that one. */
const FROM = 20;
const UNTIL = 45;
const WITHIN_MIN = 15;
/** Faults that one meter's total alone, or what is missing of it, gives away are other checks' business. */
const SWEPT = METER_FAULTS.filter((fault) => /^(inverted|swapped-|ct-[01])/.test(fault));
/** What generates is too little of this site for its ratio to show in the others' sums. */
const isTooSmall = (meter: string, fault: MeterFault): boolean =>
  meter === 'm-solar' && fault.startsWith('ct-');

/** Minutes until the right one was named; undefined: it was not, or another one was. */
function namedAfter(said: readonly Said[], meter: string): number | undefined {
  const raised = said.filter(({ state }) => state === 'raised');
  return raised.every((one) => one.meter === meter) ? raised.map(({ atMin }) => atMin - FROM)[0] : undefined;
}

for (const fault of plays('sweep') ? SWEPT : [])
  for (const { id: meter } of site.meters) {
    if (isTooSmall(meter, fault)) continue;
    const wrong = [{ meter, fault, fromMin: FROM, untilMin: UNTIL }];
    const said = playDays({ site, seed: first, hours: 1.2, wrong, isCalm: true });
    const minutes = namedAfter(said, meter);
    const isOver = said.at(-1)?.state === 'cleared';
    judge(minutes !== undefined && minutes <= WITHIN_MIN && isOver, {
      part: 'sweep',
      fault,
      meter,
      minutes,
      isOver,
    });
  }

if (plays('product')) {
  const hours = Number(values.hours);
  const right = await playMetering({ seed: first, hours, perRack: 2, isWeek: true, isVirtual: true });
  const { said, standIns, violations, curtailed } = right;
  // Without a limit a day, or without commands, nothing was at stake.
  const isWhole = curtailed >= Math.floor(hours / 24) && right.commands > 0;
  judge(said.length + standIns.length + violations.length === 0 && isWhole, {
    part: 'product',
    hours,
    ...right,
    cpuS: Math.round(process.cpuUsage().user / 1e6),
  });
}

/** Meters that tell nothing, or nothing usable, while a limit is in force: the main one, with a feeder, all of them. */
const READ = meteringSite(3, { isVirtual: true }).meters.filter(({ target }) => !isVirtual(target));
const LOST = [['m-main'], ['m-main', 'm-f2'], READ.map(({ id }) => id)];
for (const fault of plays('lost') ? (['silent', 'nan', 'frozen'] as const) : [])
  for (const meters of LOST) {
    const { mostOfLimit, curtailed, standIns, violations } = await playMetering({
      seed: first,
      hours: 0.35,
      isCalm: true,
      isVirtual: true,
      limit: { fromMin: 10, untilMin: 18, share: 0.45 },
      wrong: meters.map((meter) => ({ meter, fault, fromMin: 8, untilMin: 20 })),
    });
    const of = standIns.find(({ meter }) => meter === 'main')?.text;
    judge(violations.length === 0 && curtailed === 1 && mostOfLimit <= 1 && of !== undefined, {
      part: 'lost',
      fault,
      meters: meters.length,
      mostOfLimit: Number(mostOfLimit.toFixed(3)),
      by: of,
      violations,
    });
  }

/** The cap takes one machine in four; those of `r2` earn most and all work. */
const CAP_SHARE = 0.62;
const AT_ONCE: readonly MeterFault[] = ['frozen', 'nan', 'sign', 'x1000', 'inverted-L2', 'swapped-L1-L3'];
const IN_MINUTES: readonly MeterFault[] = ['ct-0.8', 'ct-1.2'];
/** Nobody above it denies what it shows too much: as with a load that nobody declared, it is named and used. */
const isUsed = (meter: string, fault: MeterFault): boolean => meter === 'm-main' && fault === 'ct-1.2';
for (const fault of plays('cap') ? [...AT_ONCE, ...IN_MINUTES] : [])
  for (const meter of ['m-main', 'm-f2', 'm-r2']) {
    const isAtOnce = AT_ONCE.includes(fault);
    const wrong = [{ meter, fault, fromMin: 10, untilMin: isAtOnce ? 14 : 28 }];
    const { said, believedS, violations } = await playMetering({
      seed: first,
      hours: isAtOnce ? 0.3 : 0.55,
      perRack: 4,
      capShare: CAP_SHARE,
      isCalm: true,
      wrong,
    });
    const believed = believedS[0] ?? 0;
    const isRight = said.every((one) => one.meter === meter);
    const isInTime = isUsed(meter, fault)
      ? said.some(({ state, atMin }) => state === 'raised' && atMin <= 10 + WITHIN_MIN)
      : believed <= (isAtOnce ? 30 : WITHIN_MIN * 60);
    judge(isRight && violations.length === 0 && isInTime, {
      part: 'at the cap',
      fault,
      meter,
      believedS: believed,
      named: said.map(({ code, state, atMin }) => `${(atMin - 10).toFixed(1)} ${code} ${state}`),
      violations,
    });
  }
process.exitCode = good ? 0 : 1;
