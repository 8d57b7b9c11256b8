import { expect, test } from 'vitest';
import { decodeSegment, encodeSegment, streamOf } from '../../../../protocols/mqtt/backlog.ts';
import type { Segment } from '../../../../protocols/mqtt/backlog.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const SEGMENT: Segment = {
  site: 's1',
  agent: 'a1',
  boot: 7,
  stream: 'messages',
  from: 3,
  to: 9,
  oldest: false,
  items: [
    { kind: 'result', seq: 4, bytes: bytes('{}') },
    { kind: 'event', seq: 5, bytes: bytes('[1]') },
    { kind: 'frame', seq: 9, bytes: new Uint8Array() },
  ],
};

test('a segment comes out as it went in', () => {
  expect(decodeSegment(encodeSegment(SEGMENT))).toEqual(SEGMENT);
  const empty: Segment = { ...SEGMENT, stream: 'meters', items: [], oldest: true, to: 2 ** 47 };
  expect(decodeSegment(encodeSegment(empty))).toEqual(empty);
  expect([streamOf('meters'), streamOf('r1')]).toEqual(['meters', 'machines']);
});

test('the vector of docs/protocols.md', () => {
  const items = [{ kind: 'result', seq: 4, bytes: bytes('{}') }] as const;
  expect(Buffer.from(encodeSegment({ ...SEGMENT, to: 4, oldest: true, items })).toString('hex')).toBe(
    '42010102733102613107000000000304010101027b7dc013f0bd',
  );
});

test('a segment with any byte changed or cut off is refused', () => {
  const whole = encodeSegment(SEGMENT);
  for (let offset = 0; offset < whole.length; offset += 1) {
    const flipped = whole.slice();
    flipped[offset] = (flipped[offset] ?? 0) ^ (1 << (offset % 8));
    expect(() => decodeSegment(flipped)).toThrow(/BUS_MESSAGE/u);
    expect(() => decodeSegment(whole.subarray(0, offset))).toThrow(/BUS_MESSAGE/u);
  }
});

test('an item beyond the range, or a number that does not rise, cannot be said', () => {
  const beyond = encodeSegment({ ...SEGMENT, to: 8 });
  expect(() => decodeSegment(beyond)).toThrow(/beyond 8/u);
});
