import { expect, test } from 'vitest';
import { makeLog } from '../../../host/log.ts';
import type { LogLevel } from '../../../host/log.ts';

function captured(level: LogLevel = 'info') {
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  };
  return { lines, log: makeLog({ name: 'agent', level, destination }) };
}

test('a line holds level, time, process, fields and the event', () => {
  const { lines, log } = captured();
  log.child({ rack: 'r1' }).warn({ machine: 'm1' }, 'device lost');
  expect(lines[0]).toMatchObject({
    level: 'warn',
    name: 'agent',
    rack: 'r1',
    machine: 'm1',
    event: 'device lost',
  });
  expect(lines[0]?.['time']).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
});

test('secrets never reach a line', () => {
  const { lines, log } = captured();
  log.info(
    { password: 'p4ss', target: { token: 't0ken', inner: { key: 'k3y' } }, passwordEnv: 'SHOWN' },
    'x',
  );
  log.child({ secret: 's3cret' }).info({}, 'y');
  const text = JSON.stringify(lines);
  for (const secret of ['p4ss', 't0ken', 'k3y', 's3cret']) expect(text).not.toContain(secret);
  expect(text).toContain('SHOWN');
});

test('levels below the chosen one and silent write nothing', () => {
  const quiet = captured('silent');
  quiet.log.error({}, 'x');
  expect(quiet.lines).toEqual([]);
  const info = captured('info');
  info.log.debug({}, 'x');
  expect(info.lines).toEqual([]);
});

test('debug lines are left out and written again, also those of children made before', () => {
  const { lines, log } = captured('debug');
  const child = log.child({ rack: 'r1' });
  log.dropDebug?.(true);
  child.debug({}, 'left out');
  child.info({}, 'written');
  log.dropDebug?.(false);
  child.debug({}, 'written again');
  expect(lines.map(({ event }) => event)).toEqual(['written', 'written again']);
});
