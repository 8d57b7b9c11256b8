/** What others wrote is not in this tree: SWITCHYARD_OTHERS names a folder of checkouts (CONTRIBUTING.md). */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';

import { firstLine } from '../modbus-rigs.ts';

const run = promisify(execFile);
const FOLDER = process.env['SWITCHYARD_OTHERS'];
const PYTHON = '/usr/bin/python3';

/** The folder of a checkout, `owner/repository`; '' when there is none here. */
function checkoutOf(repository: string): string {
  const folder = FOLDER === undefined ? '' : join(FOLDER, repository);
  return folder !== '' && existsSync(folder) ? folder : '';
}

/** `describe` for what needs that checkout: skipped with a line that says so where it is missing. */
export function describeWith(repository: string, file?: string): ReturnType<typeof describe.skipIf> {
  const folder = checkoutOf(repository);
  const isHere = folder !== '' && (file === undefined || existsSync(join(folder, file)));
  if (!isHere)
    process.stderr.write(
      `skipped: no ${repository} at SWITCHYARD_OTHERS=${FOLDER ?? ''} (CONTRIBUTING.md says how to fetch it)\n`,
    );
  return describe.skipIf(!isHere);
}

/** One call of a client by others: its method and what it is called with. */
export type Step = readonly [method: string, ...words: readonly unknown[]];

/** A client by others, and the script beside this file that runs it with these words. */
export interface Client {
  readonly script: string;
  readonly repository: string;
  readonly words: readonly (string | number)[];
}

/** Has the client make those calls, one after the other, and expects what each returns; `{ error }`: it failed. */
export async function expectSteps(
  { script, repository, words }: Client,
  steps: readonly (readonly [step: Step, returns: unknown])[],
): Promise<void> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const command = script.endsWith('.py') ? PYTHON : process.execPath;
  const calls = JSON.stringify(steps.map(([step]) => step));
  const argv = [path, checkoutOf(repository), ...words.map(String), calls];
  const { stdout } = await run(command, argv, { timeout: 60_000, maxBuffer: 16 * 1024 * 1024 });
  const returned = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as unknown;
  expect(returned).toMatchObject(steps.map(([, returns]) => returns));
}

/** Starts a mock machine of that checkout, until `closeAll`. */
export async function startMock(repository: string, options: object): Promise<void> {
  const path = fileURLToPath(new URL('miningos-mock.ts', import.meta.url));
  await firstLine(process.execPath, [path, checkoutOf(repository), JSON.stringify(options)]);
}
