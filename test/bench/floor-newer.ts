/**
 * The miners of the floor bench of the newer families, a few of each, and what they answer: ePIC's and Proto Rig's from
 * captured answers, the others' as their documents have them.
 */
import { cgminerPools, list } from './floor-page.ts';
import type { Family } from './floor-page.ts';

const boards = 3;
const fans = 4;

const vnishSummary = `{"miner":{"miner_status":{"miner_state":"mining","miner_state_time":<* 1000 99999 0>},"miner_type":"Antminer S19 (Vnish 1.2.6)","average_hashrate":<* 90 100 2>,"hr_stock":95000,"hr_realtime":<hashrate*1e9 90000 99000 2>,"hr_nominal":<* 95000 96000 2>,"hr_average":<* 90000 99000 2>,"hr_error":<* 0 1 3>,"pcb_temp":{"min":<* 40 50 0>,"max":<* 51 60 0>},"chip_temp":{"min":<* 50 60 0>,"max":<* 61 75 0>},"power_consumption":<power 3000 3400 0>,"power_usage":<* 20 33 1>,"power_efficiency":<* 30 35 1>,"best_share":<* 0 99999999 0>,"found_blocks":0,"pools":[{"id":0,"url":"stratum+tcp://pool.example:3333","pool_type":"UserPool","user":"site.machine","status":"active","asic_boost":true,"accepted":<* 0 99999 0>,"rejected":<* 0 99 0>,"diff":"<* 100 999 0>K"},{"id":3,"url":"DevFee","pool_type":"DevFee","user":"DevFee","status":"working","accepted":<* 0 999 0>,"rejected":0}],"cooling":{"fan_num":${fans},"fans":[${list(fans, (n) => `{"id":${n - 1},"rpm":<fan.${n} 4000 6500 0>,"status":"ok","max_rpm":6600}`)}],"settings":{"mode":{"name":"auto"}},"fan_duty":<* 30 99 0>},"chains":[${list(boards, (n) => `{"id":${n},"frequency":<* 500 600 1>,"voltage":<* 12000 13500 0>,"power_consumption":<* 1000 1100 0>,"hashrate_ideal":<* 31000 32000 2>,"hashrate_rt":<* 30000 33000 2>,"pcb_temp":{"min":<* 30 40 0>,"max":<temperature.board.${n} 41 60 0>},"chip_temp":{"min":<* 40 50 0>,"max":<temperature.chip.${n} 51 75 0>},"hr_error":<* 0 1 3>,"status":{"state":"mining"}}`)}]}}`;

const epicSummary = `{"Status":{"Operating State":"Mining","Last Command":null,"Last Command Result":null,"Last Error":null},"Hostname":"floor","PresetInfo":{"Target Power":3000},"Software":"PowerPlay-BMS v1.5.13","Mining":{"Coin":"BTC","Algorithm":"SHA-256"},"Stratum":{"Current Pool":"pool.example:3334","Current User":"site.machine","IsPoolConnected":true,"Average Latency":<* 0 1 6>},"StratumConfigs":[{"pool":"pool.example:3334","login":"site.machine","password":"x"}],"Session":{"Startup Timestamp":1755111589,"Startup String":"Wed, 13 Aug 2025 18:59:49 +0000","Uptime":<uptime 1000 999999 0>,"Average MHs":<* 90000000 99000000 0>,"LastAverageMHs":{"Hashrate":<* 90000000 99000000 0>,"Timestamp":<* 1755129600 1755139600 0>},"WorkReceived":<* 0 9999 0>,"Active HBs":1,"Accepted":<* 0 99999 0>,"Rejected":<* 0 99 0>,"Submitted":<* 0 99999 0>,"Difficulty":262144.0,"Last Accepted Share Timer":<* 0 99 0>},"HBs":[{"Index":0,"Input Voltage":12.6,"Output Voltage":0.0,"Hashrate":[<hashrate*1e6 90000000 99000000 1>,<* 90 110 1>,<* 0 1 1>],"Core Clock":[],"Core Clock Avg":<* 480 490 1>,"Temperature":<temperature.board.1 40 70 3>}],"HBStatus":[{"Index":0,"Enabled":true,"Detected":true}],"Fans":{"Fans Speed":100,"Fan Mode":{"Auto":{"Target Temperature":60,"Idle Speed":20}}},"Fans Rpm":{${list(fans, (n) => `"Fans Speed ${n}":<fan.${n} 4000 6500 0>`)},"Fans Speed 5":null,"Fans Speed 6":null},"Misc":{"Locate Miner State":false,"Shutdown Temp":85.0,"Critical Temp":100.0},"Power Supply Stats":{"Input Voltage":<* 220 240 1>,"Output Voltage":12.595,"Input Current":<* 10 15 2>,"Output Current":0.0,"Input Power":<power 3000 3400 4>,"Output Power":<* 2900 3300 2>,"Target Voltage":12600},"PerpetualTune":{"Running":true,"Algorithm":{"PowerTune":{"Target":<=power.limit 3000 3400 0>,"Min Throttle Target":1500,"Throttle Step":100,"Throttle Target":null,"Unit":"W","Optimized":true}}},"IdleOnConnectionLost":true}`;

