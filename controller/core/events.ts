import type { Lease } from '../../protocols/mqtt/desired.ts';
import type { AgentEnergy, IntervalEnergy } from '../../protocols/mqtt/energy.ts';
import type { Lock } from '../../protocols/mqtt/lockouts.ts';
import type { AgentVerbs } from '../../protocols/mqtt/verbs.ts';
import type { AgentEvent, Observed, Result, Status, Stored } from '../../protocols/mqtt/status.ts';
import type { AiJob, PriceInterval } from '../../protocols/prices/feed.ts';
import type { AgreeInput, MeterKind } from '../../protocols/console/protocol.ts';
import type { KeptMeter } from '../../protocols/metering/kept-meter.ts';
import type { CommissionNote, OperatorRequest } from '../../protocols/console/view.ts';
import type { FaultCode } from '../../protocols/faults.ts';
import type { Mode, Readings } from '../../protocols/reading.ts';

/** Both clocks at one moment: wall for records, monotonic for durations. */
export interface Now {
  readonly wallMs: number;
  readonly monoMs: number;
}

/** Prices that have a second source, and all that a person can stand up for. */
export type PriceInput = 'price' | 'hashprice';
export type FeedName = PriceInput | 'ai-demand' | 'price-witness' | 'hashprice-witness';

/** A person's word on what stands against a meter, as they saw it (`seen`). */
export interface MeterWord {
  readonly meter: string;
  readonly kind: MeterKind;
  readonly seen: string;
  readonly reason: string;
}

export interface LedgerReserve {
  readonly heldBytes: number;
  readonly wantedBytes: number;
  readonly short: boolean;
}

/** Everything the controller reacts to. The shell queues them; `step` takes them one by one. */
export type ControllerEvent =
  /**
   * `reserve`: what the ledger holds on its disk for lines to come; `short`: the disk has no room for all of it.
   * `unwrittenSinceMonoMs`: since when commands wait to be written down, when that is too long; they were said to nobody.
   */
  | { readonly kind: 'tick'; readonly reserve?: LedgerReserve; readonly unwrittenSinceMonoMs?: number }
  | {
      readonly kind: 'frame';
      readonly agent: string;
      readonly boot: number;
      readonly seq: number;
      readonly group: string;
      readonly tickMs: number;
      readonly rows: readonly { readonly id: string; readonly readings: Readings }[];
    }
  /** How far what an agent said in one of its starts is stored. */
  | { readonly kind: 'stored'; readonly agent: string; readonly stored: Stored }
  /** A frame of the agent could not be understood: one before it is missing. */
  | { readonly kind: 'missed'; readonly agent: string }
  | { readonly kind: 'status'; readonly status: Status }
  | { readonly kind: 'result'; readonly result: Result }
  | { readonly kind: 'observed'; readonly observed: Observed }
  | { readonly kind: 'agent-event'; readonly event: AgentEvent }
  | { readonly kind: 'energy'; readonly energy: AgentEnergy }
  /** What an agent's machines can be told, as it reaches them. */
  | { readonly kind: 'verbs'; readonly agent: string; readonly kinds: AgentVerbs['kinds'] }
  | { readonly kind: 'held-lockouts'; readonly agent: string; readonly locks: readonly Lock[] }
  | { readonly kind: 'bus'; readonly connected: boolean }
  | {
      readonly kind: 'price';
      readonly usdPerMwh: number;
      readonly startMs: number;
      readonly endMs: number;
      /** When it was published, and what it says of later; absent: it does not say. */
      readonly publishedAtMs?: number;
      readonly later?: readonly PriceInterval[];
    }
  /** A lease beat heard on the bus: this controller's own, or another's. */
  | { readonly kind: 'beat'; readonly beat: Lease }
  | { readonly kind: 'hashprice'; readonly usdPerPhDay: number; readonly atMs: number }
  /** The second source of a price. */
  | { readonly kind: 'witness'; readonly input: PriceInput; readonly value: number }
  /** A person agrees with a value that waits for a witness. */
  | { readonly kind: 'agree'; readonly input: AgreeInput; readonly value: number; readonly actor: string }
  | ({ readonly kind: 'meter-word'; readonly commandId: string; readonly actor: string } & Omit<
      MeterWord,
      'kind'
    > & { readonly of: MeterKind })
  | { readonly kind: 'ai-demand'; readonly jobs: readonly AiJob[] }
  | {
      readonly kind: 'feed-failed';
      readonly feed: FeedName;
      readonly code: FaultCode;
      readonly detail: string;
    }
  | {
      readonly kind: 'operator';
      readonly commandId: string;
      readonly actor: string;
      readonly request: OperatorRequest;
      readonly machines: readonly number[];
    }
  | { readonly kind: 'alarm-ack'; readonly alarmId: string; readonly actor: string };

