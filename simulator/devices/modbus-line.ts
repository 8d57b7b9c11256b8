/**
 * One way to Modbus devices, simulated: several units behind one TCP port, or on one RS-485 line behind a serial gateway.
 * The line is half duplex and has the pace of its baud rate: what is asked while it is busy waits, as in a gateway's queue.
 */
import type { Random } from '../../host/deps.ts';
import type { Framing, ModbusRequest } from '../../protocols/modbus/frame.ts';
import { decodeRequest, encodeException } from '../../protocols/modbus/serve.ts';
import type { DecodedRequest } from '../../protocols/modbus/serve.ts';
import type { Answer, StreamDevice } from '../device.ts';
import { spoiled } from './wire-faults.ts';
import type { WireFault } from './wire-faults.ts';

/** One device on the line. */
export interface ModbusUnit {
  /** The number it answers to. */
  readonly unit: number;
  /** From the end of a question to the beginning of its answer, ms. */
  readonly answerMs: number;
  /** Its whole frame; undefined: it says nothing. */
  answer(asked: AskedUnit, framing: Framing, nowMs: number): Uint8Array | undefined;
}

/** A question that came whole: one that can be answered, or one that the standard refuses with `exception`. */
export type AskedUnit =
  | { readonly kind: 'request'; readonly transaction: number; readonly request: ModbusRequest }
  | Omit<Extract<DecodedRequest, { readonly kind: 'refused' }>, 'consumed'>;

/** The serial line behind the port. A character takes 10 bits, or 11 with parity or a second stop bit. */
export interface SerialPace {
  readonly baud: number;
  readonly bitsPerChar: 10 | 11;
}

export interface ModbusLineOptions {
  readonly framing: Framing;
  readonly units: readonly ModbusUnit[];
  /** Absent: no serial line, each answer comes when its device has it. */
  readonly pace?: SerialPace;
  /** What goes wrong on the wire: `next` is asked at every answer. Absent: nothing. */
  readonly faults?: { readonly next: () => WireFault | undefined; readonly random: Random };
}

export interface ModbusLine extends StreamDevice {
  /** Time for which the serial line was taken so far: frames, silences between them and turnarounds, ms. */
  readonly busyMs: number;
  /** Questions that came whole. */
  readonly asked: number;
}

/** The silence that ends a frame on a serial line, in characters. */
const GAP_CHARS = 3.5;
const EXCEPTION_UNREACHABLE = 11;
/** A gateway knows at once that there is no such unit. */
const REFUSED_AFTER_MS = 2;

/** What the line takes for a question of `bytes` and its answer of `answerBytes`, without the device's own time, ms. */
function wireMs({ baud, bitsPerChar }: SerialPace, bytes: number, answerBytes: number): number {
  const chars = GAP_CHARS + bytes + (answerBytes === 0 ? 0 : GAP_CHARS + answerBytes);
  return (chars * bitsPerChar * 1_000) / baud;
}

/** Serves `units` behind one port. Units that are not there: exception 11 of Modbus TCP, silence on RTU. */
export function makeModbusLine(options: ModbusLineOptions): ModbusLine {
  const { framing, pace, faults } = options;
  const units = new Map(options.units.map((unit) => [unit.unit, unit]));
  let busyMs = 0;
  let asked = 0;
  let freeAtMs = -Infinity;
  /** Takes the line for one exchange; when its last byte is through, in ms from now. */
  const take = (nowMs: number, bytes: number, answerBytes: number, deviceMs: number): number => {
    if (pace === undefined) return deviceMs;
    const neededMs = wireMs(pace, bytes, answerBytes) + (answerBytes === 0 ? 0 : deviceMs);
    busyMs += neededMs;
    freeAtMs = Math.max(nowMs, freeAtMs) + neededMs;
    return freeAtMs - nowMs;
  };
  const respond = (bytes: Uint8Array, nowMs: number): Answer => {
    const decoded = decodeRequest(framing, bytes);
    if (decoded.kind === 'wait') return decoded;
    // Nobody on a serial line can break a connection: what is no frame is not answered.
    if (decoded.kind === 'drop') return framing === 'tcp' ? { kind: 'reset' } : { kind: 'silence' };
    asked += 1;
    const { consumed } = decoded;
    const { unit: number, fc } = decoded.kind === 'request' ? decoded.request : decoded;
    const unit = units.get(number);
    const refused = { unit: number, fc, exception: EXCEPTION_UNREACHABLE };
    const answer =
      unit?.answer(decoded, framing, nowMs) ??
      (unit === undefined && framing === 'tcp'
        ? encodeException(framing, decoded.transaction, refused)
        : undefined);
    const afterMs = take(nowMs, consumed, answer?.length ?? 0, unit?.answerMs ?? REFUSED_AFTER_MS);
    if (answer === undefined) return { kind: 'silence' };
    const plain = { kind: 'bytes', bytes: answer, afterMs, close: false, consumed } as const;
    const fault = faults?.next();
    return faults === undefined || fault === undefined
      ? plain
      : spoiled(plain, fault, framing, faults.random);
  };
  return {
    respond,
    get busyMs() {
      return busyMs;
    },
    get asked() {
      return asked;
    },
  };
}
