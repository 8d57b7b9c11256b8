import type { FaultCode } from '../faults.ts';
import type { AgreeInput, MeterKind, OperatorAction } from './protocol.ts';
import type { Mode } from '../reading.ts';

/**
 * What an operator sees. The controller builds it, the console server sends it (snapshot, then changed parts),
 * page and terminal show it. Every number may be unknown: absent or null, never zero.
 */
export interface ConsoleView {
  readonly site: SiteView;
  readonly nodes: readonly NodeView[];
  readonly machines: readonly MachineView[];
  readonly signals: readonly SignalView[];
  readonly commands: readonly CommandView[];
  readonly alarms: readonly AlarmView[];
  readonly agents: readonly AgentView[];
}

export interface SiteView {
  readonly id: string;
  readonly name: string;
  readonly atMs: number;
  readonly authority: string;
  /** True once every agent is live and the main meter reads. */
  readonly underControl: boolean;
  /** Grid import at the main meter, W, and how it is known. */
  readonly powerW: number | null;
  readonly powerFrom: 'meter' | 'sum' | 'unknown';
  readonly capKw: number;
  /** The lowest limit in force (utility, cap), kW. */
  readonly limitKw: number;
  readonly limitFrom: string;
  /** What the allocation in force adds up to, kW. */
  readonly planKw: number | null;
  readonly priceUsdPerMwh: number | null;
  readonly priceQuality: 'good' | 'held' | 'fallback' | 'none';
  readonly hashpriceUsdPerPhDay: number;
  readonly hashrateHs: number | null;
  readonly asicKw: number | null;
  readonly gpuKw: number | null;
  readonly solarKw: number | null;
  /** Earnings minus energy at this moment, USD per hour. */
  readonly usdPerHour: number | null;
  readonly reporting: number;
  readonly expected: number;
}

export interface NodeView {
  readonly id: string;
  readonly kind: string;
  readonly parent: string | null;
  readonly capKw: number;
  readonly powerW: number | null;
  readonly powerFrom: 'meter' | 'sum' | 'unknown';
  readonly reporting: number;
  readonly expected: number;
}

/** Where a machine is on the way to what is wanted of it. */
export type Stage = 'steady' | 'sent' | 'acknowledged' | 'observed' | 'failed' | 'unknown';

export interface MachineView {
  readonly id: string;
  readonly rack: string;
  readonly model: string;
  readonly kind: 'asic' | 'gpu-host';
  readonly mode: Mode | null;
  readonly wanted: Mode | null;
  readonly stage: Stage;
  readonly owner: string;
  readonly powerW: number | null;
  readonly ratedW: number;
  readonly hashrateHs: number | null;
  readonly temperatureC: number | null;
  /** Hash boards and chips that take part, of how many, in words; null: not told. */
  readonly boards: string | null;
  /** When the newest reading was taken, UTC ms; null: never. */
  readonly atMs: number | null;
}

/** What a meter said last, trusted or not. */
export interface MeterView {
  readonly id: string;
  readonly node: string;
  readonly role: 'node' | 'generation';
  /** Import positive, W; null: no value. */
  readonly powerW: number | null;
  /** When that was, UTC ms; null: never. */
  readonly atMs: number | null;
  /** Whether the controller decides with it; `why`: what stands against it, or against the value. */
  readonly trusted: boolean;
  readonly why: string | null;
  /** What a person has agreed of it, whose word that is and how long it holds; null: nothing. */
  readonly agreed: string | null;
}

/** That the topology is being proven at the meters, and what came of it; for the ledger. */
export interface CommissionNote {
  readonly phase: 'begun' | 'ended';
  readonly racks: readonly { readonly rack: string; readonly verdict: string; readonly text: string }[];
}

export interface SignalView {
  readonly id: string;
  /**
   * `manual`, `lockout`: machines a person has taken out of automation's hands; `source` is that person. `notice`: a
   * large change of the site's load that is under way; `source` is who wants it. `energy`: the market's interval under
   * way at a revenue meter, `source`.
   */
  readonly kind: 'price' | 'hashprice' | 'limit' | 'ai' | 'notice' | 'manual' | 'lockout' | 'energy';
  readonly source: string;
  readonly text: string;
  readonly quality: 'good' | 'held' | 'lost';
  readonly sinceMs: number;
  /** Of a limit: when it must be met, null once it is. Of others: until when it holds. */
  readonly untilMs: number | null;
  /** What a person can agree with, and why it waits; null: nothing waits for a witness. */
  readonly waits: { readonly value: number; readonly text: string } | null;
}

