import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { FAULTS } from '../protocols/faults.ts';
import { importsOf, isNode, nameOf, parse, stringOf, walk } from './tidy-parse.ts';
import type { Node, Parsed } from './tidy-parse.ts';
import { findingsOf, wordsIn } from './tidy-rules.ts';
import type { Finding, Rule } from './tidy-rules.ts';

const HOME = fileURLToPath(new URL('..', import.meta.url));
const FOLDERS = ['protocols', 'config', 'host', 'agent', 'controller', 'console', 'simulator'];
const TOP = [...FOLDERS, 'proof', 'commands', 'test', 'docs', '.ci'];
/** Not ours to judge: what npm and the product put there. */
const NOT_SOURCES = ['node_modules', 'data', 'coverage', '.git'];

/** Where a rule does not hold, and why. One that is no longer needed fails the test. */
const EXCEPTIONS: readonly { readonly path: string; readonly rule: Rule; readonly because: string }[] = [
  {
    path: 'console/web/clock.ts',
    rule: 'effects',
    because: 'the browser’s clock: the one file of the page that asks it',
  },
  { path: 'console/web/order.ts', rule: 'effects', because: 'a key per order, from the browser’s generator' },
  { path: 'console/cli/terminal.ts', rule: 'effects', because: 'a key per order, which no seed may repeat' },
  {
    path: 'commands/up.ts',
    rule: 'effects',
    because: 'the broker’s password is a secret: from the system’s generator',
  },
  {
    path: 'proof/virtual-clock.ts',
    rule: 'effects',
    because: 'lets pending promises run between two virtual instants',
  },
  {
    path: 'proof/modbus-peer.ts',
    rule: 'effects',
    because: 'gives modbus-serial, which takes no clock, virtual time',
  },
  {
    path: 'test/unit/host/virtual-net.ts',
    rule: 'effects',
    because: 'lets pending promises run; no time is measured',
  },
];

/** Codes that no source reports yet. */
const RESERVED_CODES: Readonly<Record<string, string>> = {
  NODE_TOO_OLD: 'said by the starter, which is a shell script',
};

const sources: readonly Parsed[] = globSync(
  ['switchyard.ts', 'vitest.config.ts', ...TOP.map((folder) => `${folder}/**/*.ts`)],
  { cwd: HOME, exclude: (name) => NOT_SOURCES.includes(name) },
)
  .sort()
  .map((path) => parse(path, readFileSync(`${HOME}/${path}`, 'utf8')));
const product = sources.filter(({ path }) => !path.startsWith('test/'));

const lines = (findings: readonly Finding[]): string[] =>
  findings.map(({ path, line, rule, text }) => `${path}:${line} ${rule}: ${text}`);

describe('the rules of the house', () => {
  const found = sources.flatMap((file) => findingsOf(file));

  test('hold in every source', () => {
    const excepted = ({ path, rule }: Finding): boolean =>
      EXCEPTIONS.some((exception) => exception.path === path && exception.rule === rule);
    expect(lines(found.filter((finding) => !excepted(finding)))).toEqual([]);
    expect(sources.length).toBeGreaterThan(200);
  });

  test('have no exception that is not needed', () => {
    const needless = EXCEPTIONS.filter(
      ({ path, rule }) => !found.some((finding) => finding.path === path && finding.rule === rule),
    );
    expect(needless).toEqual([]);
  });

  test('hold for the names at the top', () => {
    const folders = readdirSync(HOME, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !NOT_SOURCES.includes(entry.name))
      .map(({ name }) => name);
    expect(folders.filter((name) => !TOP.includes(name))).toEqual([]);
  });

  test('hold for the words of every other file', () => {
    const others = globSync(
      ['*', '.*', '.ci/*', ...TOP.map((folder) => `${folder}/**/*.{json,md,yaml,html,css,py,svg}`)],
      { cwd: HOME, exclude: (name) => NOT_SOURCES.includes(name) },
    ).filter((path) => !['package-lock.json', '.git'].includes(path) && statSync(`${HOME}/${path}`).isFile());
    expect(lines(others.flatMap((path) => wordsIn(path, readFileSync(`${HOME}/${path}`, 'utf8'))))).toEqual(
      [],
    );
  });

  test('no driver imports a driver', () => {
    const list = sources.find(({ path }) => path === 'agent/drivers/list.ts');
    const listed = (list ? importsOf(list) : []).map((item) =>
      targetOf('agent/drivers/list.ts', item.specifier),
    );
    const drivers = new Set(listed.filter((path) => path?.startsWith('agent/drivers/')));
    const offenders = sources
      .filter(({ path }) => path.startsWith('agent/drivers/') && path !== list?.path)
      .flatMap((file) =>
        importsOf(file)
          .filter(({ specifier }) => drivers.has(targetOf(file.path, specifier)))
          .map(({ specifier }) => `${file.path} imports ${specifier}`),
      );
    expect(offenders).toEqual([]);
    expect(drivers.size).toBeGreaterThan(4);
  });

  test('every import of a file of ours finds it', () => {
    const missing = sources.flatMap((file) =>
      importsOf(file)
        .map(({ specifier, line }) => ({ to: targetOf(file.path, specifier), line }))
        .filter(({ to }) => to !== undefined && !existsSync(`${HOME}/${to}`))
        .map(({ to, line }) => `${file.path}:${line} ${to}`),
    );
    expect(missing).toEqual([]);
  });
});

