/** Limits in kVA and in amperes per phase: what the agent's guard and envelope make of them. */
import { afterEach, expect, test } from 'vitest';
import { all, makeBench, modes } from './bench.ts';
import type { Bench } from './bench.ts';

let bench: Bench | undefined;
afterEach(() => bench?.stop());

const awake = (of: Bench): number => modes(of).replaceAll('s', '').length;

test('the guard sheds by the fullest phase, though the kW are far below their cap', async () => {
  bench = makeBench({ capKw: 100, rack: { capA: 45, phaseV: 230 } });
  bench.powerFactor = 0.98;
  await bench.clock.advance(6_000);
  bench.voice.want('r1', 1, all(bench, 'mine'));
  await bench.clock.advance(20_000);
  // 8 × 3.2 kW: 37.9 A in each phase.
  expect(awake(bench)).toBe(8);
  bench.voice.speaking = false;
  bench.firstPhase = 1.4;
  await bench.clock.advance(8_000);
  const firstA = (awake(bench) * 3_200 * 1.4) / 0.98 / 3 / 230;
  expect(firstA).toBeLessThanOrEqual(45);
  expect(awake(bench)).toBe(6);
  const raised = bench.voice.events.find((event) => event.code === 'CAP_EXCEEDED');
  expect(raised?.text).toBe('26 of 100 kW, 53/30/30 of 45 A by meter');
});

test('the guard sheds by kVA when the power factor falls', async () => {
  bench = makeBench({ capKw: 100, rack: { capKva: 28 } });
  bench.powerFactor = 0.98;
  await bench.clock.advance(26_000);
  expect(awake(bench)).toBe(8);
  bench.powerFactor = 0.8;
  await bench.clock.advance(8_000);
  expect((awake(bench) * 3_200) / 0.8).toBeLessThanOrEqual(28_000);
  expect(awake(bench)).toBeGreaterThan(5);
});

test('raises stop before the amperes are full: first as bad as it may be, then as it is measured', async () => {
  bench = makeBench({ mode: 'sleep', capKw: 100, rack: { capA: 30, phaseV: 230 } });
  bench.powerFactor = 0.97;
  bench.meterFault = true;
  await bench.clock.advance(40_000);
  bench.voice.want('r1', 1, all(bench, 'mine'), { expiresAtMs: bench.clock.wallMs() + 900_000 });
  await bench.clock.advance(60_000);
  // Assumed 15.4 kW, less 1 %.
  expect(awake(bench)).toBe(4);
  bench.meterFault = false;
  await bench.clock.advance(60_000);
  // Measured 20.1 kW: 28.7 A of 30 with six.
  expect(awake(bench)).toBe(6);
  const refused = bench.voice.results.filter((result) => result.why === 'ENVELOPE_REFUSED');
  expect(refused.at(-1)?.detail).toContain('r1: needs');
});

test('an uneven phase that cannot be measured any more is remembered', async () => {
  bench = makeBench({ mode: 'sleep', capKw: 100, rack: { capA: 30, phaseV: 230 } });
  bench.firstPhase = 1.5;
  bench.extraW = 9_000;
  await bench.clock.advance(20_000);
  bench.extraW = 0;
  bench.meterFault = true;
  await bench.clock.advance(130_000);
  bench.voice.want('r1', 1, all(bench, 'mine'), { expiresAtMs: bench.clock.wallMs() + 900_000 });
  await bench.clock.advance(60_000);
  expect((awake(bench) * 3_200 * 1.5) / 3 / 230).toBeLessThanOrEqual(30);
  expect(awake(bench)).toBe(4);
});
