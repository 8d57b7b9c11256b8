import { describe, expect, test } from 'vitest';

import { api, codeOf, makeBench, scripted } from './miner-bench.ts';

const summary = (fields: string): string =>
  `{"STATUS":[{"STATUS":"S"}],"SUMMARY":[{"Elapsed":100${fields}}],"id":1}`;

async function read(answer: string) {
  const bench = makeBench([
    api(scripted({ summary: answer, pools: '{"POOLS":[{"URL":"p","Stratum Active":true}]}' })),
  ]);
  return bench.run(bench.device('cgminer://10.0.0.1').read('full', 1_000));
}

describe('any cgminer API', () => {
  test.each([
    [',"GHS 5s":"104.5","MHS av":1', 104.5e9, 'good'],
    [',"MHS 5s":13500000', 13.5e12, 'good'],
    [',"KHS 5s":950', 950e3, 'good'],
    [',"MHS av":13500000', 13.5e12, 'uncertain'],
  ])('finds the rate in %s', async (fields, value, quality) => {
    const readings = await read(summary(fields));
    expect(readings['hashrate']).toMatchObject({ ok: true, value, quality });
    expect(readings['mode']).toMatchObject({ value: 'mine', quality });
    expect(readings['pool.active']).toMatchObject({ value: 'p' });
    expect(readings['power']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
  });

  test('not hashing is unknown: this API does not tell sleep from a fault', async () => {
    expect((await read(summary(',"GHS 5s":0')))['mode']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    expect((await read(summary('')))['mode']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    expect((await read('{"SUMMARY":[]}'))['mode']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
  });

  test('shares of all pools are added up; pools that broke off, or do not count, tell of none', async () => {
    const pools = '{"POOLS":[{"URL":"a","Accepted":5,"Rejected":"1"},{"URL":"b","Accepted":7}],"id":1}';
    const of = async (answer: string) => {
      const bench = makeBench([api(scripted({ summary: summary(',"GHS 5s":1'), pools: answer }))]);
      return bench.run(bench.device('cgminer://10.0.0.1').read('full', 1_000));
    };
    const readings = await of(pools);
    expect(readings['shares.accepted']).toMatchObject({ value: 12, unit: '1' });
    expect(readings['shares.rejected']).toMatchObject({ value: 1 });
    for (const answer of [pools.slice(0, 60), '{"POOLS":[{"URL":"a"}],"id":1}'])
      expect((await of(answer))['shares.accepted']).toBeUndefined();
  });

  test('commands nothing', async () => {
    const bench = makeBench([]);
    expect(bench.device('cgminer://10.0.0.1').verbs).toEqual({});
    expect(await codeOf(bench.run(bench.device('cgminer://10.0.0.1').identify(500)))).toBe('NET_REFUSED');
  });
});
