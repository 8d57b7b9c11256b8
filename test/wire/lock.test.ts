import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { lockFolder } from '../../host/lock.ts';

const LOCK = fileURLToPath(new URL('../../host/lock.ts', import.meta.url));

test('a data directory has one owner: a frozen one keeps it, a killed one gives it back', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lock-'));
  const script = `import { lockFolder } from ${JSON.stringify(LOCK)};
    lockFolder(${JSON.stringify(folder)}); process.stdout.write('held'); setInterval(() => {}, 1e6);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script]);
  await once(owner.stdout, 'data');
  const inUse = expect.objectContaining({ code: 'DATA_IN_USE' });
  expect(() => lockFolder(folder)).toThrow(inUse);
  owner.kill('SIGSTOP');
  expect(() => lockFolder(folder)).toThrow(inUse);
  const gone = once(owner, 'exit');
  owner.kill('SIGKILL');
  await gone;
  lockFolder(folder);
  expect(() => lockFolder(folder)).toThrow(inUse);
  expect(() => lockFolder(join(folder, 'none'))).toThrow(expect.objectContaining({ code: 'DISK_FAILED' }));
  rmSync(folder, { recursive: true });
});
