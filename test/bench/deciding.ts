import { allocate } from '../../controller/core/allocate.ts';
import type { Increment } from '../../controller/core/allocate.ts';
import type { Effect } from '../../controller/core/effects.ts';
import type { ControllerEvent, Now } from '../../controller/core/events.ts';
import { emptyState } from '../../controller/core/state.ts';
import { step } from '../../controller/core/step.ts';
import type { Site } from '../../config/site.ts';
import { seededRandom } from '../../host/random.ts';
import { runSeed } from '../../proof/harness.ts';
import { harnessSite } from '../../proof/site.ts';
import type { Reading, Readings } from '../../protocols/reading.ts';
import { cpuUs, figure } from './measure.ts';
import type { Figure } from './measure.ts';

const ALLOCATED = 100_000;
const RUNGS = 7;
const STEPPED = 10_000;
/** Frames of every rack taken per run. */
const ROUNDS = 3;
const START_MS = Date.UTC(2026, 10, 22, 8);

/** Increments of machines in racks of 50, 20 racks to a distribution unit, 10 of these to a feeder, under one site. */
export async function allocatorFigure(): Promise<Figure> {
  const random = seededRandom(5);
  const racks = ALLOCATED / 50;
  const units = racks / 20;
  const feeders = units / 10;
  const feederAt = 1;
  const unitAt = feederAt + feeders;
  const rackAt = unitAt + units;
  const increments: Increment[] = [];
  // One path per rack, as a resolved site has them.
  const paths = Array.from({ length: racks }, (_, rack) => {
    const unit = Math.floor(rack / 20);
    return [rackAt + rack, unitAt + unit, feederAt + Math.floor(unit / 10), 0];
  });
  for (let machine = 0; machine < ALLOCATED; machine += 1) {
    const path = paths[Math.floor(machine / 50)] ?? [];
    let usdPerMwh = 40 + random.next() * 80;
    for (let rung = 0; rung < RUNGS; rung += 1) {
      const addW = rung === 0 ? 2_000 : 250;
      const usdPerHour = (addW / 1e6) * (usdPerMwh - 45);
      increments.push({ machine, rung, path, addW, usdPerHour, held: random.next() < 0.5 });
      usdPerMwh *= 0.93;
    }
  }
  const fullW = 2_000 + 6 * 250;
  const room = new Float64Array(rackAt + racks).fill(50 * fullW * 0.9);
  room.fill(1_000 * fullW * 0.85, unitAt, rackAt);
  room.fill(10_000 * fullW * 0.8, feederAt, unitAt);
  room[0] = ALLOCATED * fullW * 0.7;
  const spare = new Float64Array(room.length);
  const us = await cpuUs({ operations: 1_000, run: () => allocate(increments, room, spare), runs: 5 });
  return figure(`allocate ${ALLOCATED} machines x ${RUNGS} rungs under nested caps`, 'ms', us, { goal: 250 });
}

function readingsOf(noise: () => number, atMs: number, ratedW: number, isGpu: boolean): Readings {
  const good = { ok: true, quality: 'good', atMs } as const;
  return {
    mode: { ...good, value: isGpu ? 'idle' : 'mine', unit: 'text' },
    power: { ...good, value: ratedW * (isGpu ? 0.25 : 0.93 + noise() * 0.02), unit: 'W' },
    hashrate: { ...good, value: 190e12, unit: 'H/s' },
    'temperature.max': { ...good, value: 70, unit: '°C' },
  };
}

/** A controller that has its first picture of a site and decides. */
class Controlled {
  readonly site: Site = harnessSite(STEPPED);
  readonly #state = emptyState(this.site, 1, 0);
  readonly #random = seededRandom(9);
  #nowMs = 0;
  #seq = 0;

