import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { Fault } from '../../../../protocols/faults.ts';
import { nestsDeeperThan, parseRequest, rpcError } from '../../../../protocols/console/rpc.ts';

const call = (method: string, params?: unknown, id: unknown = 1) =>
  parseRequest(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
const sleep = { scope: ['r1'], action: 'sleep', minutes: 10, reason: 'maintenance' };

test('requests are parsed with their id', () => {
  expect(call('ping', undefined, 'x')).toEqual({
    ok: true,
    id: 'x',
    request: { method: 'ping', params: {} },
  });
  expect(call('cmd.preview', sleep)).toEqual({
    ok: true,
    id: 1,
    request: { method: 'cmd.preview', params: sleep },
  });
  const { minutes, ...release } = { ...sleep, action: 'release' };
  expect(minutes).toBe(10);
  expect(call('cmd.preview', release)).toMatchObject({ ok: true });
});

test.each([
  ['not JSON', '{', -32_700],
  ['a batch', '[]', -32_600],
  ['no version', '{"id":1,"method":"ping"}', -32_600],
  ['a notification', '{"jsonrpc":"2.0","method":"ping"}', -32_600],
  ['an id of another type', '{"jsonrpc":"2.0","id":{},"method":"ping"}', -32_600],
  ['an unknown method', '{"jsonrpc":"2.0","id":1,"method":"shutdown"}', -32_601],
  ['a name every object has', '{"jsonrpc":"2.0","id":1,"method":"constructor"}', -32_601],
  ['__proto__', '{"jsonrpc":"2.0","id":1,"method":"__proto__"}', -32_601],
])('%s is refused by number', (_name, text, code) => {
  expect(parseRequest(text)).toMatchObject({ ok: false, code });
});

test.each([
  ['a hold without an end', { scope: ['r1'], action: 'sleep', reason: 'x' }],
  ['no reason', { ...sleep, reason: '  ' }],
  ['no scope', { ...sleep, scope: [] }],
  ['too long a hold', { ...sleep, minutes: 1e9 }],
  ['an action that is none', { ...sleep, action: 'explode' }],
  ['a field too many', { ...sleep, force: true }],
])('%s is refused', (_name, params) => {
  expect(call('cmd.preview', params)).toMatchObject({ ok: false, id: 1, code: -32_602 });
});

test('auth takes exactly one secret', () => {
  expect(call('auth', { schema: 1, code: 'A' })).toMatchObject({ ok: true });
  expect(call('auth', { schema: 1 })).toMatchObject({ ok: false });
  expect(call('auth', { schema: 1, code: 'A', token: 'B' })).toMatchObject({ ok: false });
});

test('depth is counted outside strings only', () => {
  expect(nestsDeeperThan('['.repeat(16) + ']'.repeat(16), 16)).toBe(false);
  expect(nestsDeeperThan('['.repeat(17), 16)).toBe(true);
  expect(nestsDeeperThan(`"${'['.repeat(99)}\\"${'{'.repeat(99)}"`, 16)).toBe(false);
  expect(parseRequest('{"a":'.repeat(60_000))).toMatchObject({ ok: false, code: -32_700 });
});

test('nothing a client sends throws', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      expect(parseRequest(text).ok).toBe(false);
    }),
    { numRuns: 300 },
  );
});

test('an error carries the fault, its cause and the next step', () => {
  expect(rpcError(new Fault('OPERATOR_REFUSED', 'lockout by Ana'))).toEqual({
    code: -32_000,
    message: 'the operator command cannot be carried out: lockout by Ana',
    data: {
      reason: 'OPERATOR_REFUSED',
      owner: null,
      until: null,
      howToFix: 'see what it names: an owner and a rule that stand against it, or a name that is not there',
    },
  });
});
