import { describe, expect, test } from 'vitest';

import type { Readings } from '../../../../protocols/reading.ts';
import { codeOf, makeBench, pages } from './miner-bench.ts';

const URL = 'antminer://10.0.0.1?passwordEnv=P';
const CONF = '{"pools":[],"bitmain-work-mode":"0"}';
const page = (section: string): string =>
  `{"STATUS":{"STATUS":"S","when":1791401146,"Msg":"stats","api_version":"1.0.0"},"INFO":{"type":"Antminer S23 Hyd."},"STATS":[${section}]}`;

/** A machine whose mining API is closed. */
async function read(stats: string | undefined, conf = CONF): Promise<Readings> {
  const web = pages({
    '/cgi-bin/get_miner_conf.cgi': conf,
    ...(stats !== undefined && { '/cgi-bin/stats.cgi': stats }),
  });
  const bench = makeBench([web]);
  return bench.run(bench.device(URL).read('fast', 1_000));
}

describe('the page in place of an API that is closed', () => {
  // The words and figures of an answer that asic-rs holds (s23_hydro_web_stats_captured.json), two of its boards.
  test('says what the API would', async () => {
    const chain = (index: number, pcb: string, chip: string) =>
      `{"asic":" ooooooooooo ooooooo----","asic_num":84,"freq_avg":327,"index":${index},"rate_ideal":194099.1,"rate_real":188896.1,"temp_chip":${chip},"temp_pcb":${pcb},"temp_pic":[34,34,42,42]}`;
    const readings = await read(
      page(
        `{"chain":[${chain(0, '[44,44,52,52]', '[44,44,56,56]')},${chain(2, '[44,0,51,50]', '[43,43,55,55]')}],"chain_num":3,"elapsed":167430,"fan":[6000],"fan_num":1,"rate_5s":572845.56,"rate_avg":576153.9,"rate_ideal":581972.7,"rate_unit":"GH/s","watt":5525}`,
      ),
    );
    expect(readings['hashrate']).toMatchObject({ value: 572_845.56e9, unit: 'H/s', quality: 'good' });
    expect(readings['power']).toMatchObject({ value: 5_525, unit: 'W', measured: true });
    expect(readings['uptime']).toMatchObject({ value: 167_430 });
    expect(readings['mode']).toMatchObject({ value: 'mine', quality: 'good' });
    expect(readings['fan.1']).toMatchObject({ value: 6_000 });
    expect(readings['temperature.board.1']).toMatchObject({ value: 52 });
    expect(readings['temperature.chip.3']).toMatchObject({ value: 55 });
    expect(readings).not.toHaveProperty('temperature.board.2');
  });

  test.each([
    ['TH/s', 572.8, 572.8e12],
    ['MH/s', 572_845_560, 572_845.56e9],
  ])('in %s', async (unit, rate, hashes) => {
    const { hashrate } = await read(page(`{"rate_5s":${rate},"rate_unit":"${unit}"}`));
    expect(hashrate).toMatchObject({ ok: true });
    expect(hashrate?.ok && Number(hashrate.value) / hashes).toBeCloseTo(1, 9);
  });

  // As MiningOS's mock of an S19 XP says it: a thousand times too much for its unit.
  test('a rate that its unit does not fit, or in no unit that is known, is no rate', async () => {
    const much = await read(page('{"rate_5s":295608324,"rate_ideal":257000,"rate_unit":"GH/s"}'));
    expect(much['hashrate']).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
    const odd = await read(page('{"rate_5s":295608,"rate_unit":"Sol/s"}'));
    expect(odd['hashrate']).toMatchObject({ ok: false, why: 'VALUE_INVALID' });
  });

  test('empty, the configuration says whether that is meant', async () => {
    expect((await read(page('')))['mode']).toMatchObject({ value: 'idle', quality: 'good' });
    const asleep = await read(page(''), '{"pools":[],"bitmain-work-mode":"1"}');
    expect(asleep['mode']).toMatchObject({ value: 'sleep', quality: 'good' });
  });

  test('without such a page nobody knows whether it mines', async () => {
    expect((await read(undefined))['mode']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
  });

  test.each([
    '{}',
    '{"stats":"error","code":"E000","msg":"busy"}',
    '{"STATUS":{"STATUS":"E","Msg":"socket"},"STATS":[]}',
    '{"STATS":[{"elapsed":167430,"fan":[6000]}]}',
  ])('%s instead of statistics does not say that it is idle, nor that it sleeps', async (said) => {
    expect((await read(said))['mode']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    const asleep = await read(said, '{"pools":[],"bitmain-work-mode":"1"}');
    expect(asleep['mode']).toMatchObject({ value: 'sleep', quality: 'uncertain' });
  });

  test('nothing there at all is no closed API', async () => {
    const bench = makeBench([]);
    expect(await codeOf(bench.run(bench.device(URL).read('fast', 1_000)))).toBe('NET_REFUSED');
  });
});