  take(event: ControllerEvent): readonly Effect[] {
    const now: Now = { wallMs: START_MS + this.#nowMs, monoMs: this.#nowMs };
    return step(this.#state, event, now);
  }

  get deciding(): boolean {
    return this.#state.deciding;
  }

  pass(ms: number): void {
    this.#nowMs += ms;
  }

  begin(): void {
    this.take({ kind: 'bus', connected: true });
    const [agent = 'a1'] = this.site.agents;
    const status = {
      v: 1,
      site: this.site.id,
      agent,
      boot: 1,
      seq: 0,
      atMs: START_MS,
      online: true,
    } as const;
    const rest = {
      nonce: 'n',
      phase: 'live',
      epoch: 0,
      racks: {},
      guarding: [],
      spooled: 0,
      thinned: 0,
      dropped: 0,
      damaged: 0,
      keptFrom: { messages: 0, meters: 0, machines: 0 },
    };
    this.take({ kind: 'status', status: { ...status, ...rest, phase: 'live' } });
    const endMs = START_MS + 3_600_000;
    this.take({ kind: 'price', usdPerMwh: 40, startMs: START_MS, endMs });
    this.meters();
    for (const frame of this.frames()) this.take(frame);
  }

  /** Every rack once. */
  frames(): ControllerEvent[] {
    const tickMs = START_MS + this.#nowMs;
    return this.site.racks.map((rack) => {
      const rows = rack.machines.flatMap((index) => {
        const machine = this.site.machines[index];
        if (machine === undefined) return [];
        const { ratedW, kind } = machine.model;
        const noise = (): number => this.#random.next();
        return [{ id: machine.id, readings: readingsOf(noise, tickMs, ratedW, kind === 'gpu-host') }];
      });
      return { kind: 'frame', agent: rack.agent, boot: 1, seq: this.#seq++, group: rack.id, tickMs, rows };
    });
  }

  meters(): void {
    const tickMs = START_MS + this.#nowMs;
    const [agent = 'a1'] = this.site.agents;
    const rows = this.site.meters.map((meter) => {
      const capW = (this.site.nodes[meter.nodeIndex]?.capKw ?? 0) * 1_000;
      const power: Reading = { ok: true, value: capW * 0.9, unit: 'W', quality: 'good', atMs: tickMs };
      return { id: meter.id, readings: { 'power.active.total': power } };
    });
    this.take({ kind: 'frame', agent, boot: 1, seq: this.#seq++, group: 'meters', tickMs, rows });
  }
}

/** What one event costs the controller of a large site. */
export async function controllerFigures(): Promise<Figure[]> {
  const controlled = new Controlled();
  controlled.begin();
  for (let second = 0; second < 60 && !controlled.deciding; second += 1) {
    controlled.pass(1_000);
    controlled.meters();
    controlled.take({ kind: 'tick' });
  }
  if (!controlled.deciding) throw new Error('the controller does not decide');
  const racks = controlled.site.racks.length;
  // Made before they are taken, so that making them is not counted.
  const rounds = Array.from({ length: 9 * ROUNDS }, () => {
    controlled.pass(1_000);
    return controlled.frames();
  });
  const frameUs = await cpuUs({
    operations: ROUNDS * racks,
    run: () => {
      for (const frames of rounds.splice(0, ROUNDS)) for (const frame of frames) controlled.take(frame);
    },
  });
  const tickUs = await cpuUs({
    operations: 10,
    run: () => {
      for (let second = 0; second < 10; second += 1) {
        controlled.pass(1_000);
        controlled.meters();
        controlled.take({ kind: 'tick' });
      }
    },
  });
  const perFrame = Math.round(STEPPED / racks);
  return [
    figure(`controller step per frame of ${perFrame} machines, site of ${STEPPED}`, 'us', frameUs),
    figure(`controller tick with a decision, site of ${STEPPED}`, 'ms', tickUs / 1_000),
  ];
}

/** What the proof harness costs, after its code is warm. */
export async function simFigure(): Promise<Figure> {
  const machines = 100;
  const hours = 0.1;
  const us = await cpuUs({
    operations: machines * hours,
    run: () => runSeed({ seed: 2, hours, machines }),
    runs: 3,
    warm: 1,
  });
  return figure('proof harness per simulated machine-hour', 'ms', us / 1_000, { goal: 50 });
}
