import { describe, expect, test } from 'vitest';
import { makeWiring, noteWiring, wiringOf, wiringText } from '../../../../protocols/metering/wiring.ts';
import type { Mounting, Phase, Wiring } from '../../../../protocols/metering/wiring.ts';

const MOUNTING: Mounting = { leastVa: 500, mayExport: false };
const VA = 10_000;

/** A balanced load of an angle in degrees behind a meter wired like this. */
const shown = (angle: number, wiring: Wiring, apparentVa = VA): Phase[] =>
  wiring.voltageOf.map((voltage, phase) => {
    const turned = ((angle + 120 * (phase - voltage)) * Math.PI) / 180;
    return { powerW: apparentVa * Math.cos(turned) * (wiring.reversed.includes(phase) ? -1 : 1), apparentVa };
  });
const RIGHT: Wiring = { voltageOf: [0, 1, 2], reversed: [] };

describe('the wiring of one meter', () => {
  test('every single reversal and every swap is told from every other, at any usual power factor', () => {
    const wirings: Wiring[] = [
      ...[[0], [1], [2]].map((reversed): Wiring => ({ voltageOf: [0, 1, 2], reversed })),
      ...(
        [
          [1, 0, 2],
          [2, 1, 0],
          [0, 2, 1],
        ] as const
      ).map((voltageOf) => ({ voltageOf, reversed: [] })),
    ];
    for (const wiring of wirings)
      for (let angle = -25; angle <= 25; angle += 5)
        expect(wiringOf(shown(angle, wiring), MOUNTING)).toEqual(wiring);
  });

  test('a right one is right at any angle, also of idle supplies and motors', () => {
    for (let angle = -85; angle <= 85; angle += 5)
      expect(wiringOf(shown(angle, RIGHT), MOUNTING)).toBe('right');
  });

  test('all three reversed is a fault where nothing feeds back, and says nothing where something may', () => {
    const all: Wiring = { voltageOf: [0, 1, 2], reversed: [0, 1, 2] };
    expect(wiringOf(shown(14, all), MOUNTING)).toEqual(all);
    expect(wiringOf(shown(14, all), { ...MOUNTING, mayExport: true })).toBeUndefined();
  });

  test('too little load says nothing', () => {
    const inverted: Wiring = { voltageOf: [0, 1, 2], reversed: [1] };
    expect(wiringOf(shown(14, inverted, 400), MOUNTING)).toBeUndefined();
  });

  test('it steers nothing from the first wrong sample on, and is named after a minute of load', () => {
    const state = makeWiring();
    const swapped: Wiring = { voltageOf: [1, 0, 2], reversed: [] };
    expect(noteWiring(state, shown(14, RIGHT), MOUNTING, 0)).toBe(false);
    for (let atMs = 1_000; atMs <= 60_000; atMs += 1_000) {
      expect(noteWiring(state, shown(14, swapped), MOUNTING, atMs)).toBe(true);
      expect(state.found).toBeUndefined();
    }
    noteWiring(state, shown(14, swapped), MOUNTING, 61_000);
    expect(state.found).toEqual(swapped);
    // Idle for an hour: what was found stands.
    for (let atMs = 62_000; atMs <= 3_600_000; atMs += 1_000)
      expect(noteWiring(state, shown(80, RIGHT, 100), MOUNTING, atMs)).toBe(true);
    for (let atMs = 3_601_000; atMs <= 3_661_000; atMs += 1_000)
      expect(noteWiring(state, shown(14, RIGHT), MOUNTING, atMs)).toBe(atMs < 3_661_000);
    expect(state.found).toBeUndefined();
  });

  test('words name phase and fault', () => {
    expect(wiringText({ voltageOf: [0, 1, 2], reversed: [1] })).toContain('L2 is inverted');
    expect(wiringText({ voltageOf: [2, 1, 0], reversed: [] })).toContain('L1 and L3 are swapped');
  });
});
