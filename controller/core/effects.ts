import type { PublicEvent } from '../../protocols/events.ts';
import type { Desired, Lease } from '../../protocols/mqtt/desired.ts';
import type { Lockouts } from '../../protocols/mqtt/lockouts.ts';
import type { Ack, Action } from '../../protocols/mqtt/status.ts';
import type { LedgerRecord } from './events.ts';

/** Everything the controller does. `step` returns them; the shell has one executor for each. */
export type Effect =
  /** Writes ledger lines; `after` is carried out only once they are durable. */
  | { readonly kind: 'ledger'; readonly records: readonly LedgerRecord[]; readonly after: readonly Effect[] }
  | { readonly kind: 'desired'; readonly desired: Desired }
  | { readonly kind: 'lockouts'; readonly lockouts: Lockouts }
  | { readonly kind: 'lease'; readonly lease: Lease }
  | { readonly kind: 'ack'; readonly ack: Ack }
  | { readonly kind: 'action'; readonly agent: string; readonly action: Action }
  /** Another controller is in charge: this one says nothing more, and ends. */
  | { readonly kind: 'step-down'; readonly detail: string }
  | { readonly kind: 'report'; readonly event: PublicEvent };
