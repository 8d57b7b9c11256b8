/** Hash boards and chips: what each family tells of them, and that one that has gone is seen. */
import { describe, expect, test } from 'vitest';

import { boardReadings, devBoard } from '../../../../agent/boards.ts';
import { loadModel } from '../../../../config/models.ts';
import { seededRandom } from '../../../../host/random.ts';
import { numberOf } from '../../../../protocols/reading.ts';
import type { Reading } from '../../../../protocols/reading.ts';
import { api, makeBench, scripted } from './miner-bench.ts';
import { FAMILIES } from './miner-families.ts';

/** What each family says of a whole machine; `null`: nothing. */
const TELLS: Readonly<Record<string, { boards: number | null; chips: number | null; rates: boolean }>> = {
  cgminer: { boards: null, chips: null, rates: false },
  antminer: { boards: 3, chips: 378, rates: true },
  whatsminer: { boards: 3, chips: 405, rates: true },
  'whatsminer-v3': { boards: 3, chips: 225, rates: true },
  avalon: { boards: 3, chips: 360, rates: true },
  braiins: { boards: 3, chips: 378, rates: true },
  'braiins-graphql': { boards: 3, chips: 378, rates: true },
  luxos: { boards: 3, chips: null, rates: false },
  vnish: { boards: 3, chips: null, rates: true },
  epic: { boards: 3, chips: null, rates: true },
  auradine: { boards: 3, chips: null, rates: true },
  'proto-rig': { boards: 4, chips: null, rates: true },
  bitaxe: { boards: null, chips: null, rates: false },
};

describe('each family', () => {
  test.each(Object.entries(FAMILIES))('%s, whole and with a board gone', async (name, family) => {
    const { boards, chips, rates } = TELLS[name] ?? expect.fail(`${name}: no row here`);
    const model = loadModel(family.model);
    if (model.kind !== 'asic') throw new Error(family.model);
    const options = { id: 'm1', model, random: seededRandom(1), startMs: -86_400_000, password: 'secret' };
    const miner = family.make({ ...options, mode: 'mine' });
    const bench = makeBench(miner.endpoints({ host: '10.0.0.1', api: 4028, http: 80 }));
    const device = bench.device(family.url);
    const numbers = async (): Promise<Record<string, number | undefined>> => {
      const readings = await bench.run(device.read('full', 5_000));
      return Object.fromEntries(Object.entries(readings).map(([key, reading]) => [key, numberOf(reading)]));
    };
    const whole = await numbers();
    expect([whole['boards.count'] ?? null, whole['chips.count'] ?? null]).toEqual([boards, chips]);
    const ofBoards = (told: typeof whole): readonly number[] =>
      Object.keys(told)
        .filter((key) => key.startsWith('hashrate.board.'))
        .map((key) => told[key] ?? Number.NaN);
    const sum = ofBoards(whole).reduce((total, rate) => total + rate, 0);
    if (rates) expect(sum / (whole['hashrate'] ?? 0)).toBeCloseTo(1, 1);
    else expect(ofBoards(whole)).toEqual([]);
    if (boards === null) return;
    miner.power.loseBoards(0, 1, boards);
    const less = await numbers();
    expect(less['boards.count']).toBe(boards - 1);
    if (chips !== null) expect(less['chips.count']).toBe((chips * (boards - 1)) / boards);
    expect((less['hashrate'] ?? 0) / (whole['hashrate'] ?? 0)).toBeCloseTo((boards - 1) / boards, 1);
  });
});

const rate = (value: number): Reading => ({ ok: true, value, unit: 'H/s', quality: 'good', atMs: 7 });
const values = (readings: Record<string, Reading>): unknown =>
  Object.fromEntries(
    Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
  );

