/** What can go wrong with one answer between a Modbus device and who asked: every kind, at will, from a seed. */
import type { Random } from '../../host/deps.ts';
import type { Framing } from '../../protocols/modbus/frame.ts';
import { MBAP_BYTES, wrap } from '../../protocols/modbus/frame.ts';
import type { Answer } from '../device.ts';

/**
 * `late`: when the asker may have given up; `duplicated`: twice, one behind the other; `split`: in pieces; `truncated`:
 * its end is missing; `garbage`: random bytes in its place; `stray`: random bytes before it; `reset`, `fin`: the
 * connection ends instead; `stall`: nothing comes. The others have one field that is not what was asked, in a frame that
 * is otherwise whole.
 */
export const WIRE_FAULTS = [
  'late',
  'duplicated',
  'split',
  'truncated',
  'garbage',
  'wrong-unit',
  'wrong-transaction',
  'wrong-function',
  'wrong-count',
  'bad-crc',
  'reset',
  'fin',
  'stall',
  'stray',
] as const;

export type WireFault = (typeof WIRE_FAULTS)[number];

type Whole = Extract<Answer, { readonly kind: 'bytes' }>;

/** How late an answer may be: some askers have given up by then. */
const LATE_FROM_MS = 200;
const LATE_TO_MS = 1_500;
/** How far apart pieces are. */
const APART_MS = 20;
const CRC_BYTES = 2;

/** Whether a fault can be played in this framing: only MBAP has transactions, only RTU a checksum. */
export function isPlayable(fault: WireFault, framing: Framing): boolean {
  if (fault === 'wrong-transaction') return framing === 'tcp';
  return fault !== 'bad-crc' || framing === 'rtu';
}

/** The answer as it arrives. A fault that this framing has not leaves it as it is. */
export function spoiled(answer: Whole, fault: WireFault, framing: Framing, random: Random): Answer {
  const { bytes, afterMs } = answer;
  const upTo = (most: number): number => 1 + Math.floor(random.next() * most);
  const noise = (most: number): Uint8Array =>
    Uint8Array.from({ length: upTo(most) }, () => Math.floor(random.next() * 256));
  const instead = (other: Uint8Array): Answer => ({ ...answer, bytes: other });
  const changed = (at: number): Answer =>
    instead(bytes.map((byte, index) => (index === at ? byte ^ upTo(255) : byte)));
  switch (fault) {
    case 'late':
      return { ...answer, afterMs: afterMs + LATE_FROM_MS + random.next() * (LATE_TO_MS - LATE_FROM_MS) };
    case 'duplicated':
      return { ...answer, more: [{ bytes, afterMs }] };
    case 'split': {
      const cut = upTo(bytes.length - 1);
      return {
        ...answer,
        bytes: bytes.subarray(0, cut),
        more: [{ bytes: bytes.subarray(cut), afterMs: afterMs + APART_MS }],
      };
    }
    case 'truncated':
      return instead(bytes.subarray(0, upTo(bytes.length - 1)));
    case 'garbage':
      return instead(noise(40));
    case 'stray':
      return instead(Uint8Array.from([...noise(8), ...bytes]));
    case 'reset':
      return { kind: 'reset' };
    case 'fin':
      return { ...answer, bytes: bytes.subarray(0, 0), close: true };
    case 'stall':
      return { kind: 'silence' };
    case 'bad-crc':
      return framing === 'rtu' ? changed(bytes.length - upTo(CRC_BYTES)) : answer;
    case 'wrong-transaction':
      return framing === 'tcp' ? changed(upTo(2) - 1) : answer;
    default:
      return instead(otherField(bytes, fault, framing, upTo(255)));
  }
}

/** A frame whose own checks hold, with another unit, function or byte count. */
function otherField(
  bytes: Uint8Array,
  fault: 'wrong-unit' | 'wrong-function' | 'wrong-count',
  framing: Framing,
  flip: number,
): Uint8Array {
  const at = framing === 'tcp' ? MBAP_BYTES : 1;
  const pdu = bytes.slice(at, framing === 'tcp' ? bytes.length : bytes.length - CRC_BYTES);
  const unit = bytes[at - 1] ?? 0;
  const [fc = 0, count = 0] = pdu;
  // 0x80 would make a refusal of it, which is an answer.
  if (fault === 'wrong-function') pdu[0] = fc ^ (1 + (flip & 0x3f));
  if (fault === 'wrong-count') pdu[1] = count ^ flip;
  const transaction = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
  return wrap(framing, transaction, fault === 'wrong-unit' ? unit ^ flip : unit, pdu);
}
