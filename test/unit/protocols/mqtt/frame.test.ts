import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fault } from '../../../../protocols/faults.ts';
import type { FaultCode } from '../../../../protocols/faults.ts';
import { crc32 } from '../../../../protocols/mqtt/crc32.ts';
import { FIELDS, fieldOf, fromWire, toWire } from '../../../../protocols/mqtt/fields.ts';
import { encodeFrame, encodeTable, FrameDecoder } from '../../../../protocols/mqtt/frame.ts';
import type { Frame, FrameTable } from '../../../../protocols/mqtt/frame.ts';
import { Rows } from '../../../../protocols/mqtt/rows.ts';
import { MODES } from '../../../../protocols/reading.ts';
import type { Reading, Readings } from '../../../../protocols/reading.ts';
import { seededRandom } from '../../../../host/random.ts';

const T0 = Date.UTC(2026, 10, 22, 8);

const frameOf = (seq: number, cells: readonly Readings[], more: Partial<Frame> = {}): Frame => ({
  site: 's1',
  agent: 'a1',
  boot: 7,
  seq,
  group: 'r1',
  tickMs: T0 + seq * 10_000,
  rows: cells.map((_, row) => `m${row}`),
  cells,
  ...more,
});

const watts = (value: number, atMs = T0): Reading => ({
  ok: true,
  value,
  unit: 'W',
  quality: 'good',
  atMs,
  measured: true,
});

function decoded(decoder: FrameDecoder, bytes: Uint8Array): Frame {
  const result = decoder.decode(bytes);
  if (result.kind !== 'frame') throw new Error(JSON.stringify(result));
  return result.frame;
}

/** What must arrive of a reading that was sent: the value at its field's scale, no free texts. */
function asSent(quantity: string, reading: Reading): Reading | undefined {
  const field = fieldOf(quantity);
  if (!field) return undefined;
  const atMs = Math.round(reading.atMs);
  if (!reading.ok) return { ok: false, why: reading.why, atMs };
  const scaled = toWire(field, reading.value, reading.unit);
  const value = scaled === undefined ? undefined : fromWire(field, scaled);
  if (value === undefined) return { ok: false, why: 'VALUE_INVALID', atMs };
  const { unit, quality, measured } = reading;
  return { ok: true, value, unit, quality, atMs, ...(measured === undefined ? {} : { measured }) };
}

const expected = (cells: readonly Readings[]): Readings[] =>
  cells.map((readings) => {
    const row: Record<string, Reading> = {};
    for (const [quantity, reading] of Object.entries(readings)) {
      const sent = asSent(quantity, reading);
      if (sent) row[quantity] = sent;
    }
    return row;
  });

const codes: FaultCode[] = [
  'NET_TIMEOUT',
  'VALUE_MISSING',
  'ANSWER_GARBAGE',
  'MODBUS_EXCEPTION',
  'AUTH_FAILED',
];
const anyAtMs = fc.oneof(fc.integer({ min: T0 - 60_000, max: T0 + 60_000 }), fc.nat(), fc.constant(T0));
const anyValue = fc.oneof(
  fc.integer({ min: -5_000, max: 5_000 }),
  fc.double({ noNaN: false }),
  fc.constantFrom(0, 2 ** 51, 2 ** 51 - 1, 1 - 2 ** 51, 1e15, ...MODES, 'text'),
);
const anyReading = (
  unit: Reading & { ok: true } extends { unit: infer U } ? U : never,
): fc.Arbitrary<Reading> =>
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record(
        {
          ok: fc.constant(true as const),
          value: anyValue,
          unit: fc.constant(unit),
          quality: fc.constantFrom('good' as const, 'uncertain' as const),
          atMs: anyAtMs,
          measured: fc.boolean(),
        },
        { requiredKeys: ['ok', 'value', 'unit', 'quality', 'atMs'] },
      ),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        ok: fc.constant(false as const),
        why: fc.constantFrom(...codes),
        atMs: anyAtMs,
      }),
    },
  );
const anyRow: fc.Arbitrary<Readings> = fc
  .subarray(
    FIELDS.filter((_, index) => index % 9 === 0 || index < 8),
    { maxLength: 8 },
  )
  .chain((fields) =>
    fc.record(Object.fromEntries(fields.map((field) => [field.quantity, anyReading(field.unit)]))),
  );
