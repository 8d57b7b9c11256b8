/**
 * The miners of the floor bench of the families that most floors are made of, and what each answers, written from
 * captured answers. What they share, and how an answer is made of them, stands in `floor-page.ts`.
 */
import { cgminerPools, list, STATUS } from './floor-page.ts';
import type { Family } from './floor-page.ts';

const chips = `"${' ooo'.repeat(38)}"`;

const antminerStats = `{${STATUS},"STATS":[{"BMMiner":"1.0.0","CompileTime":"Tue Dec  6 16:12:30 CST 2022","Miner":"49.0.1.3","Type":"Antminer S19 Pro"},{"Calls":0,"Elapsed":<uptime 1000 999999 0>,"GHS 5s":<hashrate*1e9 90000 130000 2>,"GHS av":<* 90000 130000 2>,"ID":"BTM_SOC0","Max":0,"Min":99999999,"Mode":2,"STATS":0,"Wait":0,${list(3, (n) => `"chain_acn${n}":114,"chain_acs${n}":${chips},"chain_hw${n}":<* 0 999 0>,"chain_rate${n}":"<* 30000 40000 2>","freq${n}":525,"temp_chip${n}":"<temperature.chip.${n} 50 80 0>-<temperature.chip.${n} 50 80 0>-<temperature.chip.${n} 50 80 0>-<temperature.chip.${n} 50 80 0>","temp_pcb${n}":"<temperature.board.${n} 40 70 0>-<temperature.board.${n} 40 70 0>-<temperature.board.${n} 40 70 0>-<temperature.board.${n} 40 70 0>","temp_pic${n}":"<* 40 70 0>-<* 40 70 0>-54-55"`)},"chain_acn4":0,"chain_acs4":"","chain_hw4":0,"chain_rate4":"","freq4":0,"temp_chip4":"0-0-0-0","temp_pcb4":"0-0-0-0","temp_pic4":"0-0-0-0",${list(4, (n) => `"fan${n}":<fan.${n} 4000 6500 0>`)},"chain_power":"<power 3000 3500 0> W","fan_num":4,"frequency":525,"miner_count":3,"miner_id":"8144d5ca79104814","miner_version":"49.0.1.3","no_matching_work":<* 0 999 0>,"rate_30m":<* 90000 130000 2>,"rate_unit":"GH","temp_max":0,"temp_num":3,"total rate":<* 90000 130000 2>,"total_acn":342,"total_freqavg":525,"total_rateideal":110000.0}],"id":1}\u0000`;

const whatsminerSummary = `{${STATUS},"SUMMARY":[{"Accepted":<* 0 99999 0>,"Best Share":<* 0 99999999 0>,"Chip Temp Avg":<* 60 80 1>,"Chip Temp Max":<temperature.chip.max 70 90 1>,"Chip Temp Min":<* 50 70 1>,"Elapsed":<* 1000 999999 0>,"Env Temp":<temperature.ambient 10 40 1>,"Factory GHS":126000,"Fan Speed In":<fan.1 4000 6500 0>,"Fan Speed Out":<fan.2 4000 6500 0>,"HS RT":<hashrate*1e6 110000000 130000000 2>,"Hash Stable":true,"MAC":"D4:01:02:03:04:05","MHS av":<* 110000000 130000000 2>,"MHS 5s":<* 110000000 130000000 2>,"MHS 1m":<* 110000000 130000000 2>,"MHS 5m":<* 110000000 130000000 2>,"MHS 15m":<* 110000000 130000000 2>,"Pool Rejected%":<* 0 5 4>,"Power":<power 3000 3500 0>,"Power Rate":<* 20 30 2>,"Power Limit":<=power.limit 3300 3600 0>,"Power Mode":"Normal","Target Freq":600,"freq_avg":<* 500 700 0>,"Uptime":<uptime 1000 999999 0>,"Upfreq Complete":1}],"id":1}`;
const whatsminerDevices = `{${STATUS},"DEVS":[${list(3, (n) => `{"ASC":${n - 1},"Slot":${n - 1},"Status":"Alive","Accepted":<* 0 9999 0>,"Chip Frequency":600,"Chip Temp Avg":<* 60 80 1>,"Chip Temp Max":<temperature.chip.${n} 70 90 1>,"Chip Temp Min":<* 50 70 1>,"Effective Chips":135,"Enabled":"Y","Factory GHS":42000,"MHS av":<* 40000000 43000000 2>,"Name":"SM","PCB SN":"BHM5CSD1302803K3000${n}","Temperature":<temperature.board.${n} 40 70 1>}`)}],"id":1}`;

