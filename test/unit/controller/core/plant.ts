import { resolveSite } from '../../../../config/site.ts';
import { siteSchema } from '../../../../config/schema/site.ts';
import type { SiteConfigInput } from '../../../../config/schema/site.ts';
import type { Effect } from '../../../../controller/core/effects.ts';
import type { ControllerEvent, LedgerRecord } from '../../../../controller/core/events.ts';
import { lastEpoch, recover } from '../../../../controller/core/recover.ts';
import { emptyState } from '../../../../controller/core/state.ts';
import type { SiteState } from '../../../../controller/core/state.ts';
import { step } from '../../../../controller/core/step.ts';
import { drawW } from '../../../../controller/core/economics.ts';
import type { PublicEvent } from '../../../../protocols/events.ts';
import type { Desired } from '../../../../protocols/mqtt/desired.ts';
import { mergeLocks } from '../../../../protocols/mqtt/lockouts.ts';
import type { Lock, Lockouts } from '../../../../protocols/mqtt/lockouts.ts';
import type { Ack, Action, Inhibition, LeasePhase } from '../../../../protocols/mqtt/status.ts';
import type { Mode, Reading, Readings } from '../../../../protocols/reading.ts';
import { models, smallSite } from './small-site.ts';

/** How a plant departs from one whose machines switch at once, are all alike and read every second. */
export interface PlantPhysics {
  /** From full draw to rest, s; also what the models say of it. A start takes three times as long. 0: at once. */
  readonly rampS?: number;
  /** Units draw up to this share more or less than their model says. */
  readonly spread?: number;
  /** Each machine is read this often, s; not all in the same second. */
  readonly pollS?: number;
  /** ASICs say their mode and not their draw, as stock firmware does. */
  readonly silentFirmware?: boolean;
}

const NOTHING_SPOOLED = {
  spooled: 0,
  thinned: 0,
  dropped: 0,
  damaged: 0,
  keptFrom: { messages: 0, meters: 0, machines: 0 },
};

/**
 * The controller's step with a plant of perfect machines around it: whatever is published is obeyed after
 * three seconds, and meters add up. No clock: `run` moves it second by second.
 */
