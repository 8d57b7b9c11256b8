import { expect, test } from 'vitest';

import { parseLine } from '../../../../console/cli/commandline.ts';

test.each([
  [
    ':sleep r1 30 belt change',
    { kind: 'order', action: 'sleep', scope: 'r1', minutes: 30, reason: 'belt change' },
  ],
  ['mine r1,r2', { kind: 'order', action: 'mine', scope: 'r1,r2', minutes: 60, reason: '' }],
  [
    'lockout r1 hands in',
    { kind: 'order', action: 'lockout', scope: 'r1', minutes: undefined, reason: 'hands in' },
  ],
  ['why r1-04', { kind: 'why', machine: 'r1-04' }],
  ['ack a:1 x', { kind: 'ack', alarm: 'a:1 x' }],
  ['agree price', { kind: 'agree', input: 'price' }],
  ['agree m1 ratio it is new', { kind: 'agree-meter', meter: 'm1', of: 'ratio', reason: 'it is new' }],
  ['  ', { kind: 'nothing' }],
  ['q', { kind: 'quit' }],
  ['help', { kind: 'help' }],
])('%s', (text, asked) => {
  expect(parseLine(text)).toEqual(asked);
});

test.each(['sleep', 'why', 'ack', 'agree', 'agree ai', 'agree m1 doubt', 'explode r1', 'lockout r1 30'])(
  '%s is wrong and says how',
  (text) => {
    expect(parseLine(text)).toMatchObject({ kind: 'wrong' });
  },
);
