/** One machine of the simulated site: its physics and its device, chosen by the model in the site file. */
import type { AsicModel, GpuModel } from '../config/schema/model.ts';
import type { SiteMachine } from '../config/site.ts';
import type { Random } from '../host/deps.ts';
import { Fault } from '../protocols/faults.ts';
import type { Mode } from '../protocols/reading.ts';
import type { ExecDevice, Load, SimulatedEndpoint } from './device.ts';
import { SimulatedAntminer } from './devices/antminer.ts';
import { SimulatedAuradine } from './devices/auradine.ts';
import { SimulatedAvalon } from './devices/avalon.ts';
import { SimulatedBitaxe } from './devices/bitaxe.ts';
import { SimulatedBraiinsGraphql } from './devices/braiins-graphql.ts';
import { SimulatedBraiins } from './devices/braiins.ts';
import { SimulatedEpic } from './devices/epic.ts';
import { GpuHost } from './devices/gpu-host.ts';
import type { GpuMisbehaviour } from './devices/gpu-host.ts';
import { SimulatedLuxos } from './devices/luxos.ts';
import type { MinerFault, SimulatedMiner } from './devices/miner.ts';
import type { MinerOptions } from './devices/miner-body.ts';
import { SimulatedProtoRig } from './devices/proto-rig.ts';
import { SimulatedVnish } from './devices/vnish.ts';
import { SimulatedWhatsminer } from './devices/whatsminer.ts';
import { SimulatedWhatsminerV3 } from './devices/whatsminer-v3.ts';
import type { Misbehaviour } from './scenarios.ts';
import { SIMULATED_ENV } from './site.ts';

/** A machine as the world holds it: what it draws, what it really does, and where it answers. */
export interface PlantMachine extends Load {
  readonly machine: SiteMachine;
  /** Its address, to find it by the host of a connection. */
  readonly host: string;
  readonly endpoints: readonly SimulatedEndpoint[];
  behave(behaviour: Misbehaviour): void;
  /** Its supply is taken away or given back. */
  supply(on: boolean, nowMs: number): void;
  /** What it really does, whatever it says. */
  mode(nowMs: number): Mode;
  /** Calls that changed or set a state. */
  readonly stateCalls: number;
  /** How often two workloads held its GPUs at once. */
  readonly doubleOwned: number;
  /** What its owner has set, by name, as the device holds it now; what its present mode hides is absent. */
  settings(): Readonly<Record<string, string | number>>;
}

export interface PlantMachineOptions {
  readonly machine: SiteMachine;
  readonly random: Random;
  readonly gpuStart: 'mine' | 'idle';
  readonly ambientC: (nowMs: number) => number;
}

/** A GPU host that mines at the start has done so for this long. */
const SETTLED_MS = 120_000;
/** From power to a host that answers. */
const GPU_BOOT_MS = 60_000;
const SSH_PORT = 22;
const HTTP_PORT = 80;
/** Work modes of Antminers, as owners choose them: normal, high, low. */
const WORK_MODES = [0, 2, 3] as const;

/** A family of miners by the scheme of its targets: its usual ports, and how one is made. */
interface Family {
  readonly api: number;
  /** Of its web pages; 80 when absent. */
  readonly http?: number;
  readonly make: (options: MinerOptions, machine: SiteMachine) => SimulatedMiner;
}

const FAMILIES: Readonly<Record<string, Family>> = {
  'antminer:': {
    api: 4_028,
    make: (options, { index }) =>
      new SimulatedAntminer({
        ...options,
        // No two neighbours are set alike: who restores what it thinks is usual is found out.
        workMode: WORK_MODES[index % WORK_MODES.length] ?? 0,
        fanPwm: 70 + (index % 31),
      }),
  },
  'auradine:': { api: 4_028, http: 8_080, make: (options) => new SimulatedAuradine(options) },
  'avalon:': { api: 4_028, make: (options) => new SimulatedAvalon(options) },
  'bitaxe:': { api: 80, make: (options) => new SimulatedBitaxe(options) },
  'braiins:': { api: 80, make: (options) => new SimulatedBraiins(options) },
  'braiins-graphql:': { api: 4_028, make: (options) => new SimulatedBraiinsGraphql(options) },
  'epic:': { api: 4_028, make: (options) => new SimulatedEpic(options) },
  'luxos:': { api: 4_028, make: (options) => new SimulatedLuxos(options) },
  'proto-rig:': { api: 80, make: (options) => new SimulatedProtoRig(options) },
  'vnish:': { api: 80, make: (options) => new SimulatedVnish(options) },
  'whatsminer:': { api: 4_028, make: (options) => new SimulatedWhatsminer(options) },
  'whatsminer-v3:': { api: 4_433, make: (options) => new SimulatedWhatsminerV3(options) },
};