const whatsminerErrors =
  '{"STATUS":"S","When":<* 1790000000 1799999999 0>,"Code":131,"Msg":{"error_code":[]},"Description":""}';

const v3Summary = `"summary":{"Debug":"","board-temperature":[${list(3, (n) => `<temperature.board.${n} 30 60 1>`)}],"bootup-time":1323,"chip-temp-avg":<* 60 80 1>,"chip-temp-max":<temperature.chip.max 70 90 1>,"chip-temp-min":<* 50 70 1>,"elapsed":<uptime 1000 999999 0>,"environment-temperature":<temperature.ambient 10 40 1>,"factory-hash":181.051,"fan-speed-in":<fan.1 4000 6500 0>,"fan-speed-out":<fan.2 4000 6500 0>,"freq-avg":<* 500 700 0>,"hash-15min":<* 160 180 3>,"hash-1min":<* 160 180 3>,"hash-average":<* 160 180 3>,"hash-realtime":<hashrate*1e12 160 180 3>,"power-5min":<* 3000 3500 1>,"power-limit":<=power.limit 3500 3700 0>,"power-rate":<* 15 20 2>,"power-realtime":<power 3000 3500 1>,"pool-rejected":<* 0 9 3>,"accepted":<* 0 99999 0>,"rejected":<* 0 99 0>,"best-share":<* 0 99999999 0>,"up-freq-finish":1}`;
const v3 = (message: string): string =>
  `{"code":0,"when":<* 1790000000 1799999999 0>,"desc":"ok","msg":{${message}}}`;
const v3Full = `${v3Summary},"pools":[{"account":"site.machine","pool-priority":0,"status":"alive","stratum-active":true,"url":"stratum+tcp://pool.example:3333"}],"edevs":[${list(3, (n) => `{"id":${n - 1},"chip-temp-avg":<* 60 80 1>,"chip-temp-max":<temperature.chip.${n} 70 90 1>,"chip-temp-min":<* 50 70 1>,"effective-chips":75,"factory-hash":60.35,"freq":<* 500 700 1>,"hash-average":<* 50 60 3>,"hash-realtime":<* 50 60 3>,"status":"alive"}`)}]`;

const rates = (gigahash: string, first: string): string =>
  [
    'last_15m',
    'last_15s',
    'last_1h',
    'last_1m',
    'last_24h',
    'last_30m',
    'last_30s',
    'last_5m',
    'last_5s',
    'since_restart',
  ]
    .map(
      (window) => `"${window}":{"gigahash_per_second":<${window === 'last_5s' ? first : '*'} ${gigahash} 9>}`,
    )
    .join(',');
