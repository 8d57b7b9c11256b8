import { expect, test } from 'vitest';
import { alarmText, statusLines } from '../../../../console/cli/words.ts';
import { alarmOf, siteView } from '../../../wire/fake-operator.ts';

const AT = 1_000_000;
const view = siteView({ racks: 1, perRack: 4, atMs: AT });

test('status names the worst alarms that nobody has acknowledged, and counts the others', () => {
  const alarm = (id: string, priority: 'high' | 'medium' | 'low', acknowledgedBy: string | null = null) => ({
    ...alarmOf(id, AT),
    priority,
    acknowledgedBy,
  });
  const alarms = [
    alarm('a1', 'low'),
    alarm('a2', 'high', 'ann'),
    alarm('a3', 'medium'),
    alarm('a4', 'high'),
    alarm('a5', 'low', 'ann'),
    alarm('a6', 'medium'),
    alarm('a7', 'medium'),
  ];
  const lines = statusLines({ ...view, alarms });
  expect(lines[0]).toContain('7 alarms');
  expect(lines.slice(1).map((line) => line.split(' ')[1])).toEqual(['a4', 'a3', 'a6', 'a7', 'a1', '2']);
  expect(lines.at(-1)).toBe('and 2 more alarms');
  expect(statusLines({ ...view, alarms: [] })).toHaveLength(1);
});

test('an alarm is two sentences, whatever its text ends with', () => {
  const alarm = { ...alarmOf('a1', AT), text: 'its load was taken elsewhere.', next: 'look at it' };
  expect(alarmText(alarm)).toMatch(/: its load was taken elsewhere\. Next: look at it\.$/u);
});
