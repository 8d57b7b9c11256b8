import type { FaultCode } from './faults.ts';
import type { Mode } from './reading.ts';

/**
 * What happened, for whoever watches: the lines of `up --scenario --json` (design, section 8) and the
 * ordered event log of the proof harness. Ids join them. Times are added by the one who prints.
 */
export type PublicEvent =
  | { readonly event: 'signal'; readonly signalId: string; readonly kind: string; readonly source: string; readonly value?: number; readonly limitKw?: number; readonly deadlineMs?: number; readonly quality?: string }
  | { readonly event: 'plan'; readonly signalId?: string; readonly targetKw: number; readonly owner: string; readonly reason: string }
  | { readonly event: 'notice'; readonly noticeId: string; readonly signalId?: string; readonly fromKw: number; readonly toKw: number; readonly byMs: number; readonly owner: string; readonly text: string }
  | { readonly event: 'desired'; readonly commandId: string; readonly signalId?: string; readonly rack: string; readonly epoch: number; readonly generation: number; readonly machines: Readonly<Record<string, Mode>>; readonly because: string }
  | { readonly event: 'acknowledged'; readonly commandId: string; readonly machine: string; readonly verb: string; readonly ms: number }
  | { readonly event: 'observed'; readonly commandId: string; readonly machine: string; readonly mode: Mode; readonly powerW?: number }
  | { readonly event: 'verified'; readonly commandId: string; readonly signalId?: string; readonly node: string; readonly expectedKw: number; readonly measuredKw: number }
  | { readonly event: 'restored'; readonly signalId: string; readonly node: string; readonly powerW: number }
  | { readonly event: 'alarm'; readonly code: FaultCode; readonly subject: string; readonly text: string; readonly next: string; readonly state: 'raised' | 'cleared'; readonly commandId?: string }
  | { readonly event: 'meter'; readonly node: string; readonly meter: string; readonly powerW: number; readonly quality: string }
  | { readonly event: 'lease'; readonly agent: string; readonly phase: string; readonly epoch: number; readonly generation: number };
