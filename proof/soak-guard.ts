/**
 * `npm run soak:guard -- [--seeds N] [--seed FIRST] [--machines M] [--mutants N]`: so many controllers lost at the cap,
 * and what its meter saw of them; then the same seeds, as many as `--mutants` says, without committed-draw admission
 * and without the guard: of those nine in ten must fail.
 */
import { parseArgs } from 'node:util';
import { failed, quantiles } from './dead-controller.ts';
import type { Death } from './dead-controller.ts';
import { onAllCores } from './threads.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    machines: { type: 'string', default: '60' },
    mutants: { type: 'string' },
  },
});
const WITHOUT = ['committed draw ignored', 'guard removed'];
const first = Number(values.seed);
const count = Number(values.seeds);
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

interface Figures {
  readonly atStakeShare: number;
  readonly failedShare: number;
  readonly tripped: number;
}

async function play(seeds: number, mutant?: string): Promise<Figures> {
  const cpuBefore = process.cpuUsage();
  const tasks = Array.from({ length: seeds }, (_, place) => ({
    seed: first + place,
    machines: Number(values.machines),
  }));
  const all = await onAllCores(
    'death',
    tasks,
    (death) => say({ ...(mutant !== undefined && { mutant }), ...death }),
    mutant,
  );
  const cpu = process.cpuUsage(cpuBefore);
  const deaths = all.filter(({ atStake }) => atStake);
  const of = (figure: (death: Death) => number): object => quantiles(deaths.map(figure));
  const bad = deaths.filter(failed);
  const figures = {
    event: 'summary',
    ...(mutant !== undefined && { mutant }),
    seeds: all.length,
    atStake: deaths.length,
    atStakeShare: deaths.length / all.length,
    notAtStake: all.flatMap(({ seed, atStake }) => (atStake ? [] : [seed])),
    above: deaths.filter(({ longestS }) => longestS > 0).length,
    failed: bad.length,
    tripped: deaths.filter(({ tripPct }) => tripPct >= 100).length,
    failedShare: deaths.length === 0 ? 0 : bad.length / deaths.length,
    longestS: of(({ longestS }) => longestS),
    excessKwS: of(({ excessKwS }) => excessKwS),
    peakPct: of(({ peakPct }) => peakPct),
    tripPct: of(({ tripPct }) => tripPct),
    cpuSPerSeed: Math.round((cpu.user + cpu.system) / 1e4 / all.length) / 100,
  };
  say(figures);
  return figures;
}

/** So few seeds may miss the load that they are about: else the figures are of something else. */
const AT_STAKE_SHARE = 0.95;
const sound = await play(count);
let good = sound.atStakeShare >= AT_STAKE_SHARE && sound.failedShare <= 0.01 && sound.tripped === 0;
const mutated = Number(values.mutants ?? Math.min(count, 100));
for (const mutant of mutated > 0 ? WITHOUT : []) {
  const without = await play(mutated, mutant);
  good &&= without.atStakeShare >= AT_STAKE_SHARE && without.failedShare >= 0.9;
}
process.exitCode = good ? 0 : 1;
