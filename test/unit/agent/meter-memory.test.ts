import { expect, test } from 'vitest';
import { makeKeeper } from '../../../agent/kept.ts';
import { makeMeterMemory } from '../../../agent/meter-memory.ts';
import { makeMeterWatch } from '../../../agent/meter-watch.ts';
import { makeMetering } from '../../../agent/metering.ts';
import { buildPlant } from '../../../agent/plant.ts';
import type { MeterMemory } from '../../../agent/meter-memory.ts';
import type { MeterWatch } from '../../../agent/meter-watch.ts';
import type { Metering } from '../../../agent/metering.ts';
import type { Plant } from '../../../agent/plant.ts';
import type { Device } from '../../../agent/driver.ts';
import type { Site } from '../../../config/site.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { Fault } from '../../../protocols/faults.ts';
import { learn } from '../../../protocols/metering/calibration.ts';
import { PARDON_MS } from '../../../protocols/metering/kept-meter.ts';
import { models, smallSite } from '../controller/core/small-site.ts';
import type { Readings } from '../../../protocols/reading.ts';

const refuse = (): Promise<never> => Promise.reject(new Fault('INTERNAL'));
const NO_DEVICE: Device = {
  driver: 'none',
  identify: refuse,
  read: refuse,
  verbs: {},
  close: () => undefined,
};

/** Two feeders with miners, the meter of the whole site first; `profile`: of that one. */
const siteOf = (profile: string): Site => {
  const target = `modbus://127.0.0.1:1502/1?profile=${profile}`;
  const meters = (smallSite.meters ?? []).map((meter, place) => (place === 0 ? { ...meter, target } : meter));
  return resolveSite(
    siteSchema.parse({ ...smallSite, meters }),
    new Map(models.map((model) => [model.id, model])),
  );
};

interface Judges {
  readonly plant: Plant;
  readonly memory: MeterMemory;
  readonly metering: Metering;
  readonly watch: MeterWatch;
}

/** An agent's judges over meters of which the main one shows so much of what flows; the disk outlives the agent. */
class Rig {
  readonly told: string[] = [];
  /** Of what was told last. */
  text = '';
  readonly #clock = new VirtualClock({ startWallMs: 0 });
  readonly #disk = new MemoryDisk({ clock: this.#clock });
  #judges: Judges | undefined;

