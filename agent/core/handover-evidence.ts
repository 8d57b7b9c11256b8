/** What one observation of a GPU host proves, and what it does not. */
import type {
  GpuObservation,
  GpuOwner,
  HandoverName,
  HandoverProfile,
  HandoverState,
} from './handover-state.ts';

type ByOwner = Readonly<Record<GpuOwner, boolean>>;

/** `none`: no new or no usable observation; nothing follows from it. */
export interface Evidence {
  readonly kind: 'none' | 'fresh';
  readonly atMs: number;
  /** Units and processes are known: who owns the GPUs can be told. */
  readonly told: boolean;
  /** Nothing in it was unknown. */
  readonly known: boolean;
  /** Every sign of release at once. */
  readonly quiet: boolean;
  readonly memoryFree: boolean;
  /** The owner's unit is up or changing, or processes of it hold GPUs. */
  readonly busy: ByOwner;
  /** The start of the owner is proven. */
  readonly runs: ByOwner;
  /** The owner is certainly not there any more. */
  readonly gone: ByOwner;
  readonly unitDown: ByOwner;
  readonly unitUp: ByOwner;
  /** Processes of neither unit. */
  readonly other: boolean;
  readonly inFlight: number | undefined;
  /** The state it speaks for, when it speaks for one. */
  readonly likely: HandoverName | undefined;
  /** What stands against release, in words. */
  readonly obstacle: string;
}

const NEITHER: ByOwner = { mine: false, ai: false };

function nothing(atMs: number): Evidence {
  return {
    kind: 'none',
    atMs,
    told: false,
    known: false,
    quiet: false,
    memoryFree: false,
    busy: NEITHER,
    runs: NEITHER,
    gone: NEITHER,
    unitDown: NEITHER,
    unitUp: NEITHER,
    other: false,
    inFlight: undefined,
    likely: undefined,
    obstacle: 'nothing seen',
  };
}

/** Reads an observation. One that is missing, from the future, too old or already used is no evidence. */
export function judge(
  state: HandoverState,
  seen: GpuObservation | undefined,
  nowMs: number,
  profile: HandoverProfile,
): Evidence {
  if (seen === undefined || !Number.isFinite(seen.atMs)) return { ...nothing(nowMs), kind: 'fresh' };
  if (seen.atMs > nowMs || nowMs - seen.atMs > profile.maxAgeMs || seen.atMs <= state.seenMs)
    return nothing(nowMs);
  const { units } = seen;
  const processes = counted(seen.processes);
  const memoryMib = amount(seen.memoryUsedMib);
  const powerW = amount(seen.powerW);
  const busy = (owner: GpuOwner): boolean =>
    units[owner] === 'active' || units[owner] === 'changing' || (processes?.[owner] ?? 0) > 0;
  const gone = (owner: GpuOwner): boolean => units[owner] === 'inactive' && processes?.[owner] === 0;
  const memoryFree = memoryMib !== undefined && memoryMib <= profile.memoryFreeMib;
  const calm = powerW !== undefined && powerW <= profile.idleMaxW;
  const other = (processes?.other ?? 0) > 0;
  const free = gone('mine') && gone('ai') && processes?.other === 0;
  const quiet = free && memoryFree && calm;
  const present = (owner: GpuOwner): boolean => units[owner] === 'active' && (processes?.[owner] ?? 0) > 0;
  // Under a cap mining draws less, and still mines.
  const mineMinW = Math.min(profile.mineMinW, 0.6 * (amount(seen.limitW) ?? Infinity));
  const mineRuns = present('mine') && powerW !== undefined && powerW >= mineMinW;
  const aiRuns =
    present('ai') && (profile.aiHealthRequired ? seen.aiHealthy === true : seen.aiHealthy !== false);
  const told = units.mine !== 'unknown' && units.ai !== 'unknown' && processes !== undefined;
  const known = told && memoryMib !== undefined && powerW !== undefined;
  return {
    kind: 'fresh',
    atMs: seen.atMs,
    told,
    known,
    quiet,
    memoryFree,
    busy: { mine: busy('mine'), ai: busy('ai') },
    runs: { mine: mineRuns, ai: aiRuns },
    gone: { mine: gone('mine'), ai: gone('ai') },
    unitDown: { mine: units.mine === 'inactive', ai: units.ai === 'inactive' },
    unitUp: { mine: units.mine === 'active', ai: units.ai === 'active' },
    other,
    inFlight: seen.aiInFlight,
    likely: likelyOf({
      other,
      quiet,
      mine: present('mine'),
      ai: present('ai'),
      goneMine: gone('mine'),
      goneAi: gone('ai'),
    }),
    obstacle: obstacleOf(seen, memoryFree, calm),
  };
}

function amount(value: number | undefined): number | undefined {
  return value !== undefined && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function counted(processes: GpuObservation['processes']): GpuObservation['processes'] {
  if (processes === undefined) return undefined;
  const counts = [processes.mine, processes.ai, processes.other];
  return counts.every((count) => amount(count) !== undefined) ? processes : undefined;
}

function likelyOf(signs: {
  readonly other: boolean;
  readonly quiet: boolean;
  readonly mine: boolean;
  readonly ai: boolean;
  readonly goneMine: boolean;
  readonly goneAi: boolean;
}): HandoverName | undefined {
  if (signs.other) return 'EXTERNAL';
  if (signs.mine && signs.ai) return 'FAULT';
  if (signs.mine && signs.goneAi) return 'MINING';
  if (signs.ai && signs.goneMine) return 'AI_RUNNING';
  return signs.quiet ? 'IDLE' : undefined;
}

function obstacleOf(seen: GpuObservation, memoryFree: boolean, calm: boolean): string {
  const { units, processes } = seen;
  if (units.mine !== 'inactive') return `the miner's unit is ${units.mine}`;
  if (units.ai !== 'inactive') return `the AI unit is ${units.ai}`;
  if (processes === undefined) return 'processes cannot be listed';
  const left = processes.mine + processes.ai + processes.other;
  if (left > 0) return `${left} processes hold GPUs`;
  if (!memoryFree) return `${seen.memoryUsedMib ?? '?'} MiB in use and no process shows it`;
  return calm ? 'not quiet long enough' : `GPUs draw ${Math.round(seen.powerW ?? Number.NaN)} W`;
}
