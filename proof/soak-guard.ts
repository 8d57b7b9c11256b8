/** `npm run soak:guard -- [SEEDS] [FIRST] [MACHINES]`: so many dead controllers, and what the cap saw of them. */
import { playDeath, quantiles } from './dead-controller.ts';
import type { Death } from './dead-controller.ts';

/** Above this, % of the cap, breakers begin to count. */
const TRIPS_PCT = 105;
/** Load at that moment from which on a seed counts as one at the cap, %. */
const AT_CAP_PCT = 97;
/** Shares of machines are whole percents from here on. */
const MACHINES = 100;

const [seeds = 20, first = 1, machines = MACHINES] = process.argv.slice(2).map(Number);
const deaths: Death[] = [];
for (let seed = first; seed < first + seeds; seed += 1) {
  const death = await playDeath(seed, machines);
  deaths.push(death);
  process.stdout.write(`${JSON.stringify(death)}\n`);
}
const atCap = deaths.filter((death) => death.loadPct >= AT_CAP_PCT);
const figures = {
  seeds: deaths.length,
  atCap: atCap.length,
  above: deaths.filter((death) => death.longestS > 0).length,
  longestS: quantiles(deaths.map((death) => death.longestS)),
  excessKwS: quantiles(deaths.map((death) => death.excessKwS)),
  peakPct: quantiles(deaths.map((death) => death.peakPct)),
};
process.stdout.write(`${JSON.stringify({ event: 'summary', ...figures })}\n`);
process.exitCode = figures.longestS.p99 <= 10 && figures.peakPct.max <= TRIPS_PCT ? 0 : 1;
