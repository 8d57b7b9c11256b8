/** Clients of miners' pages that others wrote, unchanged (others.test.ts): they read and command our simulated machines. */
import { afterAll, expect, test } from 'vitest';

import { SimulatedAntminer } from '../../simulator/devices/antminer.ts';
import { SimulatedAuradine } from '../../simulator/devices/auradine.ts';
import { SimulatedBitaxe } from '../../simulator/devices/bitaxe.ts';
import { SimulatedBraiinsGraphql } from '../../simulator/devices/braiins-graphql.ts';
import { SimulatedEpic } from '../../simulator/devices/epic.ts';
import { SimulatedLuxos } from '../../simulator/devices/luxos.ts';
import { SimulatedVnish } from '../../simulator/devices/vnish.ts';
import { serveMiner } from './miner-rigs.ts';
import { closeAll } from './modbus-rigs.ts';
import { describeWith, expectSteps } from './others/rig.ts';
import type { Client, Step } from './others/rig.ts';

const PYASIC = 'UpstreamData/pyasic';
const PORT = 14_628;
const PASSWORD = 'correct-horse';
const at = (place: number) => ({ host: `127.9.66.${place}`, port: PORT, password: PASSWORD });
type Steps = readonly (readonly [step: Step, returns: unknown])[];

/** A class below pyasic, for a machine whose pages are on that port: the one behind its API's, or that itself. */
const pyasic = (kind: string, { host }: { readonly host: string }, port = PORT + 1): Client => ({
  script: 'pyasic_client.py',
  repository: PYASIC,
  words: [kind, host, port, PASSWORD],
});
const as = (client: Client, password: string): Client => ({
  ...client,
  words: [...client.words.slice(0, -1), password],
});
/** What it makes of a page that is not there, and of a refusal. */
const NONE = null;
/** And of a login that was refused: it goes on without a token. */
const NO_TOKEN = { error: expect.stringContaining('AttributeError') };

afterAll(closeAll);

describeWith(PYASIC, 'pyasic/web/vnish.py')(`${PYASIC}, web/vnish.py`, () => {
  test('reads and commands a simulated VNish', async () => {
    const place = at(1);
    const miner = await serveMiner(place, 'antminer-s19-vnish', (options) => new SimulatedVnish(options));
    const client = pyasic('web.vnish.VNishWebAPI', place);
    const state = (miner_state: string) => ({ miner_state });
    const TAKEN = { restart_required: false, reboot_required: false };
    const owned = { globals: { volt: 1_320, freq: 610 }, preset_switcher: { rise_temp: 50 } };
    const reads: Steps = [
      [['info'], { fw_name: 'Vnish', fw_version: '1.2.6', model: 's19' }],
      [['summary'], { miner: { miner_status: state('mining'), pools: [{ user: 'site.m1' }, {}, {}, {}] } }],
      [['status'], state('mining')],
      [['settings'], { miner: { overclock: { ...owned, preset: '3200' } } }],
      [
        ['autotune_presets'],
        expect.arrayContaining([expect.objectContaining({ name: '1900', modded_psu_required: false })]),
      ],
      [['multicommand', 'info', 'status'], { info: { fw_name: 'Vnish' }, status: state('mining') }],
    ];
    await expectSteps(client, reads);
    await expectSteps(as(client, 'wrong'), [[['stop_mining'], NONE]]);
    expect(miner.changes).toBe(0);
    // Deeds answer with an empty body, of which it makes nothing.
    await expectSteps(client, [
      [['set_power_limit', 1900], TAKEN],
      [['settings'], { miner: { overclock: { ...owned, preset: '1900' } } }],
      // A preset that there is not: the same answer, and nothing changes.
      [['set_power_limit', 2_401], TAKEN],
      [['settings'], { miner: { overclock: { ...owned, preset: '1900' } } }],
      [['find_miner'], { on: true }],
      [['status'], { find_miner: true }],
      [['find_miner'], { on: false }],
      [['pause_mining'], NONE],
      [['status'], state('paused')],
      [['resume_mining'], NONE],
      [['status'], state('initializing')],
      [['stop_mining'], NONE],
      [['status'], state('stopped')],
      [['start_mining'], NONE],
      [['status'], state('initializing')],
      [['restart_vnish'], NONE],
      [['reboot'], { after: 3 }],
    ]);
  });
});

