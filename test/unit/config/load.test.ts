import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { loadSite, parseSite, SiteFileInvalid } from '../../../config/load.ts';
import type { ConfigProblem } from '../../../config/load.ts';
import { Fault } from '../../../protocols/faults.ts';
import { change, GOOD, MODELS, PROFILES } from './good-site.ts';

function problemsOf(text: string): { code: string; problems: readonly ConfigProblem[] } {
  try {
    parseSite(text, MODELS, PROFILES);
  } catch (error) {
    if (error instanceof SiteFileInvalid) return { code: error.code, problems: error.problems };
    throw error;
  }
  return { code: 'accepted', problems: [] };
}

test('a good file gives the site, with every machine, and no warnings', () => {
  const { site, warnings } = parseSite(GOOD, MODELS, PROFILES);
  expect(site.machines).toHaveLength(24);
  expect(site.machines[23]).toMatchObject({ id: 'r1-24', target: 'antminer://10.1.1.24?http=80&api=4028' });
  expect(site.nodes.map(({ id }) => id)).toEqual(['main', 'feeder-1', 'r1']);
  expect(warnings).toEqual([]);
});

describe('one thing wrong: where, what, and what was meant', () => {
  test.each<[string, string, string, string, RegExp, string?]>([
    // name, from, to, line:column, message, suggestion
    ['other unit: MW', '    capKw: 500', '    capMw: 0.5', '14:5', /unknown key 'capMw'/, 'capKw'],
    ['other case: capKW', '    capKw: 500', '    capKW: 500', '14:5', /unknown key 'capKW'/, 'capKw'],
    ['snake case', '    capKw: 500', '    cap_kw: 500', '14:5', /unknown key 'cap_kw'/, 'capKw'],
    [
      'amperes of no voltage',
      '    capKw: 500',
      '    capKw: 500\n    capA: 800',
      '15:11',
      /capA needs phaseV/,
    ],
    [
      'coolers in percent',
      '    capKw: 500',
      '    capKw: 500\n    auxiliary: { perItKw: 6 }',
      '15:27',
      /kW per kW of machines, not percent: 6 % of their draw is 0\.06/,
    ],
    [
      'coolers that draw nothing',
      '    capKw: 500',
      '    capKw: 500\n    auxiliary: { lagS: 30 }',
      '15:5',
      /give fixedKw, perItKw or both/,
    ],
    [
      'coolers that take the whole cap',
      '    capKw: 500',
      '    capKw: 500\n    auxiliary: { fixedKw: 500 }',
      '15:27',
      /takes all that the node may carry/,
    ],
    [
      'a parent and two feeds',
      '    parent: main',
      '    parent: main\n    feeds: [main, r1]',
      '13:5',
      /one parent or two feeds, not both/,
    ],
    [
      'a feed that is not there',
      '    parent: main',
      '    feeds: [main, feeder-2]',
      '12:19',
      /there is no node 'feeder-2'/,
      'feeder-1',
    ],
    [
      'a trip curve out of order',
      '    capKw: 500',
      '    capKw: 500\n    trip:\n      - { load: 1.3, s: 60 }\n      - { load: 1.2, s: 40 }',
      '17:17',
      /1\.2 comes after 1\.3/,
    ],
    [
      'a trip curve that bears more load for longer',
      '    capKw: 500',
      '    capKw: 500\n    trip:\n      - { load: 1.2, s: 60 }\n      - { load: 1.5, s: 90 }',
      '17:25',
      /no breaker bears 1\.5 times its cap for longer \(90 s\) than 1\.2 times \(60 s\)/,
    ],
    ['no unit', '    capKw: 500', '    cap: 500', '14:5', /unknown key 'cap'/, 'capKw'],
    [
      'wrong unit of a period',
      '    periodMs: 1000',
      '    periodS: 1',
      '23:5',
      /unknown key 'periodS'/,
      'periodMs',
    ],
    ['slip of the pen', '    parent: main', '    parnet: main', '12:5', /unknown key 'parnet'/, 'parent'],
    [
      'unknown top key',
      'authority: observe',
      'autority: observe',
      '3:1',
      /unknown key 'autority'/,
      'authority',
    ],
    ['unknown key in lease', '  t1S: 5', '  t1: 5', '5:3', /unknown key 't1'/, 't1S'],
    ['key nobody knows', 'authority: observe', 'colour: blue', '3:1', /unknown key 'colour'/],
    [
      'text for a number',
      'capKw: 500',
      'capKw: 500 kW',
      '14:12',
      /expected a number, not the text '500 kW'/,
      '500',
    ],
    ['thousands mark', 'capKw: 1000', 'capKw: 1_000', '10:12', /expected a number/, '1000'],
    ['quoted number', 'capKw: 1000', 'capKw: "1000"', '10:12', /expected a number/, '1000'],
    ['list for a number', 'capKw: 500', 'capKw: [500]', '14:5', /expected a number, not a list/],
    ['nothing for a number', 'capKw: 500', 'capKw:', '14:11', /expected a number, not nothing/],
    ['negative cap', 'capKw: 500', 'capKw: -5', '14:12', /must be more than 0/],
    ['infinite cap', 'capKw: 500', 'capKw: .inf', '14:12', /expected a number/],
    ['missing cap', '    capKw: 500\n', '', '11:5', /'capKw' is missing/],
    ['missing prices.hash', '  hash:\n', '  hesh:\n', '31:1', /'hash' is missing/],
    [
      'unknown parent',
      'parent: feeder-1',
      'parent: feeder-l',
      '16:13',
      /there is no node 'feeder-l'/,
      'feeder-1',
    ],
    [
      'unknown model',
      'model: antminer-s19j-pro',
      'model: antminer-s19jpro',
      '26:12',
      /there is no model/,
      'antminer-s19j-pro',
    ],
    ['unknown rack', '  - rack: r1', '  - rack: r2', '25:11', /there is no node 'r2'/, 'r1'],
    [
      'machines on a feeder',
      '  - rack: r1',
      '  - rack: feeder-1',
      '25:11',
      /'feeder-1' is a feeder, not a rack/,
    ],
    [
      'unknown profile',
      'profile=schneider-pm5xxx',
      'profile=schneider-pm5500',
      '22:13',
      /there is no meter profile/,
      'schneider-pm5xxx',
    ],
    [
      'unknown node of a meter',
      '    node: main',
      '    node: mian',
      '21:11',
      /there is no node 'mian'/,
      'main',
    ],
    [
      'wrong word',
      'kind: feeder',
      'kind: feder',
      '13:11',
      /expected one of site, transformer, feeder/,
      'feeder',
    ],
    [
      'wrong authority',
      'authority: observe',
      'authority: auto',
      '3:12',
      /expected one of observe, advise, automatic/,
    ],
    ['wrong schema number', 'schema: 1', 'schema: 2', '1:9', /expected 1/],
    ['id with a space', 'id: r1', 'id: r 1', '15:9', /letters, digits/],
    ['same id twice', 'id: r1', 'id: feeder-1', '15:9', /'feeder-1' stands twice/],
    ['two roots', '    parent: main\n', '', '7:1', /one node must have no parent/],
    ['a circle', '    parent: main', '    parent: r1', '12:13', /not connected to the site/],
    ['no URL', 'url: http://10.0.0.9/price', 'url: ten dot nine', '33:10', /no URL/],
    ['other scheme', 'url: http://10.0.0.9/price', 'url: ftp://10.0.0.9/price', '33:10', /no URL/],
    ['period too short', 'periodMs: 1000', 'periodMs: 1', '23:15', /must be at least 200/],
    ['half a machine', 'count: 24', 'count: 2.5', '29:12', /whole number/],
    ['count and hosts', '    count: 24', '    count: 24\n    hosts: [a]', '25:5', /either `count`/],
    ['t1 after t2', 't1S: 5', 't1S: 45', '4:1', /t1S must be less than t2S/],
    ['fail-safe without its figure', '  t1S: 5', '  failSafe: shed-to-firm-cap', '4:1', /needs firmCapKw/],
  ])('%s', (_name, from, to, place, message, suggestion) => {
    const { code, problems } = problemsOf(change(from, to));
    expect(code).toBe('CONFIG_INVALID');
    const found = problems.find((problem) => message.test(problem.message));
    expect(found, JSON.stringify(problems)).toBeDefined();
    expect(`${found?.line}:${found?.column}`).toBe(place);
    expect(found?.suggestion).toBe(suggestion);
  });

  test.each<[string, string, string]>([
    ['tab as indent', change('    capKw: 500', '\tcapKw: 500'), '14:1'],
    ['colon in a plain text', change('site: demo', 'site: a: b'), '2:7'],
    ['open bracket', change('site: demo', 'site: [demo'), '3:1'],
    ['key twice', change('site: demo', 'site: demo\nsite: other'), '3:1'],
    ['unknown alias', change('site: demo', 'site: *name'), '2:7'],
  ])('syntax: %s', (_name, text, place) => {
    const { code, problems } = problemsOf(text);
    expect(code).toBe('CONFIG_SYNTAX');
    expect(problems.map(({ line, column }) => `${line}:${column}`)).toContain(place);
  });

  test.each(['', '# nothing\n', '[]', 'just text', '42', 'null'])('no site at all: %j', (text) => {
    expect(problemsOf(text).code).toBe('CONFIG_INVALID');
  });

  test('aliases that grow without bound are refused', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x,x]'];
    for (let n = 0; n < 8; n++) {
      const [name, last] = ['bcdefghi'[n], 'abcdefgh'[n]];
      bomb.push(`${name}: &${name} [${Array.from({ length: 10 }, () => `*${last}`).join(',')}]`);
    }
    expect(problemsOf(bomb.join('\n')).code).toBe('CONFIG_SYNTAX');
  });
});

