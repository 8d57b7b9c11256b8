import type { Site } from '../config/site.ts';
import type { PublicEvent } from '../protocols/events.ts';

/** A public event with the time since the scenario began, ms. */
export type Timed = PublicEvent & { readonly tMs: number };

/** What a scenario came to: the last line of `up --scenario --json` (design, section 8). */
export interface ScenarioSummary {
  readonly event: 'summary';
  readonly scenario: string;
  readonly ok: boolean;
  /** What was not as it should be, in words; empty when ok. */
  readonly failures: readonly string[];
  /** The slowest of all signals that moved load. */
  readonly signalToDesiredMs: number | null;
  readonly signalToVerifiedMs: number | null;
  /** Highest excess at any meter over its cap, or over a utility limit after its deadline. */
  readonly maxOverCapKw: number;
  /** Highest rate of the main meter over 10 s means beyond the ramp and one machine, % of the ramp. */
  readonly maxRampErrorPct: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly aiInterrupted: number;
}

/** What a scenario must show besides what every one must. */
export interface Expected {
  /** Alarm codes that must be raised. */
  readonly alarms?: readonly string[];
  /** Kinds of signal that must be answered by a verified command. */
  readonly verified?: readonly ('price' | 'limit' | 'ai')[];
  /** AI work may be interrupted. */
  readonly mayInterruptAi?: boolean;
  /** An ASIC shed is verified before the first GPU host is told to run AI. */
  readonly shedBeforeAi?: boolean;
  /** A GPU host is seen idle between mining and AI. */
  readonly releasedBeforeAi?: boolean;
  /** No machine may be commanded at all. */
  readonly nothingMoves?: boolean;
  /** A limit may be exceeded this long after its deadline: the time to find out who lies and take it elsewhere, s. */
  readonly graceS?: number;
  /** What a limit took comes back. */
  readonly restored?: boolean;
}

/** By name of scenario; what is not named here must only hold the caps and lose nothing. */
const EXPECTED: Readonly<Record<string, Expected>> = {
  'price-spike': { verified: ['price'] },
  'utility-limit': { verified: ['limit'], restored: true },
  'ai-start-at-full-feeder': { verified: ['ai'], shedBeforeAi: true },
  'gpu-to-ai': { releasedBeforeAi: true },
  'controller-killed': { verified: ['limit'] },
  'broker-killed': { verified: ['price'] },
  'lying-machine': { verified: ['limit'], alarms: ['COMMAND_IGNORED', 'SHED_SHORTFALL'], graceS: 25 },
  'dead-switch': { alarms: ['RACK_LOST'] },
  'bad-feeds': { alarms: ['PRICE_INVALID'], nothingMoves: true },
};

/** A meter's own noise and one machine's quantum, kW: what is above by less is not above. */
const NOISE_SHARE = 0.005;
const QUANTUM_KW = 4;
const RAMP_ERROR_MOST_PCT = 5;

/** Judges a finished scenario from its events alone. Pure. */
export function summarize(input: {
  readonly scenario: string;
  readonly site: Site;
  readonly events: readonly Timed[];
  readonly lost: number;
  readonly duplicated: number;
  /** False when the site never came under control: then nothing was shown. */
  readonly underControl: boolean;
}): ScenarioSummary {
  const { scenario, site, events } = input;
  const over = overCaps(site, events, (EXPECTED[scenario]?.graceS ?? 0) * 1_000);
  const aiInterrupted = events.filter(
    (event) => event.event === 'alarm' && event.code === 'AI_INTERRUPTED' && event.state === 'raised',
  ).length;
  const rampError = rampErrorPct(site, events);
  const failures = [
    ...(input.underControl ? [] : ['the site did not come under control']),
    ...over.failures,
    ...(rampError > RAMP_ERROR_MOST_PCT ? [`load rose ${round(rampError)} % faster than its ramp`] : []),
    ...expectations(scenario, events),
    ...(aiInterrupted > 0 && EXPECTED[scenario]?.mayInterruptAi !== true
      ? [`AI work was interrupted ${aiInterrupted} times`]
      : []),
    ...(input.lost > 0 ? [`${input.lost} frames were lost`] : []),
  ];
  return {
    event: 'summary',
    scenario,
    ok: failures.length === 0,
    failures,
    signalToDesiredMs: latency(events, 'desired'),
    signalToVerifiedMs: latency(events, 'verified'),
    maxOverCapKw: round(over.maxOverCapKw),
    maxRampErrorPct: round(rampError),
    lost: input.lost,
    duplicated: input.duplicated,
    aiInterrupted,
  };
}

