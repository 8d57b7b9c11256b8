/** A wrong or stolen controller: everything it says is well formed, of the newest epoch and named by a live beat. */
import { afterEach, describe, expect, test } from 'vitest';
import type { Owner } from '../../../protocols/mqtt/desired.ts';
import type { Mode } from '../../../protocols/reading.ts';
import { all, makeBench, modes } from './bench.ts';
import type { Bench } from './bench.ts';

const WATTS = 3_170;
const DAY_S = 24 * 3_600;

let bench: Bench | undefined;
afterEach(() => bench?.stop());

/** Says something new about every machine each `everyS`, for `seconds`. */
async function shout(
  to: Bench,
  seconds: number,
  everyS: number,
  say: (turn: number) => { mode: Mode; owner: Owner },
): Promise<void> {
  for (let turn = 0; turn * everyS < seconds; turn += 1) {
    const { mode, owner } = say(turn);
    const because = { owner, rule: 'stolen', text: 'because I say so' };
    const machines = Object.fromEntries(Object.keys(all(to, mode)).map((id) => [id, { mode, because }]));
    to.voice.want('r1', turn + 1, {}, { machines, urgent: true });
    await to.clock.advance(everyS * 1_000);
  }
}

const callsOf = (of: Bench, verb: string): { machine: string; atMs: number }[] =>
  [...of.miners]
    .flatMap(([machine, miner]) =>
      miner.calls.flatMap((call, place) =>
        call === verb ? [{ machine, atMs: miner.callsMs[place] ?? Number.NaN }] : [],
      ),
    )
    .sort((a, b) => a.atMs - b.atMs);

/** The most watts that calls of a verb moved beyond `kwPerMin` and one machine, over any stretch from call to call. */
function beyondRampW(of: Bench, verb: string, kwPerMin: number): number {
  const calls = callsOf(of, verb);
  let worst = Number.NEGATIVE_INFINITY;
  for (const [from, first] of calls.entries())
    for (const [more, { atMs }] of calls.slice(from).entries())
      worst = Math.max(worst, (more + 1) * WATTS - (kwPerMin / 60) * (atMs - first.atMs) - WATTS);
  return worst;
}

const whys = (of: Bench): Set<string> => new Set(of.voice.results.flatMap((result) => result.why ?? []));

describe('a controller that asks for more than the envelope', () => {
  test.each(['price', 'ai', 'manual', 'dr', 'cap', 'emergency', 'protection', 'lockout'] as const)(
    'wakes nobody faster than the ramp or above the cap, in the name of %s',
    async (owner) => {
      bench = makeBench({ mode: 'sleep', count: 24, capKw: 60, rampKwPerMin: 24 });
      await bench.clock.advance(6_000);
      await shout(bench, 240, 1, () => ({ mode: 'mine', owner }));
      expect(beyondRampW(bench, 'wake', 24)).toBeLessThanOrEqual(0.4 * 3 * 1_000);
      const awake = modes(bench).replaceAll('s', '').length;
      expect(awake).toBeGreaterThan(16);
      expect(awake * 3_200 + (24 - awake) * 30).toBeLessThanOrEqual(60_000);
      expect(whys(bench)).toEqual(new Set(['ENVELOPE_REFUSED', 'RAMP_WAIT']));
    },
  );

  test.each(['price', 'ai', 'manual', 'dr'] as const)(
    'puts nobody to sleep faster than the ramp, in the name of %s',
    async (owner) => {
      bench = makeBench({ count: 24, rampKwPerMin: 24 });
      await bench.clock.advance(6_000);
      await shout(bench, 240, 1, () => ({ mode: 'sleep', owner }));
      expect(modes(bench)).toBe('s'.repeat(24));
      expect(beyondRampW(bench, 'sleep', 24)).toBeLessThanOrEqual(0.4 * 3 * 1_000);
    },
  );

  test('an emergency alone puts all to sleep at once', async () => {
    bench = makeBench({ count: 24, rampKwPerMin: 24 });
    await bench.clock.advance(6_000);
    await shout(bench, 8, 8, () => ({ mode: 'sleep', owner: 'emergency' }));
    expect(modes(bench)).toBe('s'.repeat(24));
  });

  test('toggles nothing: least times hold, and no machine is started more often than a day allows', async () => {
    const control = { minOnS: 60, minOffS: 90, maxCyclesPerDay: 3 };
    bench = makeBench({ mode: 'sleep', count: 2, control });
    await bench.clock.advance(6_000);
    const owners = ['price', 'emergency', 'manual', 'lockout', 'dr'] as const;
    await shout(bench, 300, 1, (turn) => ({
      mode: turn % 2 === 0 ? 'mine' : 'sleep',
      owner: owners[turn % owners.length] ?? 'price',
    }));
    await shout(bench, 1_200, 20, (turn) => ({
      mode: turn % 2 === 0 ? 'mine' : 'sleep',
      owner: owners[turn % owners.length] ?? 'price',
    }));
    for (const miner of bench.miners.values()) {
      const wakes = miner.callsMs.filter((_, place) => miner.calls[place] === 'wake');
      const sleeps = miner.callsMs.filter((_, place) => miner.calls[place] === 'sleep');
      // A start that followed a stop came after the least time at rest; stops said again are none.
      for (const atMs of wakes) {
        const before = wakes.filter((one) => one < atMs).at(-1) ?? 0;
        const stopped = sleeps.find((sleptMs) => sleptMs > before && sleptMs < atMs);
        if (stopped !== undefined) expect(atMs - stopped).toBeGreaterThanOrEqual(90_000);
      }
      for (const atMs of wakes)
        expect(wakes.filter((one) => one >= atMs && one < atMs + DAY_S * 1_000).length).toBeLessThanOrEqual(
          3,
        );
      expect(wakes.length).toBeGreaterThan(1);
    }
    expect(whys(bench)).toEqual(new Set(['DWELL_WAIT', 'CYCLES_SPENT']));
  });
});

test('what waits for its ramp goes out as soon as it may, and says so once', async () => {
  bench = makeBench({ mode: 'sleep', rampKwPerMin: 19.2 });
  await bench.clock.advance(10_000);
  bench.voice.want('r1', 1, all(bench, 'mine'), { expiresAtMs: bench.clock.wallMs() + 600_000 });
  await bench.clock.advance(90_000);
  expect(modes(bench)).toBe('mmmmmmmm');
  const gaps = callsOf(bench, 'wake').map(
    ({ atMs }, place, calls) => atMs - (calls[place - 1]?.atMs ?? atMs),
  );
  for (const gap of gaps.slice(2)) expect(gap).toBeLessThan(11_000);
  const waits = bench.voice.results.filter((result) => result.why === 'RAMP_WAIT');
  expect(new Set(waits.map((result) => result.machine)).size).toBe(waits.length);
  expect(waits[0]).toMatchObject({ stage: 'refused', detail: 'main: load may rise by 19 kW a minute' });
});
