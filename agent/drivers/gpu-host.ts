/**
 * GPU hosts with NVIDIA boards over SSH: telemetry by one nvidia-smi loop, work by two systemd units.
 * Verified against simulated hosts and a real OpenSSH server with stand-in tools; written from nvidia-smi captures.
 *
 * `gpu://user@host:port?key=FILE&hostKey=SHA256:…&mine=miner.service&ai=ai.service`, and where wanted
 * `aiHealth=http://host:8000/health`, `sudo=yes` (systemctl and power limits by `sudo -n`),
 * `hostW=1100&hostFactor=1.6`: what the host draws beside its GPUs, host W = hostW + hostFactor × sum of GPUs.
 * `gpu://local?mine=…&ai=…` runs the same commands on this machine, without SSH.
 * `power` is that estimate and never `measured`; without hostW it is the GPUs alone, and uncertain.
 */
import type { GpuObservation, GpuOwner, UnitState } from '../core/handover-state.ts';
import { withFacts } from '../driver.ts';
import type { Device, DeviceIo, Driver, Target } from '../driver.ts';
import type { Endpoint, RemoteTarget } from '../../host/deps.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import { LIMIT_FIELDS, queryGpu, rowsOf, setLimit } from '../../protocols/gpu/nvidia-smi.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { gpuReadings, modeReading, totalsOf } from './gpu-readings.ts';
import { listProcesses } from './gpu-processes.ts';
import { run, SessionKeeper } from './gpu-session.ts';
import type { GpuSession } from './gpu-session.ts';
import { capVerified, gpuOptions } from './gpu-options.ts';
import type { GpuOptions } from './gpu-options.ts';

/** A GPU host: besides readings it gives the observations the hand-over lives on. */
export interface GpuHostDevice extends Device {
  /** What the host shows now; what could not be seen is unknown in it. Never rejects. */
  observe(timeoutMs: number): Promise<GpuObservation>;
}

export const gpuHost: Driver = {
  name: 'gpu-host',
  schemes: ['gpu'],
  open: (target: Target, io: DeviceIo): GpuHostDevice => new GpuHostDriver(gpuOptions(target), io),
};

/** Whether a device is a GPU host, by what it can do. */
export function isGpuHost(device: Device): device is GpuHostDevice {
  return 'observe' in device && typeof device.observe === 'function';
}

/** Part of a caller's time that commands may use, so that the answer is made within it. */
const SHARE = 0.8;
const FIRST_FRAME_MS = 4_000;
const HEALTH_MS = 2_000;
const CAP_RECHECK_MS = 300;
const CAP_CHECKS = 5;
/** A look begun this recently, with no command since, serves whoever asks next: a poll is followed by an observation. */
const SAME_LOOK_MS = 500;

/** What its verbs truly do; the times are those of systemd units and of the driver. */
const UNIT = {
  ...PLAIN_VERB,
  survivesReboot: false,
  effectS: { typical: 10, atMost: 120 },
  source: 'systemctl: what a reboot starts is for the host’s own units to say',
} as const;
const VERBS = {
  'mine-start': UNIT,
  'mine-stop': UNIT,
  'ai-start': UNIT,
  'ai-stop': UNIT,
  sleep: UNIT,
  cap: {
    ...PLAIN_VERB,
    survivesReboot: false,
    effectS: { typical: 1, atMost: 10 },
    grain: { by: 'watts', stepW: 1 },
    source: 'nvidia-smi -pl, per GPU and within its own range, read back; gone with a reboot',
  },
} as const;

class GpuHostDriver implements GpuHostDevice {
  readonly driver = 'gpu-host';
  readonly verbs: Device['verbs'];
  readonly door: Endpoint;
  readonly #options: GpuOptions;
  readonly #io: DeviceIo;
  readonly #keeper: SessionKeeper;
  /** The newest look; undefined from the beginning of a command on. */
  #seen: GpuObservation | undefined;
  /** Counts our commands: what was looked at before one proves nothing after it. */
  #commands = 0;