const round = (value: number): number => Math.round(value * 1_000) / 1_000;

/**
 * From a signal that took load down to its first command, and to the moment the meters had confirmed all of that
 * command; the slowest signal counts. (What is given back waits for dwell times and ramps of its own.)
 */
function latency(events: readonly Timed[], kind: 'desired' | 'verified'): number | null {
  let slowest: number | null = null;
  for (const signal of events) {
    if (signal.event !== 'signal') continue;
    const { signalId, tMs } = signal;
    const first = events.find(
      (event) => event.event === 'desired' && event.signalId === signalId && event.tMs >= tMs,
    );
    if (first?.event !== 'desired') continue;
    const proofs = events.filter(
      (event) => event.event === 'verified' && event.commandId === first.commandId && event.expectedKw < 0,
    );
    const answered = kind === 'desired' ? first.tMs : proofs.at(-1)?.tMs;
    if (proofs.length > 0 && answered !== undefined) slowest = Math.max(slowest ?? 0, answered - tMs);
  }
  return slowest;
}

/** Meters against caps, and the main meter against a utility limit once its deadline has passed. */
function overCaps(
  site: Site,
  events: readonly Timed[],
  graceMs: number,
): { maxOverCapKw: number; failures: string[] } {
  const caps = new Map(site.nodes.map((node) => [node.id, node.capKw]));
  const generation = new Set(
    site.meters.filter((meter) => meter.role === 'generation').map((meter) => meter.id),
  );
  const root = site.nodes[0]?.id ?? '';
  let limit: { kw: number; fromMs: number; id: string } | undefined;
  let maxOverCapKw = 0;
  const failures: string[] = [];
  const seen = events.flatMap((event) =>
    event.event === 'meter' && event.node === root && event.quality === 'good' && !generation.has(event.meter)
      ? [event.tMs]
      : [],
  );
  const limits = limitsDue(events);
  for (const event of events) {
    // Said again by a controller that was started anew, a limit is still the one it was.
    if (event.event === 'signal' && event.source === 'utility' && limit?.id !== event.signalId)
      limit =
        event.limitKw === undefined
          ? undefined
          : { kw: event.limitKw, fromMs: event.tMs + (event.deadlineMs ?? 0), id: event.signalId };
    if (event.event !== 'meter' || event.quality !== 'good' || generation.has(event.meter)) continue;
    const capKw = caps.get(event.node) ?? Infinity;
    const boundKw =
      event.node === root && limit !== undefined && event.tMs >= limit.fromMs + graceMs
        ? Math.min(capKw, limit.kw)
        : capKw;
    const overKw = event.powerW / 1_000 - boundKw;
    maxOverCapKw = Math.max(maxOverCapKw, overKw);
    if (overKw > boundKw * NOISE_SHARE && failures.length < 5)
      failures.push(
        `${event.node} at ${round(event.powerW / 1_000)} kW, ${round(overKw)} kW above ${boundKw} kW, at ${event.tMs} ms`,
      );
  }
  const blind = limits.filter(
    (one) => one.toMs - one.fromMs > BLIND_MS && !seen.some((tMs) => tMs >= one.fromMs && tMs <= one.toMs),
  );
  for (const one of blind) failures.push(`the main meter gave no good value while ${one.id} was due`);
  return { maxOverCapKw, failures };
}

/** A limit due for a shorter time than this may pass without a sample, ms. */
const BLIND_MS = 10_000;

