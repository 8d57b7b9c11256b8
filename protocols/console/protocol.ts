/** Constants of the operator protocol that both ends need, free of schemas so that the page stays small. */
export const SCHEMA = { min: 1, max: 1 } as const;
export const SOCKET_PATH = '/ws';
export const SUBPROTOCOL = 'switchyard.v1';
/** Largest message a client may send, bytes, and how deep its JSON may nest. */
export const FRAME_MAX_BYTES = 64 * 1024;
export const DEPTH_MAX = 16;

/** Close codes of our own: why the server ended the connection. */
export const CLOSE = {
  notAuthenticated: 4401,
  loginRefused: 4403,
  tooSlow: 4008,
  tooMany: 4029,
  schema: 4010,
} as const;

/** Actions that hold machines in a mode until a time given in minutes, and those that know no time. */
const HOLDS = ['sleep', 'mine', 'ai', 'idle'] as const;
const TIMELESS = ['release', 'manual', 'automatic', 'lockout', 'unlock', 'permit', 'pools'] as const;
export const ACTIONS = [...HOLDS, ...TIMELESS] as const;
export type OperatorAction = (typeof ACTIONS)[number];
export const isHold = (action: string): action is (typeof HOLDS)[number] =>
  HOLDS.some((hold) => hold === action);

/** What can stand against a meter that a person can have the last word on, and as which alarm it does. */
export const METER_ALARMS = {
  /** Its setup has changed, and is meant so. */
  setup: 'METER_SETUP',
  /** These are declared wrong. */
  wiring: 'METER_WIRING',
  ratio: 'METER_RATIO',
  drift: 'METER_DRIFT',
} as const;
export const METER_KINDS = [
  'setup',
  'wiring',
  'ratio',
  'drift',
] as const satisfies (keyof typeof METER_ALARMS)[];
export type MeterKind = (typeof METER_KINDS)[number];

/** Inputs that wait for a witness when they are new or strange: a person can be one. */
export const AGREE_INPUTS = ['price', 'hashprice', 'limit'] as const;
export type AgreeInput = (typeof AGREE_INPUTS)[number];
