/**
 * `npm run soak:blackstart -- [--seed N] [--machines M]`: a site goes dark and starts again (proof/black-start.ts).
 * Exits 1 when load rises or falls more than 5 % faster than its ramp, comes above a cap, starts too many at once, or starts whom nobody told to.
 */
import { parseArgs } from 'node:util';
import { playBlackStart } from './black-start.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, machines: { type: 'string', default: '1000' } },
});
const MOST_PCT = 5;
const cpuBefore = process.cpuUsage();
const result = await playBlackStart(Number(values.seed), Number(values.machines), {
  onProgress: (atMs, kw) => void process.stderr.write(`${Math.round(atMs / 1_000)} s: ${kw} kW\n`),
});
const cpu = process.cpuUsage(cpuBefore);
const { upErrorPct, downErrorPct, overCapKw, startsIn10S, startsPer10S, unasked, backS, violations } = result;
const ok =
  upErrorPct <= MOST_PCT &&
  downErrorPct <= MOST_PCT &&
  overCapKw <= 0 &&
  startsIn10S <= startsPer10S &&
  unasked === 0 &&
  backS !== undefined &&
  violations.length === 0;
process.stdout.write(
  `${JSON.stringify({ ok, ...result, cpuS: Math.round((cpu.user + cpu.system) / 1e6) })}\n`,
);
process.exit(ok ? 0 : 1);
