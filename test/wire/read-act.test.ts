/** `read` and `act` as an operator runs them, against devices written by others or straight from vendors' documents. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run as runRead } from '../../commands/read.ts';
import { FAULTS } from '../../protocols/faults.ts';
import type { FaultCode } from '../../protocols/faults.ts';
import { hasSshd, makeFolder, startSshd } from './gpu-rigs.ts';
import type { Folder, RealSshd } from './gpu-rigs.ts';
import { closeAll, freePort, hasPeer, opened, serveRaw, startPeer } from './modbus-rigs.ts';

const PROGRAM = fileURLToPath(new URL('../../switchyard', import.meta.url));
const PYTHON = '/usr/bin/python3';
const PASSWORD = 'correct horse';
const withPython = describe.skipIf(!hasPeer(PYTHON, ['-V']) || !hasPeer('openssl', ['version']));
const withPymodbus = it.skipIf(!hasPeer(PYTHON, ['-c', 'import pymodbus.datastore']));
const curl = promisify(execFile);

afterAll(closeAll);

interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  return new Promise((resolve) => {
    execFile(
      PROGRAM,
      [...args],
      { env: { ...process.env, MINER_PASSWORD: PASSWORD, ...env }, timeout: 60_000 },
      (error, stdout, stderr) =>
        resolve({
          status: error === null ? 0 : typeof error.code === 'number' ? error.code : -1,
          stdout,
          stderr,
        }),
    );
  });
}

interface ReadingJson {
  readonly value: number | string | null;
  readonly unit: string | null;
  readonly quality: string;
  readonly at: string;
  readonly measured?: boolean;
  readonly why?: string;
}

interface ReadJson {
  readonly target: string;
  readonly driver: string;
  readonly vendor: string;
  readonly model: string;
  readonly firmware: string;
  readonly at: string;
  readonly readings: Readonly<Record<string, ReadingJson>>;
}

interface ActJson {
  readonly target: string;
  readonly verb: string;
  readonly stage: string;
  readonly ms: number;
  readonly before: ReadJson['readings'] | null;
  readonly after: ReadJson['readings'] | null;
  readonly why?: string;
}

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

function expectReadings(readings: ReadJson['readings'] | null): void {
  const now = Date.now();
  for (const [quantity, reading] of Object.entries(readings ?? {})) {
    const known = ['value', 'unit', 'quality', 'at', 'measured', 'why'];
    expect(Object.keys(reading).filter((key) => !known.includes(key))).toEqual([]);
    expect(reading.at).toMatch(ISO);
    expect(Math.abs(Date.parse(reading.at) - now)).toBeLessThan(60_000);
    expect(['good', 'uncertain', 'bad']).toContain(reading.quality);
    if (reading.quality === 'bad') expect(reading).toMatchObject({ value: null, unit: null });
    else expect(reading.value, quantity).not.toBeNull();
    if (reading.quality !== 'good') expect(reading.why, quantity).toBeTypeOf('string');
  }
}

/** `read --json`, checked for the shape that programs rely on. */
async function read(target: string, env: Readonly<Record<string, string>> = {}): Promise<ReadJson> {
  const { status, stdout, stderr } = await run(['read', target, '--json'], env);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout.endsWith('}\n')).toBe(true);
  const answer = JSON.parse(stdout) as ReadJson;
  const isMeter = answer.driver === 'modbus-meter';
  const keys = ['target', 'driver', 'vendor', 'model', 'firmware', 'at', 'readings'];
  expect(Object.keys(answer)).toEqual(isMeter ? keys : [...keys, 'verbs']);
  expect(answer.target).toBe(target);
  expect(answer.at).toMatch(ISO);
  expectReadings(answer.readings);
  return answer;
}

/** Quantity to `[value, unit, quality]`. */
const shortly = (readings: ReadJson['readings'] | null): Record<string, readonly unknown[]> =>
  Object.fromEntries(
    Object.entries(readings ?? {}).map(([name, { value, unit, quality }]) => [name, [value, unit, quality]]),
  );

