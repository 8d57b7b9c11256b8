/**
 * The utility's remote terminal, simulated: a Modbus TCP server with an instruction and room for the site's report.
 * Its registers are written from the table in docs/protocols.md, apart from the constants that the agent uses.
 */
import type { ModbusRequest } from '../../protocols/modbus/frame.ts';
import { decodeNumber, encodeNumber } from '../../protocols/modbus/registers.ts';
import type { RegisterType } from '../../protocols/modbus/registers.ts';
import { decodeRequest, encodeException, encodeRead, encodeWritten } from '../../protocols/modbus/serve.ts';
import type { StreamDevice } from '../device.ts';

/** An instruction of the utility. `limitKw`: undefined = no limit. `kind`: 0 none, 1 contracted, 2 emergency. */
export interface UtilityInstruction {
  readonly limitKw: number | undefined;
  readonly deadlineS: number;
  readonly kind: 0 | 1 | 2;
}

/** What the site wrote last. `powerKw`: NaN when it does not know. */
export interface SiteReport {
  readonly echoSequence: number;
  readonly heartbeat: number;
  readonly status: number;
  readonly powerKw: number;
  readonly atMs: number;
}

export interface SimulatedUtilityTerminal extends StreamDevice {
  /** Issues an instruction and returns its sequence number. */
  instruct(instruction: UtilityInstruction): number;
  /** Puts a raw limit into the registers, for tests of what must be refused. */
  corruptLimit(rawKw: number): void;
  readonly instruction: UtilityInstruction;
  readonly sequence: number;
  /** The site's last report, undefined before the first. */
  readonly report: SiteReport | undefined;
  /** False: the heartbeat stands still, the rest goes on. */
  alive: boolean;
  /** True: no answers at all. */
  silent: boolean;
}

const INSTRUCTION_WORDS = 7;
const REPORT_FIRST = 100;
const REPORT_WORDS = 6;

/** A terminal without a limit, whose heartbeat advances with the time of the questions. */
export function makeUtilityTerminal({ unit }: { readonly unit: number }): SimulatedUtilityTerminal {
  const said = new Uint16Array(INSTRUCTION_WORDS);
  const written = new Uint16Array(REPORT_WORDS);
  let instruction: UtilityInstruction = { limitKw: undefined, deadlineS: 0, kind: 0 };
  let sequence = 0;
  let report: SiteReport | undefined;
  said.set(encodeNumber(-1, 'int32'), 0);

  /** Words of a read, true for a write that was done, or the exception. */
  const serve = (request: ModbusRequest, nowMs: number): Uint16Array | true | number => {
    if (request.kind === 'read') {
      if (request.fc !== 3) return 1;
      if (terminal.alive) said[6] = Math.floor(nowMs / 1000) & 0xffff;
      const whole = request.address < REPORT_FIRST ? said : written;
      const from = request.address < REPORT_FIRST ? request.address : request.address - REPORT_FIRST;
      return from + request.count <= whole.length ? whole.slice(from, from + request.count) : 2;
    }
    if (request.fc === 5) return 1;
    const from = request.address - REPORT_FIRST;
    if (from < 0 || from + request.values.length > REPORT_WORDS) return 2;
    written.set(request.values, from);
    report = reportOf(written, nowMs);
    return true;
  };
  const terminal: SimulatedUtilityTerminal = {
    alive: true,
    silent: false,
    get instruction() {
      return instruction;
    },
    get sequence() {
      return sequence;
    },
    get report() {
      return report;
    },
    instruct: (next) => {
      instruction = next;
      sequence += 1;
      said.set(encodeNumber(next.limitKw ?? -1, 'int32'), 0);
      said.set(encodeNumber(next.deadlineS, 'uint16'), 2);
      said[3] = next.kind;
      said.set(encodeNumber(sequence, 'uint32'), 4);
      return sequence;
    },
    corruptLimit: (rawKw) => said.set(encodeNumber(rawKw, 'int32'), 0),
    respond: (bytes, nowMs) => {
      const decoded = decodeRequest('tcp', bytes);
      if (decoded.kind === 'wait') return decoded;
      if (decoded.kind === 'drop') return { kind: 'reset' };
      if (terminal.silent) return { kind: 'silence' };
      const { transaction, consumed } = decoded;
      const answer = (answerBytes: Uint8Array) =>
        ({ kind: 'bytes', bytes: answerBytes, afterMs: 1, close: false, consumed }) as const;
      if (decoded.kind === 'refused') return answer(encodeException('tcp', transaction, decoded));
      const { request } = decoded;
      const served = request.unit === unit ? serve(request, nowMs) : 11;
      if (typeof served === 'number') {
        return answer(
          encodeException('tcp', transaction, { unit: request.unit, fc: request.fc, exception: served }),
        );
      }
      if (request.kind === 'write') return answer(encodeWritten('tcp', transaction, request));
      return answer(encodeRead('tcp', transaction, request, served === true ? [] : served));
    },
  };
  return terminal;
}

function reportOf(words: Uint16Array, atMs: number): SiteReport {
  return {
    echoSequence: number(words, 0, 'uint32'),
    heartbeat: number(words, 2, 'uint16'),
    status: number(words, 3, 'uint16'),
    powerKw: number(words, 4, 'float32'),
    atMs,
  };
}

function number(words: Uint16Array, at: number, type: RegisterType): number {
  const decoded = decodeNumber(words, at, { type, wordOrder: 'msw', scale: 1, invalid: [] });
  return decoded.ok ? decoded.value : Number.NaN;
}
