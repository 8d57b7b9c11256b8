import { describe, expect, it } from 'vitest';

import { seededRandom } from '../../../host/random.ts';
import { crc16, decodeAnswer } from '../../../protocols/modbus/frame.ts';
import { fuzzAll, fuzzAnswers } from '../../../proof/modbus-fuzz.ts';

describe('bytes of every kind', () => {
  it('end nothing, are not heaped up, and are taken only when all checks hold', async () => {
    const results = await fuzzAll(33_000, 5);
    for (const result of results) {
      expect(result).toMatchObject({ untrue: 0, thrown: 0, unbounded: 0, examples: [] });
      expect(result.taken, result.target).toBeGreaterThan(0);
    }
    expect(results.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThan(200_000);
  }, 30_000);

  it('show a framer that does not look at checksums, one that waits for ever, and one that throws', () => {
    const random = (): ReturnType<typeof seededRandom> => seededRandom(6);
    const credulous = fuzzAnswers('rtu', 50_000, random(), (framing, transaction, request, bytes) => {
      const mended = Uint8Array.from(bytes);
      if (mended.length < 4) return { kind: 'wait' };
      const crc = crc16(mended, 0, mended.length - 2);
      mended.set([crc & 0xff, crc >>> 8], mended.length - 2);
      return decodeAnswer(framing, transaction, request, mended);
    });
    expect(credulous.untrue).toBeGreaterThan(0);
    expect(fuzzAnswers('tcp', 50_000, random(), () => ({ kind: 'wait' })).unbounded).toBeGreaterThan(0);
    const throwing = fuzzAnswers('tcp', 5_000, random(), (_framing, _transaction, _request, bytes) => {
      new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint16(6);
      return { kind: 'wait' };
    });
    expect(throwing.thrown).toBeGreaterThan(0);
  });
});