const targetOf = (path: string, specifier: string | undefined): string | undefined =>
  specifier?.startsWith('.') === true ? posix.join(posix.dirname(path), specifier) : undefined;

describe('fault codes', () => {
  const used = new Map<string, string>();
  const named = new Map<string, string>();
  for (const file of product) {
    // A table that gives every code its number on the wire is no use of it.
    if (['protocols/faults.ts', 'protocols/mqtt/reasons.ts'].includes(file.path)) continue;
    walk(file.program, (node) => {
      const text = stringOf(node);
      if (text !== undefined && Object.hasOwn(FAULTS, text)) used.set(text, file.path);
      for (const code of codesNamed(node)) named.set(code, `${file.path}:${file.lineOf(node.start)}`);
    });
  }

  test('all that are used exist', () => {
    expect([...named].filter(([code]) => !Object.hasOwn(FAULTS, code))).toEqual([]);
    expect(named.size).toBeGreaterThan(20);
  });

  test('all that exist are used, or are reserved with a reason', () => {
    const unused = Object.keys(FAULTS).filter((code) => !used.has(code));
    expect(unused.filter((code) => RESERVED_CODES[code] === undefined)).toEqual([]);
    expect(Object.keys(RESERVED_CODES).filter((code) => !unused.includes(code))).toEqual([]);
  });
});

/** Codes said in `new Fault('X')` and `asFault(error, 'X')`. */
function codesNamed(node: Node): string[] {
  const isCode = (value: string | undefined): value is string => /^[A-Z]+(?:_[A-Z0-9]+)*$/u.test(value ?? '');
  if (node.type === 'NewExpression' && nameOf(node['callee']) === 'Fault')
    return [stringOf((node['arguments'] as unknown[])[0])].filter(isCode);
  if (node.type === 'CallExpression' && nameOf(node['callee']) === 'asFault')
    return [stringOf((node['arguments'] as unknown[])[1])].filter(isCode);
  return [];
}

describe('commands', () => {
  const table = sources.find(({ path }) => path === 'switchyard.ts');
  const commands = new Map<string, string>();
  if (table)
    walk(table.program, (node) => {
      if (node.type !== 'Property' || !isNode(node['value']) || node['value'].type !== 'ObjectExpression')
        return;
      const name = nameOf(node['key']) ?? stringOf(node['key']);
      walk(node['value'], (inner) => {
        if (inner.type === 'ImportExpression' && name !== undefined)
          commands.set(name, posix.normalize(stringOf(inner['source']) ?? ''));
      });
    });

  test('each has a file of its name, and no file has none', () => {
    expect([...commands].filter(([name, path]) => path !== `commands/${name}.ts`)).toEqual([]);
    expect(commands.size).toBeGreaterThan(8);
    const parts = new Set(
      product.flatMap((file) => importsOf(file).map(({ specifier }) => targetOf(file.path, specifier))),
    );
    const orphans = product.filter(({ path }) => path.startsWith('commands/') && !parts.has(path));
    expect(orphans.map(({ path }) => path)).toEqual([]);
  });

  test.each([...commands.keys()])('%s answers --help', (name) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['switchyard.ts', name, '--help'], {
      cwd: HOME,
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(`./switchyard ${name}`);
  });
});

