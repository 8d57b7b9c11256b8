/** What the conformance suite has to know of each family of miners, and what must come of each thing that goes wrong. */
import type { Verb } from '../../../../agent/driver.ts';
import type { Pool } from '../../../../config/pools.ts';
import { SimulatedAntminer } from '../../../../simulator/devices/antminer.ts';
import { SimulatedAuradine } from '../../../../simulator/devices/auradine.ts';
import { SimulatedAvalon } from '../../../../simulator/devices/avalon.ts';
import { SimulatedBitaxe } from '../../../../simulator/devices/bitaxe.ts';
import { SimulatedBraiinsGraphql } from '../../../../simulator/devices/braiins-graphql.ts';
import { SimulatedBraiins } from '../../../../simulator/devices/braiins.ts';
import { SimulatedEpic } from '../../../../simulator/devices/epic.ts';
import { SimulatedLuxos } from '../../../../simulator/devices/luxos.ts';
import type { SimulatedMiner } from '../../../../simulator/devices/miner.ts';
import type { MinerOptions } from '../../../../simulator/devices/miner-body.ts';
import { SimulatedProtoRig } from '../../../../simulator/devices/proto-rig.ts';
import { SimulatedVnish } from '../../../../simulator/devices/vnish.ts';
import { SimulatedWhatsminerV3 } from '../../../../simulator/devices/whatsminer-v3.ts';
import { SimulatedWhatsminer } from '../../../../simulator/devices/whatsminer.ts';
import { LENGTH_FIRST, NUL_ENDED } from './disturbed.ts';
import type { Framing, Spoil } from './disturbed.ts';
import { ALIKE, READING_ALONE, times1000 } from './miner-cells.ts';
import type { Outcomes } from './miner-cells.ts';

/** Families without commands. */
export const READ_ONLY: readonly string[] = ['cgminer'];

export interface MinerFamily {
  /** Target of the machine at 10.0.0.1 with the password in P. */
  readonly url: string;
  readonly model: string;
  readonly make: (options: MinerOptions) => SimulatedMiner;
  readonly framing: Framing;
  /** What it can be told with a password, each with an argument that changes something. */
  readonly verbs: Partial<Record<Verb, number | undefined>> & { readonly pools?: readonly Pool[] };
  /** Changes that setting pools is made of; absent: one. */
  readonly poolSteps?: number;
  /** An answer whose hashrate is a thousand times what it was. */
  readonly inflated: (text: string) => string;
  /** What it says while it is busy. */
  readonly busy: Spoil;
  /** Ends what a session holds on the device; absent: each command proves itself. */
  readonly endSession?: (miner: SimulatedMiner, nowMs: number) => void;
  readonly outcomes: Outcomes;
}

/** Two of them: a place after them becomes empty. */
const POOLS: readonly Pool[] = [
  { url: 'stratum+tcp://new.example:3333', user: 'acct.r1-01', pass: 'x' },
  { url: 'stratum+tcp://spare.example:443', user: 'acct.r1-01', pass: 'y' },
];

