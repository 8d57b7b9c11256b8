import type { FaultCode } from '../faults.ts';

/**
 * Why a value is missing, as a number on the wire. Numbers are never reused and never changed; 0 stands for every
 * code that has none. New codes take the next free number.
 */
const NUMBERS = {
  VALUE_MISSING: 0,
  NET_REFUSED: 1,
  NET_UNREACHABLE: 2,
  NET_TIMEOUT: 3,
  NET_RESET: 4,
  NET_OVERSIZE: 5,
  ANSWER_GARBAGE: 6,
  ANSWER_PARTIAL: 7,
  VALUE_INVALID: 8,
  VALUE_IMPLAUSIBLE: 9,
  VALUE_STALE: 10,
  AUTH_FAILED: 11,
  VERB_REFUSED: 12,
  VERB_UNSUPPORTED: 13,
  MODBUS_EXCEPTION: 14,
  MODBUS_FRAME: 15,
  MODBUS_DESYNC: 16,
  SSH_HOST_KEY: 17,
  SSH_FAILED: 18,
  REMOTE_FAILED: 19,
  GPU_NOT_RELEASED: 20,
  GPU_TELEMETRY_LOST: 21,
  DEVICE_LOST: 22,
  RACK_LOST: 23,
  METER_LOST: 24,
  METER_IMPLAUSIBLE: 25,
  QUEUE_FULL: 26,
  TARGET_INVALID: 27,
  USAGE: 28,
  INTERNAL: 29,
} as const satisfies Partial<Record<FaultCode, number>>;

const numbers: ReadonlyMap<string, number> = new Map(Object.entries(NUMBERS));
const codes: ReadonlyMap<number, FaultCode> = new Map(
  Object.entries(NUMBERS).map(([code, wireNumber]) => [wireNumber, code as FaultCode]),
);

/** The wire number of a reason; a code without one travels as VALUE_MISSING. */
export const reasonNumber = (code: FaultCode): number => numbers.get(code) ?? NUMBERS.VALUE_MISSING;

/** The reason of a wire number; a number that only a newer version knows reads as VALUE_MISSING. */
export const reasonCode = (wireNumber: number): FaultCode => codes.get(wireNumber) ?? 'VALUE_MISSING';