const anyChain = fc
  .integer({ min: 0, max: 6 })
  .chain((rows) =>
    fc.array(fc.array(anyRow, { minLength: rows, maxLength: rows }), { minLength: 1, maxLength: 4 }),
  );

test('any chain of frames arrives as it was sent, at the scale of each field', () => {
  fc.assert(
    fc.property(anyChain, (chain) => {
      const decoder = new FrameDecoder();
      let previous: Frame | undefined;
      chain.forEach((cells, index) => {
        const frame = frameOf(index + 1, cells);
        const got = decoded(decoder, encodeFrame(frame, previous));
        expect(got).toEqual({ ...frame, cells: expected(cells) });
        previous = frame;
      });
    }),
    { numRuns: 300 },
  );
});

const ROWS = 3;
const anyDeed = fc.record({
  row: fc.integer({ min: 0, max: ROWS - 1 }),
  deed: fc.oneof(
    { weight: 6, arbitrary: anyRow },
    { weight: 1, arbitrary: fc.constantFrom('clear' as const, ...codes) },
  ),
});

test('rows kept as columns arrive as readings kept as objects do, whatever befalls them tick by tick', () => {
  fc.assert(
    fc.property(fc.array(fc.array(anyDeed, { maxLength: 5 }), { minLength: 1, maxLength: 5 }), (ticks) => {
      const rows = new Rows(ROWS);
      const kept: Record<string, Reading>[] = Array.from({ length: ROWS }, () => ({}));
      const decoder = new FrameDecoder();
      let previous: FrameTable | undefined;
      for (const [index, deeds] of ticks.entries()) {
        for (const { row, deed } of deeds) {
          const readings = kept[row] ?? {};
          if (deed === 'clear') {
            kept[row] = {};
            rows.clear(row);
          } else if (typeof deed === 'string') {
            for (const name of Object.keys(readings)) readings[name] = { ok: false, why: deed, atMs: T0 };
            rows.lose(row, deed, T0);
          } else {
            Object.assign(readings, deed);
            rows.put(row, deed);
          }
        }
        const frame = frameOf(index + 1, kept);
        const { cells: _, ...head } = frame;
        const table: FrameTable = { ...head, table: rows.table(frame.tickMs) };
        const got = decoded(decoder, encodeTable(table, previous));
        expect(got.cells).toEqual(expected(kept));
        // The readings as they are, made into columns at once, are the same frame to its last byte.
        expect(encodeFrame({ ...frame, seq: 1 })).toEqual(encodeTable({ ...table, seq: 1 }));
        previous = table;
      }
    }),
    { numRuns: 300 },
  );
});

test('a difference applies to the frame it was made against, or asks for a key frame', () => {
  const one = frameOf(1, [{ power: watts(3_000) }, { power: watts(3_100) }]);
  const two = frameOf(2, [{ power: watts(3_010) }, { power: { ok: false, why: 'NET_TIMEOUT', atMs: T0 } }]);
  const three = frameOf(3, [{ power: watts(10) }, { power: watts(3_090) }]);
  const decoder = new FrameDecoder();
  const key = encodeFrame(one);
  const delta = encodeFrame(two, one);
  expect(decoder.decode(delta)).toMatchObject({ kind: 'need-key', agent: 'a1', group: 'r1' });
  expect(decoded(decoder, key).cells).toEqual(one.cells);
  expect(decoder.decode(encodeFrame(three, two))).toMatchObject({ kind: 'need-key' });
  expect(decoded(decoder, delta).cells).toEqual(two.cells);
  expect(decoder.decode(delta)).toMatchObject({ kind: 'duplicate' });
  expect(decoder.decode(key)).toMatchObject({ kind: 'duplicate' });
  expect(decoded(decoder, encodeFrame(three, two)).cells).toEqual(three.cells);
  expect(decoder.decode(encodeFrame({ ...two, boot: 8, seq: 9 }, { ...one, boot: 8 })).kind).toBe('need-key');
  decoder.forget('s1', 'a1');
  expect(decoder.decode(encodeFrame(frameOf(4, one.cells), three)).kind).toBe('need-key');
});