describe('boards as readings', () => {
  test('an answer without boards tells nothing of them: no zero', () => {
    expect(boardReadings([], 7)).toEqual({});
  });

  test('beside one that hashes, one at zero takes no part; when none hashes that says nothing', () => {
    const two = (first: number) => [
      { place: 1, rate: rate(first), chips: 100 },
      { place: 2, rate: rate(0), chips: 100 },
    ];
    expect(values(boardReadings(two(5e12), 7))).toMatchObject({ 'boards.count': 1, 'chips.count': 100 });
    expect(values(boardReadings(two(0), 7))).toMatchObject({ 'boards.count': 2, 'chips.count': 200 });
  });

  test('chips that not every board tells are uncertain, more than any machine has is no count', () => {
    expect(boardReadings([{ place: 1, chips: 100 }, { place: 2 }], 7)['chips.count']).toMatchObject({
      value: 100,
      quality: 'uncertain',
    });
    expect(boardReadings([{ place: 1, chips: 1e9 }], 7)['chips.count']).toMatchObject({
      why: 'VALUE_IMPLAUSIBLE',
    });
  });

  test.each([
    [{ Status: 'Alive', Enabled: 'Y' }, 1],
    [{ Status: 'Dead', Enabled: 'Y' }, 0],
    [{ Status: 'Alive', Enabled: 'N' }, 0],
  ])('of the cgminer family, %j', (dev, count) => {
    expect(values(boardReadings([devBoard(dev, 1, 7)], 7))).toMatchObject({ 'boards.count': count });
  });

  test('a rate a thousand times what the board was made for is none', () => {
    const dev = { 'MHS 5s': 42_000_000_000, 'Factory GHS': 42_000 };
    expect(values(boardReadings([devBoard(dev, 1, 7)], 7))).toMatchObject({
      'hashrate.board.1': 'VALUE_IMPLAUSIBLE',
      'boards.count': 1,
    });
  });
});

test.each([
  ['antminer', { stats: '{"STATS":[{"Type":"S19"},{"GHS 5s":70000,"chain_acn1":126,"chain_acn2":12' }],
  [
    'whatsminer',
    {
      summary: '{"SUMMARY":[{"MHS av":70000000,"Power":3400}]}',
      edevs: '{"DEVS":[{"Slot":0,"MHS av":35000000,"Effective Chips":135},{"Slot":1,"MHS av":35',
    },
  ],
  [
    'auradine',
    {
      summary: '{"STATUS":[{"STATUS":"S"}],"SUMMARY":[{"MHS 5s":70000000}]}',
      devs: '{"STATUS":[{"STATUS":"S"}],"DEVS":[{"ID":1,"MHS 5s":35000000},{"ID":2,"MHS 5',
    },
  ],
] as const)('%s: of an answer that broke off no boards are counted', async (scheme, answers) => {
  const bench = makeBench([api(scripted(answers))]);
  const readings = await bench.run(bench.device(`${scheme}://10.0.0.1`).read('full', 1_000));
  expect(readings['hashrate']).toMatchObject({ ok: true });
  expect(readings).not.toHaveProperty('boards.count');
  expect(readings).not.toHaveProperty('chips.count');
});

test('an Antminer shows the chips that do not answer', async () => {
  const answer = (stats: string) => `{"STATS":[{"Type":"Antminer S19"},{"GHS 5s":70000,${stats}}]}`;
  const acs = (marks: string) => `"chain_acs1":"${marks}"`;
  for (const [stats, chips] of [
    [`"chain_acn1":6,${acs(' oox oo-')}`, 4],
    [`"chain_acn1":6,${acs(' xxx xx-')}`, 0],
    ['"chain_acn1":6', 6],
    [`"chain_acn1":6,${acs('')},"chain_acn2":0`, 6],
  ] as const) {
    const bench = makeBench([api(scripted({ stats: answer(stats) }))]);
    const readings = await bench.run(bench.device('antminer://10.0.0.1').read('fast', 1_000));
    expect(numberOf(readings['chips.count'])).toBe(chips);
    expect(numberOf(readings['boards.count'])).toBe(1);
  }
});
