/**
 * What every driver of miners must stand, family by family from the table in `miner-families.ts`: each thing that goes
 * wrong has its outcome written down there, and no verb is half done, done twice or done to a setting beside its own.
 */
import { describe, expect, test } from 'vitest';
import type { Device, Settings } from '../../../../agent/driver.ts';
import { DRIVERS } from '../../../../agent/drivers/list.ts';
import { actAndVerify } from '../../../../agent/verify.ts';
import type { Told } from '../../../../agent/verify.ts';
import { loadModel } from '../../../../config/models.ts';
import { seededRandom } from '../../../../host/random.ts';
import { asFault, Fault } from '../../../../protocols/faults.ts';
import type { Reading, Readings } from '../../../../protocols/reading.ts';
import type { SimulatedMiner } from '../../../../simulator/devices/miner.ts';
import { Disturber } from './disturbed.ts';
import type { Spoil } from './disturbed.ts';
import { CELLS } from './miner-cells.ts';
import type { Cell } from './miner-cells.ts';
import { FAMILIES, READ_ONLY } from './miner-families.ts';
import type { MinerFamily } from './miner-families.ts';
import { codeOf, makeBench } from './miner-bench.ts';
import type { Bench } from './miner-bench.ts';

const TIMEOUT_MS = 5_000;
/** They have run for a day, so that a reboot shows. */
const RUNNING_MS = 86_400_000;
/** Longer than any machine here takes to boot, to wake or to come to a limit. */
const SETTLED_MS = 600_000;

type Word = Told[0];

const toldOf = ({ verbs }: MinerFamily, verb: Word): Told =>
  verb === 'pools' ? [verb, verbs.pools ?? []] : [verb, verbs[verb]];

/** Tells a device without reading it before or after. */
function tell({ verbs }: Device, [verb, argument]: Told): Promise<void> | undefined {
  return verb === 'pools' ? verbs.pools?.(argument, TIMEOUT_MS) : verbs[verb]?.(argument, TIMEOUT_MS);
}

interface Stand {
  readonly bench: Bench;
  readonly miner: SimulatedMiner;
  readonly device: Device;
  readonly disturber: Disturber;
  readonly open: (password?: string) => Device;
  readonly act: (verb: Word) => Promise<void>;
}

function stand(family: MinerFamily, mode: 'mine' | 'sleep' = 'mine'): Stand {
  const model = loadModel(family.model);
  if (model.kind !== 'asic') throw new Error(family.model);
  const random = seededRandom(1);
  const miner = family.make({ id: 'm1', model, random, mode, startMs: -RUNNING_MS, password: 'secret' });
  const disturber = new Disturber();
  const endpoints = miner.endpoints({ host: '10.0.0.1', api: 4028, http: 80 });
  const bench = makeBench(disturber.around(endpoints, family.framing));
  const open = (password?: string): Device => bench.device(family.url, password);
  const device = open();
  const act = async (verb: Word): Promise<void> => {
    const work = tell(device, toldOf(family, verb));
    if (!work) throw new Error(`no ${verb}`);
    await bench.run(work);
  };
  return { bench, miner, device, disturber, open, act };
}

/** `wake` says something new only to a machine that sleeps. */
const standFor = (family: MinerFamily, verb: Word): Stand =>
  stand(family, verb === 'wake' ? 'sleep' : 'mine');

const told = (reading: Reading | undefined): string =>
  reading === undefined ? 'none' : reading.ok ? String(reading.value) : reading.why;
const rateTold = (reading: Reading | undefined): string =>
  reading?.ok ? (Number(reading.value) > 0 ? 'hashing' : 'still') : told(reading);

async function outcomeOf(work: Promise<Readings>): Promise<string> {
  try {
    const readings = await work;
    for (const [name, reading] of Object.entries(readings)) expect(reading, name).toSatisfy(isSound);
    return `${rateTold(readings['hashrate'])}, mode ${told(readings['mode'])}`;
  } catch (error) {
    expect(error).toBeInstanceOf(Fault);
    return asFault(error).code;
  }
}