const braiinsStats = `{"miner_stats":{"best_share":<* 0 999999999 0>,"error_hashrate":{"megahash_per_second":<* 0 9 3>},"found_blocks":0,"nominal_hashrate":{"gigahash_per_second":<* 140000 145000 9>},"real_hashrate":{${rates('130000 150000', 'hashrate*1e9')}}},"pool_stats":{"accepted_shares":<* 0 99999 0>,"best_share":<* 0 999999999 0>,"generated_work":<* 0 99999999999 0>,"last_difficulty":262144,"last_share_time":{"nanos":<* 0 999999999 0>,"seconds":<* 1770000000 1779999999 0>},"rejected_shares":<* 0 99 0>,"stale_shares":0},"power_stats":{"approximated_consumption":{"watt":<power 3000 3300 0>},"efficiency":{"joule_per_terahash":<* 20 23 9>}}}`;
const braiinsBoards = `{"hashboards":[${list(3, (n) => `{"id":"${n}","board_name":"BHB56801","board_temp":{"degree_c":<temperature.board.${n} 40 70 1>},"chip_type":"BM1366","chips_count":110,"current_frequency":{"hertz":<* 400000000 500000000 0>},"current_voltage":{"volt":<* 12 13 9>},"enabled":true,"highest_chip_temp":{"id":1,"location":1,"temperature":{"degree_c":<temperature.chip.${n} 60 90 1>}},"lowest_inlet_temp":{"degree_c":<* 30 45 1>},"serial_number":"NGSBYPDBCJBAG8562","stats":{"best_share":<* 0 999999999 0>,"real_hashrate":{${rates('46000 50000', '*')}}}}`)}]}`;

const luxosSummary = `{${STATUS},"SUMMARY":[{"Accepted":<* 0 9999 0>,"Best Share":<* 0 99999 0>,"Device Hardware%":<* 0 1 4>,"Device Rejected%":0.0,"Difficulty Accepted":<* 0 99999999 0>,"Difficulty Rejected":<* 0 99999 0>,"Difficulty Stale":0,"Discarded":<* 0 99 0>,"Elapsed":<uptime 1000 999999 0>,"Found Blocks":0,"GHS 15m":<* 90000 130000 2>,"GHS 1m":<* 90000 130000 2>,"GHS 24h":<* 90000 130000 2>,"GHS 30m":<* 90000 130000 2>,"GHS 5m":<* 90000 130000 2>,"GHS 5s":<hashrate*1e9 90000 130000 2>,"GHS av":<* 90000 130000 2>,"Get Failures":0,"Getworks":<* 0 9999 0>,"Hardware Errors":<* 0 99 0>,"Last getwork":<* 1760000000 1769999999 0>,"Local Work":0,"Pool Rejected%":<* 0 1 4>,"Rejected":<* 0 99 0>,"Stale":0,"Total MH":<* 50000000 60000000 8>,"Utility":<* 20 30 2>,"Work Utility":<* 10 20 2>}],"id":1}`;

const avalonStats = `{${STATUS},"STATS":[{"STATS":0,"ID":"AVA100","Elapsed":<* 1000 999999 0>,"MM ID0":"Ver[1246-83-22042101_4ec6bb0_61407fa] DNA[0201000013ce8e5c] MEMFREE[<* 1000000 1399999 0>.<* 100 999 0>] NETFAIL[0 0 0 0 0 0 0 0] SYSTEMSTATU[Work: In Work, Hash Board: 3 ] Elapsed[<uptime 1000 999999 0>] BOOTBY[0x04.00000000] LW[<* 100000 999999 0>] MH[<* 0 99 0> <* 0 99 0> <* 0 99 0>] HW[<* 0 999 0>] DH[1.803%] Temp[<temperature.ambient 20 40 0>] TMax[<temperature.chip.max 70 95 0>] TAvg[<* 60 75 0>] Fan1[<fan.1 4000 6500 0>] Fan2[<fan.2 4000 6500 0>] Fan3[<fan.3 4000 6500 0>] Fan4[<fan.4 4000 6500 0>] FanR[<* 50 99 0>%] Vo[318] PS[0 1214 1316 228 3000 1320 <power 3000 3600 0>] PLL0[<* 1000 9999 0> <* 1000 9999 0> 2114 5000] GHSspd[<hashrate*1e9 75000 95000 2>] DHspd[<* 1 2 3>%] GHSmm[<* 75000 95000 2>] GHSavg[<* 75000 95000 2>] WU[<* 1000000 1200000 2>] Freq[<* 500 600 2>] TA[360] Core[A3200] PING[<* 10 99 0>] SoftOFF[0] ECHU[0 0 0] MTmax[<temperature.chip.1 70 95 0> <temperature.chip.2 70 95 0> <temperature.chip.3 70 95 0>] MTavg[<* 60 75 0> <* 60 75 0> <* 60 75 0>] WORKMODE[1]"}],"id":1}`;

