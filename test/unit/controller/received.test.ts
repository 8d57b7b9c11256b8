import { expect, test } from 'vitest';
import { Received } from '../../../controller/received.ts';

test('numbers are acknowledged as far as they have come without a gap', () => {
  const received = new Received();
  for (const seq of [5, 6, 8, 9]) expect(received.take('a', 1, seq)).toBe(true);
  expect(received.storedOf('a').seq).toBe(6);
  expect(received.missing).toBe(1);
  expect(received.take('a', 1, 8)).toBe(false);
  expect(received.take('a', 1, 7)).toBe(true);
  expect(received.storedOf('a').seq).toBe(9);
  expect(received.missing).toBe(0);
});

test('what the agent kept from before this controller counts too', () => {
  const received = new Received();
  received.take('a', 1, 50);
  received.take('a', 1, 51);
  for (let seq = 40; seq < 50; seq++) expect(received.take('a', 1, seq)).toBe(true);
  expect(received.take('a', 1, 50)).toBe(false);
  expect(received.storedOf('a').seq).toBe(51);
  expect(received.missing).toBe(0);
});

test('what the agent has dropped is lost, counted, and no longer waited for', () => {
  const received = new Received();
  for (const seq of [0, 1, 2, 10, 11]) received.take('a', 1, seq);
  received.passOver('a', 1, 10);
  expect(received.storedOf('a').seq).toBe(11);
  expect(received.missing).toBe(7);
});

test('a new start of the agent begins anew and keeps the count of what was lost', () => {
  const received = new Received();
  for (const seq of [0, 3]) received.take('a', 1, seq);
  expect(received.take('a', 2, 0)).toBe(true);
  expect(received.storedOf('a')).toEqual({ boot: 2, seq: 0 });
  expect(received.missing).toBe(2);
});
