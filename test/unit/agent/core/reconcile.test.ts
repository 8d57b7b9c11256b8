import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { settleMs } from '../../../../agent/core/draw.ts';
import { attemptOf, reconcile, RETRY_MS } from '../../../../agent/core/reconcile.ts';
import type { Attempt, Decision, Goal, ReconcileInput } from '../../../../agent/core/reconcile.ts';
import { LEASE_PHASES } from '../../../../protocols/mqtt/status.ts';
import { MODES } from '../../../../protocols/reading.ts';
import type { Mode } from '../../../../protocols/reading.ts';
import { asic, gpuHost } from './toys.ts';

/** What a machine is held back by. */
const TRIPPED = { why: 'PROTECTION_TRIPPED', text: 'breaker of r1 has tripped' } as const;

const goal = (mode: Mode, changes: Partial<Goal> = {}): Goal => ({
  mode,
  commandId: 'c2',
  epoch: 1,
  generation: 2,
  owner: 'desired',
  urgent: false,
  armed: true,
  expired: false,
  ...changes,
});
const input = (changes: Partial<ReconcileInput> = {}): ReconcileInput => ({
  model: asic(),
  goal: goal('sleep'),
  sight: { mode: 'mine', powerLimitW: undefined, beganMs: 100_000, reachable: true },
  attempt: undefined,
  toldBefore: undefined,
  inFlight: false,
  authority: 'automatic',
  lockout: undefined,
  inhibition: undefined,
  phase: 'live',
  nowMs: 100_100,
  pollMs: 2_000,
  canLimit: true,
  patienceMs: undefined,
  limitDwellMs: 0,
  leastLimitW: undefined,
  ...changes,
});
const attempt = (changes: Partial<Attempt> = {}): Attempt => ({
  commandId: 'c2',
  mode: 'sleep',
  powerW: undefined,
  verb: 'sleep',
  tries: 1,
  dispatchedMs: 90_000,
  stage: 'acknowledged',
  ...changes,
});
const sight = (mode: Mode | undefined, beganMs = 100_000, reachable = true): ReconcileInput['sight'] => ({
  mode,
  beganMs,
  reachable,
  powerLimitW: undefined,
});
const SETTLE_MS = settleMs(asic(), 'sleep', 2_000);

/** A decision in a word or two. */
function brief(decision: Decision): string {
  if (decision.kind === 'none') return decision.reason;
  if (decision.kind === 'observed') return `observed ${decision.verb}`;
  if (decision.kind !== 'dispatch') return `${decision.kind} ${decision.why}`;
  const { step } = decision;
  const what = step.kind === 'verb' ? [step.verb, step.argument].join(' ').trim() : `to ${step.to}`;
  return `${what}${step.raise ? ' raise' : ''}${step.tries > 1 ? ` try ${step.tries}` : ''}${decision.woke ? ' woke' : ''}`;
}