export interface CommandView {
  readonly id: string;
  readonly owner: string;
  readonly text: string;
  readonly atMs: number;
  readonly state: 'sent' | 'verifying' | 'verified' | 'observed' | 'failed' | 'superseded';
  readonly machines: number;
  readonly acknowledged: number;
  readonly observed: number;
  readonly failed: number;
  readonly expectedKw: number;
  readonly measuredKw: number | null;
}

export interface AlarmView {
  readonly id: string;
  readonly code: FaultCode;
  readonly subject: string;
  readonly text: string;
  readonly next: string;
  readonly priority: 'high' | 'medium' | 'low';
  readonly sinceMs: number;
  readonly acknowledgedBy: string | null;
}

export interface AgentView {
  readonly id: string;
  readonly phase: string;
  readonly atMs: number | null;
  readonly spooled: number;
  /** The box it runs on: `host.cpu` %, `host.diskUsed` % …; null: not said. */
  readonly host: Readonly<Record<string, number>> | null;
}

/** One moment of the site for the chart; oldest first, one per second to some hours back. */
export interface HistoryPoint {
  readonly atMs: number;
  readonly powerKw: number | null;
  readonly limitKw: number;
  readonly planKw: number | null;
  readonly priceUsdPerMwh: number | null;
}

/** Why a machine is in its state: owner, rule, inputs, until when. */
export interface WhyView {
  readonly machine: string;
  readonly mode: Mode | null;
  readonly wanted: Mode | null;
  readonly owner: string;
  readonly rule: string;
  readonly text: string;
  readonly untilMs: number | null;
  /** Inputs as label and value, e.g. breakeven and price. */
  readonly inputs: readonly { readonly label: string; readonly value: string }[];
  /** What would change it. */
  readonly release: string;
}

/**
 * What an operator asks for: a mode on a scope until a time, which `release` ends before it; or a scope taken out of
 * automation's hands (`manual`) until a person gives it back (`automatic`); or a lockout; or other pools, once.
 */
export interface OperatorRequest {
  /** Machine, rack or node ids. */
  readonly scope: readonly string[];
  readonly action: OperatorAction;
  /** A manual hold ends by itself. Required for the actions that are holds. */
  readonly minutes?: number;
  /** For `pools`: the name of the set in the site file. */
  readonly pools?: string;
  readonly reason: string;
}

export interface Preview {
  readonly previewId: string;
  /** Of the request and the state it was computed on: `execute` must name it. */
  readonly hash: string;
  readonly machines: readonly string[];
  readonly deltaKw: number;
  readonly usdPerHour: number;
  /** What stands against it, in words; empty when nothing. */
  readonly conflicts: readonly string[];
  readonly expiresAtMs: number;
}

/** What the console server asks of the controller. Rejections and throws are Faults. */
export interface OperatorPort {
  view(): ConsoleView;
  history(): readonly HistoryPoint[];
  /** Called after each change of the view, at most a few times a second; returns how to stop. */
  onChange(handler: () => void): () => void;
  why(machine: string): WhyView;
  preview(request: OperatorRequest, actor: string): Preview;
  /** Resolves once the command is durable in the ledger. The same key with the same preview gives the same id. */
  execute(
    input: { readonly previewId: string; readonly hash: string; readonly key: string },
    actor: string,
  ): Promise<{ readonly commandId: string }>;
  acknowledge(alarmId: string, actor: string): void;
  /** A person stands up for a value that waits for a witness. Resolves once that is durable. */
  agree(input: AgreeInput, value: number, actor: string): Promise<void>;
  /** A person's word on what stands against a meter, in the words they saw. Rejects with AGREE_REFUSED; resolves once it is durable. */
  agreeMeter(
    word: {
      readonly meter: string;
      readonly kind: MeterKind;
      readonly seen: string;
      readonly reason: string;
    },
    actor: string,
  ): Promise<{ readonly commandId: string }>;
  /** Every meter's newest value, as it came. */
  meters(): readonly MeterView[];
  /** Resolves once it is durable in the ledger. */
  commissioning(note: CommissionNote, actor: string): Promise<void>;
  /** For /health. */
  health(): {
    readonly status: 'starting' | 'ok' | 'degraded';
    readonly site: string;
    readonly controller: unknown;
    readonly agents: unknown;
    readonly broker: unknown;
  };
}