/** A value has the type of its unit, whatever was sent in its place. */
function isSound(reading: Reading): boolean {
  if (!reading.ok) return reading.why !== 'INTERNAL';
  return reading.unit === 'text' ? typeof reading.value === 'string' : Number.isFinite(reading.value);
}

const table = Object.entries(FAMILIES);
const commanding = table.filter(([name]) => !READ_ONLY.includes(name));
const everyVerb = commanding.flatMap(([name, family]) =>
  (Object.keys(family.verbs) as Word[]).map((verb) => ({ name, verb, family })),
);

test('every driver of miners is in the table, with every verb it has', () => {
  const others = ['gpu-host', 'modbus-meter'];
  const schemes = DRIVERS.filter(({ name }) => !others.includes(name)).flatMap((driver) => driver.schemes);
  expect(Object.keys(FAMILIES).sort()).toEqual(schemes.toSorted());
  for (const [name, family] of table) {
    const { device } = stand(family);
    expect(Object.keys(device.verbs).sort(), name).toEqual(Object.keys(family.verbs).sort());
    expect(READ_ONLY.includes(name), name).toBe(Object.keys(family.verbs).length === 0);
  }
});

describe.each(table)('%s', (_, family) => {
  test.each(CELLS)('%s', async (cell: Cell) => {
    const spoil: Spoil = cell === 'busy' ? family.busy : CELL_SPOILS[cell](family);
    const reading = stand(family);
    reading.disturber.begin({ spoil: () => spoil });
    const seen = [
      await outcomeOf(reading.bench.run(reading.device.read('fast', TIMEOUT_MS))),
      await outcomeOf(reading.bench.run(reading.device.read('full', TIMEOUT_MS))),
    ];
    // A full reading says of rate and mode what a fast one says.
    expect(seen[1]).toBe(seen[0]);
    const outcomes = [seen[0]];
    if (family.verbs.sleep !== undefined || 'sleep' in family.verbs) {
      const commanded = stand(family);
      commanded.disturber.begin({ spoil: () => spoil });
      outcomes.push(await codeOf(commanded.act('sleep')));
      // Short answers trickle in whole, so that a command may have gone out whose own answer does not.
      const most = cell === 'trickled bytes' ? 1 : 0;
      const { changes } = commanded.miner;
      if (outcomes[1] === 'resolved') expect(changes).toBe(1);
      else expect(changes).toBeLessThanOrEqual(most);
    }
    expect(outcomes.join(' | ')).toBe(family.outcomes[cell]);
  });

  test.each<Spoil>([
    { kind: 'late', ms: 400 },
    { kind: 'trickle', ms: 0.1 },
  ])('$kind, yet within its time, is as good as quick', async (spoil) => {
    const { bench, device, disturber } = stand(family);
    disturber.begin({ spoil: () => spoil });
    expect(await outcomeOf(bench.run(device.read('full', 10_000)))).toBe('hashing, mode mine');
  });

  test('nobody there', async () => {
    const bench = makeBench([]);
    const device = bench.device(family.url);
    expect(await outcomeOf(bench.run(device.read('fast', TIMEOUT_MS)))).toBe('NET_REFUSED');
    expect(await codeOf(bench.run(device.identify(TIMEOUT_MS)))).toBe('NET_REFUSED');
  });
});

const CELL_SPOILS: Readonly<Record<Exclude<Cell, 'busy'>, (family: MinerFamily) => Spoil>> = {
  'slow answer': () => ({ kind: 'late', ms: 8_000 }),
  'no answer': () => ({ kind: 'silence' }),
  reset: () => ({ kind: 'reset' }),
  'broken off in its middle': () => ({ kind: 'cut' }),
  'trickled bytes': () => ({ kind: 'trickle', ms: 100 }),
  'oversized body': () => ({ kind: 'text', of: (text) => text + ' '.repeat(3_000_000) }),
  'wrong JSON': () => ({ kind: 'text', of: (text) => text.replaceAll(':', '=') }),
  'a web page': () => ({ kind: 'text', of: () => '<html><body>login</body></html>' }),
  'nothing in it': () => ({ kind: 'text', of: () => '{}' }),
  'words for numbers': () => ({ kind: 'text', of: retyped('number', () => 'many') }),
  'lists for numbers': () => ({ kind: 'text', of: retyped('number', () => ['1', '2']) }),
  'nulls for numbers': () => ({ kind: 'text', of: retyped('number', () => null) }),
  'numbers for words': () => ({ kind: 'text', of: retyped('string', () => 7) }),
  'wrong units': (family) => ({ kind: 'text', of: family.inflated }),
};

