import { expect, test } from 'vitest';
import { siteSchema } from '../../../../config/schema/site.ts';
import { noteAnswered, refusedWord } from '../../../../controller/core/meter-agree.ts';
import { takeNaming } from '../../../../controller/core/metering.ts';
import { estimatedW } from '../../../../controller/core/room.ts';
import { meterOf } from '../../../../controller/core/state.ts';
import { Plant } from './plant.ts';
import { smallSite } from './small-site.ts';

const site = siteSchema.parse(smallSite);
const MINUTE_S = 60;

/** The small site with one meter that shows so much of what flows. */
class WronglyMetered extends Plant {
  gain = 1;
  readonly #wrong: string;

  constructor(wrong: string, agents?: typeof site.agents) {
    super({ ...site, ...(agents !== undefined && { agents }) });
    this.#wrong = wrong;
  }

  override nodeW(id: string): number {
    return super.nodeW(id) * (id === this.#wrong ? this.gain : 1);
  }

  named(): string[] {
    return [...this.state.alarms.values()]
      .filter(({ code }) => code.startsWith('METER_R'))
      .map(({ code, subject }) => `${code} ${subject}`);
  }

  /** Without the error. */
  trueW(): number {
    return super.nodeW('site');
  }
}

const TWO = [
  { id: 'a1', nodes: ['site'] },
  { id: 'a2', nodes: ['f1'] },
];

test('a main meter that contradicts the meters of two agents is named by the controller, and not used', () => {
  const plant = new WronglyMetered('site', TWO);
  plant.gain = 0.8;
  plant.run(8 * MINUTE_S);
  expect(plant.named()).toEqual(['METER_RATIO main']);
  expect(meterOf(plant.state, 0, plant.nowMs)).toBeUndefined();
  // From the meters below it, with what may be lost on the way: never less than what flows.
  const standsInW = estimatedW(plant.state)[0] ?? 0;
  expect(standsInW).toBeGreaterThanOrEqual(plant.trueW() * 0.995);
  expect(standsInW).toBeLessThan(plant.trueW() * 1.07);
  plant.gain = 1;
  plant.run(8 * MINUTE_S);
  expect(plant.named()).toEqual([]);
  expect(meterOf(plant.state, 0, plant.nowMs)).toBeCloseTo(plant.trueW(), 0);
});

test('after a restart of the controller it is not used from its first sample on, and a person can say that it is right', () => {
  const plant = new WronglyMetered('site', TWO);
  plant.gain = 0.8;
  plant.run(8 * MINUTE_S).restart(5);
  for (let second = 0; second < 30; second += 1) {
    plant.run(1);
    expect(plant.state.meterHeard[0]).toBe(-Infinity);
  }
  expect(plant.named()).toEqual(['METER_RATIO main']);
  const seen = plant.state.alarms.get('METER_RATIO:main')?.text ?? '';
  const word = { meter: 'main', reason: 'measured with a clamp', seen };
  expect(refusedWord(plant.state, { ...word, kind: 'wiring' })).toContain('no METER_WIRING stands');
  expect(refusedWord(plant.state, { ...word, kind: 'ratio', seen: 'older' })).toContain('now says');
  expect(refusedWord(plant.state, { ...word, kind: 'ratio' })).toBeUndefined();
  plant.take({ kind: 'meter-word', of: 'ratio', commandId: 'op-1', actor: 'anna#1', ...word });
  for (const again of [() => plant, () => plant.restart(5)]) {
    again().run(10);
    expect(meterOf(plant.state, 0, plant.nowMs)).toBeDefined();
    expect(plant.named()).toEqual([]);
    expect(plant.state.alarms.get('METER_AGREED:main')?.text).toContain('declared wrong by anna');
  }
  expect(plant.actions).toEqual([]);
});

test('a word on what an agent has found goes to the agent, again with the same id until it is answered', () => {
  const plant = new WronglyMetered('site');
  plant.run(20);
  const event = {
    v: 1,
    site: 'small',
    agent: 'a1',
    boot: 1,
    seq: 1,
    atMs: 0,
    text: 'L1 is inverted',
  } as const;
  plant.take({
    kind: 'agent-event',
    event: { ...event, code: 'METER_WIRING', subject: 'main', state: 'raised' },
  });
  const word = { meter: 'main', reason: 'a motor', seen: event.text };
  plant.take({ kind: 'meter-word', of: 'wiring', commandId: 'op-7', actor: 'anna#1', ...word });
  plant.run(5);
  const said = plant.actions.filter(({ verb }) => verb === 'agree');
  expect(said.length).toBeGreaterThan(1);
  expect(new Set(said.map(({ id }) => id))).toEqual(new Set(['op-7']));
  expect(said[0]).toMatchObject({
    machine: 'main',
    agree: { kind: 'wiring', by: 'anna', seen: 'L1 is inverted', reason: 'a motor' },
  });
  noteAnswered(plant.state, ['op-7']);
  plant.run(5);
  expect(plant.actions.filter(({ verb }) => verb === 'agree')).toHaveLength(said.length);
});

test('with one agent it is that agent that judges', () => {
  const plant = new WronglyMetered('site');
  plant.gain = 0.8;
  plant.run(7 * MINUTE_S);
  expect(plant.named()).toEqual([]);
});

test('what was learnt from a meter that its agent names is forgotten, and the meters below stand in', () => {
  const plant = new WronglyMetered('site');
  plant.gain = 0.8;
  plant.run(2 * MINUTE_S);
  expect(estimatedW(plant.state)[0]).toBeLessThan(plant.trueW() * 0.85);
  const event = { v: 1, site: 'small', agent: 'a1', boot: 1, seq: 1, atMs: 0, text: '' } as const;
  takeNaming(plant.state, { ...event, code: 'METER_RATIO', subject: 'main', state: 'raised' });
  plant.state.meterMonoMs[0] = -Infinity;
  plant.metersRead = true;
  plant.gain = Number.NaN;
  plant.run(10);
  expect(estimatedW(plant.state)[0]).toBeGreaterThanOrEqual(plant.trueW() * 0.995);
});

test('of a named meter with nothing but machines below it their sum stands in, with what may be lost', () => {
  const plant = new WronglyMetered('f1');
  plant.gain = 0.8;
  plant.run(2 * MINUTE_S);
  plant.extraW.set('f1', 0.02 * plant.nodeW('r1'));
  const event = { v: 1, site: 'small', agent: 'a1', boot: 1, seq: 1, atMs: 0, text: '' } as const;
  const say = (code: 'METER_RATIO' | 'METER_WIRING', state: 'raised' | 'cleared'): void =>
    plant.take({ kind: 'agent-event', event: { ...event, code, subject: 'm1', state } });
  say('METER_WIRING', 'raised');
  say('METER_RATIO', 'raised');
  // One of the two reasons is gone: the other one is enough.
  say('METER_WIRING', 'cleared');
  const feeder = plant.state.site.nodes.findIndex(({ id }) => id === 'f1');
  plant.state.meterMonoMs[feeder] = -Infinity;
  plant.gain = Number.NaN;
  plant.run(30);
  const trueW = plant.nodeW('r1') * 1.02;
  expect(estimatedW(plant.state)[feeder]).toBeGreaterThanOrEqual(trueW);
  expect(estimatedW(plant.state)[feeder]).toBeLessThan(trueW * 1.05);
});

test('of a main meter that falls silent the meters below stand in: no step down, and what comes new is seen', () => {
  const plant = new WronglyMetered('site');
  plant.run(4 * MINUTE_S);
  const beforeW = estimatedW(plant.state)[0] ?? 0;
  plant.gain = Number.NaN;
  plant.run(10);
  expect(meterOf(plant.state, 0, plant.nowMs)).toBeUndefined();
  expect(estimatedW(plant.state)[0]).toBeGreaterThanOrEqual(beforeW * 0.999);
  expect(estimatedW(plant.state)[0]).toBeLessThan(beforeW * 1.02);
  expect(plant.state.alarms.get('METER_LOST:main')?.text).toContain('the meters below it');
  // A load that no machine tells of, below a feeder's meter.
  plant.extraW.set('f1', 3_000);
  plant.run(60);
  expect(estimatedW(plant.state)[0]).toBeGreaterThanOrEqual(plant.trueW());
  plant.extraW.delete('f1');
  plant.run(60);
  // What was there when the meter fell silent is the least that is counted until it tells again.
  expect(estimatedW(plant.state)[0]).toBeGreaterThanOrEqual(beforeW * 0.999);
});

test('what a meter that stands still has left in the residual is forgotten once that is known, until it tells again', () => {
  const plant = new WronglyMetered('f1');
  const feeder = plant.state.site.nodes.findIndex(({ id }) => id === 'f1');
  const event = { v: 1, site: 'small', agent: 'a1', boot: 1, seq: 1, atMs: 0, text: 'frozen' } as const;
  const say = (state: 'raised' | 'cleared'): void =>
    plant.take({ kind: 'agent-event', event: { ...event, code: 'METER_DOUBTFUL', subject: 'm1', state } });
  plant.run(2 * MINUTE_S);
  // Half of its load came after it stood still.
  plant.gain = 0.5;
  plant.run(2 * MINUTE_S);
  expect(estimatedW(plant.state)[feeder]).toBeLessThan(plant.nodeW('r1') * 0.55);
  plant.doubts.set('m1', 'frozen');
  say('raised');
  plant.run(MINUTE_S);
  expect(meterOf(plant.state, feeder, plant.nowMs)).toBeUndefined();
  expect(estimatedW(plant.state)[feeder]).toBeGreaterThanOrEqual(plant.nodeW('r1'));
  plant.gain = 1;
  plant.doubts.clear();
  say('cleared');
  plant.run(MINUTE_S);
  expect(estimatedW(plant.state)[feeder]).toBeCloseTo(plant.nodeW('r1'), 0);
  expect(plant.state.metering.named.size).toBe(0);
});