const auradine = (section: string): string =>
  `{"STATUS":[{"STATUS":"S","When":<* 1790000000 1799999999 0>,"Code":570,"Msg":"ok","Description":"GCMiner 1.2"}],${section},"id":1}`;
const auradinePages = {
  summary: auradine(
    '"SUMMARY":[{"Elapsed":<uptime 1000 999999 0>,"MHS av":<* 200000000 230000000 2>,"MHS 5s":<hashrate*1e6 200000000 230000000 2>,"MHS 1m":<* 200000000 230000000 2>,"MHS 5m":<* 200000000 230000000 2>,"MHS 15m":<* 200000000 230000000 2>,"Found Blocks":0,"Getworks":<* 0 9999 0>,"Accepted":<* 0 99999 0>,"Rejected":<* 0 99 0>,"Hardware Errors":<* 0 99 0>,"Utility":<* 1 9 2>,"Discarded":<* 0 99 0>,"Stale":0,"Local Work":<* 0 99999 0>,"Network Blocks":<* 0 999 0>,"Total MH":<* 1000000000 9999999999 2>,"Work Utility":<* 1000 9999 2>,"Difficulty Accepted":<* 0 99999999 0>,"Best Share":<* 0 999999999 0>,"Device Hardware%":<* 0 1 4>,"Pool Rejected%":<* 0 1 4>}]',
  ),
  pools: cgminerPools,
  devs: auradine(
    `"DEVS":[${list(boards, (n) => `{"DEV":${n},"ID":${n},"Name":"ASICBoard","Status":"Alive","Temperature":<temperature.board.${n} 40 70 2>,"MHS 5s":<* 60000000 80000000 2>}`)}]`,
  ),
  '/token': auradine('"Token":[{"Token":"abcdefghijklmnopqrstuvwx"}]'),
  '/psu': auradine(
    '"PSU":[{"PowerIn":"<power 3000 3500 2>W","PowerOut":"<* 2900 3400 2>W","Vin":"<* 220 240 2>V","Iin":"<* 13 16 2>A","FanSpeed1":"<* 3000 4500 2> RPM","PoutMax":"3600.00W"}]',
  ),
  '/mode': auradine('"Mode":[{"Mode":"custom","Sleep":"off","Ths":220,"Power":<=power.limit 3200 3600 0>}]'),
  '/fan': auradine(
    `"Fan":[${list(fans, (n) => `{"ID":${n},"Speed":<fan.${n} 4000 7100 0>,"Target":7000,"Max":7700}`)}]`,
  ),
  '/temperature': auradine(
    `"Temperature":[{"ID":0,"Name":"Control Board","BoardTemp":[{"ID":0,"Temperature":<* 30 50 1>}],"ChipTemp":null},${list(boards, (n) => `{"ID":${n},"Name":"Hash Board ${n}","BoardTemp":[{"ID":0,"Temperature":<* 40 60 1>}],"ChipTemp":[${list(40, (chip) => `{"ID":${chip},"Temperature":<temperature.chip.${n} 50 85 1>}`, 0)}]}`)}]`,
  ),
};

