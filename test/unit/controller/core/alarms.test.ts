import { expect, test } from 'vitest';
import type { FaultCode } from '../../../../protocols/faults.ts';
import { Plant } from './plant.ts';

const tell = (plant: Plant, code: FaultCode, text: string, boot = 1): void =>
  plant.take({
    kind: 'agent-event',
    event: {
      v: 1,
      site: 'small',
      agent: 'a1',
      boot,
      seq: 1e6,
      code,
      subject: 'r1-01',
      text,
      state: 'raised',
      atMs: 0,
    },
  });
const see = (plant: Plant, alarmId: string): void =>
  plant.take({ kind: 'alarm-ack', alarmId, actor: 'anna#1' });

test('what happened ends when a person has seen it, with their name in the ledger; the next time it is raised anew', () => {
  const plant = new Plant().run(2);
  tell(plant, 'FOREIGN_WRITER', 'fanPwm was 100, is 70');
  see(plant, 'FOREIGN_WRITER:r1-01');
  expect(plant.state.alarms.has('FOREIGN_WRITER:r1-01')).toBe(false);
  expect(plant.records.at(-1)).toMatchObject({
    t: 'alarm',
    state: 'cleared',
    text: 'fanPwm was 100, is 70; seen by anna#1',
  });
  tell(plant, 'FOREIGN_WRITER', 'fanPwm was 100, is 70');
  expect(plant.state.alarms.get('FOREIGN_WRITER:r1-01')?.acknowledgedBy).toBeNull();
});

test('what is stays, seen or not, until it is over', () => {
  const plant = new Plant().run(2);
  tell(plant, 'LOCKOUT_AWAKE', 'shows mine');
  see(plant, 'LOCKOUT_AWAKE:r1-01');
  expect(plant.state.alarms.get('LOCKOUT_AWAKE:r1-01')?.acknowledgedBy).toBe('anna#1');
});

test('what an agent told before its restart is over unless it tells it again, also in its backlog; what happened stays', () => {
  const plant = new Plant().run(2);
  tell(plant, 'METER_SETUP', 'serial is now 99');
  tell(plant, 'METER_DOUBTFUL', 'frozen');
  tell(plant, 'METER_COUNTER', 'energy.active.import: swap');
  // The new start tells one again, before its first status is heard.
  tell(plant, 'METER_DOUBTFUL', 'frozen', 2);
  plant.boot = 2;
  plant.run(3);
  tell(plant, 'OUTLET_FAILED', 'did not close', 1);
  const standing = [...plant.state.alarms.keys()];
  expect(standing).toContain('METER_DOUBTFUL:r1-01');
  expect(standing).toContain('METER_COUNTER:r1-01');
  expect(standing).not.toContain('METER_SETUP:r1-01');
  expect(standing).not.toContain('OUTLET_FAILED:r1-01');
  expect(plant.records.at(-1)).toMatchObject({ t: 'alarm', state: 'cleared', text: 'did not close' });
  see(plant, 'METER_COUNTER:r1-01');
  expect(plant.state.alarms.has('METER_COUNTER:r1-01')).toBe(false);
});
