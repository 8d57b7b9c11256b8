/**
 * Software that others wrote, unchanged: their clients read and command our simulated machines, and our drivers read
 * and command their mock devices. It is fetched apart (CONTRIBUTING.md); docs/reliability.md says what was run.
 */
import { afterAll, expect, test } from 'vitest';

import { SimulatedWhatsminerV3 } from '../../simulator/devices/whatsminer-v3.ts';
import { SimulatedWhatsminer } from '../../simulator/devices/whatsminer.ts';
import { serveMiner } from './miner-rigs.ts';
import { closeAll } from './modbus-rigs.ts';
import { describeWith, expectSteps } from './others/rig.ts';
import type { Client, Step } from './others/rig.ts';

const PORT = 14_428;
const PASSWORD = 'correct-horse';
const at = (place: number) => ({ host: `127.9.62.${place}`, port: PORT, password: PASSWORD });

afterAll(closeAll);

/** What a Whatsminer of API v2 says to its reads, as far as every client of it must find it. */
const WHATSMINER_SAYS = {
  summary: { SUMMARY: [{ 'Power Limit': 3_540, 'Power Mode': 'Normal', 'Factory GHS': 186_000 }] },
  pools: { POOLS: [{ URL: 'stratum+tcp://pool1.example:3333', User: 'site.m1', Status: 'Alive' }] },
  devs: { DEVS: [{ Slot: 0 }, { Slot: 1 }, { Slot: 2 }] },
  edevs: { DEVS: [{ Slot: 0 }, { Slot: 1 }, { Slot: 2 }] },
  devdetails: { DEVDETAILS: [{ Model: 'M60' }] },
  get_psu: { STATUS: 'S', Msg: { model: 'P222B' } },
  get_version: { STATUS: 'S', Msg: { api_ver: '2.0.5', fw_ver: '20230803.11.REL' } },
  status: { STATUS: 'S', Msg: { mineroff: 'false', power_mode: 'normal', power_limit_set: '3540' } },
  get_miner_info: { STATUS: 'S', Msg: { ledstat: 'auto' } },
  get_error_code: { STATUS: 'S', Msg: { error_code: [] } },
} as const;
const OK = { STATUS: 'S', Code: 131, Msg: 'API command OK' };
const isOff = (mineroff: 'true' | 'false') => ({ Msg: { mineroff } });
const limitIs = (watts: number) => ({ SUMMARY: [{ 'Power Limit': watts }] });
const modeIs = (mode: string) => ({ SUMMARY: [{ 'Power Mode': mode }] });
const lightIs = (ledstat: string) => ({ Msg: { ledstat } });
const NEW_POOL = { POOLS: [{ URL: 'stratum+tcp://new.example:3333', User: 'acct.w1' }] };

describeWith('satoshi-anonymoto/whatsminer-api')('satoshi-anonymoto/whatsminer-api', () => {
  test('reads and commands a simulated Whatsminer of API v2', async () => {
    const place = at(1);
    const miner = await serveMiner(place, 'whatsminer-m60', (options) => new SimulatedWhatsminer(options));
    const client = (password: string): Client => ({
      script: 'whatsminer_api.py',
      repository: 'satoshi-anonymoto/whatsminer-api',
      words: [place.host, PORT, password],
    });
    const read = (command: string): Step => ['get_read_only', command, null];
    const write = (command: string, words: object | null = null): Step => ['exec_command', command, words];
    await expectSteps(
      client(PASSWORD),
      Object.entries(WHATSMINER_SAYS).map(([command, says]) => [read(command), says]),
    );
    await expectSteps(client('wrong'), [
      // It knows of no refusal that is not encrypted, and fails.
      [write('power_off'), { error: "KeyError('enc')" }],
      [read('status'), isOff('false')],
    ]);
    expect(miner.changes).toBe(0);
    const none = { pool2: '', worker2: '', passwd2: '', pool3: '', worker3: '', passwd3: '' };
    const one = { pool1: 'stratum+tcp://new.example:3333', worker1: 'acct.w1', passwd1: 'x' };
    await expectSteps(client(PASSWORD), [
      [write('power_off', { respbefore: 'true' }), OK],
      [read('status'), isOff('true')],
      [write('power_on'), OK],
      [read('status'), isOff('false')],
      [write('adjust_power_limit', { power_limit: '2500' }), OK],
      [read('summary'), limitIs(2_500)],
      [write('set_low_power'), OK],
      [read('summary'), modeIs('Low')],
      [write('update_pools', { ...one, ...none }), OK],
      [read('pools'), NEW_POOL],
      [write('set_led', { color: 'red', period: 200, duration: 100, start: 0 }), OK],
      [read('get_miner_info'), lightIs('manual')],
      [write('nonsense'), { STATUS: 'E', Code: 14 }],
      [write('reboot'), OK],
    ]);
  });
});

