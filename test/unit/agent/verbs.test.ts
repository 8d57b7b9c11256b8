import { expect, test } from 'vitest';
import { decodeJson } from '../../../protocols/mqtt/json.ts';
import { agentFilter } from '../../../protocols/mqtt/topics.ts';
import { verbsSchema } from '../../../protocols/mqtt/verbs.ts';
import type { AgentVerbs } from '../../../protocols/mqtt/verbs.ts';
import { SettingsRig } from './settings-rig.ts';

test('an agent says what each machine can be told, and its broker keeps it for who comes later', async () => {
  const rig = new SettingsRig({ luxos: true });
  await rig.clock.advance(5_000);
  let said: AgentVerbs | undefined;
  const late = rig.broker.client('late');
  void late.subscribe(agentFilter('toy', 'verbs'), ({ payload }) => {
    said = decodeJson(verbsSchema, payload);
  });
  await rig.clock.advance(1_000);
  const of = (id: string) => said?.kinds.find(({ machines }) => machines.includes(id))?.verbs;
  expect(said?.kinds.flatMap(({ machines }) => machines)).toEqual(['r1-01', 'r1-02', 'r1-03']);
  expect(of('r1-01')?.['power-limit']).toBe(undefined);
  expect(of('r1-01')?.['sleep']?.survivesReboot).toBe(true);
  expect(of('r1-02')?.['power-limit']).toMatchObject({ restartsMining: true, dwellS: 300 });
  expect(of('r1-03')?.['power-limit']).toMatchObject({ grain: { by: 'list' }, dwellS: 120 });
});