test('all problems at once, in order of line', () => {
  const text = GOOD.replace('capKw: 1000', 'capKW: 1000')
    .replace('parent: feeder-1', 'parent: feeder-9')
    .replace('model: antminer-s19j-pro', 'model: antminer-s22')
    .replace('maxAgeS: 600', 'maxAgeS: soon');
  const { problems } = problemsOf(text);
  expect(problems.map(({ line }) => line)).toEqual([8, 10, 16, 26, 35]);
  expect(problems.map(({ path }) => path)).toEqual([
    'nodes.0.capKw',
    'nodes.0.capKW',
    'nodes.2.parent',
    'machines.0.model',
    'prices.energy.maxAgeS',
  ]);
});

test('a node without a place in the tree is named once, and not again by all that hangs on it', () => {
  const { problems } = problemsOf(GOOD.replace('parent: feeder-1', 'parent: feeder-9'));
  expect(problems.map(({ path }) => path)).toEqual(['nodes.2.parent']);
});

describe('loadSite', () => {
  const load = async (bytes: Uint8Array | undefined): Promise<unknown> =>
    loadSite('site.yaml', async () => bytes, MODELS, PROFILES).then(
      ({ site }) => site.id,
      (error: unknown) => (error instanceof Fault ? `${error.code} ${error.detail}` : error),
    );
  test('reads, and says what it cannot read', async () => {
    expect(await load(new TextEncoder().encode(GOOD))).toBe('demo');
    expect(await load(undefined)).toBe('CONFIG_INVALID site.yaml: there is no such file');
    expect(await load(Uint8Array.of(0xff, 0xfe, 0))).toMatch(/^CONFIG_SYNTAX .*UTF-8/);
    expect(await load(new Uint8Array(9 * 1024 * 1024))).toMatch(/^CONFIG_INVALID .*more than/);
  });
});