/** From when to when each limit of the utility was due. */
function limitsDue(events: readonly Timed[]): { id: string; fromMs: number; toMs: number }[] {
  const endMs = events.at(-1)?.tMs ?? 0;
  const said = events.filter(
    (event, place) =>
      event.event === 'signal' &&
      event.source === 'utility' &&
      events.findIndex((one) => one.event === 'signal' && one.signalId === event.signalId) === place,
  );
  return said.flatMap((event, place) =>
    event.event === 'signal' && event.limitKw !== undefined
      ? [
          {
            id: event.signalId,
            fromMs: event.tMs + (event.deadlineMs ?? 0),
            toMs: said[place + 1]?.tMs ?? endMs,
          },
        ]
      : [],
  );
}

/** The main meter's 10 s means against the site's ramps. */
function rampErrorPct(site: Site, events: readonly Timed[]): number {
  const root = site.nodes[0];
  const main = events.filter(
    (event) =>
      event.event === 'meter' &&
      event.node === root?.id &&
      event.quality === 'good' &&
      !isGeneration(site, event.meter),
  );
  const means: { tMs: number; kw: number }[] = [];
  for (let startMs = 0; startMs < (main.at(-1)?.tMs ?? 0); startMs += 10_000) {
    const window = main.filter((event) => event.tMs >= startMs && event.tMs < startMs + 10_000);
    if (window.length > 0)
      means.push({
        tMs: startMs,
        kw:
          window.reduce((sum, event) => sum + (event.event === 'meter' ? event.powerW : 0), 0) /
          window.length /
          1_000,
      });
  }
  let worst = 0;
  for (const [index, mean] of means.entries()) {
    const before = means[index - 1];
    if (before === undefined) continue;
    const ratePerMin = ((mean.kw - before.kw) / (mean.tMs - before.tMs)) * 60_000;
    const ramp = ratePerMin > 0 ? root?.rampUpKwPerMin : root?.rampDownKwPerMin;
    if (ramp === undefined) continue;
    const beyond = Math.abs(ratePerMin) - ramp - QUANTUM_KW * 6;
    // A shed with a deadline may be faster than the ramp; only rises count against it here.
    if (ratePerMin > 0) worst = Math.max(worst, (beyond / ramp) * 100);
  }
  return worst;
}

const isGeneration = (site: Site, meter: string): boolean =>
  site.meters.some((one) => one.id === meter && one.role === 'generation');

/** What this scenario in particular must show. */
function expectations(scenario: string, events: readonly Timed[]): string[] {
  const expected = EXPECTED[scenario] ?? {};
  const failures: string[] = [];
  for (const code of expected.alarms ?? [])
    if (!events.some((event) => event.event === 'alarm' && event.code === code))
      failures.push(`no alarm ${code}`);
  for (const kind of expected.verified ?? []) {
    const signals = new Set(
      events.flatMap((event) => (event.event === 'signal' && event.kind === kind ? [event.signalId] : [])),
    );
    if (
      !events.some(
        (event) => event.event === 'verified' && event.expectedKw < 0 && signals.has(event.signalId ?? ''),
      )
    )
      failures.push(`no shed for a ${kind} signal was verified at a meter`);
  }
  const firstAi = events.findIndex(
    (event) => event.event === 'desired' && Object.values(event.machines).includes('ai'),
  );
  if (expected.shedBeforeAi === true) {
    const shed = events.findIndex(
      (event) =>
        event.event === 'verified' && event.expectedKw < 0 && event.signalId?.startsWith('ai-') === true,
    );
    if (firstAi < 0) failures.push('no GPU host was told to run AI');
    else if (shed < 0 || shed > firstAi)
      failures.push('a GPU host was started before the meter had confirmed the ASIC shed');
  }
  if (expected.releasedBeforeAi === true && !handedOver(events))
    failures.push('no GPU host went from mining to AI with proof of release');
  if (expected.nothingMoves === true && events.some((event) => event.event === 'acknowledged'))
    failures.push('a machine was commanded');
  if (expected.restored === true && !events.some((event) => event.event === 'restored'))
    failures.push('what the limit took did not come back');
  return failures;
}

/** Some host is observed idle, which is proof of release, and after that running AI. */
function handedOver(events: readonly Timed[]): boolean {
  return events.some(
    (idle, place) =>
      idle.event === 'observed' &&
      idle.mode === 'idle' &&
      events
        .slice(place)
        .some((event) => event.event === 'observed' && event.machine === idle.machine && event.mode === 'ai'),
  );
}