/** One machine's change inside a command. */
export interface MachineChange {
  readonly machine: string;
  readonly from: Mode | null;
  readonly to: Mode;
  readonly owner: string;
  readonly rule: string;
  /** What it draws at work as learned, kW; absent: not learned. After a restart it is worth what it was before. */
  readonly workKw?: number;
}

/** A node as it was when a command below it was decided. */
export interface NodeBefore {
  readonly node: string;
  /** What it drew beyond the words of its machines. */
  readonly unexplainedKw: number;
  /** How many machines below it go on working or begin to, and what they are counted at. */
  readonly working: number;
  readonly workingKw: number;
  /** Of a node whose meter is asked for the proof, what that meter said. */
  readonly meterKw?: number;
  /** And what the machines below it that the command leaves alone drew by their own word. */
  readonly othersKw?: number;
  /** And what earlier commands of the same direction had still to show there. */
  readonly dueKw?: number;
}

/** A line of the ledger. `schema` numbers the shape; what happened stands in words that stay. */
export type LedgerRecord =
  | {
      readonly t: 'start';
      readonly schema: 1;
      readonly atMs: number;
      readonly site: string;
      readonly epoch: number;
    }
  | {
      readonly t: 'signal';
      readonly atMs: number;
      readonly signalId: string;
      readonly kind: string;
      readonly source: string;
      readonly value?: number;
      /** Of a price: whether it is the newest, the last good one or the declared one. */
      readonly quality?: string;
      readonly limitKw?: number;
      /** Of a limit: what of it is obeyed; absent: all. */
      readonly obeyedKw?: number;
      /** Of a limit: by whose right it is in force. Absent in lines of before it was written: contracted. */
      readonly limitKind?: 'contracted' | 'emergency';
      readonly deadlineMs?: number;
    }
  | {
      readonly t: 'command';
      readonly atMs: number;
      readonly commandId: string;
      readonly epoch: number;
      readonly generation: number;
      readonly signalId?: string;
      readonly rack: string;
      readonly expectedKw: number;
      /** What the meter above the rack can show of it: from the draw of that moment, not from the one wished before. */
      readonly shownKw?: number;
      readonly urgent: boolean;
      readonly text: string;
      readonly changes: readonly MachineChange[];
    }
  /** Stands before the first command of a change of the site's load beyond `control.noticeKw`. */
  | {
      readonly t: 'notice';
      readonly atMs: number;
      readonly noticeId: string;
      readonly fromKw: number;
      readonly toKw: number;
      /** By when it is to be over, UTC ms. */
      readonly byMs: number;
      readonly urgent: boolean;
      readonly owner: string;
      readonly signalId?: string;
      readonly text: string;
    }
  /** Stands before the command itself: from here its proof is counted, also by a controller that comes after. */
  | {
      readonly t: 'before';
      readonly atMs: number;
      readonly commandId: string;
      readonly nodes: readonly NodeBefore[];
    }
  | {
      readonly t: 'verified';
      readonly atMs: number;
      readonly commandId: string;
      readonly node: string;
      readonly expectedKw: number;
      readonly measuredKw: number;
      readonly ok: boolean;
    }
  | {
      readonly t: 'operator';
      readonly atMs: number;
      readonly commandId: string;
      readonly actor: string;
      readonly request: OperatorRequest;
      readonly machines: readonly string[];
    }
  /** What came of a person's order of other pools: who shows them, and who is named as not known to. */
  | {
      readonly t: 'pools';
      readonly atMs: number;
      readonly commandId: string;
      readonly stage: 'observed' | 'failed';
      readonly machines: readonly string[];
    }
  /** A person stood up for a value that waited for a witness. */
  | {
      readonly t: 'agree';
      readonly atMs: number;
      readonly actor: string;
      readonly input: AgreeInput;
      readonly value: number;
    }
  /** A person's word on what stands against a meter. */
  | ({
      readonly t: 'meter-word';
      readonly atMs: number;
      readonly commandId: string;
      readonly actor: string;
    } & MeterWord)
  /** What the controller itself has found of a meter, with what a person said to it; each time that it changes. */
  | { readonly t: 'meter'; readonly atMs: number; readonly meter: string; readonly kept: KeptMeter }
  /** A person proves at the meters that machines hang where the site file says. */
  | ({ readonly t: 'commission'; readonly atMs: number; readonly actor: string } & CommissionNote)
  /** What flowed through a revenue meter in an interval of the market, each revision once. */
  | {
      readonly t: 'energy';
      readonly atMs: number;
      readonly agent: string;
      readonly interval: IntervalEnergy;
    }
  /** A lockout found on an agent's disk that this ledger did not know. */
  | { readonly t: 'lockout'; readonly atMs: number; readonly agent: string; readonly lock: Lock }
  | {
      readonly t: 'alarm';
      readonly atMs: number;
      readonly code: FaultCode;
      readonly subject: string;
      readonly state: 'raised' | 'cleared';
      readonly text: string;
    };
