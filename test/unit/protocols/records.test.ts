import { expect, test } from 'vitest';
import { leaseSchema } from '../../../protocols/mqtt/desired.ts';
import type { Lease } from '../../../protocols/mqtt/desired.ts';
import { decodeJson, encodeJson } from '../../../protocols/mqtt/json.ts';
import { recordOf } from '../../../protocols/records.ts';

const short = recordOf(3, (value): value is number => Number.isFinite(value), 'numbers');

test.each([
  [{}, true],
  [{ a: 1, abc: -2.5 }, true],
  [{ abcd: 1 }, false],
  [{ '': 1 }, false],
  [{ a: '1' }, false],
  [{ a: 1, b: null }, false],
  [JSON.parse('{"__proto__":1}'), false],
  [[1], false],
  [null, false],
  ['a', false],
  [undefined, false],
])('%o as a table of numbers: %s', (value, ok) => {
  expect(short.safeParse(value).success).toBe(ok);
});

test('a beat with a generation that is none is refused, and the table is named', () => {
  const beat = (racks: unknown): Uint8Array =>
    encodeJson({ v: 1, site: 's', epoch: 1, seq: 1, atMs: 5, racks, nonces: { a: 'n' } });
  expect(decodeJson<Lease>(leaseSchema, beat({ r: 3 })).racks).toEqual({ r: 3 });
  for (const racks of [{ r: -1 }, { r: 1.5 }, { r: 2 ** 60 }, { ['r'.repeat(129)]: 1 }, [3]])
    expect(() => decodeJson<Lease>(leaseSchema, beat(racks))).toThrow('racks: no table of whole numbers');
});
