import { describe, expect, it } from 'vitest';

import { makeKeeper } from '../../../agent/kept.ts';
import { makeMeterMemory } from '../../../agent/meter-memory.ts';
import type { MeterMemory } from '../../../agent/meter-memory.ts';
import { makeMeterWatch } from '../../../agent/meter-watch.ts';
import { buildPlant } from '../../../agent/plant.ts';
import { meterProfile } from '../../../config/meters.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import type { SiteConfigInput } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import type { Reading, Readings } from '../../../protocols/reading.ts';
import { REGISTER_FAULTS } from '../../../simulator/devices/meter-register.ts';
import type { MeterRegister } from '../../../simulator/devices/meter-register.ts';
import type { SimulatedMeter } from '../../../simulator/devices/meter.ts';
import { layoutOfProfile } from '../../../simulator/devices/profile-layout.ts';
import { bench as meterBench, value } from './drivers/meter-bench.ts';

type Declared = NonNullable<SiteConfigInput['meters']>[number]['declared'];

interface Told {
  readonly code: string;
  readonly state: 'raised' | 'cleared' | 'told';
  readonly text: string;
}

/** An agent's watch over one simulated meter of 90 kW behind its real driver, read as the agent does. */
interface Rig {
  readonly meter: SimulatedMeter;
  readonly register: MeterRegister;
  readonly told: readonly Told[];
  /** Reads once a second, everything every tenth time; the readings as they may be used. `lacking`: not read, each time or not. */
  run(
    seconds: number,
    lacking?: (poll: number) => string | undefined,
    isDoubted?: (poll: number) => boolean,
  ): Promise<readonly Readings[]>;
  /** The agent starts anew, on the same disk. */
  restart(declared?: Declared): Promise<void>;
  agree(seen: string): Promise<void>;
}

async function rig(profile = 'satec-bfm136', declared?: Declared): Promise<Rig> {
  const { time, meter, read, device } = meterBench(layoutOfProfile(meterProfile(profile)), profile);
  const disk = new MemoryDisk({ clock: time });
  const told: Told[] = [];
  const say =
    (state: Told['state']) =>
    (code: string, _subject: string, text: string): number =>
      told.push({ code, state, text });
  const alarms = { raise: say('raised'), clear: say('cleared'), tell: say('told') };
  let memory: MeterMemory;
  const start = async (stated: Declared): Promise<ReturnType<typeof makeMeterWatch>> => {
    const target = `modbus://meter:502/3?profile=${profile}`;
    const config: SiteConfigInput = {
      schema: 1,
      site: 'toy',
      nodes: [{ id: 'main', kind: 'site', capKw: 100 }],
      meters: [{ id: 'm1', node: 'main', target, declared: stated }],
      machines: [],
      prices: {
        hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 },
      },
    };
    const site = resolveSite(siteSchema.parse(config), new Map());
    const plant = buildPlant(site, site.agents[0] ?? '', () => device, 0);
    const keeper = makeKeeper({ disk, clock: time, alarms, agent: 'a1', dataDir: '/data' });
    memory = makeMeterMemory({ site, plant, clock: time, alarms, keeper });
    const made = makeMeterWatch({ site, plant, clock: time, alarms, keeper, memory });
    await time.advance(100);
    return made;
  };
  let watch = await start(declared);
  let polls = 0;
  return {
    meter,
    register: meter.register,
    told,
    run: async (seconds, lacking = () => undefined, isDoubted = () => false) => {
      const all: Readings[] = [];
      for (let second = 0; second < seconds; second += 1) {
        const beganMs = time.monoMs();
        const readings: Record<string, Reading> = { ...(await read(polls++ % 10 === 0 ? 'full' : 'fast')) };
        delete readings[lacking(polls) ?? ''];
        const power = readings['power.active.total'];
        if (power?.ok && isDoubted(polls))
          readings['power.active.total'] = { ...power, quality: 'uncertain', why: 'frozen' };
        all.push(watch.take(0, readings, beganMs));
        await memory.flush();
        await time.advance(beganMs + 1_000 - time.monoMs());
      }
      return all;
    },
    agree: async (seen) => {
      await watch.agree(0, seen, { by: 'anna', reason: 'new transformers', atMs: time.wallMs() });
      await memory.flush();
    },
    restart: async (stated) => {
      watch.stop();
      memory.stop();
      watch = await start(stated);
    },
  };
}

const qualityOf = (readings: Readings | undefined, q = 'power.active.total'): unknown => {
  const reading = readings?.[q];
  return reading?.ok === true ? reading.quality : undefined;
};
const last = (all: readonly Readings[], q?: string): unknown =>
  qualityOf(q === undefined ? all.at(-1) : all.findLast((readings) => readings[q] !== undefined), q);
const IMPORT = 'energy.active.import';