const bitaxeInfo = `{"ASICModel":"BM1368","asicCount":1,"autofanspeed":1,"bestDiff":"<* 100 999 0>k","bestSessionDiff":"<* 100 999 0>","boardVersion":"401","coreVoltage":1166,"coreVoltageActual":<* 1150 1180 0>,"current":<* 500 9999 2>,"expectedHashrate":<* 1100 1200 2>,"fallbackStratumPort":3333,"fallbackStratumURL":"pool2.example","fallbackStratumUser":"site.machine","fanrpm":<fan.1 3000 5000 0>,"fanspeed":<* 30 99 0>,"freeHeap":<* 8000000 8999999 0>,"frequency":490,"hashRate":<hashrate*1e9 900 1300 0>,"hashRate_1m":<* 900 1300 3>,"hashRate_10m":<* 900 1300 3>,"hashRate_1h":<* 900 1300 3>,"errorPercentage":<* 0 2 4>,"hostname":"bitaxe","isUsingFallbackStratum":0,"macAddr":"AA:BB:CC:DD:EE:FF","overheat_mode":0,"power":<power 10 20 11>,"responseTime":<* 10 99 2>,"sharesAccepted":<* 0 9999 0>,"sharesRejected":<* 0 99 0>,"smallCoreCount":1276,"ssid":"Test","stratumDiff":<* 1000 9999 0>,"stratumPort":3333,"stratumURL":"pool.example","stratumUser":"site.machine","temp":<temperature.chip.1 50 65 3>,"uptimeSeconds":<uptime 1000 999999 0>,"version":"v2.9.0","voltage":<* 5000 5300 0>,"vrTemp":<* 40 80 1>,"wifiRSSI":-<* 30 80 0>,"wifiStatus":"Connected!"}`;

