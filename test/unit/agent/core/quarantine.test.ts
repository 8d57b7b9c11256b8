import { expect, test } from 'vitest';
import { quarantineAlarms, quarantineWords } from '../../../../agent/core/quarantine.ts';

const OLD = quarantineWords('Acme M1', 'firmware 3.1', 'sleep');
const NEW = quarantineWords('Acme M1', 'firmware 3.2', 'sleep');
const KIND = 'Acme M1, firmware 3.1, ignores sleep';

const listOf = (words: string, from: number, count: number): [string, string][] =>
  Array.from({ length: count }, (_, at) => [`m${100 + from + at}`, words]);

test('few are told each by itself', () => {
  const list = new Map([...listOf(OLD, 0, 4), ...listOf(NEW, 10, 4)]);
  const alarms = quarantineAlarms(list, new Set());
  expect(alarms).toHaveLength(8);
  expect(alarms[0]).toEqual({
    subject: 'm100',
    text: 'Acme M1, firmware 3.1, ignores sleep: it counts as not controllable',
  });
});

test('many of one firmware that ignore one verb are one alarm that counts them, and no others', () => {
  const list = new Map([...listOf(OLD, 0, 500), ...listOf(NEW, 500, 1)]);
  expect(quarantineAlarms(list, new Set())).toEqual([
    {
      subject: KIND,
      text: '500 machines count as not controllable: m100, m101, m102, m103, m104 and 495 more',
    },
    { subject: 'm600', text: NEW },
  ]);
});

test('told as one, they stay one until none is left', () => {
  const told = new Set([KIND]);
  expect(quarantineAlarms(new Map(listOf(OLD, 0, 1)), told)).toEqual([
    { subject: KIND, text: '1 machine counts as not controllable: m100' },
  ]);
  expect(quarantineAlarms(new Map(), told)).toEqual([]);
});

test('a subject and a text fit into an event, whatever a machine says it is', () => {
  const words = quarantineWords('x'.repeat(400), 'firmware '.repeat(40), 'sleep');
  const list = new Map(Array.from({ length: 9 }, (_, at) => [`${at}${'m'.repeat(120)}`, words] as const));
  for (const { subject, text } of quarantineAlarms(list, new Set())) {
    expect(subject.length).toBeLessThanOrEqual(128);
    expect(text.length).toBeLessThanOrEqual(400);
  }
});
