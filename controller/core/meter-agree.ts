/** A person's word on what stands against a meter: to its agent, or to the controller's own judgement of several agents' meters. */
import type { SiteMeter } from '../../config/site.ts';
import { METER_ALARMS } from '../../protocols/console/protocol.ts';
import { PARDON_MS, SEEN_CHARS } from '../../protocols/metering/kept-meter.ts';
import { pardonMeter } from '../../protocols/metering/pardon.ts';
import type { Action } from '../../protocols/mqtt/status.ts';
import { clearAlarm, raiseAlarm } from './alarms.ts';
import type { Effect } from './effects.ts';
import type { ControllerEvent, MeterWord, Now } from './events.ts';
import { sayFindings } from './metering.ts';
import { personOf } from './operator.ts';
import type { SiteState } from './state.ts';

const WORD_MS = 60_000;
/** One that its agent has not answered is said again after this, ms. */
const AGAIN_MS = 2_000;

/** Why a word on a meter cannot be taken; undefined: it can. `seen`: what the person saw stand against it. */
export function refusedWord(
  state: SiteState,
  { meter, kind, seen }: Pick<MeterWord, 'meter' | 'kind' | 'seen'>,
): string | undefined {
  if (!state.site.meters.some(({ id }) => id === meter)) return `there is no meter '${meter}'`;
  const text = state.alarms.get(`${METER_ALARMS[kind]}:${meter}`)?.text;
  if (text === undefined) return `no ${METER_ALARMS[kind]} stands against ${meter}`;
  return text.slice(0, SEEN_CHARS) === seen
    ? undefined
    : `${METER_ALARMS[kind]} of ${meter} now says: ${text}`;
}

/** Already durable: taken here where the controller judges itself, else on its way to the agent. */
export function takeMeterWord(
  state: SiteState,
  event: Extract<ControllerEvent, { kind: 'meter-word' }>,
  now: Now,
): Effect[] {
  const { meter: id, of: kind, seen, reason, actor, commandId } = event;
  const meter = state.site.meters.find((one) => one.id === id);
  if (meter === undefined || refusedWord(state, { ...event, kind }) !== undefined) return [];
  const by = personOf(actor);
  // The person has seen what changed, too.
  const seenChange = kind === 'setup' ? clearAlarm(state, now, 'METER_CHANGED', id) : [];
  const { reconciler } = state.metering;
  if (isOwnJudgement(state, meter, kind)) {
    pardonMeter(reconciler, meter.index, {
      by,
      reason,
      sinceMs: now.wallMs,
      untilMs: now.wallMs + PARDON_MS,
    });
    return sayFindings(state, [meter], now);
  }
  const action: Action = {
    v: 1,
    site: state.site.id,
    id: commandId,
    epoch: state.epoch,
    machine: id,
    verb: 'agree',
    agree: { kind, seen, by, reason: reason.slice(0, 400) },
    expiresAtMs: now.wallMs + WORD_MS,
  };
  state.metering.words.set(action.id, { agent: meter.agent, action, saidMonoMs: now.monoMs });
  return [...seenChange, { kind: 'action', agent: meter.agent, action }];
}

/** What an agent has told of is its own to judge. */
const isOwnJudgement = (state: SiteState, { id, index }: SiteMeter, kind: MeterWord['kind']): boolean =>
  state.metering.reconciler.found.has(index) &&
  kind !== 'setup' &&
  state.alarms.get(`${METER_ALARMS[kind]}:${id}`)?.toldBy === null;

/** An agent has these words on its disk, or has refused them and said so. */
export function noteAnswered(state: SiteState, answered: readonly string[] = []): void {
  for (const id of answered) state.metering.words.delete(id);
}

/** A word may be lost on the way: it is said again, with the same id, until its agent has answered it or it expires. */
export function repeatWords(state: SiteState, now: Now): Effect[] {
  return [...state.metering.words].flatMap(([id, word]): Effect[] => {
    const { agent, action } = word;
    if (now.wallMs >= action.expiresAtMs) {
      state.metering.words.delete(id);
      const text = `${agent} has not said that it has what was agreed on its disk: look at its alarms, and agree again`;
      return raiseAlarm(state, now, 'AGREE_REFUSED', action.machine, text);
    }
    if (now.monoMs - word.saidMonoMs < AGAIN_MS) return [];
    word.saidMonoMs = now.monoMs;
    return [{ kind: 'action', agent, action }];
  });
}
