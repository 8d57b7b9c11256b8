import { expect, test } from 'vitest';
import { MODELS } from '../../../config/models.ts';
import { parseSite, SiteFileInvalid } from '../../../config/load.ts';
import { holdingBack } from '../../../protocols/inhibition.ts';
import type { Inhibition } from '../../../protocols/mqtt/status.ts';

const HEAD = `schema: 1
site: demo
nodes:
  - { id: main, kind: site, capKw: 100 }
prices:
  hash: { url: 'http://10.0.0.9/h', periodMs: 60000, maxAgeS: 600, fallbackUsdPerPhDay: 50 }
plant:
  points:
    - { id: run, target: 'modbus://10.0.0.7/1', kind: discrete, address: 1 }
    - { id: inlet, target: 'modbus://10.0.0.7/1', kind: input, address: 4, least: 90, most: 40 }
`;
const problems = (text: string): string[] => {
  try {
    parseSite(`${HEAD}${text}`, MODELS);
    return [];
  } catch (error) {
    if (!(error instanceof SiteFileInvalid)) throw error;
    return error.problems.map(({ line, message, suggestion }) =>
      `${line} ${message} ${suggestion ?? ''}`.trim(),
    );
  }
};

test('what is wrong with the plant section is said with its line', () => {
  expect(
    problems(`  permissives:
    - { id: a, node: mian, input: run, is: true }
    - { id: a, node: main, input: runs, is: true }
    - { id: b, node: main, input: run, max: 3 }
    - { id: c, node: main, input: inlet, is: true }
  protections:
    - { id: d, node: main, input: inlet, kind: breaker }
  watchdogs:
    - { agent: a9, target: 'modbus://10.0.0.7/1', kind: coil, address: 2 }
`),
  ).toEqual([
    '10 least must be below most',
    "12 there is no node 'mian' main",
    "13 'a' stands twice",
    "13 there is no point 'runs'",
    "14 'run' is a bit: use `is`",
    "15 'inlet' is a number: use `min` or `max`",
    "17 'inlet' is a number: use `min` or `max`",
    "19 there is no agent 'a9'",
  ]);
});

test('a permissive has exactly one bound', () => {
  const one = (rule: string): string[] =>
    problems(`  permissives: [{ id: a, node: main, input: run${rule} }]\n`).filter((text) =>
      text.includes('exactly'),
    );
  expect(one('')).toHaveLength(1);
  expect(one(', min: 1, max: 2')).toHaveLength(1);
  expect(one(', is: true')).toEqual([]);
});

test('a switch that opens on one of two feeds holds back nothing that the other one carries', () => {
  const { site } = parseSite(
    `schema: 1
site: demo
nodes:
  - { id: main, kind: site, capKw: 100 }
  - { id: a, kind: feeder, parent: main, capKw: 50 }
  - { id: b, kind: feeder, parent: main, capKw: 50 }
  - { id: gpu, kind: rack, feeds: [a, b], capKw: 40 }
  - { id: asic, kind: rack, parent: a, capKw: 40 }
prices:
  hash: { url: 'http://10.0.0.9/h', periodMs: 60000, maxAgeS: 600, fallbackUsdPerPhDay: 50 }
plant:
  points: [{ id: open, target: 'modbus://10.0.0.7/1', kind: discrete, address: 1 }]
  protections:
    - { id: qa, node: a, input: open, kind: breaker }
    - { id: qb, node: b, input: open, kind: lockout-relay }
    - { id: uf, node: main, input: open, kind: under-frequency }
`,
    MODELS,
  );
  const trip = (node: string): Inhibition => ({
    node,
    effect: 'shed',
    why: 'PROTECTION_TRIPPED',
    text: '',
    off: true,
  });
  const held = (rack: string, ...nodes: string[]): string[] =>
    holdingBack(
      site,
      site.nodes.findIndex(({ id }) => id === rack),
      nodes.map(trip),
    ).map(({ node }) => node);
  expect(held('asic', 'a')).toEqual(['a']);
  expect(held('asic', 'b')).toEqual([]);
  expect(held('gpu', 'a')).toEqual([]);
  expect(held('gpu', 'a', 'b')).toEqual(['a', 'b']);
  expect(held('gpu', 'gpu')).toEqual(['gpu']);
  // The relay asks for load to go, by whatever feed it comes.
  expect(held('gpu', 'main', 'a')).toEqual(['main']);
  // What cools a feeder's room may cool the rack too.
  const warm: Inhibition = { ...trip('a'), why: 'PERMISSIVE_LOST', off: false };
  expect(
    holdingBack(
      site,
      site.nodes.findIndex(({ id }) => id === 'gpu'),
      [warm],
    ),
  ).toEqual([warm]);
});

