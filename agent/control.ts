import type { Site } from '../config/site.ts';
import type { Clock } from '../host/deps.ts';
import type { Fault } from '../protocols/faults.ts';
import type { MachineResult } from '../protocols/mqtt/status.ts';
import { makeActor } from './act.ts';
import type { Actor } from './act.ts';
import type { Alarms } from './alarms.ts';
import { isAtRest, settleMs } from './core/draw.ts';
import { rackPhase } from './core/lease.ts';
import type { LeaseState } from './core/lease.ts';
import type { RackOrders } from './core/desired.ts';
import { attemptOf, isUnheard, reconcile } from './core/reconcile.ts';
import type { Decision, Goal, ReconcileInput, Step } from './core/reconcile.ts';
import { goalOf } from './goal.ts';
import { pulse, PULSE_MS } from './handover-drive.ts';
import type { DriveOptions } from './handover-drive.ts';
import type { Keeper } from './kept.ts';
import { makeLimits } from './limits.ts';
import type { Limits } from './limits.ts';
import type { Obedience } from './obedience.ts';
import { leastLimitW } from './core/escalate.ts';
import { COMMAND_POLL_MS, isUnpowered, saidAtMs } from './machine.ts';
import type { Machine } from './machine.ts';
import type { Plant } from './plant.ts';
import type { StandIns } from './stand-in.ts';
import type { SettingsBook } from './settings-book.ts';

export interface ControlOptions {
  readonly site: Site;
  readonly agent: string;
  readonly boot: number;
  readonly plant: Plant;
  readonly standIns: StandIns;
  readonly clock: Clock;
  readonly lease: LeaseState;
  /** One per rack of the plant. */
  readonly orders: readonly RackOrders[];
  readonly alarms: Alarms;
  readonly settings: SettingsBook;
  readonly keeper: Keeper;
  readonly obedience: Obedience;
  readonly result: (rack: string, result: MachineResult) => void;
  readonly hurry: (machine: Machine, everyMs: number, untilMs: number) => void;
  readonly relax: (machine: Machine) => void;
}

/** Brings machines to where they shall be: the one place that commands them. */
export interface Control {
  /** Looks at one machine and queues what it needs. */
  look(machine: Machine): void;
  lookRack(rack: number): void;
  /** Every machine with something pending; called once a second. */
  sweep(): void;
  /** Starts what was queued. */
  pump(): void;
  /** One look at a GPU host's hand-over, after a reading. */
  pulse(machine: Machine): Promise<void>;
  /** For what starts without being commanded. */
  readonly limits: Limits;
  stop(): void;
}

class Pilot implements Control {
  readonly #options: ControlOptions;
  readonly #actor: Actor;
  readonly limits: Limits;
  readonly #drive: DriveOptions;
  /** What each machine's last command was begun for. */
  readonly #begun = new Map<Machine, Goal>();