describeWith(PYASIC, 'pyasic/web/auradine.py')(`${PYASIC}, web/auradine.py`, () => {
  test('reads and commands a simulated Auradine', async () => {
    const place = at(2);
    const miner = await serveMiner(place, 'auradine-at2880', (options) => new SimulatedAuradine(options));
    const client = pyasic('web.auradine.AuradineWebAPI', place);
    const OK = { STATUS: [{ STATUS: 'S' }] };
    const mode = (words: object) => ({ Mode: [words] });
    await expectSteps(client, [
      [['ipreport'], { IPReport: [{ model: 'AT2880', version: '2023-12.27' }] }],
      [['get_fan'], { Fan: [{ ID: 1, Max: 7_700 }, { ID: 2 }, { ID: 3 }, { ID: 4 }] }],
      [
        ['get_frequency'],
        { Frequency: [{ ID: 1, ChipFrequency: [{ ID: 0 }, {}, {}] }, { ID: 2 }, { ID: 3 }] },
      ],
      [['voltage'], { Voltage: [{ ID: 1, ChipVoltage: [{ ID: 0 }, {}, {}] }, { ID: 2 }, { ID: 3 }] }],
      [['get_led'], { LED: [{ Code: 2 }] }],
      [['get_mode'], mode({ Mode: 'custom', Sleep: 'off', Power: 5_000 })],
      [['get_psu'], { PSU: [{ PowerIn: expect.stringMatching(/^\d+\.\d\dW$/) }] }],
      [['temperature'], { Temperature: [{ Name: 'Control Board' }, {}, {}, {}] }],
      [['get_token'], { Token: [{ Token: expect.any(String) }] }],
      [['multicommand', 'ipreport', 'mode'], { ipreport: OK, mode: OK }],
    ]);
    await expectSteps(as(client, 'wrong'), [[['set_mode', { sleep: 'on' }], NO_TOKEN]]);
    expect(miner.changes).toBe(0);
    await expectSteps(client, [
      [['set_mode', { sleep: 'on' }], OK],
      [['get_mode'], mode({ Sleep: 'on' })],
      [['set_mode', { sleep: 'off' }], OK],
      [['get_mode'], mode({ Sleep: 'off' })],
      [['set_mode', { mode: 'custom', tune: 'power', power: 4_000 }], OK],
      [['get_mode'], mode({ Mode: 'custom', Power: 4_000 })],
      [['set_mode', { mode: 'eco' }], OK],
      [['get_mode'], mode({ Mode: 'eco' })],
      [['set_led', 3], OK],
      [['get_led'], { LED: [{ Code: 3 }] }],
      [['update_pools', [{ url: 'stratum+tcp://new.example:3333', user: 'acct.w1', pass: 'x' }]], OK],
      [['restart_gcminer'], OK],
      [['restart_api_server'], OK],
    ]);
    expect(miner.settings()).toMatchObject({ 'pool.1': 'stratum+tcp://new.example:3333 acct.w1 x' });
    await expectSteps(client, [[['reboot'], OK]]);
  });
});

describeWith(PYASIC, 'pyasic/web/epic.py')(`${PYASIC}, web/epic.py`, () => {
  test('reads and commands a simulated ePIC', async () => {
    const place = at(3);
    const miner = await serveMiner(place, 'antminer-s19-xp-epic', (options) => new SimulatedEpic(options));
    const client = pyasic('web.epic.ePICWebAPI', place, PORT);
    const DONE = { result: true };
    const state = (words: object) => ({ Status: words });
    const summary = { Hostname: 'cminer', Mining: { Coin: 'BTC' }, PerpetualTune: { Running: true } };
    await expectSteps(client, [
      [['summary'], { ...summary, ...state({ 'Operating State': 'Mining' }) }],
      [['network'], { dhcp: { mac_address: '02:00:00:00:00:05' } }],
      [['capabilities'], { Model: 'AntMiner S19 XP', 'Max HBs': 3 }],
      [['multicommand', 'summary', 'network'], { summary, network: { dhcp: {} } }],
    ]);
    await expectSteps(as(client, 'wrong'), [[['stop_mining'], { result: false }]]);
    expect(miner.changes).toBe(0);
    const tuner = { algo: 'PowerTune', target: 2_500, min_throttle: 1_200, throttle_step: 150 };
    const fans = { 'Target Temperature': 60, 'Idle Speed': 30 };
    await expectSteps(client, [
      [['pause_mining'], DONE],
      [['summary'], state({ 'Operating State': 'Idling', 'Last Command': 'stop' })],
      [['resume_mining'], DONE],
      [['summary'], state({ 'Last Command': 'autostart' })],
      [['stop_mining'], DONE],
      [['start_mining'], DONE],
      [['set_ptune_algo', tuner, {}], DONE],
      [['summary'], { PerpetualTune: { Algorithm: { PowerTune: { Target: 2_500, 'Throttle Step': 150 } } } }],
      [['set_ptune_enable', false], DONE],
      [['summary'], { PerpetualTune: { Running: false } }],
      [['set_shutdown_temp', 80], DONE],
      [['set_critical_temp', 95], DONE],
      [['summary'], { Misc: { 'Shutdown Temp': 80, 'Critical Temp': 95 } }],
      [['set_fan', { Auto: fans }, {}], DONE],
      [['summary'], { Fans: { 'Fan Mode': { Auto: fans } } }],
      [['restart_epic'], DONE],
      [['reboot'], DONE],
    ]);
  });
});