/** Every figure of a family stands in the pages that its driver asks. */
export const OLDER: readonly Family[] = [
  {
    name: 'antminer',
    sharePct: 36,
    model: 'antminer-s19j-pro',
    doors: { api: { port: 24_028, way: 'tcp' } },
    fast: 'stats',
    pages: { stats: antminerStats, pools: cgminerPools },
  },
  {
    name: 'whatsminer',
    sharePct: 18,
    model: 'whatsminer-m30s-plus',
    doors: { api: { port: 24_029, way: 'tcp' } },
    fast: 'summary',
    pages: {
      summary: whatsminerSummary,
      pools: cgminerPools,
      edevs: whatsminerDevices,
      get_error_code: whatsminerErrors,
    },
  },
  {
    name: 'whatsminer-v3',
    sharePct: 10,
    model: 'whatsminer-m60',
    doors: { api: { port: 24_433, way: 'v3' } },
    fast: 'get.miner.status summary',
    pages: {
      'get.miner.status summary': v3(v3Summary),
      'get.miner.status summary+pools+edevs': v3(v3Full),
      'get.miner.setting': v3(
        '"power-limit":<=* 3500 3700 0>,"power-mode":"normal","upfreq-speed":<* 0 9 0>',
      ),
      'get.device.info error-code': v3('"error-code":[]'),
    },
  },
  {
    name: 'braiins',
    sharePct: 14,
    model: 'antminer-s19j-pro-braiins',
    doors: { http: { port: 24_080, way: 'http' } },
    login: true,
    fast: '/api/v1/miner/stats',
    pages: {
      '/api/v1/auth/login': '{"token":"abcdefgh","timeout_s":3600}',
      '/api/v1/miner/stats': braiinsStats,
      '/api/v1/miner/details':
        '{"bos_mode":4,"bos_version":{"current":"2025-08-06-0-3881c51d-25.07-plus"},"bosminer_uptime_s":<* 1000 99999 0>,"hostname":"Antminer","miner_identity":{"brand":1,"miner_model":"Antminer S19 XP","name":"Antminer S19 XP"},"status":2,"sticker_hashrate":{"gigahash_per_second":141000.0},"system_uptime_s":<uptime 1000 999999 0>,"uid":"uUTHH0m8zu3DAak8"}',
      '/api/v1/miner/hw/hashboards': braiinsBoards,
      '/api/v1/cooling/state': `{"fans":[${list(4, (n) => `{"position":${n - 1},"rpm":<fan.${n} 4000 6500 0>,"target_speed_ratio":1.0}`)}],"highest_temperature":{"id":null,"location":1,"temperature":{"degree_c":<* 60 90 1>}}}`,
      '/api/v1/pools':
        '[{"name":"group","pools":[{"active":true,"alive":true,"enabled":true,"stats":{"accepted_shares":<* 0 99999 0>},"uid":"bCY9U0ZakyIy9PUH","url":"stratum+tcp://pool.example:3333","user":"site.machine"}],"strategy":{"quota":{"value":1}}}]',
      '/api/v1/performance/tuner-state':
        '{"mode_state":{"powertargetmodestate":{"current_target":{"watt":<=power.limit 3000 3100 0>}}},"overall_tuner_state":2}',
      '/api/v1/configuration/miner':
        '{"pool_groups":[],"tuner":{"enabled":true,"power_target":{"watt":<=* 3000 3100 0>},"tuner_mode":1}}',
    },
  },
  {
    name: 'luxos',
    sharePct: 4,
    model: 'antminer-s19k-pro-luxos',
    doors: { api: { port: 24_030, way: 'tcp' } },
    fast: 'summary',
    pages: {
      summary: luxosSummary,
      power: `{${STATUS},"POWER":[{"PSU":true,"Watts":<power 2500 2900 0>}],"id":1}`,
      config: `{${STATUS},"CONFIG":[{"ASC Count":3,"CurtailMode":"None","Hostname":"floor","IsAtmEnabled":true,"Model":"Antminer S19k Pro","NameplateTHS":121.8,"OS":"LuxOS","Profile":"290MHz","ProfileStep":"-12","SystemStatus":"Normal"}],"id":1}`,
      temps: `{${STATUS},"TEMPS":[${list(3, (n) => `{"ID":${n - 1},"TEMP":${n - 1},"TopLeft":<temperature.board.${n} 40 60 1>,"TopRight":<temperature.board.${n} 40 60 1>,"BottomLeft":<temperature.board.${n} 40 60 1>,"BottomRight":<temperature.board.${n} 40 60 1>}`)}],"id":1}`,
      fans: `{${STATUS},"FANS":[${list(4, (n) => `{"FAN":"FAN${n}","ID":${n - 1},"RPM":<fan.${n} 4000 6500 0>,"Speed":20}`)}],"id":1}`,
      pools: cgminerPools,
      profiles: `{${STATUS},"PROFILES":[${list(16, (n) => `{"CanRestore":true,"Frequency":${190 + 25 * n},"Hashrate":${39 + 5 * n}.2,"IsDynamic":true,"IsTuned":false,"Profile Name":"${n === 4 ? '290MHz' : `${190 + 25 * n}MHz`}","Step":"${n - 16}","Voltage":11.88,"Watts":${700 + 100 * n}}`)}],"id":1}`,
    },
  },
  {
    name: 'avalon',
    sharePct: 4,
    model: 'avalon-1246',
    doors: { api: { port: 24_031, way: 'tcp' } },
    fast: 'litestats',
    pages: { litestats: avalonStats, pools: cgminerPools },
  },
  {
    name: 'bitaxe',
    sharePct: 4,
    model: 'antminer-s19j-pro',
    doors: { http: { port: 24_081, way: 'http' } },
    fast: '/api/system/info',
    pages: { '/api/system/info': bitaxeInfo },
  },
];