const cases: readonly [string, Partial<ReconcileInput>, string][] = [
  ['nothing is wanted', { goal: undefined }, 'no-goal'],
  ['a first command', {}, 'sleep'],
  ['a wake adds load', { goal: goal('mine'), sight: sight('sleep') }, 'wake raise'],
  ['there already', { sight: sight('sleep') }, 'observed none'],
  ['off is less than sleep', { sight: sight('off') }, 'observed none'],
  [
    'hands in the rack: no raise',
    { goal: goal('mine'), sight: sight('sleep'), lockout: 'anna' },
    'refused LOCKED_OUT',
  ],
  [
    'hands in the rack: no shed either',
    { goal: goal('sleep', { owner: 'guard' }), lockout: 'anna' },
    'refused LOCKED_OUT',
  ],
  [
    'the rest a lockout owes',
    { goal: goal('sleep', { owner: 'lockout' }), lockout: 'anna', phase: 'lost' },
    'sleep',
  ],
  [
    'a tripped breaker: no raise',
    { goal: goal('mine'), sight: sight('sleep'), inhibition: TRIPPED },
    'refused PROTECTION_TRIPPED',
  ],
  ['a tripped breaker: rest is given', { goal: goal('sleep'), inhibition: TRIPPED }, 'sleep'],
  ['one at a time', { inFlight: true }, 'busy'],
  ['no beat names it', { goal: goal('sleep', { armed: false }) }, 'lease'],
  ['expired', { goal: goal('sleep', { expired: true }) }, 'expired'],
  ['observe means observe', { authority: 'observe' }, 'refused AUTHORITY_REFUSED'],
  ['an ASIC runs no AI', { goal: goal('ai') }, 'refused VERB_UNSUPPORTED'],
  ['an ASIC has no idle', { goal: goal('idle') }, 'refused VERB_UNSUPPORTED'],
  ['stale: no wake', { phase: 'stale', goal: goal('mine'), sight: sight('sleep') }, 'lease'],
  ['stale: sheds go on', { phase: 'stale' }, 'sleep'],
  ['lost: only own protection', { phase: 'lost' }, 'lease'],
  ['the guard needs no lease', { phase: 'lost', goal: goal('sleep', { owner: 'guard' }) }, 'sleep'],
  [
    'the guard obeys authority',
    { authority: 'advise', goal: goal('sleep', { owner: 'guard' }) },
    'refused AUTHORITY_REFUSED',
  ],
  ['a silent machine', { sight: sight(undefined, 0, false) }, 'unseen'],
  ['unknown mode: rest is safe', { sight: sight(undefined) }, 'sleep'],
  [
    'unknown mode: told to rest before the agent started, and not told again',
    { sight: sight(undefined), toldBefore: 'sleep' },
    'unseen',
  ],
  ['unknown mode: told something else before', { sight: sight(undefined), toldBefore: 'mine' }, 'sleep'],
  [
    'unknown mode: what protects does not wait to see',
    { goal: goal('sleep', { owner: 'guard' }), sight: sight(undefined), toldBefore: 'sleep' },
    'sleep',
  ],
  ['told to rest before, and seen at work', { toldBefore: 'sleep' }, 'sleep'],
  [
    'unknown mode: a hand-over looks by itself at what is missing',
    { model: gpuHost(), goal: goal('idle'), sight: sight(undefined), toldBefore: 'idle' },
    'to idle',
  ],
  ['unknown mode: no start', { goal: goal('mine'), sight: sight(undefined) }, 'unseen'],
  ['still on its way', { attempt: attempt({ dispatchedMs: 99_000 }) }, 'settling'],
  [
    'a reading from before proves nothing',
    { attempt: attempt({ dispatchedMs: 100_050 }), sight: sight('sleep') },
    'settling',
  ],
  ['a reading from after does', { attempt: attempt(), sight: sight('sleep') }, 'observed sleep'],
  [
    'a later document finds it done',
    { attempt: attempt({ stage: 'observed', commandId: 'c1' }), sight: sight('sleep') },
    'observed none',
  ],
  ['not shown in time: once more', { attempt: attempt({ dispatchedMs: 99_000 - SETTLE_MS }) }, 'sleep try 2'],
  [
    'no reading since: no blind repetition',
    { attempt: attempt({ dispatchedMs: 100_001 }), nowMs: 200_000 },
    'unseen',
  ],
  [
    'twice in vain',
    { attempt: attempt({ dispatchedMs: 99_000 - SETTLE_MS, tries: 2 }) },
    'failed VERB_NOT_OBSERVED',
  ],
  [
    'answered late: its effect counts from then',
    { attempt: attempt({ dispatchedMs: 60_000, endedMs: 99_000 }) },
    'settling',
  ],
  [
    'answered late: what was read while it was asked says nothing',
    { attempt: attempt({ dispatchedMs: 10_000, endedMs: 50_000 }), sight: sight('mine', 49_000) },
    'unseen',
  ],
  ['given up: rest', { attempt: attempt({ stage: 'failed', dispatchedMs: 99_000 }) }, 'backing-off'],
  ['and begin anew', { attempt: attempt({ stage: 'failed', dispatchedMs: 99_000 - RETRY_MS }) }, 'sleep'],
  [
    'perhaps not heard: a rest is given again sooner',
    { attempt: attempt({ stage: 'failed', why: 'NET_TIMEOUT', dispatchedMs: 84_000 }) },
    'sleep',
  ],
  [
    'perhaps heard: a start that has begun is not begun anew',
    {
      goal: goal('mine'),
      sight: sight('sleep'),
      attempt: attempt({
        mode: 'mine',
        verb: 'wake',
        stage: 'failed',
        why: 'NET_TIMEOUT',
        dispatchedMs: 84_000,
      }),
    },
    'backing-off',
  ],
  [
    'no answer: looked at sooner',
    { attempt: attempt({ stage: 'ambiguous', dispatchedMs: 94_000 }) },
    'sleep try 2',
  ],
  ['woke by itself', { attempt: attempt({ stage: 'observed' }) }, 'sleep woke'],
  [
    'turned around under way',
    { goal: goal('mine'), attempt: attempt({ dispatchedMs: 99_000 }) },
    'wake raise',
  ],
  ['another power', { goal: goal('mine', { powerW: 2_500 }) }, 'power-limit 2500'],
  [
    'power is there',
    { goal: goal('mine', { powerW: 2_500 }), sight: { ...sight('mine'), powerLimitW: 2_490 } },
    'observed none',
  ],
  [
    'more power is a raise',
    { goal: goal('mine', { powerW: 3_000 }), sight: { ...sight('mine'), powerLimitW: 2_000 } },
    'power-limit 3000 raise',
  ],
  [
    'more power waits for the lease',
    {
      phase: 'stale',
      goal: goal('mine', { powerW: 3_000 }),
      sight: { ...sight('mine'), powerLimitW: 2_000 },
    },
    'lease',
  ],
  ['no way to limit', { canLimit: false, goal: goal('mine', { powerW: 2_500 }) }, 'observed none'],
  [
    'ignored twice, another verb brings the load down',
    { attempt: attempt({ tries: 2, dispatchedMs: 10_000 }), leastLimitW: 1_200 },
    'power-limit 1200 try 3',
  ],
  [
    'ignored twice, no other verb',
    { attempt: attempt({ tries: 2, dispatchedMs: 10_000 }) },
    'failed VERB_NOT_OBSERVED',
  ],
  [
    'no other verb for a start',
    {
      goal: goal('mine'),
      sight: sight('sleep', 990_000),
      attempt: attempt({ mode: 'mine', verb: 'wake', tries: 2, dispatchedMs: 10_000 }),
      leastLimitW: 1_200,
      nowMs: 999_000,
    },
    'failed VERB_NOT_OBSERVED',
  ],
  [
    'the other verb in vain too',
    { attempt: attempt({ verb: 'power-limit', tries: 3, dispatchedMs: 10_000 }), leastLimitW: 1_200 },
    'failed VERB_NOT_OBSERVED',
  ],
  [
    'as long as it was learned to take',
    { attempt: attempt({ dispatchedMs: 60_000 }), patienceMs: 60_000 },
    'settling',
  ],
  [
    'no longer than it was learned to take',
    { attempt: attempt({ dispatchedMs: 85_000 }), patienceMs: 10_000 },
    'sleep try 2',
  ],
  [
    'another limit for money waits',
    {
      goal: goal('mine', { powerW: 2_500, because: 'price' }),
      sight: { ...sight('mine'), powerLimitW: 3_000 },
      attempt: attempt({ mode: 'mine', verb: 'power-limit', powerW: 3_000, stage: 'observed' }),
      limitDwellMs: 60_000,
    },
    'settling',
  ],
  [
    'another limit for a cap does not',
    {
      goal: goal('mine', { powerW: 2_500, because: 'cap' }),
      sight: { ...sight('mine'), powerLimitW: 3_000 },
      attempt: attempt({ mode: 'mine', verb: 'power-limit', powerW: 3_000, stage: 'observed' }),
      limitDwellMs: 60_000,
    },
    'power-limit 2500',
  ],
  ['GPUs to AI', { model: gpuHost(), goal: goal('ai') }, 'to ai raise'],
  ['GPUs from AI to mining', { model: gpuHost(), goal: goal('mine'), sight: sight('ai') }, 'to mine'],
  ['GPU sleep is idle', { model: gpuHost(), sight: sight('idle') }, 'observed none'],
  ['GPUs to rest', { model: gpuHost(), sight: sight('ai') }, 'to idle'],
  ['GPU cap', { model: gpuHost(), goal: goal('ai', { powerW: 8_400 }), sight: sight('ai') }, 'cap 500'],
];