describeWith(PYASIC, 'pyasic/web/antminer.py')(`${PYASIC}, web/antminer.py`, () => {
  test('reads and commands a simulated Antminer behind HTTP digest', async () => {
    const place = at(7);
    const miner = await serveMiner(place, 'antminer-s21', (options) => new SimulatedAntminer(options));
    const client = pyasic('web.antminer.AntminerModernWebAPI', place);
    const old = { url: 'stratum+tcp://pool1.example:3333', user: 'site.m1', pass: 'x' };
    const none = { url: '', user: '', pass: '' };
    const pool = { url: 'stratum+tcp://new.example:3333', user: 'acct.w1', pass: 'x' };
    const conf = { 'bitmain-work-mode': '0', 'bitmain-fan-pwm': '100' };
    await expectSteps(client, [
      [['get_system_info'], { minertype: 'Antminer S21', serinum: 'm1' }],
      [['get_network_info'], { nettype: 'DHCP', macaddr: '02:00:00:00:00:01' }],
      [['summary'], { SUMMARY: [{ rate_unit: 'GH/s', rate_5s: expect.any(Number) }] }],
      [['get_miner_conf'], { ...conf, pools: [old, {}, {}] }],
      [['get_blink_status'], { blink: false }],
    ]);
    await expectSteps(as(client, 'wrong'), [[['set_miner_conf', { 'miner-mode': 1 }, {}], NONE]]);
    expect(miner.changes).toBe(0);
    const written = (mode: number): Step => {
      const set = { 'bitmain-fan-ctrl': false, 'bitmain-fan-pwm': '100', 'freq-level': '100' };
      return ['set_miner_conf', { ...set, pools: [pool, none, none], 'miner-mode': mode }, {}];
    };
    await expectSteps(client, [
      [written(1), { stats: 'success', code: 'M000' }],
      [['get_miner_conf'], { ...conf, 'bitmain-work-mode': '1', pools: [pool, none, none] }],
      [written(0), { stats: 'success' }],
      [['get_miner_conf'], { ...conf, pools: [pool, none, none] }],
      [['blink', true], { code: 'B000' }],
      [['get_blink_status'], { blink: true }],
      [['blink', false], {}],
      [['get_blink_status'], { blink: false }],
      [['reboot'], {}],
    ]);
    expect(miner.changes).toBe(5);
  });
});

describeWith(PYASIC, 'pyasic/rpc/luxminer.py')(`${PYASIC}, rpc/luxminer.py`, () => {
  test('reads and commands a simulated LuxOS', async () => {
    const place = at(5);
    const miner = await serveMiner(
      place,
      'antminer-s19k-pro-luxos',
      (options) => new SimulatedLuxos(options),
    );
    const client = pyasic('rpc.luxminer.LUXMinerRPCAPI', place, PORT);
    const OK = { STATUS: [{ STATUS: 'S' }] };
    await expectSteps(client, [
      [['version'], { VERSION: [{ API: '3.7' }] }],
      [['summary'], { SUMMARY: [{}] }],
      [['power'], { POWER: [{ PSU: true }] }],
      [['config'], { CONFIG: [{}] }],
      [['profiles'], { PROFILES: expect.any(Array) }],
      [['temps'], { TEMPS: [{}, {}, {}] }],
      [['fans'], { FANS: [{ ID: 0 }, {}, {}, {}] }],
      [['pools'], { POOLS: expect.any(Array) }],
      [['session'], { SESSION: [{ SessionID: '' }] }],
      [['devs'], OK],
      [['stats'], OK],
      [['multicommand', 'summary', 'pools', 'version', 'power'], {}],
      [['ledset', 'red', 'blink'], OK],
      [['session'], { SESSION: [{ SessionID: expect.stringMatching(/^\w{8}$/) }] }],
      [['sleep'], { STATUS: [{ Code: 335 }] }],
      [['wakeup'], { STATUS: [{ Code: 335 }] }],
      [['addpool', 'stratum+tcp://new.example:3333', 'acct.w1', 'x'], OK],
      [
        ['pools'],
        {
          POOLS: expect.arrayContaining([expect.objectContaining({ URL: 'stratum+tcp://new.example:3333' })]),
        },
      ],
      [['removepool', 1], OK],
      [['logoff'], OK],
      [['rebootdevice'], OK],
    ]);
    expect(miner.changes).toBe(6);
  });
});

