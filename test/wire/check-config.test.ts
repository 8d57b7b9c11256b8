import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';

import { run } from '../../commands/check-config.ts';

const EXAMPLE = fileURLToPath(new URL('../../config/sites/example-20mw.yaml', import.meta.url));
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchyard-check-'));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

async function check(...argv: string[]): Promise<{ code: number; text: string }> {
  const parts: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((part) => parts.push(String(part)) > 0);
  const code = await run(argv);
  vi.restoreAllMocks();
  return { code, text: parts.join('') };
}

async function fileOf(text: string): Promise<string> {
  const path = join(folder, 'site.yaml');
  await writeFile(path, text);
  return path;
}

const SITE = `schema: 1
site: s
nodes:
  - { id: main, kind: site, capKw: 100 }
  - { id: r1, parent: main, kind: rack, capKw: 50 }
meters:
  - { id: m, node: main, target: 'modbus://10.0.0.1:502/1?profile=schneider-pm5xxx' }
machines:
  - { rack: r1, model: antminer-s21, first: 1, count: 4, target: 'antminer://10.0.1.{n}?user=root&passwordEnv=P' }
prices:
  hash: { url: 'http://10.0.0.2/h', periodMs: 60000, maxAgeS: 7200, fallbackUsdPerPhDay: 40 }
`;

test('the example is summed up', async () => {
  const { code, text } = await check(EXAMPLE);
  expect(code).toBe(0);
  expect(text).toMatch(/^Site west-20: 48 nodes, 32 racks, 9 meters, authority observe, agents a1, a2$/m);
  expect(text).toMatch(/^site +17707\.2 +19500\.0 +91 %$/m);
  expect(text).not.toMatch(/warning|CONFIG_/);
});

test('a mistake is told with file, line, column, code and what was meant', async () => {
  const file = await fileOf(SITE.replace('kind: rack, capKw', 'kind: rack, capKW'));
  const { code, text } = await check(file);
  expect(code).toBe(1);
  expect(text.split('\n')).toContain(`${file}:5:41 CONFIG_INVALID unknown key 'capKW' (did you mean capKw?)`);
});

test.each([
  ['antminer://10.0.1.{n}?user=root&passwordEnv=P', 'antmine://10.0.1.{n}?user=root', '9:66 TARGET_INVALID'],
  ['?user=root&passwordEnv=P', '?user=root&pasword=P', '9:66 TARGET_INVALID'],
  ['modbus://10.0.0.1:502/1', 'modbus://10.0.0.1:502/777', '7:34 TARGET_INVALID'],
  ['modbus://10.0.0.1:502/1?profile=schneider-pm5xxx', 'foo', '7:34 TARGET_INVALID'],
  ['modbus://10.0.0.1:502/1', 'modbus://10.0.0.1:99999/1', '7:34 TARGET_INVALID'],
  ['profile=schneider-pm5xxx', 'profile', '7:34 TARGET_INVALID'],
  ['?profile=schneider-pm5xxx', '', '7:34 TARGET_INVALID'],
])('a target no driver takes: %s', async (from, to, message) => {
  const { code, text } = await check(await fileOf(SITE.replace(from, to)));
  expect(code).toBe(1);
  expect(text).toContain(message);
});

test.each(['raritan-px3', 'accuenergy-acurev-2100'])(
  '%s measures circuits: it steers by one of them, not without',
  async (profile) => {
    const of = (options: string): Promise<string> =>
      fileOf(SITE.replace('profile=schneider-pm5xxx', `profile=${profile}${options}`));
    const all = await check(await of(''));
    expect(all.code).toBe(1);
    expect(all.text).toMatch(/:7:34 CONFIG_INVALID .*&channel=/);
    expect(await check(await of('&channel=2'))).toMatchObject({ code: 0 });
  },
);

test('every mistake is told, not only the first', async () => {
  const text = SITE.replace(/modbus:[^']*/, 'foo').replace('antminer://', 'antmine://');
  const { text: said } = await check(await fileOf(text));
  expect(said.match(/TARGET_INVALID .*/g)?.length).toBe(2);
});

test('as JSON, one object, whatever happened', async () => {
  const good = JSON.parse((await check(await fileOf(SITE), '--json')).text) as Record<string, unknown>;
  expect(good).toMatchObject({
    ok: true,
    problems: [],
    summary: { site: 's', machines: { 'antminer-s21': 4 } },
  });
  const bad = await check(await fileOf('schema: ['), '--json');
  expect(bad.code).toBe(1);
  expect(JSON.parse(bad.text)).toMatchObject({ ok: false, problems: [{ code: 'CONFIG_SYNTAX' }] });
  const none = await check(join(folder, 'no-such.yaml'), '--json');
  expect(JSON.parse(none.text)).toMatchObject({ ok: false, problems: [{ code: 'CONFIG_INVALID', line: 1 }] });
});

test('no file is a mistake in usage', async () => {
  await expect(run([])).rejects.toMatchObject({ code: 'USAGE' });
});
