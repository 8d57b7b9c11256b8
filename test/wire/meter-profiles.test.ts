/**
 * Every shipped profile as `read --json` reads it: from servers that others wrote, whose registers were made from the
 * sources' maps and not from our profiles, and from our own simulator.
 */
import { readFileSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { meterProfile, profileIds } from '../../config/meters.ts';
import { realClock } from '../../host/clock.ts';
import { seededRandom } from '../../host/random.ts';
import { makeMeter } from '../../simulator/devices/meter.ts';
import { makeModbusLine } from '../../simulator/devices/modbus-line.ts';
import { layoutOfProfile } from '../../simulator/devices/profile-layout.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';
import { closeAll, freePort, hasPeer, opened, readPatiently, startPeer } from './modbus-rigs.ts';

const PYTHON = '/usr/bin/python3';
const hasPymodbus = hasPeer(PYTHON, ['-c', 'import pymodbus.datastore']);
const hasLibmodbus = hasPeer(PYTHON, ['-c', 'import ctypes; ctypes.CDLL("libmodbus.so.5")']);

/** See meter_words.py. */
interface MeterImage {
  readonly rows: readonly (readonly [
    address: number,
    type: string,
    raw: number | string,
    q: string,
    value: number | null,
    quality?: string,
  ])[];
  readonly sums?: readonly (readonly [q: string, value: number, quality: string])[];
}

const images: Readonly<Record<string, MeterImage>> = JSON.parse(
  readFileSync(new URL('peers/meter_images.json', import.meta.url), 'utf8'),
);
const shipped = profileIds().filter((id) => meterProfile(id).template !== true);
const UNITS: Readonly<Record<string, string>> = {
  power: 'W',
  demand: 'W',
  energy: 'Wh',
  voltage: 'V',
  current: 'A',
  frequency: 'Hz',
  powerFactor: '1',
};

afterAll(closeAll);

/** The SI unit of a quantity, by its name. */
function unitOf(q: string): string {
  const [kind = '', what] = q.replace(/^channel\.\d+\./, '').split('.');
  if (what === 'reactive') return 'var';
  return what === 'apparent' ? 'VA' : (UNITS[kind] ?? '');
}

type Readings = Awaited<ReturnType<typeof readPatiently>>;
type Shown = Readings[string];

/** What must be read of an image. */
function expected({ rows, sums = [] }: MeterImage): Map<string, Partial<Shown>> {
  const made = new Map<string, Partial<Shown>>();
  for (const [, , , q, value, quality = 'good'] of rows)
    made.set(
      q,
      value === null ? { value, quality: 'bad', why: 'VALUE_INVALID' } : { value, unit: unitOf(q), quality },
    );
  for (const [q, value, quality] of sums) made.set(q, { value, unit: unitOf(q), quality });
  return made;
}

/** 32-bit floats have 24 bits; all else is exact but for the last digit of a multiplication. */
function isNear(a: unknown, b: unknown): boolean {
  return typeof a === 'number' && typeof b === 'number' ? Math.abs(a - b) <= 2e-7 * Math.abs(b) : a === b;
}

function differences(id: string, readings: Readings): string[] {
  const image = images[id];
  if (!image) return [`${id}: no image`];
  const wanted = expected(image);
  const found: string[] = [];
  for (const [q, { value, unit, quality, why }] of wanted) {
    const shown = readings[q];
    const same =
      isNear(shown?.value, value) &&
      (unit === undefined || shown?.unit === unit) &&
      shown?.quality === quality &&
      (why === undefined || shown?.why === why);
    if (!same) found.push(`${id} ${q}: ${value} ${unit} ${quality}, read ${JSON.stringify(shown)}`);
  }
  const known = /^(parameter|meter)\./;
  for (const q of Object.keys(readings))
    if (!wanted.has(q) && !known.test(q))
      found.push(`${id} ${q}: read ${JSON.stringify(readings[q])}, not in the image`);
  return found;
}

const unitNumber = (id: string): number => Object.keys(images).indexOf(id) + 1;

it('has an image of every shipped profile', () => {
  expect(Object.keys(images)).toEqual(shipped);
});

/** All profiles are read at once, since some meters want a pause between questions. */
function readAll(port: string | number): ReadonlyMap<string, Promise<Readings>> {
  return new Map(
    shipped.map((id) => {
      const url = `modbus://127.0.0.1:${port}/${unitNumber(id)}?profile=${id}`;
      const readings = readPatiently(url);
      readings.catch(() => undefined);
      return [id, readings];
    }),
  );
}

for (const [name, present, start] of [
  ['pymodbus', hasPymodbus, () => startPeer(PYTHON, 'modbus_server.py', ['tcp', '0', 'meters'])],
  ['libmodbus', hasLibmodbus, () => startPeer(PYTHON, 'libmodbus_server.py', ['tcp'])],
] as const)
  describe.skipIf(!present)(`${name} serves`, () => {
    let all: ReturnType<typeof readAll>;
    beforeAll(async () => {
      all = readAll(await start());
    });

    it.each(shipped)('%s: every quantity in SI with its quality', async (id) => {
      expect(differences(id, (await all.get(id)) ?? {})).toEqual([]);
    });
  });

const HOUR_MS = 3_600_000;
const POWER_W = 90_000;
const PHASE_W = POWER_W / 3;
const VOLTAGE_V = 230;
const POWER_FACTOR = 0.97;

/** What the simulated meters measure, by the name of the quantity; an hour of export and one of import were counted. */
function truth(q: string): number {
  const [kind, what] = q.replace(/^channel\.\d+\./, '').split('.');
  const powerW = /\.L[123]$/.test(q) ? PHASE_W : POWER_W;
  switch (kind) {
    case 'voltage':
      return /^L\dL\d$|^LL$/.test(what ?? '') ? VOLTAGE_V * Math.sqrt(3) : VOLTAGE_V;
    case 'current': {
      const perPhaseA = PHASE_W / VOLTAGE_V / POWER_FACTOR;
      if (what === 'N') return 0;
      return what === 'total' || what === 'sum' ? 3 * perPhaseA : perPhaseA;
    }
    case 'frequency':
      return 50;
    case 'powerFactor':
      return POWER_FACTOR;
    case 'energy':
      if (q.endsWith('tariff2')) return 0;
      return q.includes('export') ? powerW / 2 : powerW;
    default:
      if (what === 'apparent') return powerW / POWER_FACTOR;
      return what === 'reactive' ? powerW * Math.tan(Math.acos(POWER_FACTOR)) : powerW;
  }
}

describe('the simulator serves', () => {
  let all: ReturnType<typeof readAll>;
  beforeAll(async () => {
    const nowMs = realClock.monoMs();
    const units = shipped.map((id) => {
      const meter = makeMeter({
        unit: unitNumber(id),
        layout: layoutOfProfile(meterProfile(id)),
        powerW: (atMs) => (atMs < nowMs - HOUR_MS ? -POWER_W / 2 : POWER_W),
        random: seededRandom(unitNumber(id)),
        powerFactor: POWER_FACTOR,
      });
      for (const hours of [2, 1]) meter.measured(nowMs - hours * HOUR_MS);
      return meter;
    });
    const port = await freePort();
    const device = makeModbusLine({ framing: 'tcp', units });
    const server = await serveEndpoints([{ host: '127.0.0.1', port, kind: 'stream', device }], {
      clock: realClock,
    });
    opened.push(() => server.close());
    all = readAll(port);
  });

  it.each(shipped)('%s: what it measures', async (id) => {
    const readings = (await all.get(id)) ?? {};
    const profile = meterProfile(id);
    const points = [...profile.points, ...(profile.channels?.points ?? [])];
    const disputed = points.filter(({ agree }) => agree === 'no').map(({ q }) => q);
    const wrong = Object.entries(readings).filter(([q, { value, unit, quality }]) => {
      if (/^(parameter|meter)\./.test(q)) return false;
      const right = truth(q);
      const near = Math.abs(Number(value) - right) <= 0.06 * right + 0.001;
      return (
        value === null ||
        !near ||
        unit !== unitOf(q) ||
        quality !== (disputed.includes(q) ? 'uncertain' : 'good')
      );
    });
    expect(wrong).toEqual([]);
    expect(Object.keys(readings).length).toBeGreaterThanOrEqual(points.length);
  });
});