describe('the checker', () => {
  const rulesOf = (path: string, text: string): string[] => [
    ...new Set(findingsOf(parse(path, text)).map(({ rule }) => rule)),
  ];
  const joined = (...pieces: string[]): string => pieces.join('');

  test.each([
    ['agent may not reach the controller', 'agent/x.ts', "import { a } from '../controller/main.ts';"],
    ['not even its types', 'agent/x.ts', "import type { A } from '../controller/main.ts';"],
    ['nor by a type query', 'agent/x.ts', "export let a: import('../simulator/world.ts').World;"],
    ['nor by a dynamic import', 'controller/x.ts', "export const a = () => import('../agent/main.ts');"],
    ['nor by a re-export', 'simulator/x.ts', "export const b = 1; export * from '../agent/main.ts';"],
    ['nor as a worker', 'controller/x.ts', "export const a = new URL('../agent/main.ts', import.meta.url);"],
    ['an import of a variable', 'agent/x.ts', 'export const a = (name: string) => import(name);'],
    ['require', 'host/x.ts', "export const a = require('node:fs');"],
    ['a package a folder may not have', 'protocols/x.ts', "import mqtt from 'mqtt'; export const a = mqtt;"],
    [
      'node in the protocols',
      'protocols/x.ts',
      "import { connect } from 'node:net'; export const a = connect;",
    ],
    ['node in the agent', 'agent/x.ts', "import { connect } from 'node:net'; export const a = connect;"],
    [
      'the browser’s protocols',
      'protocols/reading.ts',
      "import type { A } from './events.ts'; export type B = A;",
    ],
    [
      'the console beyond its protocols',
      'console/x.ts',
      "import type { A } from '../protocols/mqtt/frame.ts'; export type B = A;",
    ],
    [
      'values of config in a core',
      'agent/core/x.ts',
      "import { a } from '../../config/load.ts'; export const b = a;",
    ],
    [
      'host in a core',
      'agent/core/x.ts',
      "import type { Clock } from '../../host/deps.ts'; export type B = Clock;",
    ],
    ['tests in the product', 'commands/x.ts', "import { a } from '../test/x.ts'; export const b = a;"],
  ])('flags imports: %s', (_, path, text) => {
    expect(rulesOf(path, text)).toContain('imports');
  });

  test.each([
    'export const a = () => Date.now();',
    'export const a = () => globalThis.Date.now();',
    "export const a = () => globalThis['setTimeout'];",
    'export const a = async () => 1;',
    'export const a = () => Promise.resolve(1);',
    'export const a = () => Math.random();',
    'const { random } = Math; export const a = random;',
    'export const a = () => process.env;',
    "export const a = () => fetch('http://127.0.0.1');",
    'export const a = () => queueMicrotask(() => {});',
    "export const a = () => import('./b.ts');",
    'export const a = () => new Date();',
  ])('flags purity: %s', (text) => {
    expect(rulesOf('controller/core/x.ts', text)).toContain('purity');
  });

  test.each([
    'export const a = () => Date.now();',
    'const D = Date; export const a = () => D.now();',
    'export const a = () => new Date();',
    'export const a = () => new globalThis.Date();',
    'const g = globalThis; export const a = g;',
    'export const a = () => setTimeout(() => {}, 1);',
    'export const a = () => performance.now();',
    "import { setTimeout as wait } from 'node:timers/promises'; export const a = wait;",
    "import { randomBytes as dice } from 'node:crypto'; export const a = dice;",
    "import * as crypto from 'node:crypto'; export const a = crypto;",
    'export const a = () => AbortSignal.timeout(5);',
    'export const a = () => process.hrtime.bigint();',
    'export const a = { f: Math.random };',
  ])('flags effects: %s', (text) => {
    expect(rulesOf('proof/x.ts', text)).toContain('effects');
    expect(rulesOf('test/unit/x.ts', text)).toContain('effects');
    expect(rulesOf('host/x.ts', text)).toEqual([]);
  });

  test.each([
    ['barrel', 'agent/list.ts', "export * from './a.ts';"],
    ['barrel', 'agent/list.ts', "import { a } from './a.ts'; export { a };"],
    ['places', 'agent/utils/x.ts', 'export const a = 1;'],
    ['places', 'agent/helpers.ts', 'export const a = 1;'],
    ['size', 'agent/x.ts', 'export const a = 1;\n'.repeat(401)],
    ['size', 'agent/x.ts', `export const a = () => {\n${'a();\n'.repeat(69)}};`],
    ['types', 'agent/x.ts', 'export const a = (b: any) => b;'],
    ['types', 'agent/x.ts', 'export const a = (b: Record<string, any[]>) => b;'],
    ['types', 'agent/x.ts', 'export enum A { B }'],
    ['comments', 'agent/x.ts', joined('// @ts-', 'ignore\nexport const a = 1;')],
    ['comments', 'agent/x.ts', joined('/* oxlint-', 'disable */ export const a = 1;')],
    ['comments', 'agent/x.ts', joined('// TO', 'DO later\nexport const a = 1;')],
    ['tests', 'test/unit/x.test.ts', "test.only('a', () => {});"],
    ['tests', 'test/unit/x.test.ts', "describe.skip('a', () => {});"],
    ['words', 'agent/x.ts', joined("export const a = '/wo", "rk/main';")],
    ['syntax', 'agent/x.ts', 'export const = 1;'],
  ])('flags %s in %s', (rule, path, text) => {
    expect(rulesOf(path, text)).toContain(rule);
  });

  test.each([
    [
      'agent/x.ts',
      "import type { Clock } from '../host/deps.ts'; export const a = (c: Clock) => new Date(c.wallMs());",
    ],
    [
      'agent/core/x.ts',
      "import type { Site } from '../../config/site.ts'; export const a = (s: Site) => Math.max(1, s.nodes.length);",
    ],
    ['controller/core/x.ts', 'export const a = (s: { Date: number }) => s.Date;'],
    ['protocols/asic/x.ts', "import { createHash } from 'node:crypto'; export const a = createHash;"],
    ['proof/x.ts', 'export const day = Date.UTC(2026, 0, 1);'],
    ['test/unit/x.test.ts', "test.skipIf(true)('a', () => {});"],
  ])('lets pass what is right: %s', (path, text) => {
    expect(findingsOf(parse(path, text))).toEqual([]);
  });
});