const protoPages = {
  '/api/v1/auth/login': '{"access_token":"abcdefgh","refresh_token":"ijklmnop"}',
  '/api/v1/mining':
    '{"mining-status":{"average_asic_temp_c":<* 60 80 9>,"average_hashrate_ghs":<* 135000 145000 9>,"average_hb_efficiency_jth":<* 20 25 9>,"average_hb_temp_c":<* 50 60 9>,"hashboards_installed":4,"hashboards_mining":4,"hashrate_ghs":<hashrate*1e9 135000 145000 9>,"hw_errors":<* 0 99 0>,"ideal_hashrate_ghs":145000,"mining_uptime_s":<* 1000 99999 0>,"power_efficiency_jth":<* 20 25 9>,"power_target_watts":<=power.limit 3300 3500 0>,"power_usage_watts":<power 3300 3500 9>,"reboot_uptime_s":<uptime 1000 999999 0>,"status":"Mining"}}',
  '/api/v1/mining/target':
    '{"power_target_watts":<=* 3300 3500 0>,"power_target_min_watts":1500,"power_target_max_watts":3500,"default_power_target_watts":3500,"performance_mode":"MaximumHashrate","balance_bays":true,"hash_on_disconnect":false}',
  '/api/v1/telemetry?level=hashboard': `{"hashboards":[${list(4, (n) => `{"index":${n - 1},"serial_number":"HB-${n}","current":{"unit":"A","value":<* 50 60 9>},"efficiency":{"unit":"J/TH","value":<* 20 25 9>},"hashrate":{"unit":"TH/s","value":<* 33 37 9>},"power":{"unit":"W","value":<* 800 900 9>},"temperature":{"average":<temperature.board.${n} 40 60 9>,"inlet":<* 30 45 9>,"outlet":<* 45 65 9>,"unit":"\\u00b0C"},"voltage":{"unit":"V","value":<* 14 15 9>}}`)}]}`,
  '/api/v1/cooling': `{"cooling-status":{"fan_mode":"Auto","fans":[${list(fans, (n) => `{"rpm":<fan.${n} 4000 6500 0>,"slot":${n},"speed_percentage":<* 30 99 0>}`)}],"speed_percentage":<* 30 99 0>,"target_temperature_c":50}}`,
  '/api/v1/pools':
    '{"pools":[{"accepted":<* 0 99999 0>,"connection_status":"Active","difficulty":"1048576","enabled":true,"id":0,"name":"Primary Pool","priority":0,"rejected":<* 0 99 0>,"status":"Active","url":"stratum+tcp://pool.example:3333","user":"site.machine"}]}',
  '/api/v1/curtailment/status':
    '{"active":false,"known":true,"provider":null,"target":null,"restore_pending":false}',
};