test('loops: names that lead nowhere, a coil written twice, half a frost; and a pump that would never come back', () => {
  const TARGET = "target: 'modbus://10.0.0.7/1'";
  const watchdogs = `  watchdogs: [{ ${TARGET}, kind: coil, address: 8 }]\n`;
  expect(
    problems(`${watchdogs}  loops:
    - { id: l1, node: mian, ${TARGET}, address: 8 }
    - { id: l1, node: main, ${TARGET}, address: 9, temperature: run, freezeBelowC: 5 }
    - { id: l2, node: main, ${TARGET}, address: 9, temperature: out, freezeBelowC: 5 }
  permissives: [{ id: a, node: main, input: run, is: true, loop: l3 }]
`).filter((text) => !text.includes('least')),
  ).toEqual([
    "13 there is no node 'mian' main",
    '13 a watchdog writes this coil too',
    "14 'l1' stands twice",
    "14 'run' is a bit, no temperature",
    "15 the loop 'l1' writes this coil too",
    "15 there is no point 'out'",
    "16 there is no loop 'l3'",
  ]);
  expect(problems(`  loops: [{ id: l1, node: main, ${TARGET}, address: 9, freezeBelowC: 5 }]\n`)).toEqual([
    '11 frost needs both: `temperature`, the point that tells it, and `freezeBelowC`',
  ]);
  const warnings = (loop: string): string[] =>
    parseSite(
      `${HEAD.replace(', least: 90, most: 40', '')}  permissives: [{ id: a, node: main, input: run, about: pump, is: true${loop} }]
  loops: [{ id: l1, node: main, ${TARGET}, address: 9 }]
`,
      MODELS,
    ).warnings.map(({ message }) => message);
  expect(warnings('').filter((text) => text.includes('loop: l1'))).toHaveLength(1);
  expect(warnings(', loop: l1').filter((text) => text.includes('loop: l1'))).toEqual([]);
});

test('a loop is of one agent with all that it cools', () => {
  const said = (loops: string): string[] => {
    try {
      parseSite(
        `schema: 1
site: demo
agents: [{ id: a1, nodes: [main] }, { id: a2, nodes: [r2] }]
nodes:
  - { id: main, kind: site, capKw: 100 }
  - { id: r1, kind: rack, parent: main, capKw: 40 }
  - { id: r2, kind: rack, parent: main, capKw: 40 }
machines:
  - { rack: r1, model: antminer-s21, target: 'antminer://10.0.1.{n}', count: 2 }
  - { rack: r2, model: antminer-s21, target: 'antminer://10.0.2.{n}', count: 2 }
prices:
  hash: { url: 'http://10.0.0.9/h', periodMs: 60000, maxAgeS: 600, fallbackUsdPerPhDay: 50 }
plant:
  loops:
${loops}`,
        MODELS,
      );
      return [];
    } catch (error) {
      if (!(error instanceof SiteFileInvalid)) throw error;
      return error.problems.map(({ line, message }) => `${line} ${message}`);
    }
  };
  const loop = (id: string, node: string, address: number): string =>
    `    - { id: ${id}, node: ${node}, target: 'modbus://10.0.0.7/1', address: ${address} }\n`;
  expect(said(loop('l1', 'main', 1))).toEqual([
    "15 'r2-01' below 'main' belongs to the agent 'a2', not to 'a1': give each agent a loop of its own",
  ]);
  expect(said(loop('l1', 'r1', 1) + loop('l2', 'r2', 2))).toEqual([]);
});