/** `act --json`, checked for the shape that programs rely on. */
async function act(
  target: string,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ActJson & { status: number; stderr: string }> {
  const { status, stdout, stderr } = await run(['act', target, ...words, '--json'], env);
  const answer = JSON.parse(stdout) as ActJson;
  const { error: _, why: __, ...rest } = answer as ActJson & { error?: unknown };
  expect(Object.keys(rest)).toEqual(['target', 'verb', 'stage', 'ms', 'before', 'after']);
  expect(answer).toMatchObject({ target, verb: words[0] });
  expect(answer.ms).toBeGreaterThanOrEqual(0);
  expectReadings(answer.before);
  expectReadings(answer.after);
  return { ...answer, status, stderr };
}

withPython('an Antminer by the vendor’s documents', () => {
  let target = '';
  let web = '';
  beforeAll(async () => {
    const [http, api] = (await startPeer(PYTHON, 'antminer.py', [PASSWORD])).split(' ');
    target = `antminer://127.0.0.1?http=${http}&api=${api}&user=root&passwordEnv=MINER_PASSWORD`;
    web = `http://127.0.0.1:${http}/cgi-bin/get_miner_conf.cgi`;
  });
  const conf = async (): Promise<Record<string, unknown>> => {
    const { stdout } = await curl('curl', ['-s', '--digest', '-u', `root:${PASSWORD}`, web]);
    return JSON.parse(stdout) as Record<string, unknown>;
  };

  it('is read with its units', async () => {
    const { driver, vendor, model, firmware, readings } = await read(target);
    expect({ driver, vendor, model }).toEqual({
      driver: 'antminer',
      vendor: 'Bitmain',
      model: 'Antminer S19j Pro',
    });
    expect(firmware).toContain('uart_trans.1.3');
    expect(shortly(readings)).toMatchObject({
      hashrate: [98_123.45e9, 'H/s', 'good'],
      power: [3_068, 'W', 'good'],
      mode: ['mine', 'text', 'good'],
      'fan.1': [5_880, 'rpm', 'good'],
      'fan.4': [6_030, 'rpm', 'good'],
      'temperature.board.1': [61, '°C', 'good'],
      'temperature.chip.2': [74, '°C', 'good'],
      'temperature.board.3': [null, null, 'bad'],
      'pool.active': ['stratum+tcp://pool.example:3333', 'text', 'good'],
      uptime: [expect.any(Number), 's', 'good'],
    });
    expect(readings['power']?.measured).toBe(true);
    expect(readings['temperature.board.3']?.why).toBe('VALUE_MISSING');
  });

  it('sleeps and wakes as observed, every other setting as it was', async () => {
    const before = await conf();
    const slept = await act(target, ['sleep']);
    expect(slept).toMatchObject({ stage: 'observed', status: 0, stderr: '' });
    expect(slept.before?.['mode']?.value).toBe('mine');
    expect(slept.after?.['mode']?.value).toBe('sleep');
    expect(slept.after?.['hashrate']?.value).toBeNull();
    const { 'bitmain-work-mode': asleep, ...kept } = await conf();
    const { 'bitmain-work-mode': awake, ...was } = before;
    expect([awake, asleep]).toEqual(['0', '1']);
    expect(kept).toEqual(was);
    const woken = await act(target, ['wake']);
    expect(woken).toMatchObject({ stage: 'observed', status: 0 });
    expect(woken.after?.['mode']?.value).toBe('mine');
    expect(await conf()).toEqual(before);
  });

  it('blinks, which nothing it reports can show', async () => {
    expect(await act(target, ['locate'])).toMatchObject({ stage: 'acknowledged', status: 0 });
    expect(await act(target, ['locate', '0'])).toMatchObject({ stage: 'acknowledged', status: 0 });
  });

  it('refuses a wrong password, and takes no command without one', async () => {
    const wrong = { MINER_PASSWORD: 'battery staple' };
    const [refused, blind] = await Promise.all([
      act(target, ['sleep'], wrong),
      read(target, wrong),
      expectTold(['act', target.replace('&passwordEnv=MINER_PASSWORD', ''), 'sleep'], 'TARGET_INVALID'),
    ]);
    expect(refused).toMatchObject({
      stage: 'failed',
      status: 1,
      why: expect.stringMatching(/^AUTH_FAILED: /),
    });
    expect(refused.stderr).toContain(`Next: ${FAULTS.AUTH_FAILED.next}`);
    expect(blind.readings['hashrate']?.quality).toBe('good');
    expect(blind.readings['workMode']).toMatchObject({ quality: 'bad', why: 'AUTH_FAILED' });
    expect((await conf())['bitmain-work-mode']).toBe('0');
  });
});

withPython('a Whatsminer by the vendor’s documents', () => {
  let target = '';
  beforeAll(async () => {
    const port = await startPeer(PYTHON, 'whatsminer.py', [PASSWORD]);
    target = `whatsminer://127.0.0.1?api=${port}&passwordEnv=MINER_PASSWORD`;
  });

  it('is read with its units', async () => {
    const { driver, vendor, model, firmware, readings } = await read(target);
    expect({ driver, vendor, model, firmware }).toEqual({
      driver: 'whatsminer-v2',
      vendor: 'MicroBT',
      model: 'Whatsminer M30S+_VE40',
      firmware: '20230803.11.REL',
    });
    expect(shortly(readings)).toMatchObject({
      hashrate: [101_234_567.89e6, 'H/s', 'good'],
      power: [3_345, 'W', 'good'],
      'power.limit': [3_400, 'W', 'good'],
      mode: ['mine', 'text', 'good'],
      'temperature.ambient': [26.5, '°C', 'good'],
      'temperature.chip.max': [84.25, '°C', 'good'],
      'temperature.board.2': [70.25, '°C', 'good'],
      'fan.1': [4_410, 'rpm', 'good'],
      'pool.active': ['stratum+tcp://pool.example:3333', 'text', 'good'],
    });
    expect(readings['power']?.measured).toBe(true);
  });

  it('is switched off and on, and limited, as observed', async () => {
    const slept = await act(target, ['sleep']);
    expect(slept).toMatchObject({ stage: 'observed', status: 0 });
    expect(shortly(slept.after)).toMatchObject({ mode: ['sleep', 'text', 'good'], power: [13, 'W', 'good'] });
    expect(await act(target, ['wake'])).toMatchObject({ stage: 'observed', status: 0 });
    const limited = await act(target, ['power-limit', '3000']);
    expect(limited).toMatchObject({ stage: 'observed', status: 0 });
    expect(shortly(limited.after)).toMatchObject({ 'power.limit': [3_000, 'W', 'good'] });
    expect(Number(limited.after?.['power']?.value)).toBeLessThanOrEqual(3_000);
  });

  it('refuses a wrong password and verbs it does not have', async () => {
    const [refused, unknown] = await Promise.all([
      act(target, ['sleep'], { MINER_PASSWORD: 'battery staple' }),
      act(target, ['ai-start']),
    ]);
    expect(refused).toMatchObject({
      stage: 'failed',
      status: 1,
      why: expect.stringMatching(/^AUTH_FAILED: /),
    });
    // It may still be starting from the test before; what matters is that it was not put to sleep.
    expect(['mine', 'idle']).toContain(refused.after?.['mode']?.value);
    expect(unknown).toMatchObject({
      stage: 'failed',
      status: 1,
      why: expect.stringMatching(/^VERB_UNSUPPORTED: .*sleep, wake, power-limit/),
    });
  });
});

describe('a meter and a GPU host', () => {
  withPymodbus('a PM5xxx served by pymodbus is read with its units', async () => {
    const port = await startPeer(PYTHON, 'modbus_server.py', ['tcp', '7']);
    const target = `modbus://127.0.0.1:${port}/7?profile=schneider-pm5xxx`;
    const { vendor, readings } = await read(target);
    expect(vendor).toBe('Schneider Electric');
    expect(shortly(readings)).toMatchObject({
      'power.active.total': [276_500, 'W', 'good'],
      'power.active.L1': [92_500, 'W', 'good'],
      'voltage.L1N': [230.5, 'V', 'good'],
      'current.L1': [412.5, 'A', 'good'],
      'energy.active.import': [123_456_789_012, 'Wh', 'good'],
      'energy.active.export': [42, 'Wh', 'good'],
    });
    expect(readings['frequency']?.value).toBeCloseTo(49.98, 2);
    expect(readings['powerFactor.total']?.value).toBeCloseTo(0.97, 2);
    expect(await act(target, ['sleep'])).toMatchObject({
      stage: 'failed',
      status: 1,
      why: expect.stringMatching(/^VERB_UNSUPPORTED/),
    });
  });

  describe.skipIf(!hasSshd)('OpenSSH with stand-ins of nvidia-smi and systemctl', () => {
    let folder: Folder;
    let sshd: RealSshd;
    beforeAll(async () => {
      folder = await makeFolder();
      opened.push(() => folder.remove());
      sshd = await startSshd(folder);
      opened.push(() => sshd.close());
    });
    const target = (pin = folder.hostKeys.fingerprint): string =>
      `gpu://${sshd.target.user}@127.0.0.1:${sshd.target.port}?key=${encodeURIComponent(folder.keyFile)}&hostKey=${encodeURIComponent(pin)}&mine=miner.service&ai=ai.service`;

    it('is read, handed to AI work, capped and taken back', async () => {
      const { vendor, readings } = await read(target());
      expect(vendor).toBe('NVIDIA');
      expect(shortly(readings)).toMatchObject({
        mode: ['idle', 'text', 'good'],
        'gpu.0.power': [69.62, 'W', 'good'],
        'gpu.1.powerLimit': [700, 'W', 'good'],
        'gpu.1.temperature': [41, '°C', 'good'],
        'gpu.0.utilization': [0, '%', 'good'],
      });
      const started = await act(target(), ['ai-start']);
      expect(started).toMatchObject({ stage: 'observed', status: 0 });
      expect(shortly(started.after)).toMatchObject({ mode: ['ai', 'text', 'good'] });
      const capped = await act(target(), ['cap', '450']);
      expect(capped).toMatchObject({ stage: 'observed', status: 0 });
      expect(shortly(capped.after)).toMatchObject({
        'gpu.0.powerLimit': [450, 'W', 'good'],
        'gpu.1.powerLimit': [450, 'W', 'good'],
      });
      expect(await act(target(), ['ai-stop'])).toMatchObject({ stage: 'observed', status: 0 });
    });

    it('is not spoken to when its key is another', async () => {
      const pin = 'SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
      await expectTold(['read', target(pin)], 'SSH_HOST_KEY');
    });
  });
});

/** What the process says: a code, its cause and the next step on standard error and, with --json, as an object. */
async function expectTold(args: readonly string[], code: FaultCode): Promise<void> {
  const { status, stdout, stderr } = await run([...args, '--json']);
  expect(stderr).toMatch(new RegExp(`^${code}: .+\nNext: .+\n$`));
  expect(stderr).toContain(`Next: ${FAULTS[code].next}`);
  expect(status).toBe(code === 'USAGE' ? 2 : 1);
  const { error } = JSON.parse(stdout) as { error: object };
  expect(error).toMatchObject({ code, cause: FAULTS[code].cause, next: FAULTS[code].next });
}

describe('what goes wrong', () => {
  it('is told with a code and the next step', async () => {
    const closed = await freePort();
    await Promise.all([
      expectTold(['read', `whatsminer://127.0.0.1?api=${closed}`], 'NET_REFUSED'),
      expectTold(
        ['act', `whatsminer://127.0.0.1?api=${closed}&passwordEnv=MINER_PASSWORD`, 'sleep'],
        'NET_REFUSED',
      ),
      expectTold(['act', 'whatsminer://127.0.0.1', 'explode'], 'USAGE'),
    ]);
    const { status, stdout, stderr } = await run(['read', 'antminer://root:hunter2@127.0.0.1']);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^TARGET_INVALID: .+\nNext: .+\n$/);
    expect(stderr).not.toContain('hunter2');
  });

  // Within this process from here: what is told of a fault is the same for all.
  const fails = (argv: string[], code: FaultCode, detail = /./): Promise<void> =>
    expect(runRead(argv)).rejects.toMatchObject({ code, detail: expect.stringMatching(detail) });

  it.each(['antminer', 'whatsminer', 'cgminer'])('%s: nobody there, silence, nonsense', async (scheme) => {
    const [closed, silent, garbage, web] = await Promise.all([
      freePort(),
      serveRaw(() => undefined),
      serveRaw((socket) => socket.end('Socket connect failed: Connection refused\n')),
      serveRaw((socket) => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')),
    ]);
    const at = (port: number): string[] => [`${scheme}://127.0.0.1?api=${port}`, '--timeout', '0.5'];
    await fails(at(closed), 'NET_REFUSED', new RegExp(`127\\.0\\.0\\.1:${closed}`));
    await fails(at(silent), 'NET_TIMEOUT');
    await fails(at(garbage), 'NET_REFUSED', /the mining process does not run/);
    await fails(at(web), 'ANSWER_GARBAGE');
  });

  it('a meter: nobody there, silence, nonsense', async () => {
    const [closed, silent, garbage] = await Promise.all([
      freePort(),
      serveRaw(() => undefined),
      serveRaw((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    ]);
    const at = (port: number): string[] => [
      `modbus://127.0.0.1:${port}/1?profile=schneider-pm5xxx`,
      '--timeout',
      '0.5',
    ];
    await fails(at(closed), 'NET_REFUSED');
    await fails(at(silent), 'NET_TIMEOUT');
    await expect(runRead(at(garbage))).rejects.toMatchObject({
      code: expect.stringMatching(/^(MODBUS|NET)_/),
    });
  });
});
