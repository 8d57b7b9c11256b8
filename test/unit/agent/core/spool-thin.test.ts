import { expect, test } from 'vitest';
import { Chain, rechain, relieve, thinned } from '../../../../agent/core/spool-thin.ts';
import type { Limits, Piece } from '../../../../agent/core/spool-thin.ts';
import type { SpoolRecord } from '../../../../agent/core/spool-record.ts';
import { FrameDecoder } from '../../../../protocols/mqtt/frame.ts';
import { tableOf } from '../../../../protocols/mqtt/rows.ts';

/** Frames of two racks, one per second each. */
function run(seconds: number): SpoolRecord[] {
  const chain = new Chain();
  const records: SpoolRecord[] = [];
  for (let second = 0; second < seconds; second += 1)
    for (const group of ['r1', 'r2']) {
      const tickMs = 1e12 + second * 1_000;
      const power = { ok: true, value: 3_000 + second, unit: 'W', quality: 'good', atMs: tickMs } as const;
      const head = { site: 's', agent: 'a', boot: 1, seq: records.length, group, tickMs, rows: ['m1'] };
      records.push(chain.next({ ...head, table: tableOf([{ power }], tickMs) }));
    }
  return records;
}
const seqsRead = (records: readonly SpoolRecord[]): (number | string)[] => {
  const decoder = new FrameDecoder();
  return records.map(({ payload }) => {
    const decoded = decoder.decode(payload);
    return decoded.kind === 'frame' ? decoded.frame.seq : decoded.kind;
  });
};

test('thinning keeps one frame per group and time, and the last; what is left reads by itself', () => {
  const records = run(61);
  const kept = thinned(records, 10_000);
  expect(kept.map(({ seq }) => seq)).toEqual([0, 1, 20, 21, 40, 41, 60, 61, 80, 81, 100, 101, 120, 121]);
  expect(seqsRead(kept)).toEqual(kept.map(({ seq }) => seq));
  expect(thinned(kept, 10_000)).toEqual(kept);
  const minute = thinned(kept, 60_000);
  expect(minute.map(({ seq }) => seq)).toEqual([0, 1, 120, 121]);
  expect(seqsRead(minute)).toEqual([0, 1, 120, 121]);
});

test('a run begins with frames that stand by themselves, and has one at least every 15', () => {
  const records = run(40);
  const keys = records.filter(({ back, group }) => back === 0 && group === 'r1').map(({ seq }) => seq / 2);
  expect(keys).toEqual([0, 15, 30]);
  const rest = rechain(records, ({ seq }) => seq >= 9);
  expect(seqsRead(rest)).toEqual(rest.map(({ seq }) => seq));
  expect(rest).toHaveLength(71);
});

const limits: Limits = { diskBytes: 1_000, memoryBytes: 100, ageMs: 1_000 };
const piece = (stream: Piece['stream'], changes: Partial<Piece> = {}): Piece => ({
  stream,
  onDisk: true,
  bytes: 300,
  level: 0,
  busy: false,
  ageMs: 0,
  ...changes,
});

test('machines are thinned in two steps, then meters; then machines go, meters, and results last', () => {
  const pieces = [piece('messages'), piece('meters'), piece('machines')];
  expect(relieve(pieces.slice(0, 2), limits)).toBeUndefined();
  const step = (machines: number, meters: number): string => {
    const now = [
      piece('messages'),
      piece('meters', { level: meters }),
      piece('machines', { level: machines }),
    ];
    const relief = relieve([...now, piece('messages')], limits);
    return relief === undefined
      ? ''
      : `${relief.kind} ${relief.piece.stream} ${'everyMs' in relief ? relief.everyMs : ''}`;
  };
  expect([step(0, 0), step(1, 0), step(2, 0), step(2, 1), step(2, 2)]).toEqual([
    'thin machines 10000',
    'thin machines 60000',
    'thin meters 10000',
    'thin meters 60000',
    'drop machines ',
  ]);
  expect(relieve([piece('meters', { level: 2, bytes: 900 }), piece('messages')], limits)?.piece.stream).toBe(
    'meters',
  );
  expect(relieve([piece('messages', { bytes: 2_000 })], limits)?.kind).toBe('drop');
});

test('what is busy is not thinned, what is old is let go, and memory has a limit of its own', () => {
  expect(relieve([piece('machines', { bytes: 900, busy: true })], limits)).toBeUndefined();
  expect(relieve([piece('machines', { bytes: 1_900, busy: true })], limits)?.kind).toBe('drop');
  expect(relieve([piece('messages', { ageMs: 1_001 })], limits)?.kind).toBe('drop');
  const inMemory = piece('machines', { onDisk: false, bytes: 90 });
  expect(relieve([inMemory, piece('machines')], limits)).toEqual({
    kind: 'thin',
    piece: inMemory,
    everyMs: 10_000,
  });
});
