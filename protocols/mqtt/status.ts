import * as z from 'zod';
import { METER_KINDS } from '../console/protocol.ts';
import { FAULTS } from '../faults.ts';
import type { FaultCode } from '../faults.ts';
import { MODES } from '../reading.ts';
import { recordOf } from '../records.ts';
import { agentHead, counter, counters, id, nonce } from './head.ts';
import { runningSchema } from './energy.ts';

const figures = recordOf(64, (value): value is number => Number.isFinite(value), 'figures');
const faultCode = z.enum(Object.keys(FAULTS) as [FaultCode, ...FaultCode[]]);

/** `live`: beats come. `stale`: silent past T1, nothing is raised. `lost`: past T2, the fail-safe is in force. */
export const LEASE_PHASES = ['starting', 'live', 'stale', 'lost'] as const;
export type LeasePhase = (typeof LEASE_PHASES)[number];

/** One trip of a protection, and one return of its input: a permission to restart is for this one and no other. */
const tripSchema = z.strictObject({
  protection: id,
  /** When it tripped, UTC ms by the agent's clock. */
  sinceMs: z.number(),
  /** Since when its input is back; absent while it is tripped or cannot be read. */
  returnedMs: z.number().optional(),
});
export type Trip = z.infer<typeof tripSchema>;

/** What the plant's own inputs hold back below a node, at this moment. */
const inhibitionSchema = z.strictObject({
  node: id,
  /** `inhibit`: nothing is started; `shed`: what works is put to rest too. */
  effect: z.enum(['inhibit', 'shed']),
  why: z.enum(['PERMISSIVE_LOST', 'PERMISSIVE_UNKNOWN', 'PROTECTION_TRIPPED']),
  /** Which input, and how it is released. */
  text: z.string().max(300),
  /** True while a switch is open: who does not answer below it counts as off. */
  off: z.boolean(),
  /** Of a protection that has tripped. */
  trip: tripSchema.optional(),
});
export type Inhibition = z.infer<typeof inhibitionSchema>;

/** An agent's heartbeat, every second, with the nonce the next lease beat must echo. */
export const statusSchema = z.strictObject({
  ...agentHead,
  /** False only in the last will: the agent is gone. */
  online: z.boolean(),
  nonce,
  phase: z.enum(LEASE_PHASES),
  epoch: counter,
  /** Per rack, the generation in force. */
  racks: counters,
  /** Nodes where the agent's own guard sheds at this moment. */
  guarding: z.array(id),
  /** Absent where nothing is held back. */
  inhibitions: z.array(inhibitionSchema).max(10_000).optional(),
  /** Words on meters that were answered lately, by the id of their action: taken and on the disk, or refused and said so. */
  agreed: z.array(id).max(100).optional(),
  /** Outlets seen open: who is behind one and silent is off. Absent where none is. */
  openOutlets: z.array(id).max(5_000).optional(),
  /** Machines that take commands and do not obey: nothing is counted on them. Absent where there are none. */
  quarantined: z.array(id).max(100_000).optional(),
  /** Miners whose firmware, as it is reached, has no word for rest: nothing is counted on them either. Absent where there are none. */
  unable: z.array(id).max(100_000).optional(),
  /** The market's interval under way, of each revenue meter. Absent where there is none. */
  intervals: z.array(runningSchema).max(1_000).optional(),
  /** Frames, results and events kept until the controller has stored them. */
  spooled: counter,
  /** Of what was kept, since boot and in what it found: left out to save room, let go for lack of it, unreadable on the disk. */
  thinned: counter,
  dropped: counter,
  damaged: counter,
  /** Per stream, the oldest number of this boot still kept, or the next one: what is missing below never comes. */
  keptFrom: z.strictObject({ messages: counter, meters: counter, machines: counter }),
  /** The edge box itself: `host.cpu` %, `host.memoryUsed` B, `host.diskUsed` %, `host.temperature` °C …, as far as known. */
  host: figures.optional(),
});
export type Status = z.infer<typeof statusSchema>;