describe('one machine, one step', () => {
  test.each(cases)('%s', (_name, changes, expected) => {
    expect(brief(reconcile(input(changes)))).toBe(expected);
  });
});

const anyInput: fc.Arbitrary<ReconcileInput> = fc.record({
  model: fc.constantFrom(asic(), gpuHost()),
  goal: fc.record({
    mode: fc.constantFrom(...MODES),
    powerW: fc.option(fc.integer({ min: 500, max: 9_000 }), { nil: undefined }),
    commandId: fc.constantFrom('c1', 'c2'),
    epoch: fc.constant(1),
    generation: fc.nat(3),
    owner: fc.constantFrom<Goal['owner'][]>('desired', 'guard', 'fail-safe', 'protection', 'lockout'),
    urgent: fc.boolean(),
    armed: fc.boolean(),
    expired: fc.boolean(),
  }),
  sight: fc.record({
    mode: fc.option(fc.constantFrom(...MODES), { nil: undefined }),
    powerLimitW: fc.option(fc.integer({ min: 500, max: 9_000 }), { nil: undefined }),
    beganMs: fc.integer({ min: 0, max: 100_000 }),
    reachable: fc.boolean(),
  }),
  attempt: fc.option(
    fc.record({
      commandId: fc.constantFrom('c1', 'c2'),
      mode: fc.constantFrom(...MODES),
      powerW: fc.option(fc.integer({ min: 500, max: 9_000 }), { nil: undefined }),
      verb: fc.constantFrom('sleep', 'wake', 'none'),
      tries: fc.integer({ min: 0, max: 2 }),
      dispatchedMs: fc.integer({ min: 0, max: 100_000 }),
      stage: fc.constantFrom(
        'sent' as const,
        'acknowledged' as const,
        'ambiguous' as const,
        'observed' as const,
        'failed' as const,
      ),
    }),
    { nil: undefined },
  ),
  toldBefore: fc.option(fc.constantFrom(...MODES), { nil: undefined }),
  inFlight: fc.boolean(),
  lockout: fc.constantFrom(undefined, 'locked out by anna'),
  inhibition: fc.constantFrom(undefined, TRIPPED),
  authority: fc.constantFrom('observe' as const, 'advise' as const, 'automatic' as const),
  phase: fc.constantFrom(...LEASE_PHASES),
  nowMs: fc.constant(100_000),
  pollMs: fc.constant(2_000),
  canLimit: fc.boolean(),
  patienceMs: fc.option(fc.integer({ min: 1_000, max: 500_000 }), { nil: undefined }),
  limitDwellMs: fc.nat(600_000),
  leastLimitW: fc.option(fc.integer({ min: 500, max: 3_000 }), { nil: undefined }),
});

