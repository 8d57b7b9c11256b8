import { ACTIONS, AGREE_INPUTS, isHold, METER_KINDS } from '../../protocols/console/protocol.ts';
import type { AgreeInput, MeterKind } from '../../protocols/console/protocol.ts';
import type { OperatorRequest } from '../../protocols/console/view.ts';

const DEFAULT_MINUTES = 60;

/** What a typed line asks for. */
export type Asked =
  | {
      readonly kind: 'order';
      readonly action: OperatorRequest['action'];
      readonly scope: string;
      readonly minutes: number | undefined;
      readonly pools?: string;
      readonly reason: string;
    }
  | { readonly kind: 'why'; readonly machine: string }
  | { readonly kind: 'ack'; readonly alarm: string }
  | { readonly kind: 'agree'; readonly input: AgreeInput }
  | { readonly kind: 'agree-meter'; readonly meter: string; readonly of: MeterKind; readonly reason: string }
  | { readonly kind: 'status' | 'alarms' | 'code' | 'help' | 'quit' | 'nothing' }
  | { readonly kind: 'wrong'; readonly why: string };

export const HELP = [
  'sleep|mine|ai|idle SCOPE [MINUTES] [REASON]   a manual hold, 60 minutes unless said',
  'release SCOPE [REASON]                        ends holds; SCOPE: machine, rack or node; several with commas',
  'manual|automatic SCOPE [REASON]               out of automation’s hands as it is, and back',
  'lockout|unlock SCOPE [REASON]                 hands in the rack: nothing moves',
  'pools SCOPE NAME [REASON]                     mine at the pools that the site file names so',
  'permit SCOPE [REASON]                         restart after a breaker or relay has tripped',
  'agree price|hashprice|limit                   a witness by name for what waits for one',
  'agree METER setup|wiring|ratio|drift [REASON] its new setup is right, or what was found of it is wrong (for 7 days)',
  'why MACHINE    alarms    ack ALARM    status    code (one more console)    quit',
] as const;

/** Parses a line, with or without its colon. */
export function parseLine(text: string): Asked {
  const words = text
    .trim()
    .replace(/^:/, '')
    .split(/\s+/)
    .filter((word) => word !== '');
  const [verb, first, ...rest] = words;
  if (verb === undefined) return { kind: 'nothing' };
  if (verb === 'q' || verb === 'quit' || verb === 'exit') return { kind: 'quit' };
  if (verb === 'help' || verb === '?') return { kind: 'help' };
  if (verb === 'status' || verb === 'alarms' || verb === 'code') return { kind: verb };
  if (verb === 'why')
    return first === undefined ? { kind: 'wrong', why: 'why MACHINE' } : { kind: 'why', machine: first };
  if (verb === 'ack')
    return first === undefined
      ? { kind: 'wrong', why: 'ack ALARM' }
      : { kind: 'ack', alarm: [first, ...rest].join(' ') };
  if (verb === 'agree') {
    const input = AGREE_INPUTS.find((candidate) => candidate === first);
    if (input !== undefined && rest.length === 0) return { kind: 'agree', input };
    const of = METER_KINDS.find((candidate) => candidate === rest[0]);
    return first === undefined || of === undefined
      ? {
          kind: 'wrong',
          why: `agree ${AGREE_INPUTS.join('|')}, or agree METER ${METER_KINDS.join('|')} REASON`,
        }
      : { kind: 'agree-meter', meter: first, of, reason: rest.slice(1).join(' ') };
  }
  const action = ACTIONS.find((candidate) => candidate === verb);
  if (action === undefined) return { kind: 'wrong', why: `there is no command ${verb}: see help` };
  if (first === undefined)
    return { kind: 'wrong', why: action === 'pools' ? 'pools SCOPE NAME' : `${action} SCOPE` };
  if (action === 'pools') {
    const [pools, ...reason] = rest;
    if (pools === undefined) return { kind: 'wrong', why: 'pools SCOPE NAME' };
    return { kind: 'order', action, scope: first, minutes: undefined, pools, reason: reason.join(' ') };
  }
  const endless = !isHold(action);
  const [maybeMinutes] = rest;
  const given =
    maybeMinutes !== undefined && /^\d+(\.\d+)?$/.test(maybeMinutes) ? Number(maybeMinutes) : undefined;
  if (endless && given !== undefined)
    return { kind: 'wrong', why: `${action} has no end to give: leave the minutes out` };
  const reason = (given === undefined ? rest : rest.slice(1)).join(' ');
  return {
    kind: 'order',
    action,
    scope: first,
    minutes: endless ? undefined : (given ?? DEFAULT_MINUTES),
    reason,
  };
}