test('whatever the file says, it is read or refused with places in it', () => {
  const lines = GOOD.split('\n');
  const damage = fc.tuple(
    fc.nat(lines.length - 1),
    fc.oneof(fc.string(), fc.constantFrom('', '- ', '? ', 'x: {', '  - *a', '<<: 1')),
  );
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (changes) => {
      const text = [...lines];
      for (const [index, line] of changes) text[index] = line;
      for (const { line, column } of problemsOf(text.join('\n')).problems) {
        expect(line).toBeGreaterThan(0);
        expect(column).toBeGreaterThan(0);
      }
    }),
    { numRuns: 200 },
  );
});

test('a node on two feeds has both above it, and the site once', () => {
  const dual = GOOD.replace(
    '    parent: feeder-1',
    '    feeds: [feeder-1, feeder-2]\n    feedShare: 0.25',
  ).replace('  - id: r1', '  - id: feeder-2\n    parent: main\n    kind: feeder\n    capKw: 500\n  - id: r1');
  const { site } = parseSite(dual, MODELS, PROFILES);
  const rack = site.nodes.find(({ id }) => id === 'r1');
  expect(rack?.path.map((node) => site.nodes[node]?.id)).toEqual(['r1', 'feeder-2', 'feeder-1', 'main']);
  expect(rack?.shares).toEqual([1, 0.75, 0.25, 1]);
  expect(rack?.feeds).toHaveLength(2);
});
