/** What simulated miners have in common: how they can misbehave, and what a site needs of one. */
import type { Answer, Load, SimulatedEndpoint } from '../device.ts';
import type { AsicPower } from '../physics/asic.ts';

/**
 * `dead`: no answer, the draw goes on; `ignores`: says OK, keeps hashing; `wakes`: wakes by itself after 90 s asleep;
 * `lies`: reports sleep, draws full power; `garbage`: noise instead of answers; `slow`: answers after 8 s; `disturbs`: a
 * write changes a setting beside the one it names.
 */
export type MinerFault = 'none' | 'dead' | 'ignores' | 'wakes' | 'lies' | 'garbage' | 'slow' | 'disturbs';

export interface MinerAddress {
  readonly host: string;
  readonly api: number;
  /** Port of the web pages, for those that have any. */
  readonly http: number;
}

/** One simulated miner: a load, its wire fronts, and what it was told. */
export interface SimulatedMiner extends Load {
  readonly power: AsicPower;
  fault: MinerFault;
  /** State-changing calls it accepted. */
  readonly changes: number;
  /** What its owner has set, by name, as the device holds it now; what its present mode hides is absent. */
  settings(): Readonly<Record<string, string | number>>;
  endpoints(address: MinerAddress): readonly SimulatedEndpoint[];
  /** Its power goes, or comes back: then it boots. */
  supply(on: boolean, nowMs: number): void;
}

export const WAKES_AFTER_MS = 90_000;
export const SLOW_MS = 8_000;
/** Control board and network after a reboot. */
export const BOOT_MS = 20_000;

/** Devices tell wall time in seconds; theirs starts here. */
export const EPOCH_S = 1_790_000_000;

/** The page of Braiins OS at `/`, whichever of its interfaces is behind it. */
export const BRAIINS_PAGE = '<!doctype html><html><head><title>Braiins OS</title></head></html>';
export const HTML = { 'content-type': 'text/html' };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A JSON text as the API sends it, with the NUL at its end, closing after `afterMs`. */
export function apiAnswer(text: string, afterMs: number): Answer {
  return { kind: 'bytes', bytes: encoder.encode(`${text}\u0000`), afterMs, close: true };
}

/** A JSON text alone, as firmwares answer whose clients parse all that comes. */
export function bareAnswer(text: string, afterMs: number): Answer {
  return { kind: 'bytes', bytes: encoder.encode(text), afterMs, close: true };
}

/** Bytes that mean nothing, the same for the same `seed`. */
export function noise(seed: number): Uint8Array {
  return Uint8Array.from(
    { length: 48 },
    (_, i) => (seed * 7_919 + i * 104_729 + ((i * i * seed) >> 3)) & 0xff,
  );
}

/** A request as text; undefined while its closing brace has not come. */
export function requestText(bytes: Uint8Array): string | undefined {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] ?? 0) <= 0x20) end -= 1;
  return bytes[end - 1] === 0x7d ? decoder.decode(bytes.subarray(0, end)) : undefined;
}

/** A JSON object, or undefined when the text is none. */
export function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Pools as devices hold them. */
export interface SimulatedPool {
  readonly url: string;
  readonly user: string;
  readonly pass: string;
}

/** What a simulated machine mines at from the start. */
export const firstPools = (id: string, count: number): readonly SimulatedPool[] =>
  Array.from({ length: count }, (_, index) => ({
    url: `stratum+tcp://pool${index + 1}.example:3333`,
    user: `site.${id}`,
    pass: 'x',
  }));

/** Pools among the settings of a device, for whoever checks what is left as it was. */
export const poolSettings = (pools: readonly SimulatedPool[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    pools.flatMap(({ url, user, pass }, index) =>
      url === '' ? [] : [[`pool.${index + 1}`, `${url} ${user} ${pass}`]],
    ),
  );

/** The pools in a list of objects whose words have these names; undefined where it is none of at most three. */
export function poolsIn(
  value: unknown,
  [url, user, pass]: readonly [url: string, user: string, pass: string],
): readonly SimulatedPool[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > 3) return undefined;
  const pools = value.map((one: unknown) => {
    const words = (one ?? {}) as Readonly<Record<string, unknown>>;
    return { url: words[url], user: words[user], pass: words[pass] };
  });
  const isWhole = pools.every((pool) => Object.values(pool).every((word) => typeof word === 'string'));
  return isWhole ? (pools as SimulatedPool[]) : undefined;
}
