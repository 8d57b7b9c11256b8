import { describe, expect, test } from 'vitest';

import { Plant } from './plant.ts';

/** Signals apart: what comes through the agent is lost with it, and has a behaviour declared for that. */
const alarms = (plant: Plant): string[] =>
  [...plant.state.alarms.keys()].filter((id) => /^(?:AGENT|BUS|LEASE|METER|RACK|DEVICE)_/.test(id));

describe('an agent that is not heard', () => {
  test('is one alarm, and its meters and racks are none; it ends with the agent’s return', () => {
    const plant = new Plant().run(20);
    expect(alarms(plant)).toEqual([]);
    plant.agentSpeaks = false;
    plant.run(120);
    expect(alarms(plant)).toEqual(['AGENT_LOST:a1']);
    plant.agentSpeaks = true;
    plant.run(5);
    expect(alarms(plant)).toEqual([]);
  });

  test('and never was heard is said too', () => {
    const plant = new Plant();
    plant.agentSpeaks = false;
    plant.run(60);
    expect(alarms(plant)).toEqual(['AGENT_LOST:a1']);
  });

  test('for want of a broker is no alarm of its own', () => {
    const plant = new Plant().run(20);
    plant.agentSpeaks = false;
    plant.take({ kind: 'bus', connected: false });
    plant.run(120);
    expect(alarms(plant)).toEqual(['BUS_OFFLINE:broker']);
    plant.agentSpeaks = true;
    plant.take({ kind: 'bus', connected: true });
    plant.run(3);
    expect(alarms(plant)).toEqual([]);
  });

  test('leaves what was said of a rack before as it was', () => {
    const plant = new Plant().run(20);
    for (let n = 1; n <= 10; n++) plant.silent.add(`r1-${String(n).padStart(2, '0')}`);
    plant.run(60);
    expect(alarms(plant)).toEqual(['RACK_LOST:r1']);
    plant.agentSpeaks = false;
    plant.run(60);
    expect(alarms(plant)).toEqual(['RACK_LOST:r1', 'AGENT_LOST:a1']);
    plant.agentSpeaks = true;
    plant.run(30);
    expect(alarms(plant)).toEqual(['RACK_LOST:r1']);
  });
});

test('a rack that its agent cannot read for want of a secret is not sent to look at its switch', () => {
  const plant = new Plant().run(20);
  const r1 = Array.from({ length: 10 }, (_, n) => `r1-${String(n + 1).padStart(2, '0')}`);
  for (const id of r1) plant.silent.add(id);
  const atMs = 1_000_000 + plant.nowMs;
  const mode = { ok: false, why: 'SECRET_MISSING', atMs } as const;
  const rows = r1.map((id) => ({ id, readings: { mode } }));
  plant.take({
    kind: 'frame',
    agent: 'a1',
    boot: plant.boot,
    seq: plant.nowMs,
    group: 'r1',
    tickMs: atMs,
    rows,
  });
  plant.run(60);
  expect(plant.state.alarms.get('RACK_LOST:r1')?.text).toMatch(
    /^10 of 10 machines of r1 do not answer: SECRET_MISSING, .*: set the environment variable/,
  );
});
