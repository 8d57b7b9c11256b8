import type { Clock, Endpoint, Http, Log, Net, Random, Remote } from '../host/deps.ts';
import type { Line, Lines } from '../host/line.ts';
import type { Pool } from '../config/pools.ts';
import type { Identity, Readings } from '../protocols/reading.ts';
import type { VerbFacts } from '../protocols/verb-facts.ts';

/** What a device can be told. Absolute settings, so that saying one twice changes nothing; `reboot` and `locate` are one-shot. */
export type Verb =
  | 'sleep'
  | 'wake'
  | 'power-limit'
  | 'reboot'
  | 'locate'
  | 'mine-start'
  | 'mine-stop'
  | 'ai-start'
  | 'ai-stop'
  | 'cap'
  /** The last rung: the power of one outlet of a PDU. Off is refused while anything draws there, unless its argument is 1. */
  | 'outlet-on'
  | 'outlet-off';

/**
 * Settings of a device that outlive its modes (power target, profile, pools), by name, as the device has them; a secret
 * as a fingerprint. What cannot be read at the moment is absent.
 */
export type Settings = Readonly<Record<string, string | number>>;

/** Called by a verb that writes, with the settings as they are, before the write. When it rejects, nothing is written. */
export type BeforeWrite = (settings: Settings) => Promise<void>;

/**
 * Sets all pools of a device, the first in front; places beyond them become empty. Does nothing where it is seen to have
 * them. As a verb: resolves on the vendor's OK.
 */
export type SetPools = (pools: readonly Pool[], timeoutMs: number, before?: BeforeWrite) => Promise<void>;

/** Resolves on the vendor's OK (acknowledged, no more); rejects with a Fault. */
type Act = (argument: number | undefined, timeoutMs: number, before?: BeforeWrite) => Promise<void>;

type Acts = Readonly<Record<Verb, Act>> & { readonly pools: SetPools };

/** What a device can be told, by presence; each with what it truly does. */
export type Verbs = { readonly [V in keyof Acts]?: Acts[V] & { readonly facts: VerbFacts } };

/** Verbs with what each truly does: there is none without. What this device lacks of them is absent. */
export function withFacts<V extends keyof Acts>(
  facts: Readonly<Record<V, VerbFacts>>,
  acts: { readonly [Present in V]?: Acts[Present] },
): Verbs {
  const verbs: Record<string, unknown> = {};
  // Each anew: one function may serve several verbs.
  for (const verb of Object.keys(acts) as V[]) {
    const act = acts[verb] as ((...told: unknown[]) => Promise<void>) | undefined;
    if (act !== undefined)
      verbs[verb] = Object.assign((...told: unknown[]) => act(...told), { facts: facts[verb] });
  }
  return verbs as Verbs;
}

/** What a device can be told, and what each of it truly does. */
export const factsOf = ({ verbs }: Pick<Device, 'verbs'>): Readonly<Record<string, VerbFacts>> =>
  Object.fromEntries(Object.entries(verbs).map(([verb, { facts }]) => [verb, facts]));

/** What a driver can tell of the settings of its device. */
export interface SettingsView {
  /** As last read, with the monotonic time when that reading began; undefined: not read yet. */
  newest(): { readonly settings: Settings; readonly beganMs: number } | undefined;
  /** The one setting that a verb sets to its argument; everything else a write must leave as it is. */
  readonly setBy: Partial<Record<Verb, string>>;
  /** A setting that a verb takes away from this value for its own time and gives back; absent: there is none. */
  readonly lends?: {
    readonly verb: Verb;
    readonly name: string;
    readonly value: string | number;
    /** It may not have been given back: an earlier run of the agent ended meanwhile. The next full reading sees to it. */
    readonly owe: () => void;
  };
}

/** What a meter was found to refuse: addresses that no read may pass over, and quantities that it lacks. */
export interface MeterHoles {
  readonly barriers: readonly number[];
  readonly absent: readonly string[];
}

/** `device`: what tells it and its map from another at the same address. */
export type KeptHoles = MeterHoles & { readonly device: string };

/** What is remembered of the meters by their targets, over restarts. */
export interface HoleBook {
  /** Undefined: nothing is known, or not yet. */
  of(meter: string): KeptHoles | undefined;
  keep(meter: string, holes: KeptHoles): void;
}

/** What drivers reach the world through. */
export interface DeviceIo {
  readonly clock: Clock;
  readonly random: Random;
  readonly net: Net;
  readonly http: Http;
  readonly remote: Remote;
  /** Owners of Modbus lines: one per host:port or serial port. */
  readonly lines: Lines;
  /** Absent: nothing is remembered. */
  readonly holes?: HoleBook;
  readonly log: Log;
}

/** A device's address and options, parsed from its URL (design, section 8). Passwords come by reference and never print. */
export interface Target {
  /** As written, for messages: holds no secret, since secrets are named by `passwordEnv` or `keyFile`. */
  readonly url: string;
  readonly scheme: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** First path segment without its slash: the Modbus unit. */
  readonly path: string;
  readonly options: Readonly<Record<string, string>>;
}

/**
 * One family of devices. The header of its file says whether it is verified on hardware, on recorded answers
 * or from documents only.
 */
export interface Driver {
  readonly name: string;
  readonly schemes: readonly string[];
  /** Checks the target's options (Fault TARGET_INVALID) and makes the device; no I/O yet. */
  open(target: Target, io: DeviceIo): Device;
}

export interface Device {
  readonly driver: string;
  /** Rejects with a Fault when the device cannot be reached or understood at all. */
  identify(timeoutMs: number): Promise<Identity>;
  /**
   * `fast`: what control needs (mode, power, hashrate); `full`: everything. A value that could not be read is
   * a reading with its reason. Rejects with a Fault only when nothing could be read.
   */
  read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings>;
  /** What this firmware can do. */
  readonly verbs: Verbs;
  /** Absent: nothing is known of them. */
  readonly settings?: SettingsView;
  /** Where a TCP connection shows that the device is there; absent: only a read does. */
  readonly door?: Endpoint;
  /** The line that it shares with others; absent: it is reached by itself. */
  readonly line?: Pick<Line, 'name' | 'onLost'>;
  /** What it keeps of what the device is and how it is set may be out of date: it reads that anew. */
  doubtSetup?(): void;
  close(): void;
}
