/** docs/add-a-miner.md, followed literally: its files and lines in a copy of the tree, typed and tested there. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from 'vitest';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const COPIED =
  /^(agent|commands|config|console|controller|host|proof|protocols|simulator|test|package\.json|tsconfig\.json|vitest\.config\.ts)/;
const doc = await readFile(join(ROOT, 'docs/add-a-miner.md'), 'utf8');

/** The blocks of the page by the file they are, or are in. */
const blocks = (kind: 'file' | 'in'): (readonly [file: string, text: string])[] =>
  [...doc.matchAll(/^<!-- (file|in): (\S+) -->\n```\w+\n([^]*?)^```$/gm)]
    .filter(([, found]) => found === kind)
    .map(([, , file = '', text = '']) => [file, text]);

let tree = '';

beforeAll(async () => {
  tree = await mkdtemp(join(tmpdir(), 'add-a-miner-'));
  await cp(ROOT, tree, {
    recursive: true,
    filter: (path) => path === ROOT || COPIED.test(path.slice(ROOT.length)),
  });
  await symlink(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
});
afterAll(() => rm(tree, { recursive: true, force: true }));

/** Lines out and lines in, each run of lines where it stands once. */
function changed(text: string, diff: string): string {
  return diff.split(/^(?=-)/m).reduce((before, hunk) => {
    const lines = (sign: string): string =>
      hunk
        .split('\n')
        .filter((line) => line.startsWith(sign))
        .map((line) => `${line.slice(1)}\n`)
        .join('');
    expect(before.split(lines('-')), `${lines('-')} stands once`).toHaveLength(2);
    return before.replace(lines('-'), () => lines('+'));
  }, text);
}

interface Report {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** What a program printed, whether it was content or not. */
const said = (ran: Promise<{ readonly stdout: string; readonly stderr: string }>): Promise<string> =>
  ran
    .catch((error: unknown) => error as { stdout: string; stderr: string })
    .then(({ stdout, stderr }) => stdout + stderr);

test('the miner of the page is typed, conforms, and passes its own test', async () => {
  const files = blocks('file');
  const changes = blocks('in');
  expect([files.length, changes.length]).toEqual([4, 3]);
  for (const [file, text] of files) await writeFile(join(tree, file), text);
  for (const [file, diff] of changes)
    await writeFile(join(tree, file), changed(await readFile(join(tree, file), 'utf8'), diff));
  const bin = (name: string): string => join(ROOT, 'node_modules/.bin', name);
  const suites = ['acme', 'conformance', 'miner-conformance'].map(
    (name) => `test/unit/agent/drivers/${name}.test.ts`,
  );
  const named = 'acme|as a person reads it|is POST|in the table';
  const out = join(tree, 'report.json');
  const argv = ['run', ...suites, '-t', named, '--reporter=json', `--outputFile=${out}`];
  const tests = await said(run(bin('vitest'), argv, { cwd: tree }));
  const report = JSON.parse(await readFile(out, 'utf8').catch(() => `"${tests}"`)) as Report;
  const results = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  expect(
    results
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages }) => [fullName, failureMessages[0]?.slice(0, 300)]),
  ).toEqual([]);
  expect(report.numPassedTests).toBeGreaterThan(30);
  const include = files.map(([file]) => file).filter((file) => file.endsWith('.ts'));
  await writeFile(join(tree, 'tsconfig.page.json'), JSON.stringify({ extends: './tsconfig.json', include }));
  expect(await said(run(bin('tsc'), ['--noEmit', '-p', 'tsconfig.page.json'], { cwd: tree }))).toBe('');
}, 120_000);
