import { expect, test } from 'vitest';

import { Logins, Throttled } from '../../../../controller/operator/logins.ts';
import { seededRandom } from '../../../../host/random.ts';
import { VirtualClock } from '../../../../proof/virtual-clock.ts';
import { Fault } from '../../../../protocols/faults.ts';

const START = Date.UTC(2026, 10, 22);

function make(reusable = false): { clock: VirtualClock; logins: Logins } {
  const clock = new VirtualClock({ startWallMs: START });
  return { clock, logins: new Logins({ clock, random: seededRandom(7), reusable }) };
}

function faultOf(work: () => unknown): Fault {
  try {
    work();
  } catch (error) {
    if (error instanceof Fault) return error;
  }
  throw new Error('no fault');
}

test('a code is good once, however it is typed', () => {
  const { logins } = make();
  const { code } = logins.issueCode();
  expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}$/);
  const { session, token } = logins.exchange(` ${code.toLowerCase().replace('-', '')} `, 'a');
  expect(logins.sessionOf(token)).toBe(session);
  expect(faultOf(() => logins.exchange(code, 'a')).code).toBe('LOGIN_REFUSED');
});

test('an unused code expires after 15 minutes', async () => {
  const { clock, logins } = make();
  const { code } = logins.issueCode();
  await clock.advance(15 * 60_000 + 1);
  expect(faultOf(() => logins.exchange(code, 'a')).code).toBe('LOGIN_REFUSED');
});

test('a code in a printed address serves again', () => {
  const { logins } = make(true);
  const { code } = logins.issueCode();
  logins.exchange(code, 'a');
  expect(logins.exchange(code, 'a').session.number).toBe(2);
});

test('five wrong codes in a minute close the door to that address, longer each time', async () => {
  const { clock, logins } = make(true);
  const { code } = logins.issueCode();
  const wrong = (times: number): void => {
    for (let at = 0; at < times; at += 1) faultOf(() => logins.exchange('00000-00000', 'evil'));
  };
  wrong(5);
  const first = faultOf(() => logins.exchange(code, 'evil'));
  expect(first).toBeInstanceOf(Throttled);
  expect(first instanceof Throttled && first.untilMs - START).toBe(60_000);
  expect(logins.exchange(code, 'good').session.number).toBe(1);
  await clock.advance(60_000);
  wrong(5);
  await clock.advance(60_000);
  expect(faultOf(() => logins.exchange(code, 'evil')).code).toBe('LOGIN_THROTTLED');
  await clock.advance(60_000);
  expect(logins.exchange(code, 'evil').session.number).toBe(2);
});

test('a ticket is good once and for 30 s', async () => {
  const { clock, logins } = make();
  const { session } = logins.exchange(logins.issueCode().code, 'a');
  const ticket = logins.ticketFor(session);
  expect(logins.redeem(ticket)).toBe(session);
  expect(logins.redeem(ticket)).toBeUndefined();
  const late = logins.ticketFor(session);
  await clock.advance(30_001);
  expect(logins.redeem(late)).toBeUndefined();
});

test('ending a session tells its sockets and kills its tickets', () => {
  const { logins } = make();
  const { session, token } = logins.exchange(logins.issueCode().code, 'a');
  const ticket = logins.ticketFor(session);
  let told = 0;
  session.onEnd.add(() => {
    told += 1;
  });
  logins.end(session);
  expect([told, logins.sessionOf(token), logins.redeem(ticket)]).toEqual([1, undefined, undefined]);
});

test('a session ends when nobody uses it for 12 hours', async () => {
  const { clock, logins } = make();
  const { token } = logins.exchange(logins.issueCode().code, 'a');
  await clock.advance(12 * 3_600_000 + 1);
  expect(logins.sessionOf(token)).toBeUndefined();
});
