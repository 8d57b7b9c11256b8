import { describe, expect, test } from 'vitest';

import type { DeviceIo } from '../../../agent/driver.ts';
import { openDevice, parseTarget } from '../../../agent/target.ts';
import { Fault } from '../../../protocols/faults.ts';

const env = { P: 'hunter2' };

function faultOf(work: () => unknown): Fault {
  try {
    work();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error('no fault');
}

describe('parseTarget', () => {
  test('reads the forms of the command line', () => {
    expect(parseTarget('antminer://10.0.0.5?http=8080&api=4028&user=root&passwordEnv=P', { env })).toEqual({
      url: 'antminer://10.0.0.5?http=8080&api=4028&user=root&passwordEnv=P',
      scheme: 'antminer',
      host: '10.0.0.5',
      port: undefined,
      user: 'root',
      password: 'hunter2',
      path: '',
      options: { http: '8080', api: '4028' },
    });
    expect(parseTarget('modbus+rtu://gw.site:1502/17?profile=x', { env })).toMatchObject({
      scheme: 'modbus+rtu',
      host: 'gw.site',
      port: 1_502,
      path: '17',
      options: { profile: 'x' },
    });
    expect(parseTarget('modbus+serial:///dev/ttyUSB0/3?baud=9600', { env })).toMatchObject({
      host: '',
      path: 'dev/ttyUSB0/3',
    });
    expect(parseTarget('gpu://ops@[::1]:2222?key=/k&hostKey=SHA256:ab+c/d', { env })).toMatchObject({
      user: 'ops',
      host: '::1',
      port: 2_222,
      options: { hostKey: 'SHA256:ab+c/d' },
    });
    expect(parseTarget('x://h?passwordFile=/p', { env, readFile: () => 'pw\n' })).toMatchObject({
      password: 'pw',
      options: {},
    });
  });

  test.each([
    ['nonsense', /form/],
    [`x://${'h'.repeat(3_000)}`, /form/],
    ['x://h:99999', /form/],
    ['x://root:hunter2@h', /passwordEnv/],
    ['x://h?password=hunter2', /passwordEnv/],
    ['x://h?passwordEnv=NOPE', /NOPE/, 'SECRET_MISSING'],
    ['x://h?passwordEnv=P&passwordFile=/p', /one of them/],
    ['x://h?passwordFile=/missing', /\/missing/, 'SECRET_MISSING'],
    ['x://h?a=1&a=2', /a is given twice/],
    ['x://h?a=', /no value/],
    ['x://u@h?user=v', /twice/],
    ['x://h/a/b', /segment/],
    ['x://h#x', /#/],
  ])('refuses %s and says why, never a secret', (url, message, code = 'TARGET_INVALID') => {
    const readFile = (): string => {
      throw new Error('ENOENT');
    };
    const fault = faultOf(() => parseTarget(url, { env, readFile }));
    expect(fault.code).toBe(code);
    expect(fault.message).toMatch(message);
    expect(fault.message).not.toContain('hunter2');
  });

  test('keeps options off the prototype', () => {
    expect(Object.hasOwn(parseTarget('x://h?__proto__=1', { env }).options, '__proto__')).toBe(true);
    expect(({} as Record<string, unknown>)['1']).toBeUndefined();
  });
});

describe('openDevice', () => {
  const open = (url: string): unknown => openDevice(parseTarget(url, { env }), {} as DeviceIo);

  test('refuses what no driver takes', () => {
    expect(faultOf(() => open('toaster://h')).message).toContain('antminer');
    expect(faultOf(() => open('antminer://h?htp=80')).message).toContain('htp');
    expect(faultOf(() => open('antminer://h?http=0')).message).toContain('http is no port');
    expect(faultOf(() => open('antminer://h/1')).message).toContain('no path');
    expect(faultOf(() => open('whatsminer://?api=1')).code).toBe('TARGET_INVALID');
  });
});