const graphql = (info: string, more = ''): string => `{"data":{${more}"bosminer":{${info}}}}`;
const graphqlPages = {
  // By a word that only one of the queries holds.
  '/graphql durationS': graphql(
    `"info":{"workSolver":{"realHashrate":{"mhs5S":<hashrate*1e6 90000000 100000000 6>},"nominalMhs":<* 100000000 101000000 6>},"fans":[${list(fans, (n) => `{"name":"${n - 1}","rpm":<fan.${n} 4000 6500 0>}`)}],"summary":{"power":{"approxConsumptionW":<power 3000 3300 0>,"limitW":<=power.limit 3100 3300 0>}}}`,
    '"bos":{"uptime":{"durationS":<uptime 1000 999999 0>}},',
  ),
  '/graphql childSolvers': graphql(
    `"info":{"workSolver":{"childSolvers":[${list(boards, (n) => `{"name":"${n}","realHashrate":{"mhs5S":<* 30000000 34000000 6>},"temperatures":[{"name":"Board","degreesC":<temperature.board.${n} 40 65 4>},{"name":"Chip","degreesC":<temperature.chip.${n} 60 85 4>}]}`)}]}}`,
  ),
  '/graphql autotuning': graphql(
    '"config":{"autotuning":{"enabled":true,"mode":"POWER_TARGET","powerTarget":<=* 3100 3300 0>}},"info":{"poolGroups":[{"pools":[{"url":"stratum+tcp://pool.example:3333","user":"site.machine","active":true}]}]}',
  ),
};

export const NEWER: readonly Family[] = [
  {
    name: 'vnish',
    sharePct: 2,
    model: 'antminer-s19-vnish',
    doors: { http: { port: 24_082, way: 'http' } },
    login: true,
    fast: '/api/v1/summary',
    seldom: /^(?:fan|temperature)\./,
    pages: {
      '/api/v1/unlock': '{"token":"abcdefgh"}',
      '/api/v1/info':
        '{"miner":"Antminer S19","model":"s19","fw_name":"Vnish","fw_version":"1.2.6","platform":"xil","install_type":"nand","algorithm":"sha256d","hr_measure":"GH/s","system":{"os":"GNU/Linux","network_status":{"mac":"02:00:00:00:00:04","dhcp":true,"hostname":"antminer"},"uptime":"<* 1 99 0> days, 11:0<* 0 9 0>"},"serial":"N/A"}',
      '/api/v1/summary': vnishSummary,
      '/api/v1/perf-summary':
        '{"current_preset":{"name":"3250","pretty":"3250 watt ~ 95 TH","status":"tuned","modded_psu_required":false,"globals":{"volt":1320,"freq":610}},"preset_switcher":{"enabled":false}}',
      '/api/v1/settings':
        '{"miner":{"cooling":{"mode":{"name":"auto","param":60}},"misc":{"quiet_mode":false},"overclock":{"modded_psu":false,"preset":"3250","globals":{"volt":1320,"freq":610},"preset_switcher":{"enabled":false,"decrease_temp":75,"rise_temp":50,"top_preset":null}},"pools":[{"url":"stratum+tcp://pool.example:3333","user":"site.machine","pass":"x"}]},"regional":{"timezone":{"current":"GMT+0"}}}',
    },
  },
  {
    name: 'epic',
    sharePct: 2,
    model: 'antminer-s19-xp-epic',
    doors: { api: { port: 24_083, way: 'http' } },
    fast: '/summary',
    seldom: /^(?:fan\.|temperature\.|uptime$|power\.limit$)/,
    pages: {
      '/summary': epicSummary,
      '/capabilities':
        '{"Model":"Antminer S19 XP","Default Hashrate":141.0,"Default Power":3031,"PerpetualTune":[{"algorithm":"PowerTune","min":1500,"max":3600}]}',
    },
  },
  {
    name: 'auradine',
    sharePct: 2,
    model: 'auradine-at2880',
    doors: { api: { port: 24_032, way: 'tcp' }, http: { port: 24_084, way: 'http' } },
    login: true,
    fast: 'summary',
    pages: auradinePages,
  },
  {
    name: 'proto-rig',
    sharePct: 2,
    model: 'proto-rig',
    doors: { http: { port: 24_085, way: 'http' } },
    login: true,
    fast: '/api/v1/mining',
    pages: protoPages,
  },
  {
    name: 'braiins-graphql',
    sharePct: 2,
    model: 'antminer-s19j-pro-braiins-graphql',
    doors: { http: { port: 24_086, way: 'http' } },
    fast: '/graphql durationS',
    seldom: /^(?:fan\.|power\.limit$)/,
    pages: graphqlPages,
  },
];
