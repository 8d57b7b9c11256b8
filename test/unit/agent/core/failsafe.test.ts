import { expect, test } from 'vitest';
import { failSafeRests } from '../../../../agent/core/failsafe.ts';
import type { FailSafeInput, FailSafeMachine } from '../../../../agent/core/failsafe.ts';
import { asic, gpuHost } from './toys.ts';

const worse = asic({ rungs: [{ powerW: 3_200, hashrateThs: 80 }] });
const of = (changes: Partial<FailSafeMachine>): FailSafeMachine => ({
  model: asic(),
  mode: 'mine',
  presentW: 3_200,
  resting: false,
  ...changes,
});
const machines: readonly FailSafeMachine[] = [
  of({}),
  of({ model: worse }),
  of({ model: gpuHost(), mode: 'ai', presentW: 10_000 }),
  of({ model: gpuHost(), presentW: 7_000 }),
];
const input = (changes: Partial<FailSafeInput>): FailSafeInput => ({
  rule: 'hold',
  firmCapW: undefined,
  meterW: undefined,
  auxiliaryW: 0,
  machines,
  ...changes,
});

test('hold, sleep and keep-ai', () => {
  expect(failSafeRests(input({}))).toEqual([]);
  expect(failSafeRests(input({ rule: 'sleep' }))).toEqual([0, 1, 2, 3]);
  expect(failSafeRests(input({ rule: 'keep-ai' }))).toEqual([0, 1]);
});

test('to the firm cap: worst first, AI last, no more than needed', () => {
  const shed = (firmCapW: number, meterW?: number): number[] =>
    failSafeRests(input({ rule: 'shed-to-firm-cap', firmCapW, meterW }));
  expect(shed(24_000)).toEqual([]);
  expect(shed(21_000)).toEqual([1]);
  expect(shed(18_000)).toEqual([1, 0]);
  expect(shed(13_000)).toEqual([1, 0, 3]);
  expect(shed(1_000)).toEqual([1, 0, 3, 2]);
  expect(shed(24_000, 26_000)).toEqual([1]);
});

test('what rests already counts as gone, and the unknown as rated', () => {
  const resting = machines.map((machine, index) => ({ ...machine, resting: index < 2 }));
  expect(
    failSafeRests(input({ rule: 'shed-to-firm-cap', firmCapW: 18_000, meterW: 23_400, machines: resting })),
  ).toEqual([]);
  const unknown = [of({ presentW: undefined, mode: undefined }), of({})];
  expect(failSafeRests(input({ rule: 'shed-to-firm-cap', firmCapW: 6_500, machines: unknown }))).toEqual([0]);
});

test('who ignored a command is told last, and nothing is counted on it', () => {
  const four = [of({ ignores: true }), of({ ignores: true }), of({}), of({})];
  const shed = (firmCapW: number, list: readonly FailSafeMachine[], meterW?: number): number[] =>
    failSafeRests(input({ rule: 'shed-to-firm-cap', firmCapW, meterW, machines: list }));
  expect(shed(10_000, four)).toEqual([2]);
  expect(shed(6_000, four)).toEqual([2, 3, 0, 1]);
  // It rests by our word alone, and draws what it draws.
  const told = four.map((machine) => ({ ...machine, resting: machine.ignores === true }));
  expect(shed(10_000, told)).toEqual([2]);
  expect(shed(10_000, told, 12_800)).toEqual([2]);
});
