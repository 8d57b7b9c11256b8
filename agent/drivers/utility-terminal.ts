/**
 * The utility's remote terminal: it serves Modbus by the map in `protocols/modbus/utility.ts`, we read its instruction
 * and write our report. Verified on the wire against the simulated terminal and an independent server.
 */
import { Fault } from '../../protocols/faults.ts';
import { decodeNumber, encodeNumber } from '../../protocols/modbus/registers.ts';
import type { RegisterType } from '../../protocols/modbus/registers.ts';
import {
  EVENT_KINDS,
  INSTRUCTION,
  INSTRUCTION_ADDRESS,
  INSTRUCTION_COUNT,
  NO_LIMIT_KW,
  REPORT,
  REPORT_ADDRESS,
  REPORT_COUNT,
  REPORT_STATUSES,
} from '../../protocols/modbus/utility.ts';
import type { UtilityEventKind, UtilityStatus } from '../../protocols/modbus/utility.ts';
import type { DeviceIo, Target } from '../driver.ts';
import { modbusTarget } from './modbus-target.ts';

/** 10 GW: more than any site draws. */
const LIMIT_MAX_KW = 10_000_000;

/** What the utility says now. `limitKw`: undefined = no limit. `atMs`: UTC, the middle between asking and answering. */
export interface UtilityObservation {
  readonly limitKw: number | undefined;
  /** From the issue of the instruction until the limit must be met, s. */
  readonly deadlineS: number;
  /** Rises with every new instruction. */
  readonly sequence: number;
  readonly kind: UtilityEventKind;
  /** Rises by one each second while the terminal lives. */
  readonly heartbeat: number;
  readonly atMs: number;
}

/** What we tell the utility. `powerKw`: undefined when no meter gives it. */
export interface UtilityReport {
  readonly powerKw: number | undefined;
  readonly status: UtilityStatus;
  readonly echoSequence: number;
  readonly heartbeat: number;
}

export interface UtilityTerminal {
  /** Rejects with NET_*, MODBUS_*, or SIGNAL_INVALID for an instruction that cannot be meant. */
  read(timeoutMs: number): Promise<UtilityObservation>;
  /** Resolves when the terminal confirmed the write. */
  report(report: UtilityReport, timeoutMs: number): Promise<void>;
}

/** The terminal at `modbus://host:port/unit`. Throws TARGET_INVALID; no I/O yet. */
export function openUtilityTerminal(target: Target, io: Pick<DeviceIo, 'clock' | 'lines'>): UtilityTerminal {
  const { line: lineTarget, unit } = modbusTarget(target);
  const line = io.lines.line(lineTarget);
  return {
    read: async (timeoutMs) => {
      const { registers, atMs } = await line.read({
        unit,
        fc: 3,
        address: INSTRUCTION_ADDRESS,
        count: INSTRUCTION_COUNT,
        deadlineMs: io.clock.monoMs() + timeoutMs,
      });
      return observationOf(registers, atMs);
    },
    report: (report, timeoutMs) =>
      line.write({
        unit,
        fc: 16,
        address: REPORT_ADDRESS,
        values: reportWords(report),
        deadlineMs: io.clock.monoMs() + timeoutMs,
      }),
  };
}

function observationOf(registers: Uint16Array, atMs: number): UtilityObservation {
  const limitKw = field(registers, INSTRUCTION.limitKw, 'int32');
  if (limitKw < NO_LIMIT_KW || limitKw > LIMIT_MAX_KW) {
    throw new Fault('SIGNAL_INVALID', `utility limit of ${limitKw} kW`);
  }
  const kindCode = field(registers, INSTRUCTION.kind, 'uint16');
  const kind = EVENT_KINDS[kindCode];
  if (kind === undefined) throw new Fault('SIGNAL_INVALID', `utility event kind ${kindCode}`);
  return {
    limitKw: limitKw === NO_LIMIT_KW ? undefined : limitKw,
    deadlineS: field(registers, INSTRUCTION.deadlineS, 'uint16'),
    sequence: field(registers, INSTRUCTION.sequence, 'uint32'),
    kind,
    heartbeat: field(registers, INSTRUCTION.heartbeat, 'uint16'),
    atMs,
  };
}

function field(registers: Uint16Array, offset: number, type: RegisterType): number {
  const decoded = decodeNumber(registers, offset, { type, wordOrder: 'msw', scale: 1, invalid: [] });
  if (!decoded.ok) throw new Fault('SIGNAL_INVALID', `utility register ${offset}: ${decoded.why}`);
  return decoded.value;
}

function reportWords(report: UtilityReport): readonly number[] {
  const words = new Uint16Array(REPORT_COUNT);
  words.set(encodeNumber(report.echoSequence, 'uint32'), REPORT.echoSequence);
  words.set(encodeNumber(report.heartbeat % 0x1_0000, 'uint16'), REPORT.heartbeat);
  words.set(encodeNumber(REPORT_STATUSES.indexOf(report.status), 'uint16'), REPORT.status);
  // Unknown is never zero: the map has NaN for it.
  words.set(encodeNumber(report.powerKw ?? Number.NaN, 'float32'), REPORT.powerKw);
  return [...words];
}