export const FAMILIES: Readonly<Record<string, MinerFamily>> = {
  antminer: {
    url: 'antminer://10.0.0.1?passwordEnv=P',
    model: 'antminer-s19j-pro',
    make: (options) => new SimulatedAntminer({ ...options, workMode: 3, fanPwm: 70 }),
    framing: NUL_ENDED,
    verbs: { sleep: undefined, wake: undefined, pools: POOLS, reboot: undefined, locate: 1 },
    inflated: (text) => times1000(text, /("GHS (?:5s|av)":)([\d.]+)/g),
    busy: { kind: 'status', status: 503 },
    endSession: (miner, nowMs) => {
      // The web server keeps few nonces: others who ask push ours out.
      const request = { method: 'GET', path: '/', headers: {}, body: '' };
      if (miner instanceof SimulatedAntminer)
        for (let other = 0; other < 20; other += 1) miner.respondHttp(request, nowMs);
    },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'hashing, mode mine | NET_RESET',
      'trickled bytes': 'ANSWER_PARTIAL, mode ANSWER_PARTIAL | NET_TIMEOUT',
      'nothing in it': 'VALUE_MISSING, mode VALUE_MISSING | VERB_UNSUPPORTED',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'nulls for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'numbers for words': 'hashing, mode mine | ANSWER_GARBAGE',
      busy: 'hashing, mode mine | QUEUE_FULL',
    },
  },
  auradine: {
    url: 'auradine://10.0.0.1?http=80&passwordEnv=P',
    model: 'auradine-at2880',
    make: (options) => new SimulatedAuradine(options),
    framing: NUL_ENDED,
    verbs: {
      sleep: undefined,
      wake: undefined,
      'power-limit': 3_650,
      pools: POOLS,
      reboot: undefined,
      locate: 1,
    },
    inflated: (text) => times1000(text, /("MHS \w+":)([\d.]+)/g),
    busy: { kind: 'status', status: 503 },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'ANSWER_PARTIAL, mode ANSWER_PARTIAL | NET_RESET',
      'trickled bytes': 'ANSWER_PARTIAL, mode ANSWER_PARTIAL | NET_TIMEOUT',
      'nothing in it': 'VALUE_MISSING, mode VALUE_MISSING | ANSWER_GARBAGE',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'nulls for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'numbers for words': 'hashing, mode mine | ANSWER_GARBAGE',
      busy: 'hashing, mode mine | QUEUE_FULL',
    },
  },
  avalon: {
    url: 'avalon://10.0.0.1',
    model: 'avalon-1246',
    make: (options) => new SimulatedAvalon(options),
    framing: NUL_ENDED,
    verbs: { sleep: undefined, wake: undefined, pools: POOLS, reboot: undefined, locate: 1 },
    poolSteps: 3,
    inflated: (text) => times1000(text, /(GHS(?:spd|avg)\[)([\d.]+)/g),
    // It answers one at a time and cuts off who comes between.
    busy: { kind: 'reset' },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'ANSWER_PARTIAL | ANSWER_PARTIAL',
      'trickled bytes': 'ANSWER_PARTIAL | ANSWER_PARTIAL',
      'nothing in it': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      'words for numbers': 'VALUE_MISSING, mode VALUE_MISSING | VERB_REFUSED',
      'lists for numbers': 'VALUE_MISSING, mode VALUE_MISSING | VERB_REFUSED',
      'nulls for numbers': 'VALUE_MISSING, mode VALUE_MISSING | VERB_REFUSED',
      'numbers for words': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      busy: 'NET_RESET | NET_RESET',
    },
  },
  bitaxe: {
    url: 'bitaxe://10.0.0.1',
    // None of its own: what these boards draw stands in no source we have.
    model: 'antminer-s19j-pro',
    make: (options) => new SimulatedBitaxe(options),
    framing: NUL_ENDED,
    verbs: { sleep: undefined, wake: undefined, pools: POOLS, reboot: undefined, locate: 1 },
    poolSteps: 2,
    inflated: (text) => times1000(text, /("hashRate":)([\d.]+)/g),
    busy: { kind: 'status', status: 503 },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'NET_RESET | NET_RESET',
      'trickled bytes': 'NET_TIMEOUT | NET_TIMEOUT',
      'nothing in it': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'nulls for numbers': 'VALUE_MISSING, mode VALUE_MISSING | resolved',
      'numbers for words': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      busy: 'QUEUE_FULL | QUEUE_FULL',
    },
  },
  braiins: {
    url: 'braiins://10.0.0.1?passwordEnv=P',
    model: 'antminer-s19j-pro-braiins',
    make: (options) => new SimulatedBraiins(options),
    framing: NUL_ENDED,
    verbs: {
      sleep: undefined,
      wake: undefined,
      'power-limit': 2_500,
      pools: POOLS,
      reboot: undefined,
      locate: 1,
    },
    inflated: (text) => text.replaceAll('"gigahash_per_second":', '"gigahash_per_second":1000000'),
    busy: { kind: 'status', status: 503 },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'NET_RESET | NET_RESET',
      'trickled bytes': 'NET_TIMEOUT | resolved',
      'nothing in it': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'nulls for numbers': 'VALUE_MISSING, mode VALUE_MISSING | resolved',
      'numbers for words': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      busy: 'QUEUE_FULL | QUEUE_FULL',
    },
  },
  'braiins-graphql': {
    url: 'braiins-graphql://10.0.0.1?passwordEnv=P',
    model: 'antminer-s19j-pro-braiins-graphql',
    make: (options) => new SimulatedBraiinsGraphql(options),
    framing: NUL_ENDED,
    verbs: { sleep: undefined, wake: undefined, 'power-limit': 2_500, reboot: undefined, locate: 1 },
    inflated: (text) => times1000(text, /("mhs5S":)([\d.]+)/g),
    busy: { kind: 'status', status: 503 },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'NET_RESET | NET_RESET',
      'trickled bytes': 'NET_TIMEOUT | NET_TIMEOUT',
      'nothing in it': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'nulls for numbers': 'VALUE_MISSING, mode VALUE_MISSING | resolved',
      'numbers for words': 'hashing, mode mine | ANSWER_GARBAGE',
      busy: 'QUEUE_FULL | QUEUE_FULL',
    },
  },
  cgminer: {
    url: 'cgminer://10.0.0.1',
    model: 'antminer-s19j-pro',
    make: (options) => new SimulatedAntminer(options),
    framing: NUL_ENDED,
    verbs: {},
    inflated: (text) => times1000(text, /("GHS (?:5s|av)":)([\d.]+)/g),
    busy: { kind: 'text', of: () => 'Socket connect failed: Connection refused\n' },
    outcomes: {
      ...READING_ALONE,
      'broken off in its middle': 'ANSWER_PARTIAL, mode ANSWER_PARTIAL',
      'trickled bytes': 'ANSWER_PARTIAL, mode ANSWER_PARTIAL',
      'nothing in it': 'VALUE_MISSING, mode VALUE_MISSING',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID',
      'nulls for numbers': 'VALUE_INVALID, mode VALUE_INVALID',
      'numbers for words': 'hashing, mode mine',
      busy: 'NET_REFUSED',
    },
  },
  epic: {
    url: 'epic://10.0.0.1?passwordEnv=P',
    model: 'antminer-s19-xp-epic',
    make: (options) => new SimulatedEpic(options),
    framing: NUL_ENDED,
    verbs: {
      sleep: undefined,
      wake: undefined,
      'power-limit': 2_500,
      pools: POOLS,
      reboot: undefined,
      locate: 1,
    },
    inflated: (text) => times1000(text, /("Hashrate":\[)([\d.]+)/g),
    busy: { kind: 'status', status: 503 },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'NET_RESET | NET_RESET',
      'trickled bytes': 'NET_TIMEOUT | NET_TIMEOUT',
      'nothing in it': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'nulls for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'numbers for words': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      busy: 'QUEUE_FULL | QUEUE_FULL',
    },
  },
  luxos: {
    url: 'luxos://10.0.0.1',
    model: 'antminer-s19k-pro-luxos',
    make: (options) => new SimulatedLuxos(options),
    framing: NUL_ENDED,
    verbs: {
      sleep: undefined,
      wake: undefined,
      'power-limit': 2_052,
      pools: POOLS,
      reboot: undefined,
      locate: 1,
    },
    poolSteps: 4,
    inflated: (text) => times1000(text, /("GHS \w+":)([\d.]+)/g),
    busy: {
      kind: 'text',
      of: () => '{"STATUS":[{"STATUS":"E","Code":402,"Msg":"Another session is active"}]}',
    },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'ANSWER_PARTIAL, mode ANSWER_PARTIAL | ANSWER_PARTIAL',
      'trickled bytes': 'ANSWER_PARTIAL, mode ANSWER_PARTIAL | ANSWER_PARTIAL',
      'nothing in it': 'VALUE_MISSING, mode ANSWER_GARBAGE | ANSWER_GARBAGE',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'nulls for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'numbers for words': 'hashing, mode mine | ANSWER_GARBAGE',
      busy: 'QUEUE_FULL | QUEUE_FULL',
    },
  },
  'proto-rig': {
    url: 'proto-rig://10.0.0.1?passwordEnv=P',
    model: 'proto-rig',
    make: (options) => new SimulatedProtoRig(options),
    framing: NUL_ENDED,
    verbs: {
      sleep: undefined,
      wake: undefined,
      'power-limit': 2_856,
      pools: POOLS,
      reboot: undefined,
      locate: 1,
    },
    inflated: (text) => times1000(text, /("(?:average_)?hashrate_ghs":)([\d.]+)/g),
    busy: { kind: 'status', status: 503 },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'NET_RESET | NET_RESET',
      'trickled bytes': 'NET_TIMEOUT | NET_TIMEOUT',
      'nothing in it': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'nulls for numbers': 'VALUE_MISSING, mode VALUE_MISSING | resolved',
      'numbers for words': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      busy: 'QUEUE_FULL | QUEUE_FULL',
    },
  },
  vnish: {
    url: 'vnish://10.0.0.1?passwordEnv=P',
    model: 'antminer-s19-vnish',
    make: (options) => new SimulatedVnish(options),
    framing: NUL_ENDED,
    // Between two presets, and the one below it was never tuned.
    verbs: { sleep: undefined, wake: undefined, 'power-limit': 1_800, reboot: undefined, locate: 1 },
    inflated: (text) => times1000(text, /("hr_(?:realtime|average)":)([\d.]+)/g),
    busy: { kind: 'status', status: 503 },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'NET_RESET | NET_RESET',
      'trickled bytes': 'NET_TIMEOUT | resolved',
      'nothing in it': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'nulls for numbers': 'VALUE_MISSING, mode VALUE_MISSING | resolved',
      'numbers for words': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      busy: 'QUEUE_FULL | QUEUE_FULL',
    },
  },
  whatsminer: {
    url: 'whatsminer://10.0.0.1?passwordEnv=P',
    model: 'whatsminer-m30s-plus',
    make: (options) => new SimulatedWhatsminer(options),
    framing: NUL_ENDED,
    verbs: {
      sleep: undefined,
      wake: undefined,
      'power-limit': 2_482,
      pools: POOLS,
      reboot: undefined,
      locate: 1,
    },
    inflated: (text) => times1000(text, /("(?:HS RT|MHS \w+)":)([\d.]+)/g),
    busy: { kind: 'text', of: () => '{"STATUS":"E","When":1,"Code":136,"Msg":"over max connect"}' },
    endSession: (miner) => {
      if (miner instanceof SimulatedWhatsminer) miner.forgetTokens();
    },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'hashing, mode mine | ANSWER_GARBAGE',
      'trickled bytes': 'ANSWER_PARTIAL, mode ANSWER_PARTIAL | ANSWER_GARBAGE',
      'nothing in it': 'VALUE_MISSING, mode VALUE_MISSING | ANSWER_GARBAGE',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'nulls for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'numbers for words': 'hashing, mode mine | AUTH_FAILED',
      busy: 'QUEUE_FULL | QUEUE_FULL',
    },
  },
  'whatsminer-v3': {
    url: 'whatsminer-v3://10.0.0.1:4028?passwordEnv=P',
    model: 'whatsminer-m66',
    make: (options) => new SimulatedWhatsminerV3(options),
    framing: LENGTH_FIRST,
    verbs: {
      sleep: undefined,
      wake: undefined,
      'power-limit': 4_009,
      pools: POOLS,
      reboot: undefined,
      locate: 1,
    },
    inflated: (text) => times1000(text, /("hash-[\w]+":)([\d.]+)/g),
    busy: { kind: 'text', of: () => '{"code":-1,"when":1,"msg":"busy"}' },
    outcomes: {
      ...ALIKE,
      'broken off in its middle': 'hashing, mode mine | ANSWER_GARBAGE',
      'trickled bytes': 'ANSWER_PARTIAL, mode ANSWER_PARTIAL | ANSWER_GARBAGE',
      'nothing in it': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
      'words for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'lists for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'nulls for numbers': 'VALUE_INVALID, mode VALUE_INVALID | resolved',
      'numbers for words': 'hashing, mode mine | ANSWER_GARBAGE',
      busy: 'VERB_REFUSED | VERB_REFUSED',
    },
  },
};