  constructor(options: ControlOptions) {
    this.#options = options;
    const { control } = options.site.config;
    this.limits = makeLimits(options);
    this.#drive = this.#makeDrive();
    this.#actor = makeActor({
      clock: options.clock,
      settings: options.settings,
      rackCount: options.plant.racks.length,
      parallel: control.parallel,
      parallelUrgent: control.parallelUrgent,
      next: (machine) => this.#next(machine),
      began: (machine, step) => this.#began(machine, step),
      ended: (machine, step, fault) => this.#ended(machine, step, fault),
      handover: (machine, to) => {
        if (machine.gpu !== undefined) machine.gpu.target = to;
        return pulse(machine, this.#drive);
      },
    });
  }

  look(machine: Machine): void {
    const nowMs = this.#options.clock.monoMs();
    const goal = this.#goal(machine, nowMs);
    // Nobody wants anything of it (any more): a hand-over that is complete stays as people leave it.
    if (goal === undefined && machine.gpu !== undefined) machine.gpu.target = undefined;
    const decision = this.#decide(machine, goal, nowMs);
    machine.pending =
      decision.kind === 'dispatch' || (decision.kind === 'none' && decision.reason !== 'no-goal');
    this.#follow(machine, goal, decision, nowMs);
    if (decision.kind === 'dispatch') {
      const { goal, raise } = decision.step;
      if (this.limits.waits(machine, decision.step)) return;
      this.#actor.queue(machine, goal.owner !== 'desired' ? 'safety' : raise ? 'raise' : 'shed', goal.urgent);
    }
  }

  lookRack(rack: number): void {
    for (const machine of this.#options.plant.racks[rack]?.machines ?? []) this.look(machine);
    this.pump();
  }

  sweep(): void {
    for (const machine of this.#options.plant.machines)
      if (machine.pending && !machine.inFlight) this.look(machine);
    this.pump();
  }

  pump(): void {
    this.#actor.pump();
  }

  pulse(machine: Machine): Promise<void> {
    return machine.inFlight ? Promise.resolve() : pulse(machine, this.#drive);
  }

  stop(): void {
    this.#actor.stop();
    this.limits.stop();
  }

  #goal(machine: Machine, nowMs: number): Goal | undefined {
    return goalOf(machine, this.#options, nowMs);
  }

  #decide(machine: Machine, goal: Goal | undefined, nowMs: number): Decision {
    const { config } = machine;
    const limitVerb = config.model.kind === 'asic' ? 'power-limit' : 'cap';
    const limitFacts = machine.device.verbs[limitVerb]?.facts;
    return reconcile({
      model: config.model,
      goal,
      sight: {
        mode: machine.mode,
        powerLimitW: machine.powerLimitW,
        beganMs: machine.beganMs,
        // Off is seen too, at its outlet: it is at rest, and starts with it alone.
        reachable: machine.reachable || isUnpowered(machine),
      },
      attempt: machine.attempt,
      toldBefore: machine.toldBefore,
      inFlight: machine.inFlight,
      authority: config.authority,
      lockout: machine.lockout?.words,
      inhibition: machine.inhibition ?? withoutPower(machine),
      phase: rackPhase(this.#options.lease, config.rack, nowMs),
      nowMs,
      pollMs: COMMAND_POLL_MS,
      canLimit: machine.device.verbs[limitVerb] !== undefined,
      patienceMs:
        machine.attempt?.stage === 'acknowledged' ? this.#options.obedience.patienceMs(machine) : undefined,
      limitDwellMs: (limitFacts?.dwellS ?? 0) * 1_000,
      leastLimitW: leastLimitW(config.model, limitFacts, machine.powerW, machine.powerLimitW),
    });
  }

  /** What a decision changes and says, dispatch excepted. */
  #follow(machine: Machine, goal: Goal | undefined, decision: Decision, nowMs: number): void {
    if (goal === undefined) return;
    if (decision.kind === 'observed') this.#observed(machine, goal, decision.verb, nowMs);
    else if (decision.kind === 'failed') {
      if (machine.attempt !== undefined) {
        machine.attempt = { ...machine.attempt, stage: 'failed', dispatchedMs: nowMs, why: decision.why };
        if (!isUnheard(machine.config.model, machine.attempt))
          this.#options.obedience.ignored(machine, machine.attempt);
      }
      this.#say(machine, goal, 'failed', machine.attempt?.verb ?? 'none', {
        why: decision.why,
        detail: decision.detail,
      });
    } else if (decision.kind === 'refused' && (goal.armed || goal.owner !== 'desired')) {
      this.#say(machine, goal, 'refused', 'none', { why: decision.why, detail: decision.detail });
    } else if (decision.kind === 'none' && decision.reason === 'unseen') {
      // The goal stands: it is pursued as soon as the machine answers again.
      if (!machine.reachable && saidAtMs(machine, 'mode') !== undefined)
        this.#say(machine, goal, 'failed', 'none', {
          why: 'DEVICE_LOST',
          detail: 'the machine does not answer',
        });
    } else if (decision.kind === 'none' && decision.reason === 'expired') {
      this.#say(machine, goal, 'refused', 'none', {
        why: 'DESIRED_EXPIRED',
        detail: 'nothing new is started for it',
      });
    }
    if (machine.lockout?.owed === true && isOver(goal, decision, machine)) machine.lockout.owed = false;
  }

  #observed(machine: Machine, goal: Goal, verb: string, nowMs: number): void {
    const { attempt } = machine;
    const dispatchedMs = verb === 'none' || attempt === undefined ? machine.beganMs : attempt.dispatchedMs;
    const noted = attempt?.stage === 'observed' && attempt.verb === 'none' && attempt.mode === goal.mode;
    if (noted && attempt.commandId !== goal.commandId)
      machine.attempt = { ...attempt, commandId: goal.commandId };
    else if (attempt === undefined || (verb === 'none' && !noted))
      machine.attempt = {
        commandId: goal.commandId,
        mode: goal.mode,
        powerW: attempt?.powerW,
        verb: 'none',
        tries: 0,
        dispatchedMs,
        stage: 'observed',
      };
    else if (attempt.stage !== 'observed') {
      machine.attempt = { ...attempt, stage: 'observed' };
      this.#options.obedience.observed(machine, attempt);
    }
    if (attempt?.stage !== 'observed') this.#options.relax(machine);
    if (machine.selfWoken) {
      machine.selfWoken = false;
      this.#options.alarms.clear('SELF_WOKEN', machine.config.id, `is in ${goal.mode} again`);
    }
    if (goal.owner !== 'desired' && !goal.armed) return;
    const ms = verb === 'none' ? 0 : nowMs - dispatchedMs;
    this.#say(machine, goal, 'observed', verb, { ms });
  }

  /** Asked when the machine's turn has come. */
  #next(machine: Machine): Step | undefined {
    const nowMs = this.#options.clock.monoMs();
    const goal = this.#goal(machine, nowMs);
    const decision = this.#decide(machine, goal, nowMs);
    if (decision.kind !== 'dispatch') {
      this.#follow(machine, goal, decision, nowMs);
      return undefined;
    }
    if (decision.woke && !machine.selfWoken) {
      machine.selfWoken = true;
      this.#options.alarms.raise(
        'SELF_WOKEN',
        machine.config.id,
        `shows ${machine.mode ?? 'nothing'}, should be ${decision.step.goal.mode}`,
      );
    }
    const refusal = this.limits.consent(machine, decision.step, decision.woke);
    if (refusal === undefined) return decision.step;
    const { why, detail } = refusal;
    if (why !== undefined)
      this.#say(machine, decision.step.goal, 'refused', 'none', { why, ...(detail && { detail }) });
    return undefined;
  }

  #began(machine: Machine, step: Step): void {
    const nowMs = this.#options.clock.monoMs();
    const firstMs = step.tries > 1 ? machine.attempt?.firstMs : undefined;
    machine.attempt = { ...attemptOf(step, nowMs), firstMs };
    machine.toldBefore = undefined;
    if (!isAtRest(step.goal.mode)) machine.lastMode = undefined;
    this.#begun.set(machine, step.goal);
    machine.reported.delete('acknowledged');
    machine.reported.delete('observed');
    const untilMs = nowMs + settleMs(machine.config.model, step.goal.mode, COMMAND_POLL_MS);
    this.#options.hurry(machine, COMMAND_POLL_MS, untilMs);
  }

  #ended(machine: Machine, step: Step, fault: Fault | undefined): void {
    if (machine.attempt === undefined) return;
    const nowMs = this.#options.clock.monoMs();
    const attempt = { ...machine.attempt, endedMs: nowMs };
    machine.attempt = attempt;
    // One that answers late shows its effect late.
    const untilMs = nowMs + settleMs(machine.config.model, step.goal.mode, COMMAND_POLL_MS);
    this.#options.hurry(machine, COMMAND_POLL_MS, untilMs);
    if (fault === undefined) {
      // A hand-over says yes when its units do.
      if (step.kind === 'verb') this.#acknowledged(machine, step.goal);
      return;
    }
    if (fault.retry === 'never') {
      machine.attempt = {
        ...attempt,
        stage: 'failed',
        dispatchedMs: nowMs,
        why: fault.code,
      };
      this.#say(machine, step.goal, 'failed', attempt.verb, { why: fault.code, detail: fault.detail });
      // Told before and ignored, now it says no.
      if (step.tries > 1) this.#options.obedience.ignored(machine, attempt);
    } else machine.attempt = { ...attempt, stage: 'ambiguous', why: fault.code };
  }

  #acknowledged(machine: Machine, goal: Goal): void {
    const { attempt } = machine;
    if (attempt?.stage !== 'sent') return;
    machine.attempt = { ...attempt, stage: 'acknowledged', firstMs: attempt.firstMs ?? attempt.endedMs };
    this.#say(machine, goal, 'acknowledged', attempt.verb, {
      ms: this.#options.clock.monoMs() - attempt.dispatchedMs,
    });
  }

  /** Between two owners a host is seen idle, with proof: said apart from the end of the command. */
  #released(machine: Machine): void {
    const goal = this.#begun.get(machine);
    if (goal === undefined) return;
    this.#options.result(machine.config.rack, {
      commandId: goal.commandId,
      epoch: goal.epoch,
      generation: goal.generation,
      machine: machine.config.id,
      verb: 'release',
      stage: 'observed',
      mode: 'idle',
      ms: 0,
      atMs: this.#options.clock.wallMs(),
    });
  }

  #makeDrive(): DriveOptions {
    const { clock, lease, alarms, hurry } = this.#options;
    return {
      clock,
      phase: (machine) => rackPhase(lease, machine.config.rack, clock.monoMs()),
      // A hand-over on its way to work stops where it is while nothing may be started.
      mayAct: ({ config, lockout, inhibition, gpu }) =>
        config.authority === 'automatic' &&
        lockout?.owed !== false &&
        (inhibition === undefined || gpu?.target === 'idle'),
      acknowledged: (machine) => {
        // The word given is for what was begun, also when something newer is wanted by now.
        const goal = this.#begun.get(machine);
        if (goal !== undefined) this.#acknowledged(machine, goal);
      },
      released: (machine) => this.#released(machine),
      alarm: (machine, code, text) => {
        alarms.tell(code, machine.config.id, text);
        const goal = this.#goal(machine, clock.monoMs());
        const { attempt } = machine;
        if (
          goal === undefined ||
          attempt === undefined ||
          attempt.stage === 'observed' ||
          attempt.stage === 'failed'
        )
          return;
        machine.attempt = { ...attempt, stage: 'failed', dispatchedMs: clock.monoMs(), why: code };
        this.#say(machine, goal, 'failed', attempt.verb, { why: code, detail: text });
      },
      again: (machine) => hurry(machine, PULSE_MS, clock.monoMs() + 3 * PULSE_MS),
    };
  }

  /** A result, once per stage of a goal. */
  #say(
    machine: Machine,
    goal: Goal,
    stage: MachineResult['stage'],
    verb: string,
    more: Partial<MachineResult>,
  ): void {
    const key = `${goal.commandId} ${goal.epoch}.${goal.generation}`;
    if (machine.reportedFor !== key) {
      machine.reportedFor = key;
      machine.reported.clear();
    }
    const once = stage === 'refused' || stage === 'failed' ? `${stage} ${more.why ?? ''}` : stage;
    if (machine.reported.has(once)) return;
    machine.reported.add(once);
    const { detail, ...rest } = more;
    this.#options.result(machine.config.rack, {
      commandId: goal.commandId,
      epoch: goal.epoch,
      generation: goal.generation,
      machine: machine.config.id,
      verb,
      stage,
      ms: 0,
      ...(machine.mode === undefined ? {} : { mode: machine.mode }),
      ...(machine.powerW === undefined ? {} : { powerW: machine.powerW }),
      ...rest,
      ...(detail === undefined || detail === '' ? {} : { detail: detail.slice(0, 300) }),
      atMs: this.#options.clock.wallMs(),
    });
  }
}

const withoutPower = (machine: Machine): ReconcileInput['inhibition'] =>
  isUnpowered(machine) ? { why: 'OUTLET_OPEN', text: machine.outlet ?? '' } : undefined;

/** The one rest of a lockout: done, or given in vain. One that the machine may not have heard is still owed. */
const isOver = (goal: Goal, decision: Decision, { attempt, config }: Machine): boolean =>
  goal.owner === 'lockout' &&
  (decision.kind === 'observed' ||
    decision.kind === 'refused' ||
    (attempt?.stage === 'failed' &&
      attempt.commandId === goal.commandId &&
      !isUnheard(config.model, attempt)));

export const makeControl = (options: ControlOptions): Control => new Pilot(options);
