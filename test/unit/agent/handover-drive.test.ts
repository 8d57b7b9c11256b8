import { expect, test } from 'vitest';
import { aimOf } from '../../../agent/handover-drive.ts';
import { unknownState } from '../../../agent/core/handover-state.ts';
import type { GpuWanted, HandoverName } from '../../../agent/core/handover-state.ts';

const aim = (name: HandoverName, target: GpuWanted | undefined, mayRaise: boolean): GpuWanted =>
  aimOf({ state: { ...unknownState(0), name }, target }, mayRaise);

test('without a command work that runs goes on and nothing is started', () => {
  expect(aim('MINING', undefined, true)).toBe('mine');
  expect(aim('AI_RUNNING', undefined, true)).toBe('ai');
  expect(aim('IDLE', undefined, true)).toBe('idle');
  expect(aim('UNKNOWN', undefined, true)).toBe('idle');
  expect(aim('STARTING_AI', undefined, false)).toBe('ai');
});

test('while nothing may be raised a start not yet begun waits, and one begun goes on', () => {
  expect(aim('IDLE', 'ai', false)).toBe('idle');
  expect(aim('MINING', 'ai', false)).toBe('mine');
  expect(aim('STOPPING_MINING', 'ai', false)).toBe('idle');
  expect(aim('STARTING_AI', 'ai', false)).toBe('ai');
  expect(aim('IDLE', 'ai', true)).toBe('ai');
  expect(aim('AI_RUNNING', 'idle', false)).toBe('idle');
});