describeWith('UpstreamData/pyasic', 'pyasic/rpc/btminer.py')('UpstreamData/pyasic, rpc/btminer.py', () => {
  test('reads and commands a simulated Whatsminer of API v2', async () => {
    const place = at(2);
    const miner = await serveMiner(place, 'whatsminer-m60', (options) => new SimulatedWhatsminer(options));
    const client = (password: string): Client => ({
      script: 'pyasic_client.py',
      repository: 'UpstreamData/pyasic',
      words: ['rpc.btminer.BTMinerRPCAPI', place.host, PORT, password],
    });
    const { summary, pools, get_version, status } = WHATSMINER_SAYS;
    await expectSteps(client(PASSWORD), [
      ...Object.entries(WHATSMINER_SAYS).map(([name, says]) => [[name], says] as const),
      [
        ['multicommand', 'summary', 'pools', 'get_version', 'status'],
        { summary: [summary], pools: [pools], get_version: [get_version], status: [status] },
      ],
    ]);
    await expectSteps(client('wrong'), [
      [['power_off'], { error: 'APIError: enc json load err' }],
      [['status'], isOff('false')],
    ]);
    expect(miner.changes).toBe(0);
    // All nine words, as its own configuration makes them.
    const pool = ['stratum+tcp://new.example:3333', 'acct.w1', 'x', '', '', '', '', '', ''];
    await expectSteps(client(PASSWORD), [
      [['power_off'], OK],
      [['status'], isOff('true')],
      [['power_on'], OK],
      [['status'], isOff('false')],
      [['adjust_power_limit', 2_500], OK],
      [['summary'], limitIs(2_500)],
      [['set_low_power'], OK],
      [['summary'], modeIs('Low')],
      [['set_high_power'], OK],
      [['summary'], modeIs('High')],
      [['set_normal_power'], OK],
      [['summary'], modeIs('Normal')],
      [['update_pools', ...pool], OK],
      [['pools'], NEW_POOL],
      [['set_led', { auto: false }], OK],
      [['get_miner_info'], lightIs('manual')],
      [['reset_led'], OK],
      [['get_miner_info'], lightIs('auto')],
      [['restart'], OK],
      // A simulated machine has no name to change, and says so.
      [['set_hostname', 'm1'], { error: 'APIError: API command ERROR' }],
      [['reboot'], OK],
    ]);
  });
});