/** Every value of a type replaced by another, but the code of the answer itself. A text that is no JSON stays. */
const retyped =
  (type: 'number' | 'string', by: () => unknown) =>
  (text: string): string => {
    try {
      return JSON.stringify(JSON.parse(text), (key, value: unknown) => {
        if (typeof value === type) return /^code$/iu.test(key) ? value : by();
        // Numbers that stand in brackets in a text: `GHSspd[81234.5]`.
        return type === 'number' && typeof value === 'string'
          ? value.replace(/\[[\d.]+(?= |\])/gu, `[${JSON.stringify(by()).replaceAll('"', '')}`)
          : value;
      });
    } catch {
      return text;
    }
  };

const withPassword = commanding.filter(([, { url }]) => url.includes('passwordEnv'));

describe.each(withPassword)('%s, by its password', (_, family) => {
  test('with a wrong password changes nothing', async () => {
    const { bench, open, miner } = stand(family);
    const device = open('wrong');
    for (const verb of Object.keys(family.verbs) as Word[])
      expect(await codeOf(bench.run(tell(device, toldOf(family, verb)) ?? Promise.resolve())), verb).toBe(
        'AUTH_FAILED',
      );
    expect(miner.changes).toBe(0);
  });

  test('without a password has no verbs', () => {
    const { bench } = stand(family);
    expect(bench.device(family.url.replace(/[?&]passwordEnv=P/u, '')).verbs).toEqual({});
  });

  test.each([0, 31 * 60_000, 2 * 3_600_000])(
    'a session that has ended on the device is begun anew, %d ms later',
    async (laterMs) => {
      const { bench, miner, act } = stand(family);
      // Any command but the sleep that follows.
      await act('locate' in family.verbs ? 'locate' : 'wake');
      await bench.clock.advance(laterMs);
      family.endSession?.(miner, bench.clock.monoMs());
      await act('sleep');
      expect([miner.changes, miner.power.mining]).toEqual([2, false]);
    },
  );
});

describe.each(commanding)('%s', (_, family) => {
  test('a write that changes a setting beside its own shows in the settings read after it', async () => {
    const { bench, miner, device, act } = stand(family);
    const read = async (): Promise<Settings> => {
      await bench.run(device.read('full', TIMEOUT_MS));
      return device.settings?.newest()?.settings ?? {};
    };
    const before = await read();
    miner.fault = 'disturbs';
    await act('sleep');
    const after = Object.entries(await read());
    expect(after.filter(([name, value]) => before[name] !== value)).toHaveLength(1);
  });
});

const waiting = (bench: Bench, timeoutMs: number) => ({ clock: bench.clock, timeoutMs, pollMs: 5_000 });

