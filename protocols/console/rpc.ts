import * as z from 'zod';

import { FAULTS } from '../faults.ts';
import type { Fault, FaultCode } from '../faults.ts';
import type { ViewDelta } from './delta.ts';
import { ACTIONS, AGREE_INPUTS, DEPTH_MAX, isHold, METER_KINDS } from './protocol.ts';
import type { ConsoleView, MeterView, Preview, WhyView } from './view.ts';

/**
 * The operator protocol: JSON-RPC 2.0 over one WebSocket. The server speaks first (`hello`), the client
 * authenticates, subscribes, and gets one snapshot and then deltas. `docs/protocols.md` lists the schema numbers.
 */

const id = z.string().min(1).max(128);
const secret = z.string().min(1).max(128);

const operatorRequestSchema = z
  .strictObject({
    scope: z.array(id).min(1).max(256),
    action: z.enum(ACTIONS),
    minutes: z.number().positive().max(10_080).exactOptional(),
    pools: id.exactOptional(),
    reason: z.string().trim().min(1).max(500),
  })
  .refine(({ action, minutes }) => minutes !== undefined || !isHold(action), {
    message: 'minutes are required: a manual hold ends by itself',
    path: ['minutes'],
  })
  .refine(({ action, pools }) => (pools !== undefined) === (action === 'pools'), {
    message: 'the name of a set of pools goes with pools, and with nothing else',
    path: ['pools'],
  });

const authSchema = z
  .strictObject({
    schema: z.number().int(),
    /** Exactly one of: the one-time code, a browser's ticket, the session token an earlier `auth` returned. */
    code: secret.optional(),
    ticket: secret.optional(),
    token: secret.optional(),
    /** Who is at this console, for the ledger. */
    name: z.string().max(40).optional(),
  })
  .refine(
    (auth) => [auth.code, auth.ticket, auth.token].filter((given) => given !== undefined).length === 1,
    {
      message: 'give exactly one of code, ticket, token',
    },
  );

const empty = z.strictObject({}).default({});

const noteSchema = z.strictObject({
  phase: z.enum(['begun', 'ended']),
  racks: z
    .array(z.strictObject({ rack: id, verdict: z.string().max(40), text: z.string().max(500) }))
    .max(100),
});

/** Parameters of every request a client may make, by method. */
export const PARAMS = {
  auth: authSchema,
  subscribe: z
    .strictObject({ resume: z.strictObject({ bootId: id, seq: z.number().int().nonnegative() }).optional() })
    .default({}),
  why: z.strictObject({ machine: id }),
  'cmd.preview': operatorRequestSchema,
  'cmd.execute': z.strictObject({ previewId: id, hash: id, key: z.string().min(8).max(128) }),
  'alarm.ack': z.strictObject({ alarmId: z.string().min(1).max(256) }),
  'input.agree': z.strictObject({ input: z.enum(AGREE_INPUTS), value: z.number() }),
  'meter.agree': z.strictObject({
    meter: id,
    kind: z.enum(METER_KINDS),
    seen: z.string().max(400),
    reason: z.string().trim().min(1).max(400),
  }),
  history: z.strictObject({
    spanMs: z.number().int().min(1_000).max(172_800_000),
    points: z.number().int().min(2).max(2_000),
  }),
  ping: empty,
  /** What every meter says, as it came. */
  meters: empty,
  /** The topology is being proven, or was: for the ledger. */
  'commission.note': noteSchema,
  /** A fresh one-time code for one more console. */
  'code.new': empty,
  /** Ends this session and closes every socket of it. */
  logout: empty,
} as const;

export type Method = keyof typeof PARAMS;
export type Params<M extends Method> = z.input<(typeof PARAMS)[M]>;
export type ParsedParams<M extends Method> = z.output<(typeof PARAMS)[M]>;

/** The chart's points as columns, oldest first: shorter on the wire than one object each. Unknown is null. */
export interface HistoryColumns {
  readonly atMs: readonly number[];
  readonly powerKw: readonly (number | null)[];
  readonly limitKw: readonly number[];
  readonly planKw: readonly (number | null)[];
  readonly priceUsdPerMwh: readonly (number | null)[];
}

/** What each method answers. `subscribe` says where the stream starts; snapshot or missed deltas follow. */
export interface Results {
  readonly auth: { readonly actor: string; readonly token: string | null };
  readonly subscribe: { readonly bootId: string; readonly seq: number; readonly resumed: boolean };
  readonly why: WhyView;
  readonly 'cmd.preview': Preview;
  readonly 'cmd.execute': { readonly commandId: string };
  readonly 'alarm.ack': Record<string, never>;
  readonly 'input.agree': Record<string, never>;
  readonly 'meter.agree': { readonly commandId: string };
  readonly history: HistoryColumns;
  readonly ping: { readonly time: number };
  readonly meters: { readonly meters: readonly MeterView[] };
  readonly 'commission.note': Record<string, never>;
  readonly 'code.new': { readonly code: string; readonly expiresAtMs: number };
  readonly logout: Record<string, never>;
}