test('a difference against values that were never sent is refused, not applied', () => {
  const sent = frameOf(1, [{ power: watts(3_000) }]);
  const other = frameOf(1, [{ power: watts(2_999) }]);
  const decoder = new FrameDecoder();
  decoded(decoder, encodeFrame(sent));
  const result = decoder.decode(encodeFrame(frameOf(2, [{ power: watts(3_005) }]), other));
  expect(result).toMatchObject({ kind: 'fault', fault: { code: 'BUS_MESSAGE' } });
});

test('other rows or another boot make a key frame by themselves', () => {
  const one = frameOf(1, [{ power: watts(1) }]);
  for (const next of [
    frameOf(2, [{ power: watts(1) }, { power: watts(2) }]),
    frameOf(2, one.cells, { boot: 8 }),
  ]) {
    expect(decoded(new FrameDecoder(), encodeFrame(next, one)).rows).toEqual(next.rows);
  }
});

test('garbage, cut and altered frames are faults and never throw', () => {
  const key = encodeFrame(
    frameOf(1, [
      { power: watts(3_000), mode: { ok: true, value: 'mine', unit: 'text', quality: 'good', atMs: T0 } },
    ]),
  );
  const decoder = new FrameDecoder();
  for (let length = 0; length < key.length; length += 1) {
    expect(decoder.decode(key.subarray(0, length)).kind).toBe('fault');
  }
  for (let bit = 0; bit < key.length * 8; bit += 1) {
    const altered = key.slice();
    altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(decoder.decode(altered).kind).toBe('fault');
  }
});

test('garbage behind a right CRC is a fault too, and costs little', () => {
  const body = encodeFrame(
    frameOf(1, [
      { power: watts(3_000) },
      { power: watts(2_000), hashrate: { ok: false, why: 'NET_RESET', atMs: T0 } },
    ]),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(body.length - 5), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.uint8Array({ maxLength: 12 }),
      (edits, tail) => {
        const altered = new Uint8Array(body.length + tail.length);
        altered.set(body);
        altered.set(tail, body.length - 4);
        for (const [at, value] of edits) altered[at] = value;
        new DataView(altered.buffer).setUint32(altered.length - 4, crc32(altered.subarray(0, -4)), true);
        const result = new FrameDecoder().decode(altered);
        expect(['frame', 'need-key', 'fault']).toContain(result.kind);
        if (result.kind === 'fault') expect(result.fault).toBeInstanceOf(Fault);
      },
    ),
    { numRuns: 3_000 },
  );
});

test('wire numbers are unique, ascending and within range', () => {
  const ids = FIELDS.map((field) => field.wireId);
  expect(ids).toEqual([...new Set(ids)].sort((one, other) => one - other));
  expect(Math.min(...ids)).toBeGreaterThan(0);
  expect(Math.max(...ids)).toBeLessThan(65_536);
  expect(new Set(FIELDS.map((field) => field.quantity)).size).toBe(FIELDS.length);
});

test('what a field cannot carry becomes unknown, never a number', () => {
  const bad: Reading[] = [Number.NaN, Infinity, 1e30, 'text'].map(
    (value) => ({ ...watts(0), value }) as Reading,
  );
  const cells = [...bad.map((power) => ({ power })), { power: { ...watts(3), unit: 'A' } as Reading }];
  const got = decoded(new FrameDecoder(), encodeFrame(frameOf(1, cells)));
  expect(got.cells.map((row) => row['power'])).toEqual(
    cells.map(() => ({ ok: false, why: 'VALUE_INVALID', atMs: T0 })),
  );
});

