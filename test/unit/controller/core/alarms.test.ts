import { expect, test } from 'vitest';
import type { FaultCode } from '../../../../protocols/faults.ts';
import { Plant } from './plant.ts';

const tell = (plant: Plant, code: FaultCode, text: string): void =>
  plant.take({
    kind: 'agent-event',
    event: {
      v: 1,
      site: 'small',
      agent: 'a1',
      boot: 1,
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