describe('the counters of a meter', () => {
  it('count on without a word, at any resolution', async () => {
    for (const profile of ['eastron-sdm120', 'sunspec-203']) {
      const one = await rig(profile);
      one.register.set(3e9);
      const all = await one.run(660);
      expect(one.told, profile).toEqual([]);
      expect([last(all), last(all, IMPORT)], profile).toEqual(['good', 'good']);
    }
  });

  it('that are misread once, roll over, are reset or jump are told apart, and power steers on', async () => {
    const mishaps: readonly (readonly [string, (register: MeterRegister) => void])[] = [
      ['glitch', (register) => (register.misreads = 10)],
      ['rollover', (register) => (register.wrapWh = 1e9)],
      ['reset', (register) => register.set(0)],
      ['jump', (register) => register.set(2e9)],
    ];
    for (const [kind, happen] of mishaps) {
      const one = await rig('siemens-pac2200');
      one.register.set(kind === 'rollover' ? 1e9 - 1_500 : 7e8);
      await one.run(31);
      happen(one.register);
      const all = await one.run(60);
      expect(one.told.map(({ code, text }) => `${code} ${text.split(': ')[1]}`)).toEqual([
        `METER_COUNTER ${kind}`,
      ]);
      expect(
        all.map((each) => qualityOf(each)),
        kind,
      ).not.toContain('uncertain');
      const energies = all.filter((each) => each[IMPORT]?.ok === true);
      expect(energies.map((each) => qualityOf(each, IMPORT)).filter((each) => each !== 'good').length).toBe(
        1,
      );
      expect(last(all, IMPORT)).toBe('good');
    }
  });
});

describe('what comes and goes', () => {
  it('stands as one alarm, and ends when it stays away', async () => {
    const one = await rig('abb-b2x');
    // A gateway that asks its meter once a minute shows values that stand still most of the time.
    const all = await one.run(1_800, undefined, (poll) => poll % 60 < 40);
    expect(all.map((each) => qualityOf(each))).toContain('good');
    const said = one.told.filter(({ code }) => code === 'METER_DOUBTFUL');
    expect(said.length).toBeLessThan(10);
    expect(said.at(-1)).toMatchObject({ state: 'raised' });
    await one.run(120);
    expect(one.told.at(-1)).toMatchObject({ code: 'METER_DOUBTFUL', state: 'cleared' });
  });

  it('a counter that is misread every minute is told now and then', async () => {
    const one = await rig('siemens-pac2200');
    one.register.set(7e8);
    for (let minute = 0; minute < 15; minute += 1) {
      await one.run(50);
      one.register.misreads = 10;
      await one.run(10);
    }
    const glitches = one.told.filter(({ text }) => /glitch/.test(text));
    expect(glitches.length).toBeGreaterThan(0);
    expect(glitches.length).toBeLessThan(4);
  });
});

describe('energy by power', () => {
  it('an energy register that stands still is named within ten minutes, and power steers on', async () => {
    const one = await rig('abb-b2x');
    one.register.isStuck = true;
    const all = await one.run(600);
    expect(one.told).toMatchObject([{ code: 'METER_DOUBTFUL', text: expect.stringMatching(/stands still/) }]);
    expect([last(all), last(all, IMPORT)]).toEqual(['good', 'uncertain']);
    one.register.isStuck = false;
    const mended = await one.run(700);
    expect(one.told.at(-1)).toMatchObject({ code: 'METER_DOUBTFUL', state: 'cleared' });
    expect(last(mended, IMPORT)).toBe('good');
  });

  it('is judged only where import and export were read together', async () => {
    const one = await rig('abb-b2x');
    one.register.set(5e8, 4e8);
    await one.run(1_000, (poll) => (poll % 3 === 0 ? 'energy.active.export' : undefined));
    expect(one.told).toEqual([]);
  });
});