test('in every situation: no raise unless live, nothing without authority, lease and sight, never two at once', () => {
  fc.assert(
    fc.property(anyInput, (any) => {
      const decision = reconcile(any);
      if (decision.kind !== 'dispatch') return;
      const { goal } = decision.step;
      expect(any.authority).toBe('automatic');
      expect(any.lockout === undefined || goal.owner === 'lockout').toBe(true);
      expect(any.inFlight).toBe(false);
      expect(any.sight.reachable).toBe(true);
      if (goal.owner === 'desired') expect(goal.armed && !goal.expired && any.phase !== 'lost').toBe(true);
      if (any.phase !== 'live' || any.inhibition !== undefined) expect(decision.step.raise).toBe(false);
      // Waking and starting are raises, unless what runs already draws as much.
      if (
        decision.step.kind === 'verb' &&
        decision.step.verb === 'wake' &&
        any.sight.mode !== 'mine' &&
        any.sight.mode !== 'ai'
      )
        expect(decision.step.raise).toBe(true);
      expect(decision.step.tries).toBeLessThanOrEqual(2);
    }),
    { numRuns: 5_000 },
  );
});

test('observed means: a reading that began no earlier than the last command shows the mode', () => {
  fc.assert(
    fc.property(anyInput, (any) => {
      if (reconcile(any).kind !== 'observed') return;
      expect(any.sight.mode).toBeDefined();
      if (any.attempt !== undefined)
        expect(any.sight.beganMs).toBeGreaterThanOrEqual(any.attempt.dispatchedMs);
    }),
    { numRuns: 5_000 },
  );
});

test('the record of a step says what was asked and when', () => {
  const step = {
    kind: 'verb',
    verb: 'power-limit',
    argument: 2_500,
    goal: goal('mine', { powerW: 2_500 }),
    raise: false,
    tries: 2,
  } as const;
  expect(attemptOf(step, 5)).toMatchObject({
    mode: 'mine',
    powerW: 2_500,
    verb: 'power-limit',
    tries: 2,
    dispatchedMs: 5,
    stage: 'sent',
  });
});
