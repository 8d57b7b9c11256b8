import { expect, test } from 'vitest';
import { Received } from '../../../controller/received.ts';

/** Takes a number of machine frames and stores it at once, as a controller without a store does. */
function take(received: Received, boot: number, seq: number): boolean {
  const fresh = received.take('a', boot, 'machines', seq);
  if (fresh) received.store('a', boot, 'machines', seq);
  return fresh;
}
const upTo = (received: Received, boot = 1): number => received.storedOf('a', boot).machines;

test('numbers are acknowledged as far as they are stored without a gap', () => {
  const received = new Received();
  received.passOver('a', 1, 'machines', 5);
  for (const seq of [5, 6, 8, 9]) expect(take(received, 1, seq)).toBe(true);
  expect(upTo(received)).toBe(6);
  expect(take(received, 1, 8)).toBe(false);
  expect(take(received, 1, 7)).toBe(true);
  expect(upTo(received)).toBe(9);
  expect(received.missing).toBe(0);
});

test('what was taken is acknowledged only once it is stored', () => {
  const received = new Received();
  for (const seq of [0, 1, 2]) received.take('a', 1, 'messages', seq);
  received.store('a', 1, 'messages', 1);
  expect(received.storedOf('a', 1).messages).toBe(-1);
  received.store('a', 1, 'messages', 0);
  expect(received.storedOf('a', 1).messages).toBe(1);
  received.cover('a', 1, 'messages', { from: 0, to: 4 });
  expect(received.storedOf('a', 1).messages).toBe(1);
  received.store('a', 1, 'messages', 2);
  expect(received.storedOf('a', 1).messages).toBe(4);
  expect(received.isStored('a', 1, 'messages', 2)).toBe(true);
  expect(received.storedOf('a', 1).machines).toBe(-1);
});

test('new ones that come before the backlog wait for it', () => {
  const received = new Received();
  for (let seq = 50; seq < 60; seq++) take(received, 1, seq);
  expect(upTo(received)).toBe(-1);
  received.passOver('a', 1, 'machines', 40);
  expect(upTo(received)).toBe(39);
  for (let seq = 40; seq < 50; seq++) expect(take(received, 1, seq)).toBe(true);
  received.cover('a', 1, 'machines', { from: 40, to: 49 });
  expect(upTo(received)).toBe(59);
  expect(take(received, 1, 50)).toBe(false);
  expect(received.missing).toBe(0);
});

test('what the agent has thinned out or let go is counted, not waited for, and not taken later', () => {
  const received = new Received();
  for (const seq of [0, 1, 2, 10, 11]) take(received, 1, seq);
  received.passOver('a', 1, 'machines', 0);
  received.passOver('a', 1, 'machines', 6);
  expect(received.missing).toBe(3);
  take(received, 1, 7);
  received.cover('a', 1, 'machines', { from: 6, to: 9 });
  expect(received.missing).toBe(6);
  expect(upTo(received)).toBe(11);
  expect(take(received, 1, 4)).toBe(false);
});

test('starts of an agent are told apart, also when one of them is long ago', () => {
  const received = new Received();
  for (const seq of [0, 1]) take(received, 7, seq);
  expect(take(received, 9, 0)).toBe(true);
  expect(take(received, 7, 1)).toBe(false);
  expect([upTo(received, 7), upTo(received, 9)]).toEqual([1, 0]);
  for (let boot = 100; boot < 1_000; boot++) take(received, boot, 0);
  expect(upTo(received, 999)).toBe(0);
  expect(upTo(received, 7)).toBe(-1);
});

test('ranges of any size cost nothing, and gaps without end are refused', () => {
  const received = new Received();
  received.cover('a', 1, 'machines', { from: 10, to: 2 ** 47 });
  expect(received.missing).toBe(2 ** 47 - 9);
  let taken = 0;
  for (let seq = 0; seq < 20_000; seq += 2) if (received.take('b', 1, 'machines', seq)) taken++;
  expect(taken).toBeLessThan(5_000);
});
