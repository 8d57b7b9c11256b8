import { describe, expect, test, vi } from 'vitest';

import { DRIVERS } from '../../../agent/drivers/list.ts';
import { run as act } from '../../../commands/act.ts';
import { readingsJson, run as read } from '../../../commands/read.ts';

/** Command lines that are refused before anything is sent. */
const fails = (run: Promise<number>, code: string, detail: RegExp): Promise<void> =>
  expect(run).rejects.toMatchObject({ code, detail: expect.stringMatching(detail) });

const target = 'whatsminer://127.0.0.1?api=1';

describe('read', () => {
  test('its help has a form for every family of devices', async () => {
    const printed = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    await read(['--help']);
    const help = printed.mock.calls.join('');
    printed.mockRestore();
    expect(
      DRIVERS.flatMap(({ schemes }) => schemes).filter((scheme) => !help.includes(`${scheme}://`)),
    ).toEqual([]);
  });

  test.each([
    ['toaster://127.0.0.1', /known: antminer, /],
    ['127.0.0.1', /scheme:\/\/host/],
    ['antminer://127.0.0.1?prot=80', /unknown option prot; known: http, /],
    ['antminer://127.0.0.1?api=99999', /api is no port/],
    ['modbus://127.0.0.1:502/1', /profile/],
    ['modbus://127.0.0.1:502/1?profile=abacus', /schneider-pm5xxx/],
    ['modbus://127.0.0.1:502/900?profile=schneider-pm5xxx', /1 to 255/],
    ['gpu://root@127.0.0.1', /key/],
    ['antminer://root:hunter2@127.0.0.1', /passwordEnv or passwordFile/],
  ])('refuses %s', (url, detail) => fails(read([url]), 'TARGET_INVALID', detail));

  test.each([
    ['passwordEnv=NO_SUCH_NAME', /NO_SUCH_NAME is not in the environment/],
    ['passwordFile=/nowhere/password', /\/nowhere\/password: ENOENT/],
  ])('says that the secret of %s is missing', (secret, detail) =>
    fails(read([`${target}&${secret}`]), 'SECRET_MISSING', detail),
  );

  test('says how it is used', async () => {
    await fails(read([]), 'USAGE', /one TARGET/);
    await fails(read([target, 'twice']), 'USAGE', /one TARGET/);
    await fails(read([target, '--timeout', 'soon']), 'USAGE', /soon/);
    await fails(read([target, '--timeout', '0']), 'USAGE', /seconds/);
  });

  test('a reading that failed has no value and no unit, only its reason', () => {
    expect(
      readingsJson({
        power: { ok: false, why: 'VALUE_INVALID', detail: 'not shown', atMs: 0 },
        hashrate: { ok: true, value: 1, unit: 'H/s', quality: 'good', atMs: 1 },
      }),
    ).toEqual({
      power: {
        value: null,
        unit: null,
        quality: 'bad',
        at: '1970-01-01T00:00:00.000Z',
        why: 'VALUE_INVALID',
      },
      hashrate: { value: 1, unit: 'H/s', quality: 'good', at: '1970-01-01T00:00:00.001Z' },
    });
  });
});

describe('act', () => {
  test('says how it is used', async () => {
    await fails(act([target]), 'USAGE', /a TARGET and a VERB/);
    await fails(act([target, 'explode']), 'USAGE', /there are sleep, wake, power-limit/);
    await fails(act([target, 'power-limit', 'much']), 'USAGE', /much/);
    await fails(act([target, 'power-limit']), 'USAGE', /watts/);
    await fails(act(['gpu://h', 'cap']), 'USAGE', /watts per GPU/);
  });

  test('says when a password would give the verb', () =>
    fails(act([target, 'sleep']), 'TARGET_INVALID', /sleep needs the device’s password; .*passwordEnv/));
});