  start(profile = 'eastron-sdm630'): Judges {
    const site = siteOf(profile);
    const clock = this.#clock;
    const plant = buildPlant(site, site.agents[0] ?? '', () => NO_DEVICE, 0);
    const say =
      (state: string) =>
      (code: string, subject: string, text: string): number => {
        this.text = text;
        return this.told.push(`${code} ${subject} ${state}`);
      };
    const alarms = { raise: say('raised'), clear: say('cleared'), tell: say('told'), again: () => undefined };
    const keeper = makeKeeper({ disk: this.#disk, clock, alarms, agent: 'a1', dataDir: '/data' });
    const agent = site.agents[0] ?? '';
    const memory = makeMeterMemory({ site, plant, clock, alarms, keeper });
    const metering = makeMetering({ site, agent, plant, clock, alarms, memory });
    const watch = makeMeterWatch({ site, plant, clock, alarms, keeper, memory });
    this.told.length = 0;
    this.#judges = { plant, memory, metering, watch };
    return this.#judges;
  }

  /** Seconds of load; how many of the main meter's samples may be used. `why`: its driver doubts them. */
  async run(seconds: number, gain: number, why?: string): Promise<number> {
    let good = 0;
    const { plant, metering, memory } = this.#judges ?? this.start();
    const { nodes } = siteOf('x');
    const below = (node: number) =>
      plant.machines.filter(({ config }) => nodes[config.nodeIndex]?.path.includes(node));
    for (let second = 0; second < seconds; second += 1) {
      for (const machine of plant.machines) {
        Object.assign(machine, { powerW: machine.config.model.ratedW, mode: 'mine', reachable: true });
        Object.assign(machine, { beganMs: this.#clock.monoMs(), modeSinceMs: -1e9 });
      }
      for (const [index, { config }] of plant.meters.entries()) {
        const watts = below(config.nodeIndex).reduce((sum, { powerW = 0 }) => sum + powerW, 0);
        const isOwn = index === 0;
        if (this.#take(index, watts * (isOwn ? gain : 1), isOwn ? why : undefined) && isOwn) good += 1;
      }
      metering.tick();
      // As the agent's tick: what is not read yet is written later.
      await memory.flush().catch(() => undefined);
      await this.#clock.advance(1_000);
    }
    return good;
  }

  #take(index: number, watts: number, why?: string): boolean {
    const value = { atMs: this.#clock.wallMs(), ok: true, value: watts, unit: 'W' } as const;
    const read: Readings = {
      'power.active.total':
        why === undefined ? { ...value, quality: 'good' } : { ...value, quality: 'uncertain', why },
    };
    const beganMs = this.#clock.monoMs();
    const { watch, metering } = this.#judges ?? this.start();
    const power = metering.take(index, watch.take(index, read, beganMs), beganMs)['power.active.total'];
    return power?.ok === true && power.quality === 'good';
  }

  async kill(isDamaged = false): Promise<void> {
    this.#judges?.memory.stop();
    this.#judges?.watch.stop();
    for (const copy of isDamaged ? ['', '.copy'] : [])
      await this.#disk.replace(`/data/agent-a1.findings.json${copy}`, new Uint8Array([1, 2, 3]));
  }

  /** What the guard behind the main meter has learnt of it. */
  get ratio(): number {
    return this.#judges?.plant.nodes[0]?.guard?.byMachines.ratio ?? Number.NaN;
  }

  /** As if the guard had learnt it. */
  learn(ratio: number): void {
    const guard = this.#judges?.plant.nodes[0]?.guard;
    for (let atS = 0; atS < 100; atS += 1)
      if (guard !== undefined) learn(guard.byMachines, ratio * 1_000, 1_000, atS * 1_000);
  }

  pardon(seen: string, untilMs = PARDON_MS): void {
    const word = { by: 'anna', reason: 'measured', sinceMs: 0, untilMs };
    this.#judges?.metering.pardon(0, 'METER_RATIO', seen, word);
  }
}

test('of a main meter with a wrong ratio no sample is used after a restart, until it is right again', async () => {
  const rig = new Rig();
  rig.start();
  await rig.run(900, 0.8);
  expect(rig.told).toEqual(['METER_RATIO main raised']);
  await rig.kill();
  rig.start();
  expect(await rig.run(120, 0.8)).toBe(0);
  expect(rig.told).toEqual(['METER_RATIO main raised']);
  expect(await rig.run(900, 1)).toBeGreaterThan(300);
  expect(rig.told).toEqual(['METER_RATIO main raised', 'METER_RATIO main cleared']);
});

test('with its file damaged the agent says so and judges anew; of another meter nothing stands', async () => {
  const rig = new Rig();
  rig.start();
  await rig.run(900, 0.8);
  await rig.kill(true);
  rig.start();
  expect(await rig.run(30, 0.8)).toBeGreaterThan(25);
  expect(rig.told).toEqual(['KEPT_DAMAGED a1 told']);
  await rig.run(900, 0.8);
  await rig.kill();
  rig.start('eastron-sdm72v2');
  expect(await rig.run(30, 0.8)).toBeGreaterThan(25);
  expect(rig.told).toEqual(['METER_CHANGED main told']);
});

test('what a person declares wrong is used, over a restart too, and shown as what it is until its time is over', async () => {
  const rig = new Rig();
  rig.start();
  await rig.run(900, 0.8);
  expect(() => rig.pardon('something else')).toThrow(expect.objectContaining({ code: 'AGREE_REFUSED' }));
  const { text } = rig;
  rig.pardon(text);
  expect(await rig.run(60, 0.8)).toBe(60);
  expect(() => rig.pardon(text)).toThrow(expect.objectContaining({ code: 'AGREE_REFUSED' }));
  await rig.kill();
  rig.start();
  expect(await rig.run(300, 0.8)).toBeGreaterThan(295);
  expect(rig.told).toEqual(['METER_AGREED main raised']);
  expect(await rig.run(900, 0.6)).toBeLessThan(600);
  expect(rig.told).toEqual(['METER_AGREED main raised', 'METER_RATIO main raised']);
});

test('what a guard has learnt from a meter that its driver then doubts is taken back; what it learns after that stands', async () => {
  const rig = new Rig();
  rig.start();
  await rig.run(5, 1);
  rig.learn(0.6);
  await rig.run(1, 1, 'frozen: no value has changed for 180 s');
  expect(rig.ratio).toBe(1);
  rig.learn(0.9);
  await rig.run(5, 1, 'frozen: no value has changed for 180 s');
  expect(rig.ratio).toBeLessThan(1);
});

test('what a guard learnt while a person had declared the finding wrong is taken back when that is over', async () => {
  const rig = new Rig();
  rig.start();
  await rig.run(900, 0.8);
  rig.pardon(rig.text, 1_000_000);
  await rig.run(60, 0.8);
  rig.learn(0.8);
  await rig.run(60, 0.8);
  expect(rig.ratio).toBe(1);
});

test('nothing is said to be durable before the disk has been read', async () => {
  const rig = new Rig();
  const { memory } = rig.start();
  await expect(memory.flush()).rejects.toMatchObject({ code: 'DISK_FAILED' });
  await rig.run(1, 1);
  await expect(memory.flush()).resolves.toBeUndefined();
});
