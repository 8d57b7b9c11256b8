import type { Lease } from '../../protocols/mqtt/desired.ts';
import type { Status } from '../../protocols/mqtt/status.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import type { SiteState } from './state.ts';

/**
 * A beat that came over the bus; this controller's own come back too. One of a newer epoch means that another
 * controller was put in charge while this one was frozen or cut off: no agent takes anything from here any more. Before
 * it has decided anything a controller gives way to whoever is at work. Of two with the same epoch (two copies of one
 * ledger) the one that has beaten less gives way.
 */
export function takeForeignBeat(state: SiteState, beat: Lease): Effect[] {
  const { epoch, seq } = beat;
  const gives =
    epoch > state.epoch ||
    (isLive(state, beat) && (!state.deciding || (epoch === state.epoch && seq > state.leaseSeq)));
  if (!gives) return [];
  return [{ kind: 'step-down', detail: `epoch ${epoch} beats, this is ${state.epoch}` }];
}

/**
 * Whether the beat was made just now: it echoes the nonce this controller heard last from an agent. What is late on the
 * way, from before a restart for example, does not.
 */
const isLive = (state: SiteState, beat: Lease): boolean =>
  [...state.agents].some(
    ([id, { nonce }]) => nonce !== '' && Object.hasOwn(beat.nonces, id) && beat.nonces[id] === nonce,
  );

/**
 * An agent has obeyed an epoch that this ledger does not know: it was lost or is an older copy. Agents would refuse
 * whoever comes with a lower one, so the start is made above it. Once it decides, a controller never changes its epoch.
 */
export function passEpoch(state: SiteState, status: Status, now: Now): Effect[] {
  const epoch = status.epoch + 1;
  if (state.deciding || !status.online || epoch <= state.epoch || !Number.isSafeInteger(epoch)) return [];
  state.epoch = epoch;
  return [
    {
      kind: 'ledger',
      records: [{ t: 'start', schema: 1, atMs: now.wallMs, site: state.site.id, epoch }],
      after: [],
    },
  ];
}
