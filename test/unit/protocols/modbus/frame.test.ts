import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { crc16, decodeAnswer, encodeRequest, requestError } from '../../../../protocols/modbus/frame.ts';
import type { Framing, ModbusRequest, ReadRequest } from '../../../../protocols/modbus/frame.ts';
import {
  decodeRequest,
  encodeException,
  encodeRead,
  encodeWritten,
} from '../../../../protocols/modbus/serve.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const read: ReadRequest = { kind: 'read', unit: 1, fc: 3, address: 0, count: 7 };
const answer = hex('0001 0000 0011 01 03 0E 0000 04B0 001E 0001 0000 0007 1234');

const word = fc.integer({ min: 0, max: 0xffff });
const framings: readonly Framing[] = ['tcp', 'rtu'];
const reads: fc.Arbitrary<ReadRequest> = fc
  .record({
    unit: fc.integer({ min: 0, max: 255 }),
    fc: fc.constantFrom(1 as const, 3 as const, 4 as const),
    address: fc.integer({ min: 0, max: 0xff00 }),
    count: fc.integer({ min: 1, max: 125 }),
  })
  .map((fields) => ({ kind: 'read', ...fields }));
const writes: fc.Arbitrary<ModbusRequest> = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    unit: fc.integer({ min: 0, max: 255 }),
    fc: fc.constant(16 as const),
    address: fc.integer({ min: 0, max: 0xff00 }),
    values: fc.array(word, { minLength: 1, maxLength: 123 }),
  }),
  fc.record({
    kind: fc.constant('write' as const),
    unit: fc.constant(3),
    fc: fc.constantFrom(5 as const, 6 as const),
    address: word,
    values: fc.tuple(fc.integer({ min: 0, max: 1 })),
  }),
);

describe('Modbus frames, client', () => {
  it('writes the bytes of the documented examples', () => {
    expect(encodeRequest('tcp', 1, read)).toEqual(hex('0001 0000 0006 01 03 0000 0007'));
    const write: ModbusRequest = {
      kind: 'write',
      unit: 1,
      fc: 16,
      address: 100,
      values: [0, 7, 9, 1, 0x4558, 0x0800],
    };
    expect(encodeRequest('tcp', 2, write)).toEqual(
      hex('0002 0000 0013 01 10 0064 0006 0C 0000 0007 0009 0001 4558 0800'),
    );
    expect(decodeAnswer('tcp', 2, write, hex('0002 0000 0006 01 10 0064 0006'))).toEqual({
      kind: 'written',
      consumed: 12,
    });
  });

  it('has the checksum of the standard', () => {
    expect(crc16(new TextEncoder().encode('123456789'))).toBe(0x4b37);
    expect(encodeRequest('rtu', 0, { ...read, count: 10 })).toEqual(hex('01 03 0000 000A C5CD'));
  });

  it('reads registers, however the bytes are split', () => {
    for (let at = 0; at < answer.length; at += 1) {
      expect(decodeAnswer('tcp', 1, read, answer.subarray(0, at)).kind).toBe('wait');
    }
    expect(decodeAnswer('tcp', 1, read, answer)).toEqual({
      kind: 'registers',
      registers: Uint16Array.of(0, 0x4b0, 0x1e, 1, 0, 7, 0x1234),
      consumed: 23,
    });
  });

  it('takes exceptions for what they are', () => {
    for (const framing of framings) {
      const bytes = encodeException(framing, 1, { unit: 1, fc: 3, exception: 2 });
      expect(decodeAnswer(framing, 1, read, bytes)).toMatchObject({ kind: 'exception', code: 2 });
    }
  });

  it.each([
    ['another transaction', '0002 0000 0011 01 03 0E', 'desync'],
    ['another protocol', '0001 0001 0011', 'frame'],
    ['another unit', '0001 0000 0011 02 03 0E 0000 0000 0000 0000 0000 0000 0000', 'desync'],
    ['another function', '0001 0000 0011 01 04 0E 0000 0000 0000 0000 0000 0000 0000', 'desync'],
    ['an exception of another unit', '0001 0000 0003 02 83 02', 'desync'],
    ['fewer registers than asked', '0001 0000 0005 01 03 02 0001', 'frame'],
    [
      'a byte count below the frame’s length',
      '0001 0000 0011 01 03 02 0000 0000 0000 0000 0000 0000 0000',
      'frame',
    ],
    ['a byte count above it', '0001 0000 0011 01 03 FF 0000 0000 0000 0000 0000 0000 0000', 'frame'],
    ['a length no frame has', '0001 0000 FFFF', 'frame'],
    ['text', '485454502F312E31', 'frame'],
  ])('drops the connection at %s', (_name, bytes, reason) => {
    expect(decodeAnswer('tcp', 1, read, hex(bytes))).toMatchObject({ kind: 'drop', reason });
  });

  it('refuses a write echo that differs', () => {
    const write: ModbusRequest = { kind: 'write', unit: 1, fc: 6, address: 4, values: [9] };
    expect(decodeAnswer('tcp', 1, write, hex('0001 0000 0006 01 06 0004 0008'))).toMatchObject({
      reason: 'desync',
    });
  });

  it('names what is wrong with a request', () => {
    expect(requestError(read)).toBeUndefined();
    expect(requestError({ ...read, count: 126 })).toMatch(/1 to 125/);
    expect(requestError({ ...read, address: 65_535 })).toMatch(/beyond/);
    expect(requestError({ ...read, unit: 256 })).toMatch(/unit/);
    expect(requestError({ kind: 'write', unit: 1, fc: 6, address: 1, values: [65_536] })).toMatch(/value/);
    expect(requestError({ kind: 'write', unit: 1, fc: 16, address: 1, values: [] })).toMatch(/1 to 123/);
  });
});