describeWith('tetherto/miningos-wrk-miner-whatsminer', 'workers')(
  'tetherto/miningos-wrk-miner-whatsminer, workers/lib/protocols',
  () => {
    const client = (handler: string, { host }: { host: string }, password: string): Client => ({
      script: 'miningos-whatsminer.ts',
      repository: 'tetherto/miningos-wrk-miner-whatsminer',
      words: [handler, host, PORT, password],
    });

    test('wm-api-v2.js reads and commands a simulated Whatsminer of API v2', async () => {
      const place = at(3);
      const miner = await serveMiner(place, 'whatsminer-m60', (options) => new SimulatedWhatsminer(options));
      const read = (command: string): Step => ['requestRead', command];
      const write = (command: string, words: object = {}): Step => ['requestWrite', command, words];
      await expectSteps(client('wm-api-v2', place, 'wrong'), [
        [write('power_off'), { error: 'Error: ERR_JSON_CMD' }],
      ]);
      expect(miner.changes).toBe(0);
      const none = { pool2: '', worker2: '', passwd2: '', pool3: '', worker3: '', passwd3: '' };
      const one = { pool1: 'stratum+tcp://new.example:3333', worker1: 'acct.w1', passwd1: 'x' };
      await expectSteps(client('wm-api-v2', place, PASSWORD), [
        ...Object.entries(WHATSMINER_SAYS).map(([command, says]) => [read(command), says] as const),
        [write('power_off', { respbefore: 'true' }), OK],
        [read('status'), isOff('true')],
        [write('power_on'), OK],
        [read('status'), isOff('false')],
        [write('adjust_power_limit', { power_limit: '2500' }), OK],
        [read('summary'), limitIs(2_500)],
        [write('set_low_power'), OK],
        [read('summary'), modeIs('Low')],
        [write('update_pools', { ...one, ...none }), OK],
        [read('pools'), NEW_POOL],
        [write('set_led', { color: 'red', period: 200, duration: 100, start: 0 }), OK],
        [read('get_miner_info'), lightIs('manual')],
        [write('nonsense'), { STATUS: 'E', Code: 14 }],
        [write('reboot'), OK],
      ]);
    });

    test('wm-api-v3.js reads and commands a simulated Whatsminer of API v3', async () => {
      const place = at(4);
      const miner = await serveMiner(
        place,
        'whatsminer-m66',
        (options) => new SimulatedWhatsminerV3(options),
      );
      const read = (command: string, param?: string): Step => ['requestRead', command, { param }];
      const done = { code: 0, msg: 'ok' };
      await expectSteps(client('wm-api-v3', place, 'wrong'), [
        [['authenticate'], { salt: expect.any(String) }],
        [['write', 'set.miner.service', 'stop'], { code: -4 }],
      ]);
      expect(miner.changes).toBe(0);
      await expectSteps(client('wm-api-v3', place, PASSWORD), [
        [read('get.miner.status', 'summary'), { msg: { summary: { 'power-limit': 5_492 } } }],
        [
          read('get.miner.status', 'edevs+summary'),
          { msg: { edevs: [{ id: 0 }, { id: 1 }, { id: 2 }], summary: { 'factory-hash': 276 } } },
        ],
        [read('get.miner.status', 'pools'), { msg: { pools: [{ 'stratum-active': true }] } }],
        [read('get.miner.status'), { code: -3 }],
        [read('get.device.info', 'error-code'), { msg: { 'error-code': [] } }],
        // Of two answers it makes one.
        [read('get.miner.setting'), { msg: { 'power-mode': 'normal', 'miner-working': 'true' } }],
        [read('get.nonsense'), { code: -2 }],
        [['write', 'set.miner.service', 'stop'], done],
        [read('get.device.info', 'miner'), { msg: { miner: { working: 'false' } } }],
        [['write', 'set.miner.service', 'start'], done],
        [read('get.device.info', 'miner'), { msg: { miner: { working: 'true' } } }],
        [['write', 'set.miner.power_limit', 4_009], done],
        [read('get.miner.status', 'summary'), { msg: { summary: { 'power-limit': 4_009 } } }],
        [['write', 'set.miner.power_mode', 'low'], done],
        [read('get.miner.setting'), { msg: { 'power-mode': 'low' } }],
        [['write', 'set.system.led', [{ color: 'red', period: 200, duration: 100, start: 0 }]], done],
        [read('get.device.info', 'system'), { msg: { system: { ledstatus: 'manual' } } }],
        [['write', 'set.system.reboot'], done],
      ]);
    });
  },
);
