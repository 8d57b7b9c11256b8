/** Answers of miners by hand after the form of each firmware, as something to spoil. Flaws of firmwares are on purpose. */
const STATUS =
  '"STATUS":[{"STATUS":"S","When":1790000000,"Code":70,"Msg":"Stats","Description":"cgminer 1.0.0"}]';

export const ANSWERS: readonly string[] = [
  // Stock Antminer: no comma between the sections of `stats`.
  `{${STATUS},"STATS":[{"BMMiner":"1.0.0","Type":"Antminer S19j Pro"}{"STATS":0,"Elapsed":50474,"GHS 5s":"98123.45","GHS av":99500.10,"fan1":5880,"temp_pcb1":"60-44-61-45","temp_chip1":"75-59-76-60","chain_acn1":126,"chain_power":"3068 W","total_rateideal":100000.0}],"id":1}\u0000`,
  '{"pools":[{"url":"stratum+tcp://p:1","user":"u","pass":"x"}],"bitmain-fan-ctrl":false,"bitmain-fan-pwm":"70","bitmain-work-mode":"0"}',
  // Whatsminer v2: a summary, a status, a token, a list written like a dictionary.
  `{${STATUS},"SUMMARY":[{"Elapsed":100,"MHS av":101234567.89,"HS RT":inf,"Power":3345,"Power Limit":3400,"Power Mode":"Normal","Factory GHS":101000,"Upfreq Complete":1}],"id":1}`,
  '{"STATUS":"S","When":1618212903,"Code":131,"Msg":{"mineroff":"false","power_limit_set":"3300","error_code":["329":"2024-01-01 00:00:00",]},"Description":""}',
  '{"STATUS":"S","When":1,"Code":134,"Msg":{"time":"5626","salt":"BQ5hoXV9","newsalt":"jbzkfQls"},"Description":""}',
  '{"code":0,"when":1692685512,"msg":{"summary":{"elapsed":100,"hash-realtime":101.847,"power-realtime":3268,"board-temperature":[41.1,40.1]},"pools":[{"url":"a","stratum-active":true}]},"desc":"get.miner.status"}',
  // Avalon: figures in brackets, and the same as text.
  `{${STATUS},"STATS":[{"STATS":0,"ID":"AVA100","MM ID0":"Ver[1246] SYSTEMSTATU[Work: In Work, Hash Board: 3 ] Elapsed[100] Temp[30] PS[0 1214 1316 228 3000 1320 3297] GHSspd[81234.50] SoftOFF[0] WORKMODE[1]"}],"id":1}`,
  'STATUS=S,When=1790000000,Code=70,Msg=CGMiner stats,Description=cgminer 4.11.1|STATS=0,ID=AVA100,Elapsed=100,MM ID0=Ver[1246] PS[0 1214 1316 228 3000 1320 3297] GHSspd[81234.50] SoftOFF[0]|',
  // Braiins OS: a page.
  '{"miner_stats":{"real_hashrate":{"last_5s":{"gigahash_per_second":141463.5}}},"power_stats":{"approximated_consumption":{"watt":3137}}}',
  '{"data":{"bos":{"uptime":{"durationS":7000}},"bosminer":{"info":{"workSolver":{"realHashrate":{"mhs5S":103912345.25},"nominalMhs":104000000},"fans":[{"name":"0","rpm":6414}],"summary":null}}},"errors":[{"message":"Service unavailable","extensions":{"code":"UNAVAILABLE"}}]}',
  // ePIC: a summary, an answer to a command.
  '{"Software":"PowerPlay-BMS v1.5.13","HBs":[{"Index":1,"Hashrate":[49440724.0,103.1,0.8],"Temperature":67.0}],"Fans Rpm":{"Fans Speed 1":5971,"Fans Speed 10":null},"PerpetualTune":{"Algorithm":{"PowerTune":{"Target":3000,"Throttle Target":null}},"Running":true},"Status":{"Operating State":"Mining"}}',
  '{"result":false,"error":"Incorrect password"}',
  // VNish: a summary, settings, presets, an error of its miner process.
  '{"miner":{"miner_status":{"miner_state":"auto-tuning","throttled":100},"hr_realtime":99123.5,"hr_stock":0.0,"power_consumption":3250,"chains":[{"id":1,"pcb_temp":{"min":0,"max":65}}],"cooling":{"fans":[]}}}',
  '{"miner":{"overclock":{"modded_psu":false,"preset":"3495","globals":{"volt":1380,"freq":675},"chains":[{"freq":0,"chips":[0,0]}]},"pools":[{"url":"p:1","user":"u","pass":"x"}]}}',
  '[{"name":"disabled","status":"untuned"},{"name":"3495","pretty":"3495 watt ~ 132 TH","status":"tuned","modded_psu_required":false}]',
  '{"err":"CGMiner err: Cgminer error failed-to-activate-pause-mode "}',
  // Proto Rig: a status, a target, tokens.
  '{"mining-status":{"status":"Mining","hashrate_ghs":141147.43,"power_usage_watts":3447.0,"power_target_watts":3400,"reboot_uptime_s":28}}',
  '{"power_target_watts":3400,"power_target_min_watts":2000,"performance_mode":"Efficiency","balance_bays":true,"hash_on_disconnect":false}',
  // Auradine: figures as texts with their units.
  `{${STATUS},"PSU":[{"VoutSet":"11.50V","FanSpeed1":"4052.00 RPM","PowerIn":"58.94W","PoutMax":"3452.00W"}],"Mode":[{"Mode":"custom","Sleep":"off","Ths":160,"Power":2000}],"id":1}`,
];

/** Answers by which devices are told. */
export const IDENTITIES: readonly string[] = [
  `{${STATUS},"VERSION":[{"API":"3.1","BMMiner":"1.0.0","Miner":"49.0.1.3","Type":"Antminer S19 Pro"}],"id":1}\u0000`,
  '{"STATUS":[{"STATUS":"S","Code":22,"Msg":"BOSer versions","Description":"BOSer boser-buildroot 0.1.0"}],"VERSION":[{"API":"3.7","BOSer":"x"}],"id":1}',
  'STATUS=S,When=1,Code=22,Msg=CGMiner versions,Description=cgminer 4.11.1|VERSION,CGMiner=4.11.1,PROD=AvalonMiner 1246-83,MODEL=1246-83|',
  '{"STATUS":"S","When":1,"Code":131,"Msg":{"api_ver":"2.0.5","fw_ver":"20230803.11.REL","platform":"H616"},"Description":""}',
  '{"miner":"Antminer S19","model":"s19","fw_name":"Vnish","fw_version":"1.2.6"}',
  '{"system-info":{"manufacturer":"Proto","model":"Rig","os":{"version":"1.8.0"}},"ASICModel":"BM1368","major":1}',
  '<!doctype html><title>Braiins OS</title>',
];

/** Headers of HTTP digest, both ways. */
export const CHALLENGES: readonly string[] = [
  'Digest realm="antMiner Configuration", nonce="5f8f7e1d0a6b4c3e9d2a1b0c7e6f5d4c", qop="auth", stale=TRUE',
  'Basic realm="x", Digest algorithm=MD5, realm="a\\"b", nonce="n", qop="auth-int,auth", opaque="o"',
  'Digest username="root", realm="r", nonce="n", uri="/x?y", response="6629fae49393a05397450978507c4ef1", qop=auth, nc=00000001, cnonce="8000000080000000"',
];