describe('Modbus frames, both halves', () => {
  it('gives back what was asked and answered', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...framings),
        reads,
        word,
        fc.array(word, { minLength: 125, maxLength: 125 }),
        (framing, request, transaction, values) => {
          const decoded = decodeRequest(framing, encodeRequest(framing, transaction, request));
          expect(decoded).toMatchObject({ kind: 'request', request });
          const words = values.slice(0, request.count).map((value) => (request.fc === 1 ? value & 1 : value));
          const back = decodeAnswer(
            framing,
            transaction,
            request,
            encodeRead(framing, transaction, request, words),
          );
          expect(back).toMatchObject({ kind: 'registers', registers: Uint16Array.from(words) });
        },
      ),
    );
  });

  it('confirms writes', () => {
    fc.assert(
      fc.property(fc.constantFrom(...framings), writes, (framing, request) => {
        const decoded = decodeRequest(framing, encodeRequest(framing, 5, request));
        expect(decoded).toMatchObject({ kind: 'request', request });
        if (request.kind !== 'write') return;
        expect(decodeAnswer(framing, 5, request, encodeWritten(framing, 5, request)).kind).toBe('written');
      }),
    );
  });

  it('never takes other registers for the answer when one byte of an RTU frame is wrong', () => {
    fc.assert(
      fc.property(reads, fc.nat(), fc.integer({ min: 1, max: 255 }), (request, place, flip) => {
        const bytes = encodeRead(
          'rtu',
          0,
          request,
          Array.from({ length: request.count }, (_, at) => at & 1),
        );
        const at = place % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        expect(decodeAnswer('rtu', 0, request, bytes).kind).not.toBe('registers');
      }),
    );
  });

  it('ends with a verdict for any bytes, on both sides', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...framings),
        reads,
        fc.uint8Array({ maxLength: 300 }),
        (framing, request, bytes) => {
          const verdict = decodeAnswer(framing, 1, request, bytes);
          if ('consumed' in verdict) expect(verdict.consumed).toBeLessThanOrEqual(bytes.length);
          expect(decodeRequest(framing, bytes).kind).toMatch(/wait|request|refused|drop/);
          if (bytes.length >= 260) expect(verdict.kind).not.toBe('wait');
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('refuses as a server what it cannot serve', () => {
    expect(decodeRequest('tcp', hex('0001 0000 0006 01 2B 0000 0001'))).toMatchObject({
      kind: 'refused',
      exception: 1,
    });
    expect(decodeRequest('tcp', hex('0001 0000 0006 01 03 0000 0000'))).toMatchObject({
      kind: 'refused',
      exception: 3,
    });
    expect(decodeRequest('tcp', hex('0001 0000 0006 01 03 0000 007E'))).toMatchObject({
      kind: 'refused',
      exception: 3,
    });
    expect(decodeRequest('tcp', hex('0001 0007 0006 01'))).toMatchObject({ kind: 'drop' });
    expect(decodeRequest('rtu', hex('01 03 0000 000A C5CC'))).toMatchObject({ kind: 'drop' });
  });
});
