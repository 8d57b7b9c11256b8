import { describe, expect, it } from 'vitest';

import { seededRandom } from '../../../../host/random.ts';
import { makeAdvance, noteAdvance } from '../../../../protocols/metering/advance.ts';
import type { AdvanceFinding } from '../../../../protocols/metering/advance.ts';

/** A load, and a register that shows it in its own way. */
interface Play {
  readonly powerW: (atMs: number) => number;
  /** What of the true energy the register counts. */
  readonly share?: (atMs: number) => number;
  readonly stepWh?: number;
  /** The register is renewed this often. */
  readonly renewMs?: number;
  readonly pollMs?: number;
  readonly hours: number;
}

interface Seen extends AdvanceFinding {
  readonly atMs: number;
}

/** Power every second, energy every tenth time; what is found, each change once. */
function play({
  powerW,
  share = () => 1,
  stepWh = 1,
  renewMs = 1_000,
  pollMs = 1_000,
  hours,
}: Play): readonly Seen[] {
  const state = makeAdvance();
  const seen: Seen[] = [];
  let trueWh = 5e8;
  let shownWh = trueWh;
  let before: AdvanceFinding | undefined;
  for (let atMs = 0; atMs < hours * 3_600_000; atMs += pollMs) {
    trueWh += (powerW(atMs) * share(atMs) * pollMs) / 3_600_000;
    if (atMs % renewMs === 0) shownWh = Math.floor(trueWh / stepWh) * stepWh;
    const netWh = (atMs / pollMs) % 10 === 0 ? shownWh : undefined;
    const found = noteAdvance(state, { atMs, powerW: powerW(atMs), netWh, stepWh }, pollMs);
    if (found !== undefined && found !== before) seen.push({ ...found, atMs });
    before = found;
  }
  return seen;
}

const steady = (): number => 90_000;
const MINUTE_MS = 60_000;

describe('energy against power', () => {
  it('agree over any load, step, renewal and poll', () => {
    const random = seededRandom(4);
    const loads = Array.from({ length: 5_000 }, () => random.next());
    const jumping = (atMs: number): number =>
      5_000 + 90_000 * Math.round(loads[Math.floor(atMs / 37_000)] ?? 0);
    const noisy = (atMs: number): number =>
      90_000 * (0.9 + 0.2 * (loads[Math.floor(atMs / 1_000) % 5_000] ?? 0));
    const idle = (atMs: number): number => (atMs % (2 * 3_600_000) < 3_600_000 ? 60 : 90_000);
    const back = (atMs: number): number => 90_000 * Math.sin(atMs / 600_000);
    for (const powerW of [steady, jumping, noisy, idle, back])
      for (const more of [
        {},
        { stepWh: 1_000 },
        { renewMs: 60_000 },
        { stepWh: 125, renewMs: 15_000 },
        { pollMs: 5_000 },
      ])
        expect(play({ powerW, hours: 5, ...more }), JSON.stringify(more)).toEqual([]);
  });

  it('that a meter does not count below its starting current is no contradiction', () => {
    const powerW = (atMs: number): number => (atMs < 3_600_000 ? 90_000 : 300);
    expect(play({ powerW, share: (atMs) => (atMs < 3_600_000 ? 1 : 0), hours: 8 })).toEqual([]);
  });

  it('tells a register that stands still, runs at another rate, or backward, within 15 minutes of load', () => {
    const from = (share: number) => (atMs: number) => (atMs < 20 * MINUTE_MS ? 1 : share);
    for (const [share, kind] of [
      [0, 'stuck'],
      [1.2, 'rate'],
      [0.8, 'rate'],
      [1_000, 'rate'],
      [-1, 'sign'],
    ] as const) {
      const [first] = play({ powerW: steady, share: from(share), hours: 1 });
      expect(first?.kind).toBe(kind);
      expect((first?.atMs ?? Infinity) / MINUTE_MS).toBeLessThan(35);
    }
  });

  it('takes as long as the register needs to show it', () => {
    const [first] = play({ powerW: steady, share: () => 0, stepWh: 10_000, hours: 6 });
    expect((first?.atMs ?? 0) / MINUTE_MS).toBeGreaterThan(160);
  });
});