describe('the setup of a meter', () => {
  it('whose current transformers are set to another ratio does not steer until it is as it was', async () => {
    const one = await rig();
    await one.run(30);
    one.register.ctTimes = 2;
    const all = await one.run(150);
    expect(value(all.at(-1) ?? {}, 'power.active.total')).toBeGreaterThan(150_000);
    expect(one.told).toMatchObject([
      { code: 'METER_SETUP', state: 'raised', text: 'ctPrimaryA is now 2, it was 1' },
    ]);
    expect(last(all)).toBe('uncertain');
    // Nor does a new start of the agent forget it.
    await one.restart();
    expect(last(await one.run(150))).toBe('uncertain');
    one.register.ctTimes = 1;
    expect(last(await one.run(150))).toBe('good');
    expect(one.told.at(-1)).toMatchObject({ code: 'METER_SETUP', state: 'cleared' });
  });

  it('keeps it from steering from the first sample after a restart, also while it is not told', async () => {
    const one = await rig();
    await one.run(30);
    one.register.ctTimes = 2;
    await one.run(150);
    await one.restart();
    const all = await one.run(30, () => 'parameter.ctPrimaryA');
    expect(all.map((readings) => qualityOf(readings))).not.toContain('good');
    expect(one.told.map(({ code, state }) => `${code} ${state}`)).toEqual([
      'METER_SETUP raised',
      'METER_SETUP raised',
    ]);
  });

  it('is the known one once a person agrees with it as it is, over a restart too, until the site file says otherwise', async () => {
    const one = await rig();
    await one.run(30);
    await expect(one.agree('')).rejects.toMatchObject({ code: 'AGREE_REFUSED' });
    one.register.ctTimes = 2;
    await one.run(150);
    const seen = one.told.at(-1)?.text ?? '';
    await expect(one.agree('ctPrimaryA is now 3, it was 1')).rejects.toMatchObject({ code: 'AGREE_REFUSED' });
    await one.agree(seen);
    expect(last(await one.run(5))).toBe('good');
    expect(one.told.slice(-2)).toMatchObject([
      { code: 'METER_SETUP', state: 'cleared' },
      { code: 'METER_AGREED', state: 'raised', text: 'ctPrimaryA 2 agreed by anna' },
    ]);
    await one.restart();
    expect(last(await one.run(30))).toBe('good');
    expect(one.told.at(-1)).toMatchObject({ code: 'METER_AGREED', state: 'raised' });
    await one.restart({ ctPrimaryA: 1 });
    expect(last(await one.run(30))).toBe('uncertain');
    expect(one.told.slice(-2)).toMatchObject([{ code: 'METER_CHANGED' }, { code: 'METER_SETUP' }]);
    await expect(one.agree(one.told.at(-1)?.text ?? '')).rejects.toMatchObject({ code: 'AGREE_REFUSED' });
  });

  it('that it does not tell for a while is as it said last', async () => {
    const one = await rig();
    await one.run(30);
    one.register.ctTimes = 2;
    await one.run(150);
    expect(last(await one.run(60, () => 'parameter.ctPrimaryA'))).toBe('uncertain');
    expect(one.told.map(({ state }) => state)).toEqual(['raised']);
  });

  it('steers with the new ratio once the site file states it, and never with another', async () => {
    const one = await rig('satec-bfm136', { ctPrimaryA: 2, ptRatio: 1 });
    expect(last(await one.run(20))).toBe('uncertain');
    expect(one.told).toMatchObject([
      { code: 'METER_SETUP', text: 'ctPrimaryA is 1 in the meter, 2 in the site file' },
    ]);
    one.register.ctTimes = 2;
    expect(last(await one.run(150))).toBe('good');
    await one.restart({ ctPrimaryA: 1 });
    expect(last(await one.run(20))).toBe('uncertain');
    one.register.ctTimes = 1;
    expect(last(await one.run(150))).toBe('good');
    expect(one.told.map(({ code }) => code)).toContain('METER_CHANGED');
  });

  it('that is another meter, as its counter shows, does not steer until the site file states its serial number', async () => {
    const one = await rig('abb-b2x');
    await one.run(30);
    one.register.serial = 99;
    one.register.set(77_000_000);
    const all = await one.run(40);
    expect(last(all)).toBe('uncertain');
    const codes = one.told.map(({ code, text }) => `${code} ${/swap|jump|serial is now 99/.exec(text)?.[0]}`);
    expect(codes).toEqual(['METER_SETUP serial is now 99', 'METER_COUNTER swap']);
    await one.restart({ serial: '99' });
    expect(last(await one.run(20))).toBe('good');
    await one.restart();
    expect(last(await one.run(20))).toBe('good');
  });
});

it('values that stood still before a restart are not used after it until they have moved', async () => {
  const one = await rig();
  const isDoubted = (): boolean => true;
  await one.run(30);
  await one.run(10, undefined, isDoubted);
  await one.restart();
  const all = await one.run(12);
  expect(all.map((readings) => qualityOf(readings))).toEqual([
    ...Array.from({ length: 5 }, () => 'uncertain'),
    ...Array.from({ length: 7 }, () => 'good'),
  ]);
  expect(one.told.map(({ code, state }) => `${code} ${state}`)).toEqual([
    'METER_DOUBTFUL raised',
    'METER_DOUBTFUL raised',
    'METER_DOUBTFUL cleared',
  ]);
});

it('every fault of a register that the simulator plays is told, and none without one', async () => {
  const codes: Record<string, unknown> = {};
  for (const fault of REGISTER_FAULTS) {
    const one = await rig(fault === 'ct-setting' ? 'satec-bfm136' : 'abb-b2x');
    one.register.set(fault === 'energy-rollover' ? 999_999_000 : 5e8);
    await one.run(25);
    expect(one.told).toEqual([]);
    one.meter.fault = fault;
    await one.run(fault === 'energy-stuck' ? 620 : 140);
    codes[fault] = one.told[0]?.code;
  }
  expect(codes).toEqual({
    'energy-stuck': 'METER_DOUBTFUL',
    'energy-glitch': 'METER_COUNTER',
    'energy-reset': 'METER_COUNTER',
    'energy-rollover': 'METER_COUNTER',
    replaced: 'METER_SETUP',
    'ct-setting': 'METER_SETUP',
  });
});
