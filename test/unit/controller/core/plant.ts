import { resolveSite } from '../../../../config/site.ts';
import type { Model } from '../../../../config/schema/model.ts';
import { siteSchema } from '../../../../config/schema/site.ts';
import type { SiteConfigInput } from '../../../../config/schema/site.ts';
import type { Effect } from '../../../../controller/core/effects.ts';
import type { ControllerEvent, LedgerRecord } from '../../../../controller/core/events.ts';
import { emptyState } from '../../../../controller/core/state.ts';
import type { SiteState } from '../../../../controller/core/state.ts';
import { step } from '../../../../controller/core/step.ts';
import { drawW } from '../../../../controller/core/economics.ts';
import type { PublicEvent } from '../../../../protocols/events.ts';
import type { Desired } from '../../../../protocols/mqtt/desired.ts';
import type { Ack } from '../../../../protocols/mqtt/status.ts';
import type { Mode, Readings } from '../../../../protocols/reading.ts';

const common = { sleepW: 50, sleepS: 10, wakeS: 60, minOnS: 0, minOffS: 0, sources: ['made for tests'] };
const models: readonly Model[] = [
  // At 50 USD/PH/day: breakeven of `old` about 59, of `new` about 115 USD/MWh.
  {
    kind: 'asic',
    id: 'old',
    vendor: 'T',
    driver: 'antminer',
    ratedW: 3_500,
    rungs: [{ powerW: 3_450, hashrateThs: 96 }],
    ...common,
  },
  {
    kind: 'asic',
    id: 'new',
    vendor: 'T',
    driver: 'antminer',
    ratedW: 3_600,
    rungs: [{ powerW: 3_500, hashrateThs: 190 }],
    ...common,
  },
  {
    kind: 'gpu-host',
    id: 'gpu',
    vendor: 'T',
    driver: 'gpu-host',
    ratedW: 10_000,
    gpus: 8,
    idleW: 2_000,
    aiW: 9_800,
    mineW: 6_500,
    capMinW: 200,
    capMaxW: 700,
    memoryBaselineMib: 0,
    ...common,
    sleepW: 2_000,
  },
];

export const smallSite: SiteConfigInput = {
  schema: 1,
  site: 'small',
  authority: 'automatic',
  nodes: [
    { id: 'site', kind: 'site', capKw: 100 },
    { id: 'f1', kind: 'feeder', parent: 'site', capKw: 40 },
    { id: 'f2', kind: 'feeder', parent: 'site', capKw: 60 },
    { id: 'r1', kind: 'rack', parent: 'f1', capKw: 40 },
    { id: 'r2', kind: 'rack', parent: 'f2', capKw: 60 },
    { id: 'g1', kind: 'rack', parent: 'f2', capKw: 45 },
  ],
  meters: [
    { id: 'main', node: 'site', target: 'modbus://127.0.0.1:1502/1?profile=x' },
    { id: 'm1', node: 'f1', target: 'modbus://127.0.0.1:1502/2?profile=x' },
    { id: 'm2', node: 'f2', target: 'modbus://127.0.0.1:1502/3?profile=x' },
  ],
  machines: [
    { rack: 'r1', model: 'old', target: 'antminer://127.0.1.{n}', count: 10, periodMs: 5_000 },
    { rack: 'r2', model: 'new', target: 'antminer://127.0.2.{n}', count: 8, periodMs: 5_000 },
    { rack: 'g1', model: 'gpu', target: 'gpu://u@127.0.3.{n}', count: 4, periodMs: 5_000 },
  ],
  prices: {
    energy: { url: 'http://127.0.0.1/p', periodMs: 1_000, maxAgeS: 60, sharePct: 100 },
    hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 },
  },
  utility: { target: 'modbus://127.0.0.1:1503/1', minLimitKw: 10 },
  ai: { contracts: [{ id: 'acme', usdPerGpuHour: 2, penaltyUsdPerGpuHour: 4 }] },
};

/**
 * The controller's step with a plant of perfect machines around it: whatever is published is obeyed after
 * `obeysAfterS`, and meters add up. No clock: `run` moves it second by second.
 */
