/** Who holds the GPUs: compute processes, and by their control group the unit each belongs to. */
import type { GpuOwner, GpuProcesses, UnitState } from '../core/handover-state.ts';
import type { RemoteHost } from '../../host/deps.ts';
import { computeApps, queryApps } from '../../protocols/gpu/nvidia-smi.ts';
import { run } from './gpu-session.ts';

/** More processes than this on one host are not looked up one by one: they count as others'. */
const MAX_PIDS = 256;

type Units = Readonly<Record<GpuOwner, string | undefined>>;

export interface ListedProcesses {
  /** Counts processes by owner; looks their control groups up on the host. Undefined when an owner cannot be told. */
  split(
    states: Readonly<Record<GpuOwner, UnitState>>,
    units: Units,
    leftMs: number,
  ): Promise<GpuProcesses | undefined>;
}

/** The processes on the GPUs, or undefined when they cannot be listed. */
export async function listProcesses(host: RemoteHost, leftMs: number): Promise<ListedProcesses | undefined> {
  try {
    const { stdout } = await run(host, queryApps(), leftMs);
    const apps = computeApps(stdout);
    if (apps === undefined) return undefined;
    const pids = [...new Set(apps.map((app) => app.pid))];
    return { split: (states, units, splitMs) => split(host, pids, { states, units, leftMs: splitMs }) };
  } catch {
    return undefined;
  }
}

async function split(
  host: RemoteHost,
  pids: readonly number[],
  given: {
    readonly states: Readonly<Record<GpuOwner, UnitState>>;
    readonly units: Units;
    readonly leftMs: number;
  },
): Promise<GpuProcesses | undefined> {
  if (pids.length === 0) return { mine: 0, ai: 0, other: 0 };
  const groups = await cgroups(host, pids.slice(0, MAX_PIDS), given.leftMs);
  const counts = { mine: 0, ai: 0, other: Math.max(0, pids.length - MAX_PIDS) };
  for (const pid of pids.slice(0, MAX_PIDS)) {
    const owner = ownerOf(groups.get(pid), given.units) ?? presumed(given.states);
    if (owner === undefined) return undefined;
    counts[owner] += 1;
  }
  return counts;
}

/** Control group lines by process. Processes that just ended have none. */
async function cgroups(
  host: RemoteHost,
  pids: readonly number[],
  leftMs: number,
): Promise<Map<number, string[]>> {
  const found = new Map<number, string[]>();
  try {
    const files = pids.map((pid) => `/proc/${pid}/cgroup`);
    // grep ends with 2 when one of the files is gone and still prints the others.
    const { stdout } = await run(host, ['grep', '-H', '-s', '.', ...files], leftMs, [0, 1, 2]);
    for (const line of stdout.split('\n')) {
      const match = /^\/proc\/(\d{1,10})\/cgroup:\d+:[^:]*:(\/.*)$/.exec(line);
      if (match === null) continue;
      const pid = Number(match[1]);
      found.set(pid, [...(found.get(pid) ?? []), match[2] ?? '']);
    }
  } catch {
    // Without control groups the unit states decide.
  }
  return found;
}

/** Whose a process is by its control groups; undefined when they do not tell. */
function ownerOf(paths: readonly string[] | undefined, units: Units): GpuOwner | 'other' | undefined {
  // "/" and paths that lead out of the namespace say only that the host does not use systemd's groups here.
  const telling = (paths ?? []).filter((path) => path !== '/' && !path.startsWith('/..'));
  if (telling.length === 0) return undefined;
  for (const owner of ['mine', 'ai'] as const) {
    const unit = units[owner];
    if (unit === undefined) continue;
    const name = unit.includes('.') ? unit : `${unit}.service`;
    if (telling.some((path) => path.split('/').includes(name))) return owner;
  }
  return 'other';
}

/** Of a process without control group: the one unit that is up or on its way; with none up, somebody else's. */
function presumed(states: Readonly<Record<GpuOwner, UnitState>>): GpuOwner | 'other' | undefined {
  if (states.mine === 'unknown' || states.ai === 'unknown') return undefined;
  const mine = states.mine !== 'inactive';
  const ai = states.ai !== 'inactive';
  if (mine && ai) return undefined;
  return mine ? 'mine' : ai ? 'ai' : 'other';
}
