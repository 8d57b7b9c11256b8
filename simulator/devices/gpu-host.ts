/**
 * A simulated GPU host as its shell shows it: nvidia-smi, systemctl with a miner unit and an AI unit, the AI
 * service's health page. Written from nvidia-smi captures and systemd's manual, apart from any driver.
 */
import type { GpuModel } from '../../config/schema/model.ts';
import type { Random } from '../../host/deps.ts';
import type { DeviceHttpRequest, ExecAnswer, ExecDevice, HttpAnswer, HttpDevice, Load } from '../device.ts';
import { GpuHostPower } from '../physics/gpu-host.ts';
import type { GpuWorkload } from '../physics/gpu-host.ts';
import { answerSmi } from './gpu-smi.ts';
import { AI_TIMES, MINER_TIMES, ServiceUnit } from './gpu-unit.ts';
import type { UnitTimes } from './gpu-unit.ts';

/** `holds-memory`: processes end, memory stays taken. `wedged`: the GPU driver hangs, the rest of the host works. */
export type GpuMisbehaviour = 'none' | 'dead' | 'ignores' | 'holds-memory' | 'wedged';

export interface GpuHostOptions {
  readonly id: string;
  readonly model: GpuModel;
  readonly random: Random;
  readonly startMs: number;
  readonly mineUnit?: string;
  readonly aiUnit?: string;
  readonly mineTimes?: Partial<UnitTimes>;
  readonly aiTimes?: Partial<UnitTimes>;
}

/** What one process holds on one GPU. */
export interface GpuProcess {
  readonly gpu: number;
  readonly pid: number;
  readonly memoryMib: number;
  readonly name: string;
  readonly unit: string;
}

const MINE_MEMORY_MIB = 9_400;
const AI_MEMORY_MIB = 71_800;
const A_TENANT = 'tenant-7f3.scope';

/** One host. Times never go back; state is brought up to `nowMs` whenever it is asked. */
export class GpuHost implements ExecDevice, HttpDevice, Load {
  readonly id: string;
  readonly model: GpuModel;
  readonly power: GpuHostPower;
  readonly mine: ServiceUnit;
  readonly ai: ServiceUnit;
  readonly uuids: readonly string[];
  misbehaviour: GpuMisbehaviour = 'none';
  /** Times both units came to hold the GPUs at once. */
  doubleOwnership = 0;
  /** A process that belongs to neither unit, as a marketplace tenant's does. */
  tenant = false;
  #both = false;
  #nowMs: number;

  constructor(options: GpuHostOptions) {
    this.id = options.id;
    this.model = options.model;
    this.#nowMs = options.startMs;
    this.power = new GpuHostPower(options);
    this.mine = new ServiceUnit(
      options.mineUnit ?? 'miner.service',
      { ...MINER_TIMES, ...options.mineTimes },
      4_000,
    );
    this.ai = new ServiceUnit(options.aiUnit ?? 'ai.service', { ...AI_TIMES, ...options.aiTimes }, 6_000);
    const hex = (): string =>
      Math.floor(options.random.next() * 0x1_0000_0000)
        .toString(16)
        .padStart(8, '0');
    this.uuids = Array.from({ length: options.model.gpus }, () => {
      const digits = hex() + hex() + hex() + hex();
      return `GPU-${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`;
    });
  }