export class Plant {
  readonly state: SiteState;
  readonly events: PublicEvent[] = [];
  readonly records: LedgerRecord[] = [];
  readonly desired: Desired[] = [];
  readonly acks: Ack[] = [];
  readonly mode: Mode[];
  /** Machines that answer nothing at all. */
  readonly silent = new Set<string>();
  /** Machines that say OK and stay as they are. */
  readonly stubborn = new Set<string>();
  /** Machines whose refusal has another reason than not obeying. */
  refusal: 'VERB_NOT_OBSERVED' | 'NET_REFUSED' = 'VERB_NOT_OBSERVED';
  /** Draw of something that is no machine, W per node. */
  readonly extraW = new Map<string, number>();
  /** What the agents' wall clock is off by, ms. */
  agentClockMs = 0;
  boot = 1;
  metersRead = true;
  agentSpeaks = true;
  /** Machines that report what is wanted and draw what they drew. */
  readonly liars = new Set<string>();
  priceUsdPerMwh: number | undefined = 40;
  utility: { limitKw?: number; deadlineS: number; sequence: number } = { deadlineS: 60, sequence: 0 };
  nowMs = 0;
  readonly #due: {
    atMs: number;
    machine: number;
    mode: Mode;
    epoch: number;
    generation: number;
    commandId: string;
  }[] = [];

  constructor(input: SiteConfigInput = smallSite, epoch = 1) {
    const site = resolveSite(siteSchema.parse(input), new Map(models.map((model) => [model.id, model])));
    this.state = emptyState(site, epoch, 0);
    this.mode = site.machines.map((machine) => (machine.model.kind === 'asic' ? 'mine' : 'idle'));
    this.take({ kind: 'bus', connected: true });
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
    return drawW(this.state, machine, this.mode[machine] ?? 'off');
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
      if (effect.kind === 'ack') this.acks.push(effect.ack);
      if (effect.kind !== 'desired') continue;
      this.desired.push(effect.desired);
      for (const [id, wanted] of Object.entries(effect.desired.machines)) {
        const machine = this.state.site.machines.find((one) => one.id === id)?.index ?? -1;
        const { epoch, generation, commandId } = effect.desired;
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

  #obey(): void {
    while ((this.#due[0]?.atMs ?? Infinity) <= this.nowMs) {
      const due = this.#due.shift();
      if (due === undefined) break;
      const machine = this.state.site.machines[due.machine];
      if (machine === undefined || this.silent.has(machine.id)) continue;
      const { epoch, generation, commandId } = due;
      const stubborn = this.stubborn.has(machine.id);
      if (!stubborn && !this.liars.has(machine.id)) this.mode[due.machine] = due.mode;
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
      this.take({
        kind: 'result',
        result: { v: 1, site: 'small', agent: 'a1', boot: 1, seq: 1, rack: machine.rack, results },
      });
    }
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
        phase: 'live',
        epoch: 1,
        racks: {},
        guarding: [],
        spooled: 0,
        dropped: 0,
        keptFrom: 0,
      },
    });
    const say = (value: number | string, unit: 'W' | 'text') =>
      ({ ok: true, value, unit, quality: 'good', atMs }) as const;
    for (const rack of this.state.site.racks) {
      const rows = rack.machines.flatMap((index) => {
        const id = this.state.site.machines[index]?.id ?? '';
        if (this.silent.has(id)) return [];
        const lies = this.liars.has(id) && this.state.wish[index] !== undefined;
        const mode = lies ? (this.state.wish[index]?.mode ?? 'mine') : (this.mode[index] ?? 'off');
        const readings: Readings = {
          mode: say(mode, 'text'),
          power: say(drawW(this.state, index, mode), 'W'),
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
    const rows = (this.metersRead ? this.state.site.meters : []).map((meter) => ({
      id: meter.id,
      readings: { 'power.active.total': say(this.nodeW(meter.node), 'W') },
    }));
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
    this.#reportUtility(atMs);
  }

  #reportUtility(atMs: number): void {
    const { limitKw, deadlineS, sequence } = this.utility;
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
          kind: limitKw === undefined ? 'none' : 'contracted',
          heartbeat: 1,
          heartbeatAgeMs: 100,
        },
      },
    });
  }
}
