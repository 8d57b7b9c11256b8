import { expect, test } from 'vitest';
import { parseSite, SiteFileInvalid } from '../../../config/load.ts';
import { MODELS } from '../../../config/models.ts';

const site = (outlets: string, more = ''): string => `schema: 1
site: demo
authority: automatic
agents:
  - { id: a1, nodes: [main] }
  - { id: a2, nodes: [row-2] }
nodes:
  - { id: main, kind: site, capKw: 400 }
  - { id: row-1, parent: main, kind: pdu, capKw: 100 }
  - { id: row-2, parent: main, kind: pdu, capKw: 100 }
  - { id: r1, parent: row-1, kind: rack, capKw: 37 }
  - { id: r2, parent: row-1, kind: rack, capKw: 36 }
  - { id: r3, parent: row-2, kind: rack, capKw: 36 }
  - { id: r4, feeds: [row-1, main], kind: rack, capKw: 36 }
  - { id: empty, parent: main, kind: rack, capKw: 36 }
machines:
  - { rack: r1, model: whatsminer-m30s-plus, target: 'whatsminer://10.0.1.{n}', count: 10 }
  - { rack: r2, model: antminer-s21, target: 'antminer://10.0.2.{n}', count: 9 }
  - { rack: r3, model: antminer-s21, target: 'antminer://10.0.3.{n}', count: 9 }
  - { rack: r4, model: antminer-s21, target: 'antminer://10.0.4.{n}', count: 4 }
prices:
  hash: { url: 'http://10.0.0.9/h', periodMs: 60000, maxAgeS: 600, fallbackUsdPerPhDay: 50 }
plant:
  points:
    - { id: in, target: 'modbus://10.0.0.7/1', kind: discrete, address: 1 }
    - { id: level, target: 'modbus://10.0.0.7/1', kind: input, address: 4 }
  outlets:
${outlets}
${more}`;
const outlet = (id: string, node: string, more = ''): string =>
  `    - { id: ${id}, node: ${node}, target: 'modbus://10.0.0.7/1', kind: coil, address: 9${more} }`;
const problems = (...outlets: string[]): string[] => {
  try {
    parseSite(site(outlets.join('\n')), MODELS);
    return [];
  } catch (error) {
    if (!(error instanceof SiteFileInvalid)) throw error;
    return error.problems.map(({ message }) => message);
  }
};

test('an outlet knows what is behind it; one per node and one level, of one agent, and no other way to it', () => {
  const { site: found } = parseSite(
    site(`${outlet('k1', 'r1', ', input: in')}\n${outlet('k2', 'r2')}`),
    MODELS,
  );
  expect(found.outlets.map(({ id, machines, agent }) => [id, machines.length, machines[0], agent])).toEqual([
    ['k1', 10, 0, 'a1'],
    ['k2', 9, 10, 'a1'],
  ]);
  expect(problems(outlet('k1', 'r1'), outlet('k1', 'r9'))).toEqual([
    "'k1' stands twice",
    "there is no node 'r9'",
  ]);
  expect(problems(outlet('k1', 'r1', ', input: level'))[0]).toContain("'level' is a number");
  expect(problems(outlet('k1', 'r1', ', input: out'))).toEqual(["there is no point 'out'"]);
  expect(problems(outlet('k1', 'r1'), outlet('k2', 'r1'))).toEqual([
    "'k1' gives 'r1' its power already: a node has one outlet",
  ]);
  expect(problems(outlet('k1', 'r3'), outlet('k2', 'row-2'))[0]).toContain("lies above the outlet 'k1'");
  expect(problems(outlet('k1', 'row-2'), outlet('k2', 'r3'))[0]).toContain("hangs below the outlet 'k1'");
  expect(problems(outlet('k1', 'row-1'))[0]).toContain("'r4' gets power by another way than 'row-1' too");
  expect(problems(outlet('k1', 'main'))[0]).toContain("belongs to the agent 'a2', not to 'a1'");
  expect(problems(outlet('k1', 'empty'))).toEqual(["no machine hangs below 'empty'"]);
});

