/**
 * The register map of the utility's remote terminal. The utility serves Modbus, we are the client. Holding registers,
 * wire addresses 0-based, words most significant first. What the utility says is read in one request and what we say is
 * written in one request, so that neither side ever sees half of a new instruction.
 */

/** First register of the instruction and how many there are, in one FC 3 read. */
export const INSTRUCTION_ADDRESS = 0;
export const INSTRUCTION_COUNT = 7;

/** Offsets inside the instruction block. */
export const INSTRUCTION = {
  /** int32, kW: the most the site may draw; -1 = no limit. */
  limitKw: 0,
  /** uint16, s: from the issue of the instruction until the site must be at or below the limit. */
  deadlineS: 2,
  /** uint16: `EVENT_KINDS`. */
  kind: 3,
  /** uint32: rises with every new instruction, the end of a limit included; 0 = none was ever given. */
  sequence: 4,
  /** uint16: rises by one every second and wraps at 65536. A value that stands still means that the terminal is dead. */
  heartbeat: 6,
} as const;

/** The value of `limitKw` that means: no limit. */
export const NO_LIMIT_KW = -1;

/** Kinds of instruction by their register value. */
export const EVENT_KINDS = ['none', 'contracted', 'emergency'] as const;
export type UtilityEventKind = (typeof EVENT_KINDS)[number];

/** First register of our report and how many there are, in one FC 16 write; the utility lets us read it back with FC 3. */
export const REPORT_ADDRESS = 100;
export const REPORT_COUNT = 6;

/** Offsets inside the report block. */
export const REPORT = {
  /** uint32: the sequence number of the instruction we act on. */
  echoSequence: 0,
  /** uint16: our heartbeat; rises with every report and wraps at 65536. */
  heartbeat: 2,
  /** uint16: `REPORT_STATUSES`. */
  status: 3,
  /** float32, kW (not MW): measured draw of the site; NaN when no meter gives it. */
  powerKw: 4,
} as const;

/** Our status by its register value. */
export const REPORT_STATUSES = ['normal', 'reducing', 'complied', 'cannot-comply'] as const;
export type UtilityStatus = (typeof REPORT_STATUSES)[number];
