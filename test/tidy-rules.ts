import { posix } from 'node:path';
import { importsOf, isNode, nameOf, propertyOf, valueNames, walk } from './tidy-parse.ts';
import type { Import, Node, Parsed } from './tidy-parse.ts';

/** One place that breaks a rule of the house. */
export interface Finding {
  readonly rule: Rule;
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

export type Rule =
  | 'syntax'
  | 'imports'
  | 'purity'
  | 'effects'
  | 'places'
  | 'barrel'
  | 'size'
  | 'types'
  | 'comments'
  | 'tests'
  | 'words';

/** What an area may import: other areas, packages, Node's modules. `'*'`: all. */
interface Area {
  readonly areas: readonly string[] | '*';
  readonly packages: readonly string[] | '*';
  readonly node: readonly string[] | '*';
}

const AREAS: Readonly<Record<string, Area>> = {
  protocols: { areas: ['protocols'], packages: ['zod'], node: [] },
  config: { areas: ['config', 'protocols'], packages: ['zod', 'yaml'], node: ['fs'] },
  host: { areas: ['host', 'protocols', 'config'], packages: '*', node: '*' },
  agent: { areas: ['agent', 'protocols', 'config', 'host'], packages: ['zod'], node: [] },
  controller: { areas: ['controller', 'protocols', 'config', 'host'], packages: ['zod'], node: [] },
  simulator: {
    areas: ['simulator', 'protocols', 'config', 'host'],
    packages: ['ssh2'],
    node: ['crypto', 'http', 'net'],
  },
  console: { areas: ['console', 'protocols'], packages: [], node: [] },
  proof: { areas: '*', packages: '*', node: '*' },
  commands: { areas: '*', packages: '*', node: '*' },
  test: { areas: '*', packages: '*', node: '*' },
};

/** Folders with a row of their own; the longest match counts. */
const FOLDERS: Readonly<Record<string, Partial<Area>>> = {
  'protocols/asic': { node: ['crypto', 'zlib'] },
  'protocols/grid': { node: ['crypto', 'zlib'], packages: '*' },
  'agent/core': { areas: ['agent/core', 'protocols', 'config'], packages: [] },
  'controller/core': { areas: ['controller/core', 'protocols', 'config'], packages: [] },
  'controller/operator': { packages: ['zod', 'ws', 'esbuild'], node: '*' },
  'controller/history': { packages: '*', node: '*' },
  'console/cli': { packages: ['ws'], node: ['crypto', 'stream'] },
};

/** What the browser loads of the protocols: nothing but zod and each other. */
const BROWSER = /^protocols\/(?:units|reading|faults)\.ts$|^protocols\/console\//u;
const CORE = /(?:^|\/)core\//u;
const REAL_WORLD = /^host\/|^test\/(?:wire|chaos|e2e|bench)\//u;
const BAD_FOLDERS = new Set(['src', 'lib', 'libs', 'utils', 'util', 'common', 'helpers', 'helper', 'misc']);
const MAX_FILE_LINES = 400;
const MAX_FUNCTION_LINES = 70;

// Written in pieces so that this file does not break its own rule.
const FORBIDDEN_WORDS = [
  ['/wo', 'rk/'],
  ['/ro', 'ot/'],
  ['/ho', 'me/'],
  ['sha', 'red/reference'],
  ['../sha', 'red'],
  ['registry.npm', 'js'],
  ['npm', 'mirror'],
  ['artifact', 'ory'],
].map((pieces) => pieces.join(''));

/** Everything in one file that breaks a rule. */
export function findingsOf(file: Parsed): Finding[] {
  const found: Finding[] = [];
  const flag = (rule: Rule, line: number, text: string): void => {
    found.push({ rule, path: file.path, line, text });
  };
  for (const message of file.errors) flag('syntax', 1, message);
  checkPlace(file, flag);
  for (const item of importsOf(file)) checkImport(file.path, item, flag);
  if (CORE.test(file.path) && !file.path.startsWith('test/')) checkPurity(file, flag);
  else if (!REAL_WORLD.test(file.path)) checkEffects(file, flag);
  checkShape(file, flag);
  checkComments(file, flag);
  found.push(...wordsIn(file.path, file.text));
  return found;
}

/** Words that no file of the product may hold, source or not. */
export function wordsIn(path: string, text: string): Finding[] {
  const found: Finding[] = [];
  for (const [index, line] of text.split('\n').entries())
    for (const word of FORBIDDEN_WORDS)
      if (line.toLowerCase().includes(word))
        found.push({ rule: 'words', path, line: index + 1, text: `'${word}' has no place here` });
  return found;
}

type Flag = (rule: Rule, line: number, text: string) => void;

function checkPlace({ path }: Parsed, flag: Flag): void {
  const names = path.split('/');
  const folders = [...names.slice(0, -1), (names.at(-1) ?? '').replace(/\..*$/u, '')];
  for (const name of folders)
    if (BAD_FOLDERS.has(name)) flag('places', 1, `'${name}' says nothing about what is inside`);
}

function areaOf(path: string): Area | undefined {
  const area = AREAS[path.split('/')[0] ?? ''];
  if (area === undefined) return undefined;
  const folder = Object.keys(FOLDERS)
    .filter((name) => path.startsWith(`${name}/`))
    .sort((a, b) => b.length - a.length)[0];
  return { ...area, ...(folder !== undefined && FOLDERS[folder]) };
}

function checkImport(path: string, { specifier, line, typeOnly, form }: Import, flag: Flag): void {
  const area = areaOf(path);
  if (area === undefined) return;
  const isTest = path.startsWith('test/');
  if (form === 'require' && !isTest) flag('imports', line, 'require() is not used here');
  if (specifier === undefined) {
    if (!isTest) flag('imports', line, 'an import of a variable cannot be checked');
    return;
  }
  if (specifier.startsWith('node:')) {
    const name = specifier.slice('node:'.length);
    if (area.node !== '*' && !area.node.includes(name))
      flag('imports', line, `${specifier} is not for this folder`);
    return;
  }
  if (!specifier.startsWith('.')) {
    const name = specifier
      .split('/')
      .slice(0, specifier.startsWith('@') ? 2 : 1)
      .join('/');
    if (area.packages !== '*' && !area.packages.includes(name))
      flag('imports', line, `package ${name} is not for this folder`);
    return;
  }
  const to = posix.join(posix.dirname(path), specifier);
  checkTarget({ path, to, typeOnly, areas: area.areas }, (text) => flag('imports', line, text));
}

interface Arrow {
  readonly path: string;
  readonly to: string;
  readonly typeOnly: boolean;
  readonly areas: readonly string[] | '*';
}

function checkTarget({ path, to, typeOnly, areas }: Arrow, flag: (text: string) => void): void {
  const allowed = areas === '*' || areas.some((name) => to.startsWith(`${name}/`));
  if (!allowed) flag(`${path.split('/')[0]} may not import ${to}`);
  if (!path.startsWith('test/') && to.startsWith('test/')) flag(`the product may not import ${to}`);
  if (BROWSER.test(path) && !BROWSER.test(to))
    flag(`the browser loads this file, so it may not import ${to}`);
  if (path.startsWith('console/') && to.startsWith('protocols/') && !BROWSER.test(to))
    flag(`the console may not import ${to}`);
  if (CORE.test(path) && !path.startsWith('test/') && to.startsWith('config/') && !typeOnly)
    flag(`a core may take types only from ${to}`);
}

const IMPURE = new Set(
  `Date performance process globalThis global window self console crypto
  setTimeout setInterval setImmediate queueMicrotask clearTimeout clearInterval
  fetch WebSocket Worker Promise AbortSignal eval Function Intl require`.split(/\s+/u),
);

function checkPurity({ program, lineOf }: Parsed, flag: Flag): void {
  for (const { name, node, place } of valueNames(program)) {
    const member = place.key === 'object' && isNode(place.parent) ? propertyOf(place.parent) : undefined;
    if (IMPURE.has(name) && !(name === 'Date' && isDateUse(place.key, place.parent, member)))
      flag('purity', lineOf(node.start), `${name} in a core`);
    if (name === 'Math' && !isMathUse(place.parent))
      flag('purity', lineOf(node.start), 'Math.random in a core');
  }
  walk(program, (node) => {
    const waits = node.type === 'AwaitExpression' || node['async'] === true || node['await'] === true;
    if (waits) flag('purity', lineOf(node.start), 'a core does not wait');
    if (node.type === 'ImportExpression')
      flag('purity', lineOf(node.start), 'a core loads nothing while it runs');
  });
}

/** A member of Math other than `random`, by its name. */
function isMathUse(parent: Node | undefined): boolean {
  if (parent?.type !== 'MemberExpression') return false;
  const property = propertyOf(parent);
  return property !== undefined && property !== 'random';
}

const TIMERS = new Set(['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'performance']);
const GLOBALS = new Set(['globalThis', 'window', 'self', 'global']);
const ALIASED = new Set(['globalThis', 'global']);
const EFFECT_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  process: ['hrtime', 'nextTick'],
  AbortSignal: ['timeout'],
  crypto: ['getRandomValues', 'randomUUID', 'randomBytes', 'randomInt'],
};
const CHANCE = new Set([
  'randomBytes',
  'randomUUID',
  'randomInt',
  'randomFill',
  'webcrypto',
  'getRandomValues',
]);

/** Time and chance are arguments: they are taken from the machine in host/ alone. */
function checkEffects(file: Parsed, flag: Flag): void {
  const { program, lineOf } = file;
  for (const { name, node, place } of valueNames(program)) {
    const { parent } = place;
    const member =
      parent?.type === 'MemberExpression' && place.key === 'object' ? propertyOf(parent) : undefined;
    const bad =
      TIMERS.has(name) ||
      (name === 'Date' && !isDateUse(place.key, parent, member)) ||
      (name === 'Math' && !isMathUse(parent)) ||
      (member !== undefined && EFFECT_MEMBERS[name]?.includes(member) === true) ||
      (GLOBALS.has(name) && (member === undefined ? ALIASED.has(name) : isEffectName(member))) ||
      name === 'eval' ||
      (name === 'Function' && parent?.type === 'NewExpression');
    if (bad)
      flag('effects', lineOf(node.start), `${name}${member === undefined ? '' : `.${member}`} outside host/`);
  }
  walk(program, (node) => {
    if (node.type !== 'ImportDeclaration') return;
    const from = String((node['source'] as Node)['value']);
    if (/^(?:node:)?(?:timers|perf_hooks)/u.test(from))
      flag('effects', lineOf(node.start), `${from} outside host/`);
    if (!/^(?:node:)?crypto$/u.test(from)) return;
    for (const specifier of node['specifiers'] as Node[]) {
      const name = nameOf(specifier['imported']);
      if (name === undefined || CHANCE.has(name))
        flag('effects', lineOf(node.start), `${name ?? 'all'} of ${from} outside host/`);
    }
  });
}

const isEffectName = (name: string): boolean =>
  TIMERS.has(name) || name === 'Date' || name === 'Math' || name === 'crypto' || name === 'process';

/** `new Date(ms)`, `Date.UTC` and `Date.parse` convert; everything else asks the machine for its time. */
function isDateUse(key: string, parent: Node | undefined, member: string | undefined): boolean {
  if (parent?.type === 'NewExpression' && key === 'callee')
    return Array.isArray(parent['arguments']) && parent['arguments'].length > 0;
  if (parent?.type === 'BinaryExpression' && parent['operator'] === 'instanceof') return true;
  return member === 'UTC' || member === 'parse';
}

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);
const TEST_WORDS = new Set(['it', 'test', 'describe', 'suite', 'bench']);
const TEST_TRICKS = new Set(['only', 'skip', 'todo', 'fails']);

function checkShape({ path, text, program, lineOf }: Parsed, flag: Flag): void {
  const lines = text.replace(/\n$/u, '').split('\n').length;
  if (lines > MAX_FILE_LINES) flag('size', 1, `${lines} lines; a file has at most ${MAX_FILE_LINES}`);
  if (isBarrel(program)) flag('barrel', 1, 'a file that only passes on what others export');
  const isTest = path.startsWith('test/');
  walk(program, (node) => {
    if (FUNCTIONS.has(node.type) && !(isTest && isSuite(node))) {
      const length = lineOf(node.end) - lineOf(node.start) + 1;
      if (length > MAX_FUNCTION_LINES)
        flag('size', lineOf(node.start), `a function of ${length} lines; at most ${MAX_FUNCTION_LINES}`);
    }
    if (node.type === 'TSAnyKeyword') flag('types', lineOf(node.start), 'any');
    if (node.type === 'TSEnumDeclaration' || node.type === 'TSModuleDeclaration')
      flag('types', lineOf(node.start), 'syntax that cannot be erased');
    if (node.type === 'MemberExpression' && isTest) {
      const trick = TEST_TRICKS.has(propertyOf(node) ?? '') && TEST_WORDS.has(nameOf(node['object']) ?? '');
      if (trick) flag('tests', lineOf(node.start), `${nameOf(node['object'])}.${propertyOf(node)}`);
    }
  });
}

/** A function that only holds tests: its length is that of the list. */
function isSuite(node: Node): boolean {
  const body = isNode(node['body']) ? node['body']['body'] : undefined;
  return (
    Array.isArray(body) && body.some((statement: Node) => TEST_WORDS.has(rootName(statement['expression'])))
  );
}

/** The name a chain of calls and members begins with: `test` in `test.each(list)('…', fn)`. */
function rootName(expression: unknown): string {
  let at = expression;
  while (isNode(at) && (at.type === 'CallExpression' || at.type === 'MemberExpression'))
    at = at.type === 'CallExpression' ? at['callee'] : at['object'];
  return nameOf(at) ?? '';
}

function isBarrel(program: Node): boolean {
  const body = program['body'] as Node[];
  const passesOn = (node: Node): boolean =>
    node.type === 'ExportAllDeclaration' ||
    (node.type === 'ExportNamedDeclaration' && !isNode(node['declaration']));
  return body.some(passesOn) && body.every((node) => passesOn(node) || node.type === 'ImportDeclaration');
}

const BAD_COMMENTS =
  /@ts-(?:ignore|nocheck|expect-error)|(?:ox|es)lint-(?:disable|enable)|oxfmt-ignore|prettier-ignore|\b(?:TODO|FIXME|XXX)\b/u;

function checkComments({ comments, lineOf }: Parsed, flag: Flag): void {
  for (const { value, start } of comments) {
    const match = BAD_COMMENTS.exec(value);
    if (match) flag('comments', lineOf(start), match[0]);
  }
}