describe.each(everyVerb)('$name $verb', ({ verb, family }) => {
  const told = toldOf(family, verb);

  test('is carried out, seen by a reading that began after it, and leaves every other setting', async () => {
    const { bench, miner, device } = standFor(family, verb);
    const before = beside(miner, device, verb);
    expect(Object.keys(before).length, 'a bystander').toBeGreaterThan(0);
    const done = await bench.run(actAndVerify(device, ...told, waiting(bench, SETTLED_MS)));
    expect(done.stage).toBe(verb === 'locate' ? 'acknowledged' : 'observed');
    expect(miner.settings()).toMatchObject(verb === 'sleep' ? without(before, 'workMode') : before);
    expect(miner.changes).toBe(stepsOf(family, verb));
    const { facts } = device.verbs[verb] ?? {};
    // What its driver says of it holds here too.
    if (facts?.effectS === undefined)
      expect(verb, 'without effectS, though a reading shows it').toBe('locate');
    else expect(done.ms).toBeLessThanOrEqual(facts.effectS.atMost * 1_000);
    expect(facts?.grain === undefined, 'a power limit has steps').toBe(verb !== 'power-limit');
    expect(facts?.source).not.toBe('');
  });

  test('accepted and ignored is not observed', async () => {
    const { bench, miner, device } = standFor(family, verb);
    miner.fault = 'ignores';
    const done = await bench.run(actAndVerify(device, ...told, waiting(bench, 60_000)));
    if (verb === 'locate') expect(done.stage).toBe('acknowledged');
    else expect([done.stage, done.fault?.code]).toEqual(['failed', 'VERB_NOT_OBSERVED']);
  });

  test('disturbed at any of its exchanges: a fault or done, never twice, nothing beside it changed, and works again', async () => {
    const exchanges = await exchangesOf(family, verb);
    expect(exchanges).toBeGreaterThan(0);
    for (let n = 1; n <= exchanges; n += 1)
      for (const kind of ['silence', 'reset', 'cut', 'noise', 'restart'] as const)
        await disturbedAt(family, verb, { n, kind });
  });
});

const stepsOf = ({ poolSteps = 1 }: MinerFamily, verb: Word): number => (verb === 'pools' ? poolSteps : 1);

/** What a verb must leave as it is. */
function beside(miner: SimulatedMiner, device: Device, verb: Word): Settings {
  const own = verb === 'pools' ? undefined : device.settings?.setBy[verb];
  const isOwn = (name: string): boolean => (verb === 'pools' ? name.startsWith('pool.') : name === own);
  return Object.fromEntries(Object.entries(miner.settings()).filter(([name]) => !isOwn(name)));
}

function without(settings: Readonly<Record<string, string | number>>, name: string): object {
  const { [name]: _, ...rest } = settings;
  return rest;
}

async function exchangesOf(family: MinerFamily, verb: Word): Promise<number> {
  const { disturber, act } = standFor(family, verb);
  await act(verb);
  return disturber.exchanges;
}

async function disturbedAt(
  family: MinerFamily,
  verb: Word,
  { n, kind }: { n: number; kind: 'silence' | 'reset' | 'cut' | 'noise' | 'restart' },
): Promise<void> {
  const where = `${kind} at exchange ${n}`;
  const { bench, miner, device, disturber, act } = standFor(family, verb);
  const before = without(beside(miner, device, verb), 'workMode');
  disturber.begin(
    kind === 'restart'
      ? {
          before: (exchange, nowMs) => {
            if (exchange !== n) return;
            miner.supply(false, nowMs);
            miner.supply(true, nowMs);
          },
        }
      : {
          spoil: (exchange) => {
            if (exchange !== n) return undefined;
            return kind === 'noise' ? { kind: 'text', of: () => '\u0001\u0002noise' } : { kind };
          },
        },
  );
  const code = await codeOf(act(verb));
  expect(
    ['resolved', 'NET_TIMEOUT', 'NET_RESET', 'NET_REFUSED', 'ANSWER_GARBAGE', 'ANSWER_PARTIAL'],
    where,
  ).toContain(code);
  const steps = stepsOf(family, verb);
  expect(miner.changes, where).toBeLessThanOrEqual(steps);
  // What resolves was carried out, if not by the restart itself.
  const byRestart = kind === 'restart' && (verb === 'reboot' || verb === 'wake' || steps > 1);
  if (code === 'resolved' && !byRestart) expect(miner.changes, where).toBe(steps);
  disturber.begin({});
  await bench.clock.advance(60_000);
  const again = await bench.run(actAndVerify(device, ...toldOf(family, verb), waiting(bench, SETTLED_MS)));
  expect(again.stage, where).toBe(verb === 'locate' ? 'acknowledged' : 'observed');
  expect(miner.settings(), where).toMatchObject(before);
}