  powerW(nowMs: number): number {
    this.advance(nowMs);
    return this.power.powerW(this.#nowMs);
  }

  /** What the GPUs really do, for judges of a simulation. */
  workload(nowMs: number): GpuWorkload {
    this.advance(nowMs);
    if (this.ai.computes(this.#nowMs)) return 'ai';
    return this.mine.computes(this.#nowMs) || this.tenant ? 'mine' : 'idle';
  }

  exec(command: string, nowMs: number): ExecAnswer {
    this.advance(nowMs);
    if (this.misbehaviour === 'dead' || command.length > 8_192) return { kind: 'silence' };
    const words = command.trim().split(/\s+/);
    if (words[0] === 'sudo') words.splice(0, words[1] === '-n' ? 2 : 1);
    switch (words[0]) {
      case 'nvidia-smi':
        return answerSmi(this, words.slice(1), this.#nowMs);
      case 'systemctl':
        return this.#systemctl(words.slice(1));
      case 'grep':
        return this.#grep(words.slice(1));
      default:
        return result(127, '', `sh: 1: ${words[0] ?? ''}: not found\n`, 5);
    }
  }

  respondHttp(request: DeviceHttpRequest, nowMs: number): HttpAnswer {
    this.advance(nowMs);
    if (this.misbehaviour === 'dead') return { kind: 'silence' };
    if (this.ai.state(this.#nowMs) !== 'active' || !this.ai.holds(this.#nowMs)) return { kind: 'reset' };
    const found = request.method === 'GET' && request.path.split('?')[0] === '/health';
    const status = !found ? 404 : this.ai.computes(this.#nowMs) ? 200 : 503;
    return { kind: 'response', status, headers: { 'content-length': '0' }, body: '', afterMs: 3 };
  }

  /** Rows of compute processes now, one per process and GPU. */
  processes(): GpuProcess[] {
    const rows: GpuProcess[] = [];
    for (let gpu = 0; gpu < this.model.gpus; gpu += 1) {
      if (this.mine.holds(this.#nowMs)) {
        rows.push({
          gpu,
          pid: this.mine.pid,
          memoryMib: MINE_MEMORY_MIB,
          name: '/opt/miner/bin/gminer',
          unit: this.mine.name,
        });
      }
      if (this.ai.holds(this.#nowMs)) {
        rows.push({
          gpu,
          pid: this.ai.pid + 1 + gpu,
          memoryMib: AI_MEMORY_MIB,
          name: 'VLLM::Worker_TP',
          unit: this.ai.name,
        });
      }
    }
    if (this.tenant)
      rows.push({ gpu: 0, pid: 31_337, memoryMib: 20_000, name: '/usr/bin/python3, train', unit: A_TENANT });
    return rows;
  }

  /** Memory in use on one GPU, MiB. */
  memoryMib(gpu: number): number {
    const mine = this.mine.holdsMemory(this.#nowMs, this.misbehaviour === 'holds-memory')
      ? MINE_MEMORY_MIB
      : 0;
    const ai = this.ai.holdsMemory(this.#nowMs, this.misbehaviour === 'holds-memory') ? AI_MEMORY_MIB : 0;
    const tenant = this.tenant && gpu === 0 ? 20_000 : 0;
    return Math.min(81_559, this.model.memoryBaselineMib + mine + ai + tenant);
  }

  /** Carries every change up to `nowMs` out in its order: the power follows, two owners at once are counted. */
  advance(nowMs: number): void {
    if (nowMs <= this.#nowMs) return this.#settle(this.#nowMs);
    const mine = this.mine.turns(this.#nowMs, nowMs);
    const ai = this.ai.turns(this.#nowMs, nowMs);
    if (mine.length + ai.length > 0)
      for (const atMs of [...mine, ...ai].sort((a, b) => a - b)) this.#settle(atMs);
    return this.#settle(nowMs);
  }

  #settle(nowMs: number): void {
    this.#nowMs = nowMs;
    const ai = this.ai.computes(nowMs);
    const mine = this.mine.computes(nowMs) || this.tenant;
    this.power.setWorkload(ai ? 'ai' : mine ? 'mine' : 'idle', nowMs);
    const both = this.mine.holds(nowMs) && this.ai.holds(nowMs);
    if (both && !this.#both) this.doubleOwnership += 1;
    this.#both = both;
  }

  #systemctl(words: readonly string[]): ExecAnswer {
    const plain = words.filter((word) => !word.startsWith('-'));
    const noBlock = words.includes('--no-block');
    const [verb, ...names] = plain;
    const units = names.map((name) =>
      [this.mine, this.ai].find((unit) => unit.name === (name.includes('.') ? name : `${name}.service`)),
    );
    if (verb === 'is-active') {
      const states = units.map((unit) => unit?.state(this.#nowMs) ?? 'inactive');
      return result(states.includes('active') ? 0 : 3, `${states.join('\n')}\n`, '', 12);
    }
    if (verb !== 'start' && verb !== 'stop')
      return result(1, '', `Unknown command verb ${verb ?? ''}.\n`, 10);
    let afterMs = 15;
    for (const [at, unit] of units.entries()) {
      if (unit === undefined)
        return result(
          5,
          '',
          `Failed to ${verb} ${names[at] ?? ''}: Unit ${names[at] ?? ''} not found.\n`,
          15,
        );
      if (this.misbehaviour === 'ignores') continue;
      const doneMs = verb === 'start' ? unit.start(this.#nowMs) : unit.stop(this.#nowMs);
      if (!noBlock) afterMs = Math.max(afterMs, doneMs - this.#nowMs + 15);
    }
    this.#settle(this.#nowMs);
    return result(0, '', '', afterMs);
  }

  /** `grep -H -s . /proc/PID/cgroup …`: which unit a process belongs to. */
  #grep(words: readonly string[]): ExecAnswer {
    const known = new Map(this.processes().map((process) => [process.pid, process.unit]));
    const lines: string[] = [];
    let missing = false;
    for (const word of words) {
      const pid = /^\/proc\/(\d+)\/cgroup$/.exec(word)?.[1];
      if (pid === undefined) continue;
      const unit = known.get(Number(pid));
      if (unit === undefined) missing = true;
      else lines.push(`${word}:0::/${unit === A_TENANT ? 'machine.slice' : 'system.slice'}/${unit}\n`);
    }
    return result(missing ? 2 : lines.length > 0 ? 0 : 1, lines.join(''), '', 6);
  }
}

function result(code: number, stdout: string, stderr: string, afterMs: number): ExecAnswer {
  return { kind: 'result', code, stdout, stderr, afterMs };
}