  constructor(options: GpuOptions, io: DeviceIo) {
    this.#options = options;
    this.#io = io;
    const target: RemoteTarget = options.remote;
    this.door = { host: target.host, port: target.port };
    this.#keeper = new SessionKeeper({
      clock: io.clock,
      random: io.random,
      remote: io.remote,
      target,
      sampleMs: options.sampleMs,
    });
    this.verbs = this.#makeVerbs();
  }

  async identify(timeoutMs: number): Promise<{ vendor: string; model: string; firmware: string }> {
    const { inventory } = await this.#keeper.get(timeoutMs, false);
    if (inventory.indices.length === 0) throw new Fault('ANSWER_GARBAGE', 'nvidia-smi lists no GPU');
    return {
      vendor: 'NVIDIA',
      model: `${inventory.indices.length}x ${inventory.name}`,
      firmware: inventory.driver,
    };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Awaited<ReturnType<Device['read']>>> {
    const { clock } = this.#io;
    const startMs = clock.monoMs();
    const commands = this.#commands;
    const session = await this.#keeper.get(timeoutMs * SHARE, false);
    const observation = await this.#look(session, timeoutMs * SHARE - (clock.monoMs() - startMs));
    if (this.#commands === commands) this.#seen = observation;
    const atMs = clock.wallMs() - (clock.monoMs() - startMs) / 2;
    const ageMs = session.telemetry.ageMs();
    const given = { frame: session.telemetry.latest, ageMs, indices: session.inventory.indices, scope, atMs };
    const readings = {
      ...gpuReadings(given, this.#options),
      mode: modeReading(observation, atMs),
    };
    if (Object.values(readings).some((reading) => reading.ok)) return readings;
    throw session.telemetry.fault ?? new Fault('GPU_TELEMETRY_LOST', 'neither telemetry nor commands answer');
  }

  async observe(timeoutMs: number): Promise<GpuObservation> {
    const { clock } = this.#io;
    const startMs = clock.monoMs();
    if (this.#seen !== undefined && startMs - this.#seen.atMs <= SAME_LOOK_MS) return this.#seen;
    try {
      const session = await this.#keeper.get(timeoutMs * SHARE, false);
      return await this.#look(session, timeoutMs * SHARE - (clock.monoMs() - startMs));
    } catch {
      return nothingSeen(startMs);
    }
  }

  close(): void {
    this.#keeper.close();
  }

  /** Units, processes and the newest frame, as one observation as old as its oldest part. */
  async #look(session: GpuSession, leftMs: number): Promise<GpuObservation> {
    const { clock } = this.#io;
    const atMs = clock.monoMs();
    const [units, processes] = await Promise.all([
      this.#unitStates(session, leftMs),
      listProcesses(session.host, leftMs),
      session.telemetry.first(Math.min(FIRST_FRAME_MS, leftMs)),
    ]);
    const usedMs = clock.monoMs() - atMs;
    const [owners, aiHealthy] = await Promise.all([
      processes?.split(units, this.#options.units, leftMs - usedMs),
      this.#health(units.ai, leftMs - usedMs),
    ]);
    const totals = totalsOf(session.telemetry.latest, session.telemetry.ageMs(), session.inventory.indices);
    return {
      atMs: totals === undefined ? atMs : Math.min(atMs, totals.monoMs),
      units,
      processes: owners,
      memoryUsedMib: totals?.memoryUsedMib,
      powerW: totals?.powerW,
      limitW: totals?.limitW,
      aiHealthy,
    };
  }

  /** Both units by one command: systemctl says a line for each, in order, and ends with 0 to 4. */
  async #unitStates(session: GpuSession, leftMs: number): Promise<Record<GpuOwner, UnitState>> {
    const owners = OWNERS.filter((owner) => this.#options.units[owner] !== undefined);
    const names = owners.flatMap((owner) => this.#options.units[owner] ?? []);
    // A host without such a unit never has it running.
    const states: Record<GpuOwner, UnitState> = { mine: 'inactive', ai: 'inactive' };
    if (names.length === 0) return states;
    for (const owner of owners) states[owner] = 'unknown';
    try {
      const { stdout } = await run(session.host, ['systemctl', 'is-active', ...names], leftMs, [0, 1, 3, 4]);
      const words = stdout.trim().split('\n');
      if (words.length === owners.length)
        for (const [place, owner] of owners.entries())
          states[owner] = STATES[words[place]?.trim() ?? ''] ?? 'unknown';
    } catch {
      // They stay unknown.
    }
    return states;
  }

  async #health(ai: UnitState, leftMs: number): Promise<boolean | undefined> {
    const url = this.#options.aiHealth;
    if (url === undefined || ai !== 'active') return undefined;
    const timeoutMs = Math.max(1, Math.min(HEALTH_MS, leftMs));
    try {
      const answer = await this.#io.http.request({ method: 'GET', url, timeoutMs, maxBytes: 65_536 });
      return answer.status === 200;
    } catch (error) {
      return asFault(error).code === 'NET_REFUSED' ? false : undefined;
    }
  }

  #makeVerbs(): Device['verbs'] {
    const { mine, ai } = this.#options.units;
    const verbs: Partial<
      Record<keyof typeof VERBS, (argument: number | undefined, timeoutMs: number) => Promise<void>>
    > = {
      cap: (limitW, timeoutMs) => this.#cap(limitW, timeoutMs),
    };
    if (mine !== undefined) {
      verbs['mine-start'] = (_argument, timeoutMs) => this.#start('mine', mine, timeoutMs);
      verbs['mine-stop'] = (_argument, timeoutMs) => this.#control('stop', [mine], timeoutMs);
    }
    if (ai !== undefined) {
      verbs['ai-start'] = (_argument, timeoutMs) => this.#start('ai', ai, timeoutMs);
      verbs['ai-stop'] = (_argument, timeoutMs) => this.#control('stop', [ai], timeoutMs);
    }
    const both = [mine, ai].filter((unit) => unit !== undefined);
    if (both.length > 0) verbs.sleep = (_argument, timeoutMs) => this.#control('stop', both, timeoutMs);
    return withFacts(VERBS, verbs);
  }

  /** The last lock before two owners: whatever decided the start, it is refused while the other one shows. */
  async #start(owner: GpuOwner, unit: string, timeoutMs: number): Promise<void> {
    const { clock } = this.#io;
    const startMs = clock.monoMs();
    const session = await this.#keeper.get(timeoutMs * SHARE, true);
    const seen = await this.#look(session, timeoutMs / 2);
    const other = owner === 'mine' ? 'ai' : 'mine';
    const left = seen.processes === undefined ? undefined : seen.processes[other] + seen.processes.other;
    if (seen.units[other] !== 'inactive' || left !== 0) {
      const holds =
        left === undefined ? 'processes cannot be listed' : `${left} processes of others hold GPUs`;
      throw new Fault('GPU_NOT_RELEASED', `the ${other} unit is ${seen.units[other]}, ${holds}`);
    }
    await this.#control('start', [unit], timeoutMs - (clock.monoMs() - startMs));
  }

  async #control(verb: 'start' | 'stop', units: readonly string[], timeoutMs: number): Promise<void> {
    const { clock } = this.#io;
    const startMs = clock.monoMs();
    this.#commanded();
    const { host } = await this.#keeper.get(timeoutMs, true);
    const leftMs = timeoutMs - (clock.monoMs() - startMs);
    // Without --no-block a stop would hold the channel for the whole drain and be cut off by the deadline.
    const commands = units.map((unit) =>
      run(host, [...this.#sudo(), 'systemctl', verb, unit, '--no-block'], leftMs),
    );
    const outcomes = await Promise.allSettled(commands);
    this.#commanded();
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') throw asFault(outcome.reason, 'REMOTE_FAILED');
  }

  #commanded(): void {
    this.#commands += 1;
    this.#seen = undefined;
  }

  /** Sets the power limit of every GPU, W per GPU, and resolves when the enforced limits show it. */
  async #cap(limitW: number | undefined, timeoutMs: number): Promise<void> {
    const { clock } = this.#io;
    const untilMs = clock.monoMs() + timeoutMs;
    const left = (): number => untilMs - clock.monoMs();
    if (limitW === undefined || !Number.isFinite(limitW))
      throw new Fault('VERB_REFUSED', 'cap needs a power limit, W per GPU');
    this.#commanded();
    const { host, inventory } = await this.#keeper.get(timeoutMs, true);
    if (inventory.indices.length === 0) throw new Fault('ANSWER_GARBAGE', 'nvidia-smi lists no GPU');
    const { minLimitW = 1, maxLimitW = 5_000 } = inventory;
    if (limitW < minLimitW || limitW > maxLimitW) {
      throw new Fault(
        'VERB_REFUSED',
        `a GPU of this host takes ${minLimitW} to ${maxLimitW} W, not ${limitW} W`,
      );
    }
    const setting = inventory.indices.map((index) =>
      run(host, [...this.#sudo(), ...setLimit(index, limitW)], left()),
    );
    const outcomes = await Promise.allSettled(setting);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw asFault(failed.reason, 'REMOTE_FAILED');
    for (let check = 1; ; check += 1) {
      const { stdout } = await run(host, queryGpu(LIMIT_FIELDS), left());
      const rows = rowsOf(LIMIT_FIELDS, stdout);
      const complaint = capVerified(rows, inventory.indices, Math.round(limitW));
      if (complaint === undefined) return;
      if (check >= CAP_CHECKS || left() <= CAP_RECHECK_MS) throw new Fault('VERB_NOT_OBSERVED', complaint);
      await new Promise<void>((resolve) => clock.after(CAP_RECHECK_MS, resolve));
    }
  }

  #sudo(): readonly string[] {
    return this.#options.sudo ? ['sudo', '-n'] : [];
  }
}

const OWNERS = ['mine', 'ai'] as const satisfies readonly GpuOwner[];

const STATES: Readonly<Partial<Record<string, UnitState>>> = {
  active: 'active',
  reloading: 'active',
  activating: 'changing',
  deactivating: 'changing',
  inactive: 'inactive',
  failed: 'inactive',
};

function nothingSeen(atMs: number): GpuObservation {
  return {
    atMs,
    units: { mine: 'unknown', ai: 'unknown' },
    processes: undefined,
    memoryUsedMib: undefined,
    powerW: undefined,
    limitW: undefined,
    aiHealthy: undefined,
  };
}