describeWith(PYASIC, 'pyasic/web/braiins_os/graphql.py')(`${PYASIC}, web/braiins_os/graphql.py`, () => {
  test('reads and commands a simulated Braiins OS of 24.09', async () => {
    const place = at(6);
    const id = 'antminer-s19j-pro-braiins-graphql';
    const miner = await serveMiner(place, id, (options) => new SimulatedBraiinsGraphql(options));
    const client = pyasic('web.braiins_os.graphql.BOSerGraphQLAPI', place);
    const ask = (query: object): Step => ['send_command', query, {}];
    const solver = (words: object) => ({ bosminer: { info: { workSolver: words } } });
    const data = (words: object) => ({ data: words });
    const version = { bos: { hostname: null, info: { version: { full: null } } } };
    // As its own backend of Braiins OS asks (miners/backends/bosminer.py).
    const board = {
      name: null,
      realHashrate: { mhs1M: null },
      hwDetails: { chips: null },
      temperatures: { degreesC: null },
      tuner: { statusMessages: null },
    };
    const works = { name: expect.any(String), hwDetails: { chips: expect.any(Number) } };
    await expectSteps(client, [
      [
        ask(version),
        data({ bos: { hostname: 'Antminer', info: { version: { full: expect.any(String) } } } }),
      ],
      [ask({ bos: { faultLight: null } }), data({ bos: { faultLight: false } })],
      [ask(solver({ childSolvers: board })), data(solver({ childSolvers: [works, works, works] }))],
      [
        ask(solver({ power: { approxConsumptionW: null, limitW: null } })),
        data(solver({ power: { approxConsumptionW: expect.any(Number), limitW: expect.any(Number) } })),
      ],
      [
        ask({ bosminer: { info: { fans: { name: null, rpm: null } } } }),
        data({ bosminer: { info: { fans: [{ name: '0' }, {}, {}, {}] } } }),
      ],
    ]);
    expect(miner.changes).toBe(0);
  });
});

describeWith(PYASIC, 'pyasic/web/espminer.py')(`${PYASIC}, web/espminer.py`, () => {
  test('reads and commands a simulated Bitaxe', async () => {
    const place = at(4);
    const miner = await serveMiner(place, 'antminer-s21', (options) => new SimulatedBitaxe(options));
    const client = pyasic('web.espminer.ESPMinerWebAPI', place);
    /** AxeOS answers a change with nothing, which it takes for a failure. */
    const silent = (command: string) => ({
      error: expect.stringContaining(`JSON decode error for '${command}'`),
    });
    await expectSteps(client, [
      [['system_info'], { ASICModel: 'BM1368', version: 'v2.14.0', frequency: 490, miningPaused: false }],
      [['asic_info'], { ASICModel: 'BM1368', asicCount: 1 }],
      [['multicommand', 'system/info', 'system/asic'], { 'system/info': {}, 'system/asic': {} }],
      [['update_settings', { frequency: 500 }], silent('system')],
      [['system_info'], { frequency: 500 }],
      [
        ['update_settings', { stratumURL: 'new.example', stratumPort: 3_333, stratumUser: 'acct.w1' }],
        silent('system'),
      ],
      [['system_info'], { frequency: 500, stratumURL: 'new.example', stratumUser: 'acct.w1' }],
      [['restart'], { message: 'System will restart shortly.' }],
    ]);
    expect(miner.changes).toBe(3);
  });
});