export class Plant {
  state: SiteState;
  readonly events: PublicEvent[] = [];
  readonly records: LedgerRecord[] = [];
  readonly desired: Desired[] = [];
  readonly acks: Ack[] = [];
  readonly actions: Action[] = [];
  /** What the agent has on its disk; undefined: it confirms nothing. */
  held: readonly Lock[] | undefined = [];
  /** The lockouts as last said, per rack. */
  readonly saidLocks = new Map<string, readonly Lock[]>();
  readonly mode: Mode[];
  /** Every change of mode of a machine, in order. */
  readonly moves: { readonly atMs: number; readonly machine: string; readonly mode: Mode }[] = [];
  /** Machines that answer nothing at all. */
  readonly silent = new Set<string>();
  /** Machines that say OK and stay as they are. */
  readonly stubborn = new Set<string>();
  /** Machines whose refusal has another reason than not obeying. */
  refusal: 'VERB_NOT_OBSERVED' | 'NET_REFUSED' = 'VERB_NOT_OBSERVED';
  /** Draw of something that is no machine, W per node. */
  readonly extraW = new Map<string, number>();
  /** By meter: why what it says of its power may be wrong. */
  readonly doubts = new Map<string, string>();
  /** What its meters see of it; undefined: they tell no volt-amperes. */
  powerFactor: number | undefined;
  /** What the agents' wall clock is off by, ms. */
  agentClockMs = 0;
  boot = 1;
  /** The highest epoch the agent has taken a beat of. */
  obeyedEpoch = 0;
  /** How it stands to its controller. */
  phase: LeasePhase = 'live';
  metersRead = true;
  /** The agent says its meters' readings of then again and again: nothing newer comes from them. */
  metersStoodMs: number | undefined;
  utilitySpeaks = true;
  agentSpeaks = true;
  /** False: what is published from now on reaches no agent. */
  delivers = true;
  /** Machines that report what is wanted and draw what they drew. */
  readonly liars = new Set<string>();
  /** What the agent says its inputs hold back. */
  inhibitions: readonly Inhibition[] = [];
  /** Outlets that the agent sees open. */
  openOutlets: readonly string[] = [];
  quarantined: readonly string[] = [];
  /** Miners without a word for rest, by their agent. */
  unable: readonly string[] = [];
  priceUsdPerMwh: number | undefined = 40;
  utility: { limitKw?: number; deadlineS: number; sequence: number; kind?: 'contracted' | 'emergency' } = {
    deadlineS: 60,
    sequence: 0,
  };
  nowMs = 0;
  #due: {
    atMs: number;
    machine: number;
    mode: Mode;
    epoch: number;
    generation: number;
    commandId: string;
  }[] = [];
  readonly #physics: Required<PlantPhysics>;
  readonly #drawnW: number[];
  /** What each machine says of itself: of a liar, what it was told. */
  readonly #says: Mode[];
  #messages = 0;

  constructor(input: SiteConfigInput = smallSite, physics: PlantPhysics = {}) {
    this.#physics = { rampS: 0, spread: 0, pollS: 1, silentFirmware: false, ...physics };
    const { rampS } = this.#physics;
    const paced =
      rampS === 0 ? models : models.map((model) => ({ ...model, sleepS: rampS, wakeS: 3 * rampS }));
    const site = resolveSite(siteSchema.parse(input), new Map(paced.map((model) => [model.id, model])));
    this.state = emptyState(site, 1, 0);
    this.mode = site.machines.map((machine) => (machine.model.kind === 'asic' ? 'mine' : 'idle'));
    this.#says = [...this.mode];
    this.#drawnW = site.machines.map((machine) => this.#settledW(machine.index));
    this.#start();
  }

  #start(): void {
    const { site, epoch } = this.state;
    this.records.push({ t: 'start', schema: 1, atMs: 1_000_000 + this.nowMs, site: site.id, epoch });
    this.take({ kind: 'bus', connected: true });
  }

  /** The controller dies and is there again after some seconds, with nothing but its ledger; the site goes on. */
  restart(downS: number): this {
    for (let s = 0; s < downS; s++) {
      this.nowMs += 1_000;
      this.#obey();
    }
    this.delivers = true;
    this.state = emptyState(this.state.site, lastEpoch(this.records) + 1, this.nowMs);
    recover(this.state, this.records, 1_000_000 + this.nowMs);
    this.#start();
    return this;
  }

  take(event: ControllerEvent): void {
    this.#carryOut(step(this.state, event, { wallMs: 1_000_000 + this.nowMs, monoMs: this.nowMs }));
  }

  /** Seconds go by: agents report, meters read, the controller ticks. */
  run(seconds: number): this {
    for (let s = 0; s < seconds; s++) {
      this.nowMs += 1_000;
      this.#obey();
      this.#report();
      this.take({ kind: 'tick' });
    }
    return this;
  }

  truthW(machine: number): number {
    return this.#physics.rampS === 0 ? this.#settledW(machine) : (this.#drawnW[machine] ?? 0);
  }

  /** What a machine comes to in its mode, W. Units differ in an order of their own. */
  #settledW(machine: number): number {
    const model = this.state.site.machines[machine]?.model;
    const mode = this.mode[machine] ?? 'off';
    const { spread } = this.#physics;
    if (model?.kind !== 'asic' || mode !== 'mine') return drawW(this.state, machine, mode);
    const unit = 1 + spread * ((((machine * 7 + 3) % 11) - 5) / 5);
    return spread === 0 ? drawW(this.state, machine, mode) : (model.rungs.at(-1)?.powerW ?? 0) * unit;
  }

  #ramp(): void {
    const { rampS } = this.#physics;
    if (rampS === 0) return;
    for (const machine of this.state.site.machines) {
      const { index, model } = machine;
      const fromW = this.#drawnW[index] ?? 0;
      const leftW = this.#settledW(index) - fromW;
      const mostW = model.ratedW / (leftW < 0 ? rampS : 3 * rampS);
      this.#drawnW[index] = fromW + Math.sign(leftW) * Math.min(Math.abs(leftW), mostW);
    }
  }

  nodeW(id: string): number {
    const node = this.state.site.nodes.find((one) => one.id === id)?.index ?? -1;
    const extraW = this.state.site.nodes.reduce(
      (sum, each) => sum + (each.path.includes(node) ? (this.extraW.get(each.id) ?? 0) : 0),
      0,
    );
    return this.state.site.machines.reduce(
      (sum, machine) =>
        sum +
        ((this.state.site.nodes[machine.nodeIndex]?.path ?? []).includes(node)
          ? this.truthW(machine.index)
          : 0),
      extraW,
    );
  }

  count(mode: Mode, rack?: string): number {
    return this.state.site.machines.filter(
      (machine) => this.mode[machine.index] === mode && (rack === undefined || machine.rack === rack),
    ).length;
  }

  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'report') this.events.push(effect.event);
      if (effect.kind === 'ledger') {
        this.records.push(...effect.records);
        this.#carryOut(effect.after);
      }
      if (effect.kind === 'lease') this.obeyedEpoch = Math.max(this.obeyedEpoch, effect.lease.epoch);
      if (effect.kind === 'ack') this.acks.push(effect.ack);
      if (effect.kind === 'action') this.actions.push(effect.action);
      if (effect.kind === 'lockouts') this.#takeLocks(effect.lockouts);
      if (effect.kind !== 'desired') continue;
      this.desired.push(effect.desired);
      if (!this.delivers) continue;
      for (const [id, wanted] of Object.entries(effect.desired.machines)) {
        const machine = this.state.site.machines.find((one) => one.id === id)?.index ?? -1;
        const { epoch, generation, commandId } = effect.desired;
        // The newest word counts: what was not begun for an older one is not begun any more.
        this.#due = this.#due.filter((due) => due.machine !== machine || due.mode === wanted.mode);
        if (this.mode[machine] !== wanted.mode)
          this.#due.push({
            atMs: this.nowMs + 3_000,
            machine,
            mode: wanted.mode,
            epoch,
            generation,
            commandId,
          });
      }
    }
  }

  #takeLocks({ rack, locks }: Lockouts): void {
    this.saidLocks.set(rack, locks);
    if (this.held !== undefined) this.held = mergeLocks(this.held, locks);
  }

  #obey(): void {
    this.#ramp();
    while ((this.#due[0]?.atMs ?? Infinity) <= this.nowMs) {
      const due = this.#due.shift();
      if (due === undefined) break;
      const machine = this.state.site.machines[due.machine];
      if (machine === undefined || this.silent.has(machine.id)) continue;
      const { epoch, generation, commandId } = due;
      const stubborn = this.stubborn.has(machine.id);
      if (!stubborn) this.#says[due.machine] = due.mode;
      if (!stubborn && !this.liars.has(machine.id) && this.mode[due.machine] !== due.mode) {
        this.mode[due.machine] = due.mode;
        this.moves.push({ atMs: this.nowMs, machine: machine.id, mode: due.mode });
      }
      const one = {
        commandId,
        epoch,
        generation,
        machine: machine.id,
        verb: due.mode,
        ms: 10,
        atMs: 1_000_000 + this.nowMs,
      };
      const results = stubborn
        ? [{ ...one, stage: 'failed' as const, why: this.refusal }]
        : [
            { ...one, stage: 'acknowledged' as const },
            { ...one, stage: 'observed' as const, mode: due.mode },
          ];
      const head = { v: 1, site: 'small', agent: 'a1', boot: this.boot, seq: this.#messages++ } as const;
      this.take({ kind: 'result', result: { ...head, rack: machine.rack, results } });
    }
  }

  #meterRows(atMs: number): { id: string; readings: Readings }[] {
    const good = (value: number, unit: 'W' | 'VA') =>
      ({ ok: true, value, unit, quality: 'good', atMs }) as const;
    return this.state.site.meters.map((meter) => {
      const powerW = this.nodeW(meter.node);
      const why = this.doubts.get(meter.id);
      const doubt = why === undefined ? undefined : ({ quality: 'uncertain', why } as const);
      const power = { 'power.active.total': { ...good(powerW, 'W'), ...doubt } };
      if (this.powerFactor === undefined) return { id: meter.id, readings: power };
      const apparent = good(powerW / this.powerFactor, 'VA');
      return { id: meter.id, readings: { ...power, 'power.apparent.total': apparent } };
    });
  }

  #report(): void {
    if (!this.agentSpeaks) return;
    const atMs = 1_000_000 + this.nowMs + this.agentClockMs;
    this.take({
      kind: 'status',
      status: {
        v: 1,
        site: 'small',
        agent: 'a1',
        boot: this.boot,
        seq: this.nowMs,
        atMs,
        online: true,
        nonce: `n${this.nowMs}`,
        phase: this.phase,
        epoch: this.obeyedEpoch,
        racks: {},
        guarding: [],
        inhibitions: [...this.inhibitions],
        openOutlets: [...this.openOutlets],
        quarantined: [...this.quarantined],
        unable: [...this.unable],
        ...NOTHING_SPOOLED,
      },
    });
    if (this.held !== undefined) this.take({ kind: 'held-lockouts', agent: 'a1', locks: this.held });
    const say = (value: number | string, unit: 'W' | 'text') =>
      ({ ok: true, value, unit, quality: 'good', atMs }) as const;
    for (const rack of this.state.site.racks) {
      const rows = rack.machines.flatMap((index) => {
        const id = this.state.site.machines[index]?.id ?? '';
        if (this.silent.has(id) || (this.nowMs / 1_000 + index) % this.#physics.pollS !== 0) return [];
        const readings: Readings = {
          mode: say(this.#modeSaid(index), 'text'),
          ...this.#powerSaid(index, say),
        };
        return [{ id, readings }];
      });
      this.take({
        kind: 'frame',
        agent: 'a1',
        boot: this.boot,
        seq: this.nowMs,
        group: rack.id,
        tickMs: atMs,
        rows,
      });
    }
    const rows = this.metersRead ? this.#meterRows(this.metersStoodMs ?? atMs) : [];
    this.take({
      kind: 'frame',
      agent: 'a1',
      boot: this.boot,
      seq: this.nowMs,
      group: 'meters',
      tickMs: atMs,
      rows,
    });
    if (this.priceUsdPerMwh !== undefined)
      this.take({
        kind: 'price',
        usdPerMwh: this.priceUsdPerMwh,
        startMs: 0,
        endMs: 1_000_000 + this.nowMs + 600_000,
      });
    if (this.utilitySpeaks) this.#reportUtility(atMs);
  }

  /** Set by hand in a test, a mode is said as it is. */
  #modeSaid(machine: number): Mode {
    const id = this.state.site.machines[machine]?.id ?? '';
    return (this.liars.has(id) ? this.#says[machine] : this.mode[machine]) ?? 'off';
  }

  #powerSaid(machine: number, say: (value: number, unit: 'W') => Reading): Readings {
    const { model, id } = this.state.site.machines[machine] ?? {};
    if (this.#physics.silentFirmware && model?.kind === 'asic') return {};
    const lies = this.liars.has(id ?? '');
    return {
      power: say(lies ? drawW(this.state, machine, this.#modeSaid(machine)) : this.truthW(machine), 'W'),
    };
  }

  #reportUtility(atMs: number): void {
    const { limitKw, deadlineS, sequence, kind = 'contracted' } = this.utility;
    this.take({
      kind: 'observed',
      observed: {
        v: 1,
        site: 'small',
        agent: 'a1',
        boot: this.boot,
        seq: this.nowMs,
        atMs,
        utility: {
          ok: true,
          ...(limitKw === undefined ? {} : { limitKw }),
          deadlineS,
          sequence,
          kind: limitKw === undefined ? 'none' : kind,
          heartbeat: 1,
          heartbeatAgeMs: 100,
        },
      },
    });
  }
}
