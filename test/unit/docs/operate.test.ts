import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FAULTS } from '../../../protocols/faults.ts';

const FILE = new URL('../../../docs/operate.md', import.meta.url);
const TABLE = /(<!-- faults: .*-->\n)[^]*(<!-- \/faults -->)/u;

test('the table of codes says what protocols/faults.ts says', () => {
  const rows = Object.entries(FAULTS).map(
    ([code, { cause, next, retry }]) =>
      `| \`${code}\` | ${cause} | ${next} | ${retry === 'later' ? 'yes' : 'no'} |`,
  );
  const table = ['| code | what it means | what to do | again |', '|---|---|---|---|', ...rows, ''].join(
    '\n',
  );
  const text = readFileSync(FILE, 'utf8');
  const wanted = text.replace(TABLE, (_, before: string, after: string) => before + table + after);
  if (process.env['DOCS'] === 'write') writeFileSync(FILE, wanted);
  else expect(text, 'run: DOCS=write npx vitest run test/unit/docs').toBe(wanted);
  expect(text).toMatch(TABLE);
});