/** Builds the simulated machine behind a target. Throws CONFIG_INVALID when its kind is not simulated. */
export function makePlantMachine(options: PlantMachineOptions): PlantMachine {
  const { machine } = options;
  const url = URL.parse(machine.target);
  if (url === null || url.hostname === '')
    throw new Fault('CONFIG_INVALID', `${machine.id}: no address to simulate`);
  if (machine.model.kind === 'gpu-host' && url.protocol === 'gpu:')
    return gpuMachine(options, machine.model, url);
  const family = FAMILIES[url.protocol];
  if (machine.model.kind === 'asic' && family) return asicMachine(options, machine.model, { url, family });
  throw new Fault(
    'CONFIG_INVALID',
    `${machine.id}: ${url.protocol}// with the model ${machine.model.id} is not simulated`,
  );
}

function portOf(url: URL, name: string, otherwise: number): number {
  const port = Number(url.searchParams.get(name) ?? otherwise);
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : otherwise;
}

function asicMachine(
  { machine, random, ambientC }: PlantMachineOptions,
  model: AsicModel,
  { url, family }: { url: URL; family: Family },
): PlantMachine {
  const password = SIMULATED_ENV[url.searchParams.get('passwordEnv') ?? ''] ?? 'root';
  const user = url.searchParams.get('user') ?? url.username;
  const miner = family.make(
    { id: machine.id, model, random, startMs: 0, ambientC, password, ...(user !== '' && { user }) },
    machine,
  );
  const host = url.hostname;
  return {
    id: machine.id,
    machine,
    host,
    endpoints: miner.endpoints({
      host,
      api: portOf(url, 'api', family.api),
      http: portOf(url, 'http', family.http ?? HTTP_PORT),
    }),
    powerW: (nowMs) => miner.powerW(nowMs),
    behave: (behaviour) => {
      miner.fault = minerFault(behaviour);
    },
    supply: (on, nowMs) => miner.supply(on, nowMs),
    mode: (nowMs) => {
      miner.powerW(nowMs);
      return !miner.power.supplied ? 'off' : miner.power.mining ? 'mine' : 'sleep';
    },
    get stateCalls() {
      return miner.changes;
    },
    doubleOwned: 0,
    settings: () => miner.settings(),
  };
}

function minerFault(behaviour: Misbehaviour): MinerFault {
  if (behaviour === 'holds-memory') return 'ignores';
  return behaviour === 'wedged' ? 'slow' : behaviour;
}

function gpuMachine(
  { machine, random, gpuStart }: PlantMachineOptions,
  model: GpuModel,
  url: URL,
): PlantMachine {
  const mineUnit = url.searchParams.get('mine') ?? undefined;
  const aiUnit = url.searchParams.get('ai') ?? undefined;
  const gpus = new GpuHost({
    id: machine.id,
    model,
    random,
    startMs: -SETTLED_MS,
    ...(mineUnit !== undefined && { mineUnit }),
    ...(aiUnit !== undefined && { aiUnit }),
  });
  if (gpuStart === 'mine') gpus.mine.start(-SETTLED_MS);
  gpus.advance(0);
  let stateCalls = 0;
  let readyMs = Number.NEGATIVE_INFINITY;
  const off = (nowMs: number): boolean => nowMs < readyMs;
  const device: ExecDevice = {
    exec: (command, nowMs) => {
      if (off(nowMs)) return { kind: 'silence' };
      if (/\bsystemctl\b.*\b(start|stop|restart)\b|\bnvidia-smi\b.*\s-pl\b/.test(command)) stateCalls += 1;
      const answer = gpus.exec(command, nowMs);
      if (answer.kind !== 'stream') return answer;
      // What was printing ends with the power, without a word, and does not go on when it is back.
      const bootMs = readyMs;
      return { ...answer, lines: (atMs) => (readyMs === bootMs ? answer.lines(atMs) : []) };
    },
  };
  const host = url.hostname;
  return {
    id: machine.id,
    machine,
    host,
    endpoints: [{ kind: 'ssh', host, port: url.port === '' ? SSH_PORT : Number(url.port), device }],
    powerW: (nowMs) => {
      const watts = gpus.powerW(nowMs);
      return readyMs === Infinity ? 0 : watts;
    },
    // It comes up idle: its units do not start with the host.
    supply: (on, nowMs) => {
      gpus.mine.stop(nowMs);
      gpus.ai.stop(nowMs);
      readyMs = on ? nowMs + GPU_BOOT_MS : Infinity;
    },
    behave: (behaviour) => {
      gpus.misbehaviour = gpuMisbehaviour(behaviour);
    },
    mode: (nowMs) => (off(nowMs) ? 'off' : gpus.workload(nowMs)),
    get stateCalls() {
      return stateCalls;
    },
    get doubleOwned() {
      return gpus.doubleOwnership;
    },
    settings: () =>
      Object.fromEntries(gpus.uuids.map((_, gpu) => [`gpu.${gpu}.powerLimit`, gpus.power.capW(gpu)])),
  };
}

function gpuMisbehaviour(behaviour: Misbehaviour): GpuMisbehaviour {
  switch (behaviour) {
    case 'wakes':
    case 'lies':
      return 'ignores';
    case 'garbage':
    case 'slow':
      return 'wedged';
    default:
      return behaviour;
  }
}