/** 35 fields of a machine with the noise of a real one. */
function machine(random: () => number, base: number, seq: number): Readings {
  const atMs = T0 + seq * 10_000 - Math.round(base * 3_000 + random() * 40);
  const noisy = (centre: number, spread: number): number =>
    centre + (random() + random() + random() - 1.5) * spread;
  const entry = (quantity: string, value: number | string): [string, Reading] => {
    const unit = fieldOf(quantity)?.unit ?? 'W';
    return [quantity, { ok: true, value, unit, quality: 'good', atMs }];
  };
  const temperatures = Array.from({ length: 8 }, (_, index) =>
    entry(`temperature.board.${index}`, noisy(60 + base * 10, 0.6)),
  );
  const chips = Array.from({ length: 8 }, (_, index) =>
    entry(`temperature.chip.${index}`, noisy(70 + base * 10, 1)),
  );
  const fans = Array.from({ length: 4 }, (_, index) =>
    entry(`fan.${index}`, Math.round(noisy(4_000 + base * 500, 20) / 30) * 30),
  );
  const boards = Array.from({ length: 4 }, (_, index) =>
    entry(`hashrate.board.${index}`, noisy(3.3e13 + base * 1e12, 3e11)),
  );
  return Object.fromEntries([
    ...temperatures,
    ...chips,
    ...fans,
    ...boards,
    entry('power', noisy(3_250 + base * 200, 12)),
    entry('hashrate', noisy(1e14, 9e11)),
    entry('mode', 'mine'),
    entry('temperature.max', noisy(80, 1)),
    entry('fan.max', 4_020),
    entry('uptime', 100_000 + seq * 10),
    entry('pool.active', 1),
    entry('power.limit', 3_300),
    entry('temperature.inlet', noisy(25, 0.2)),
    entry('temperature.outlet', noisy(40, 0.3)),
    entry('temperature.environment', noisy(24, 0.1)),
  ]);
}

test('100 machines of 35 fields cost at most 40 bytes a machine', () => {
  const random = seededRandom(3);
  const bases = Array.from({ length: 100 }, () => random.next());
  let previous: Frame | undefined;
  const sizes: number[] = [];
  for (let seq = 1; seq <= 6; seq += 1) {
    const frame = frameOf(
      seq,
      bases.map((base) => machine(() => random.next(), base, seq)),
    );
    sizes.push(encodeFrame(frame, previous).length / bases.length);
    previous = frame;
  }
  expect(Object.keys(previous?.cells[0] ?? {}).length).toBe(35);
  expect(Math.max(...sizes.slice(1))).toBeLessThanOrEqual(40);
  expect(sizes[0]).toBeLessThanOrEqual(60);
});

test('the vectors of the specification', () => {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  const mode = (atMs: number): Reading => ({ ok: true, value: 'mine', unit: 'text', quality: 'good', atMs });
  const lost: Reading = { ok: false, why: 'NET_TIMEOUT', atMs: T0 + 9_600 };
  const head = { rows: ['m1', 'm2'] };
  const key = frameOf(
    1,
    [
      { power: watts(3_250, T0 - 500), mode: mode(T0 - 500) },
      { power: watts(3_260, T0 - 400), mode: mode(T0 - 400) },
    ],
    { ...head, tickMs: T0 },
  );
  const delta = frameOf(
    2,
    [
      { power: watts(3_255, T0 + 9_500), mode: mode(T0 + 9_500) },
      { power: lost, mode: lost },
    ],
    { ...head, tickMs: T0 + 10_000 },
  );
  const value = (value: number, unit: 'W' | 'Hz' | 'Wh'): Reading => ({
    ok: true,
    value,
    unit,
    quality: 'good',
    atMs: T0,
  });
  const cells = [
    {
      'power.active.total': value(-12.4, 'W'),
      frequency: value(49.987, 'Hz'),
      'energy.active.import': value(2 ** 51 - 1, 'Wh'),
    },
  ];
  const meters = frameOf(1, cells, { group: 'meters', rows: ['feeder'], tickMs: T0 });
  expect(hex(encodeFrame(key))).toBe(
    '530100027331026131027231070000000100e84402a20102026d31026d32010009a1770c02010003ffe5321502000101030dc0ce954414b4b6',
  );
  expect(hex(encodeFrame(delta, key))).toBe(
    '5301010273310261310272310700000002100f4502a201010101000002010203001300ff0b0206010013007322858bc73e3269',
  );
  expect(hex(encodeFrame(meters))).toBe(
    '530100027331026131066d6574657273070000000100e84402a20101066665656465720100ff0103140001ff18160001ff878d06050001ffffffffffffffff073ea85630c52ca81e',
  );
});