test('what starts together must fit, and a coil has two values', () => {
  const saidOf = (rack: string, capKw: string, more = ''): string => {
    const text = site(outlet('k1', rack), more);
    try {
      parseSite(text.replace(new RegExp(`(id: ${rack}, .*capKw: )[0-9]+`), `$1${capKw}`), MODELS);
      return '';
    } catch (error) {
      return String(error);
    }
  };
  // Ten of 3.57 kW: above the cap, above what the margin leaves of it, and with what cools them.
  expect(saidOf('r1', '35')).toContain("behind 'k1' is rated 35.7 kW together");
  expect(saidOf('r1', '36')).toContain("'r1' may carry 35.3 kW of its 36 kW");
  expect(saidOf('r1', '36', 'control: { marginPct: 0 }')).toBe('');
  expect(saidOf('r1', '38, auxiliary: { fixedKw: 1, perItKw: 0.05, lagS: 60 }')).toContain(
    '38.5 kW together',
  );
  expect(saidOf('r1', '40, auxiliary: { fixedKw: 1, perItKw: 0.05, lagS: 60 }')).toBe('');
  // Nine Antminers keep their sleep, but not when they were at work.
  expect(saidOf('r2', '32')).toContain("behind 'k1' is rated 33.1 kW together");
  expect(problems(outlet('k2', 'r2'))).toEqual([]);
  expect(problems(outlet('k1', 'r1', ', on: 2'))).toEqual([
    'a coil takes 0 and 1: one of them is `on`, the other one `off`',
  ]);
});

test('worth a look: more starts at once than in 10 s, an authority that never switches, no voltage known', () => {
  const text = site(outlet('k1', 'r1'), 'control: { startsPer10S: 8 }').replace(
    'authority: automatic',
    'authority: advise',
  );
  const warnings = parseSite(text, MODELS)
    .warnings.map(({ message }) => message)
    .filter((one) => one.includes("'k1'"));
  expect(warnings).toHaveLength(3);
  expect(warnings.join()).toMatch(/10 machines at once.*authority 'advise'.*no meter above/);
});

test('worth a look: the nearest meter above tells no voltage', () => {
  const metered = (profile: string): string =>
    site(
      outlet('k1', 'r1'),
      `meters:\n  - { id: m1, node: row-1, target: 'modbus://10.0.0.8/1?profile=${profile}' }`,
    );
  const found = (profile: string): string =>
    parseSite(metered(profile), MODELS)
      .warnings.map(({ message }) => message)
      .join();
  expect(found('schneider-ion75xx')).toContain("'m1', the nearest meter above 'k1', tells no voltage");
  expect(found('satec-pm130')).not.toContain('voltage');
  expect(found('sunspec')).not.toContain('voltage');
  expect(found('none-such')).not.toContain('voltage');
});

const PDU = 'test/unit/config/switched-pdu.json';
const pduOutlet = (target: string, more = ''): string =>
  `    - { id: k1, node: r1, target: '${target}'${more} }`;

test('an outlet of a PDU is switched, and read back, where its profile says', () => {
  const target = `modbus+serial:///dev/ttyS1/3?baud=19200&profile=${PDU}&channel=3`;
  const { site: found } = parseSite(site(pduOutlet(target)), MODELS);
  expect(found.outlets[0]).toMatchObject({
    target: 'modbus+serial:///dev/ttyS1/3?baud=19200',
    kind: 'coil',
    address: 10,
    on: 1,
    off: 0,
    state: { kind: 'discrete', address: 2, on: 1, off: 0 },
  });
  const own = parseSite(site(outlet('k1', 'r1')), MODELS).site.outlets[0];
  expect(own).toMatchObject({ address: 9, state: { kind: 'coil', address: 9, on: 1, off: 0 } });
  const at = (query: string, more = ''): string[] =>
    problems(pduOutlet(`modbus://10.0.0.7/1?${query}`, more));
  expect(at(`profile=${PDU}`)).toEqual(['?channel= names the outlet, 1 to 4']);
  expect(at(`profile=${PDU}&channel=5`)).toEqual(['?channel= names the outlet, 1 to 4']);
  expect(at('profile=raritan-px3&channel=2')).toEqual([
    'profile raritan-px3 does not say how an outlet is switched',
  ]);
  expect(at('profile=none&channel=2')[0]).toMatch(/^profile=none: there is /);
  expect(at(`profile=${PDU}&channel=2`, ', kind: coil, address: 4')).toEqual([
    'the profile of the PDU says where and how it is switched',
  ]);
  expect(problems(pduOutlet('modbus://10.0.0.7/1'))[0]).toContain('needs `kind` and `address`');
});
