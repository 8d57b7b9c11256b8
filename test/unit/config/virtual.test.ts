import { describe, expect, test } from 'vitest';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite, SiteInvalid } from '../../../config/site.ts';
import { virtualMeter } from '../../../config/virtual.ts';

const at = (id: string, node: string, target: string): object => ({ id, node, target });
const read = (id: string, node: string): object =>
  at(id, node, `modbus://127.0.0.1:1502/1?profile=eastron-sdm630`);

/** What is wrong with a site of a root and two feeders with these meters. */
function problems(...meters: object[]): string[] {
  const config = siteSchema.parse({
    schema: 1,
    site: 's',
    nodes: [
      { id: 'main', kind: 'site', capKw: 100 },
      { id: 'f1', kind: 'feeder', parent: 'main', capKw: 60 },
      { id: 'f2', kind: 'feeder', parent: 'main', capKw: 60 },
    ],
    meters,
    prices: { hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 40 } },
  });
  try {
    resolveSite(config, new Map());
    return [];
  } catch (error) {
    if (error instanceof SiteInvalid) return error.problems.map(({ message }) => message);
    throw error;
  }
}

describe('virtual meters', () => {
  test('are sums, differences, or machines', () => {
    expect(virtualMeter('virtual:difference?of=a&minus=b,c')).toEqual({
      of: 'meters',
      plus: ['a'],
      minus: ['b', 'c'],
    });
    expect(virtualMeter('virtual:machines')).toEqual({ of: 'machines', plus: [], minus: [] });
    expect(virtualMeter('virtual:product?of=a')).toContain('virtual:sum');
    expect(virtualMeter('modbus://h/1')).toBeUndefined();
  });

  test('stand for a node without a meter, from meters there are', () => {
    expect(
      problems(read('m', 'main'), read('m1', 'f1'), at('v', 'f2', 'virtual:difference?of=m&minus=m1')),
    ).toEqual([]);
    expect(problems(read('m', 'main'), at('v', 'f2', 'virtual:sum?of=m,x'))).toEqual([
      "there is no meter 'x'",
    ]);
    expect(problems(read('m', 'main'), at('v', 'main', 'virtual:sum?of=m'))[0]).toContain(
      'a meter of its own',
    );
    expect(problems(read('m', 'main'), at('v', 'f2', 'virtual:sum?of=m,m'))).toEqual(["'m' is named twice"]);
    expect(problems(at('v', 'f1', 'virtual:machines'), at('w', 'f2', 'virtual:sum?of=v'))).toEqual([
      "'v' is virtual itself",
    ]);
  });
});
