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