/** How far one machine's command has come, as the agent knows it. The meter's word is the controller's to find. */
export const resultSchema = z.strictObject({
  v: z.literal(1),
  site: id,
  agent: id,
  boot: counter,
  seq: counter,
  rack: id,
  results: z.array(
    z.strictObject({
      commandId: id,
      epoch: counter,
      generation: counter,
      machine: id,
      /** The driver's verb, or `none` when the machine was already there. */
      verb: z.string().max(32),
      stage: z.enum(['acknowledged', 'observed', 'failed', 'refused']),
      /** The mode read back, by a reading that began after the dispatch. */
      mode: z.enum(MODES).optional(),
      powerW: z.number().optional(),
      ms: z.number(),
      why: faultCode.optional(),
      detail: z.string().max(300).optional(),
      atMs: z.number(),
    }),
  ),
});
export type Result = z.infer<typeof resultSchema>;
export type MachineResult = Result['results'][number];

/** What the utility's remote terminal says, every second and at once on change. */
export const observedSchema = z.strictObject({
  ...agentHead,
  utility: z.discriminatedUnion('ok', [
    z.strictObject({
      ok: z.literal(true),
      /** Absent: no limit is active. */
      limitKw: z.number().optional(),
      deadlineS: z.number(),
      sequence: counter,
      kind: z.enum(['none', 'contracted', 'emergency']),
      heartbeat: counter,
      /** ms since the heartbeat last changed, on the agent's monotonic clock. */
      heartbeatAgeMs: z.number(),
    }),
    z.strictObject({ ok: z.literal(false), why: faultCode, detail: z.string().max(300) }),
  ]),
});
export type Observed = z.infer<typeof observedSchema>;

/** Something an operator should know that happened at the agent. */
export const agentEventSchema = z.strictObject({
  ...agentHead,
  code: faultCode,
  subject: id,
  text: z.string().max(400),
  state: z.enum(['raised', 'cleared']),
});
export type AgentEvent = z.infer<typeof agentEventSchema>;

/** What the controller judges by itself from frames: an agent's word on it would make the alarm come and go. */
export const JUDGED_BY_CONTROLLER: readonly FaultCode[] = [
  'DEVICE_LOST',
  'RACK_LOST',
  'METER_LOST',
  'CAP_EXCEEDED',
];

/** A person's word on what stands against a meter: `seen` is what it said when they gave it. */
const agreeSchema = z.strictObject({
  kind: z.enum(METER_KINDS),
  seen: z.string().max(400),
  by: id,
  reason: z.string().min(1).max(400),
});
export type Agree = z.infer<typeof agreeSchema>;

/** A one-shot action: carried out once by id, never retried. `permit`: the restart after one trip of a protection, in place of a machine; `agree`: a word on a meter, in its place. Both are said again with the same id until they are taken. */
export const actionSchema = z.strictObject({
  v: z.literal(1),
  site: id,
  id,
  epoch: counter,
  machine: id,
  verb: z.enum(['reboot', 'locate', 'pools', 'permit', 'agree']),
  /** The name of a set of pools: what it holds, the agent reads in its own site file. */
  pools: id.optional(),
  /** Which trip is permitted: one that came later, or that was lost again since, is not. */
  trip: tripSchema.optional(),
  agree: agreeSchema.optional(),
  /** The controller's clock, as the lease beat carries it. */
  expiresAtMs: z.number(),
});
export type Action = z.infer<typeof actionSchema>;

const storedUpTo = z.int().min(-1);
/** Of one start of an agent, per stream: every number up to here is stored, or never comes; -1: none. */
export const storedSchema = z.strictObject({
  boot: counter,
  messages: storedUpTo,
  meters: storedUpTo,
  machines: storedUpTo,
});
export type Stored = z.infer<typeof storedSchema>;

/**
 * From the controller: what of the agent's present and earlier starts is stored; with `resend`, something of `boot`
 * was missed and the agent says everything it still keeps again. And what the utility's terminal shall show.
 */
export const ackSchema = z.strictObject({
  v: z.literal(1),
  site: id,
  agent: id,
  boot: counter,
  stored: z.array(storedSchema).max(64),
  resend: z.boolean(),
  utility: z
    .strictObject({
      powerKw: z.number(),
      status: z.enum(['normal', 'reducing', 'complied', 'cannot-comply']),
      echoSequence: counter,
    })
    .optional(),
});
export type Ack = z.infer<typeof ackSchema>;