/** What the server says of itself before anything else; `time`: its wall clock, UTC ms. */
export interface Hello {
  readonly schema: { readonly min: number; readonly max: number };
  readonly server: string;
  readonly site: string;
  readonly time: number;
  readonly bootId: string;
}

export type Notification =
  | { readonly jsonrpc: '2.0'; readonly method: 'hello'; readonly params: Hello }
  | {
      readonly jsonrpc: '2.0';
      readonly method: 'snapshot';
      readonly params: { readonly bootId: string; readonly seq: number; readonly view: ConsoleView };
    }
  /** Turns the view numbered `from` into the one numbered `seq`. A client that holds another number subscribes again. */
  | {
      readonly jsonrpc: '2.0';
      readonly method: 'ev';
      readonly params: { readonly from: number; readonly seq: number; readonly d: ViewDelta };
    }
  | {
      readonly jsonrpc: '2.0';
      readonly method: 'beat';
      readonly params: { readonly time: number; readonly seq: number };
    };

export type RequestId = string | number;

/** `data.reason` is a fault code of the product; `until` is UTC ms; null where there is none. */
export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data: {
    readonly reason: FaultCode;
    readonly owner: string | null;
    readonly until: number | null;
    readonly howToFix: string;
  };
}

export type Reply =
  | { readonly jsonrpc: '2.0'; readonly id: RequestId; readonly result: Results[Method] }
  | { readonly jsonrpc: '2.0'; readonly id: RequestId | null; readonly error: RpcError };

/** JSON-RPC's own numbers, and -32000 for every fault of the product. */
export const RPC_CODE = {
  parse: -32_700,
  request: -32_600,
  method: -32_601,
  params: -32_602,
  fault: -32_000,
} as const;

/** The error a fault becomes on this wire. */
export function rpcError(fault: Fault, code: number = RPC_CODE.fault, until: number | null = null): RpcError {
  const { cause, next } = FAULTS[fault.code];
  return {
    code,
    message: fault.detail === '' ? cause : `${cause}: ${fault.detail}`,
    data: { reason: fault.code, owner: null, until, howToFix: next },
  };
}

type RequestOf<M extends Method> = { readonly method: M; readonly params: ParsedParams<M> };
export type ParsedRequest = { [M in Method]: RequestOf<M> }[Method];
export type Parsed =
  | { readonly ok: true; readonly id: RequestId; readonly request: ParsedRequest }
  | { readonly ok: false; readonly id: RequestId | null; readonly code: number; readonly detail: string };

const envelopeSchema = z.strictObject({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.string().min(1).max(64), z.number().int().safe()]),
  method: z.string().max(64),
  params: z.unknown().optional(),
});

/** One message of a client: the request, or the JSON-RPC error number and what is wrong. Never throws. */
export function parseRequest(text: string): Parsed {
  const bad = (code: number, detail: string, requestId: RequestId | null = null): Parsed => ({
    ok: false,
    id: requestId,
    code,
    detail,
  });
  if (nestsDeeperThan(text, DEPTH_MAX)) return bad(RPC_CODE.parse, `JSON nests deeper than ${DEPTH_MAX}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return bad(RPC_CODE.parse, 'not JSON');
  }
  const envelope = envelopeSchema.safeParse(json);
  if (!envelope.success) return bad(RPC_CODE.request, firstIssue(envelope.error));
  const { id: requestId, method, params } = envelope.data;
  if (!Object.hasOwn(PARAMS, method))
    return bad(RPC_CODE.method, `no method ${method.slice(0, 32)}`, requestId);
  const parsed = PARAMS[method as Method].safeParse(params);
  if (!parsed.success) return bad(RPC_CODE.params, firstIssue(parsed.error), requestId);
  return { ok: true, id: requestId, request: { method, params: parsed.data } as ParsedRequest };
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'does not follow the schema';
  const path = issue.path.map(String).join('.');
  return path === '' ? issue.message : `${path}: ${issue.message}`;
}

/** True when brackets outside strings nest deeper than `max`: asked before parsing, so that depth costs nothing. */
export function nestsDeeperThan(text: string, max: number): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charCodeAt(at);
    if (quoted) {
      if (char === 0x5c) at += 1;
      else if (char === 0x22) quoted = false;
    } else if (char === 0x22) quoted = true;
    else if (char === 0x5b || char === 0x7b) {
      depth += 1;
      if (depth > max) return true;
    } else if (char === 0x5d || char === 0x7d) depth -= 1;
  }
  return false;
}
