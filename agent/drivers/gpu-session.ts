/** One connection to a GPU host: inventory, telemetry, and the short commands. Reopened by the driver when it is lost. */
import type { Clock, Random, Remote, RemoteHost, RemoteTarget } from '../../host/deps.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import {
  cellOf,
  INVENTORY_FIELDS,
  indexOf,
  queryGpu,
  rowsOf,
  usableFields,
} from '../../protocols/gpu/nvidia-smi.ts';
import { GpuTelemetry } from './gpu-telemetry.ts';

const ANSWER_MAX_BYTES = 256 * 1024;
const BACKOFF_MAX_MS = 60_000;

export interface Inventory {
  readonly name: string;
  readonly driver: string;
  readonly indices: readonly number[];
  /** Range within which every GPU accepts a power limit, W; undefined where it is not told. */
  readonly minLimitW: number | undefined;
  readonly maxLimitW: number | undefined;
}

export interface GpuSession {
  readonly host: RemoteHost;
  readonly inventory: Inventory;
  readonly telemetry: GpuTelemetry;
}

export interface SessionParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly remote: Remote;
  readonly target: RemoteTarget;
  readonly sampleMs: number;
}

/** Runs one command to its end; Fault REMOTE_FAILED with the host's own words when its exit code is not among `allowed`. */
export async function run(
  host: RemoteHost,
  command: readonly string[],
  timeoutMs: number,
  allowed: readonly number[] = [0],
): Promise<{ readonly code: number; readonly stdout: string }> {
  if (timeoutMs <= 0) throw new Fault('NET_TIMEOUT', `no time left for ${command[0]}`);
  const result = await host.exec(command, { timeoutMs, maxBytes: ANSWER_MAX_BYTES });
  if (allowed.includes(result.code)) return result;
  const words = `${result.stderr.trim()} ${result.stdout.trim()}`.trim().slice(0, 200);
  throw new Fault('REMOTE_FAILED', `${command.slice(0, 3).join(' ')} ended with ${result.code}: ${words}`);
}

/** Keeps at most one session; opens one when asked, not more often than its back-off allows. */
export class SessionKeeper {
  readonly #parts: SessionParts;
  #session: GpuSession | undefined;
  #opening: Promise<GpuSession> | undefined;
  #failure: Fault | undefined;
  #failures = 0;
  #notBeforeMs = -Infinity;
  #closed = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  /** The open session or a new one. `urgent` (a command) does not wait for the back-off to end. */
  async get(timeoutMs: number, urgent: boolean): Promise<GpuSession> {
    if (this.#closed) throw new Fault('SSH_FAILED', 'closed here');
    if (this.#session !== undefined) return this.#session;
    const { clock } = this.#parts;
    if (this.#opening === undefined) {
      if (!urgent && this.#failure !== undefined && clock.monoMs() < this.#notBeforeMs) throw this.#failure;
      this.#opening = this.#open(timeoutMs).finally(() => {
        this.#opening = undefined;
      });
      // Who asked may have given up by then.
      this.#opening.catch(() => {});
    }
    return withDeadline(this.#opening, clock, timeoutMs);
  }

  /** Whether a session is open now. */
  get current(): GpuSession | undefined {
    return this.#session;
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  async #open(timeoutMs: number): Promise<GpuSession> {
    const { clock, remote, target } = this.#parts;
    const untilMs = clock.monoMs() + timeoutMs;
    let host: RemoteHost | undefined;
    try {
      host = await remote.open(target, { timeoutMs });
      let lost: Fault | undefined;
      host.onClose = (fault) => {
        lost = asFault(fault, 'NET_RESET');
        this.#drop();
      };
      const session = await this.#prepare(host, untilMs);
      if (lost !== undefined || this.#closed) {
        session.telemetry.close();
        throw lost ?? new Fault('SSH_FAILED', 'closed here');
      }
      this.#session = session;
      this.#failures = 0;
      this.#failure = undefined;
      return session;
    } catch (error) {
      host?.close();
      const fault = asFault(error, 'SSH_FAILED');
      const backoffMs = Math.min(BACKOFF_MAX_MS, 1_000 * 2 ** this.#failures);
      this.#failures = Math.min(this.#failures + 1, 10);
      this.#failure = fault;
      this.#notBeforeMs = clock.monoMs() + backoffMs * (0.5 + this.#parts.random.next() * 0.5);
      throw fault;
    }
  }

  async #prepare(host: RemoteHost, untilMs: number): Promise<GpuSession> {
    const { clock, random, sampleMs } = this.#parts;
    const left = (): number => untilMs - clock.monoMs();
    const [help, listed] = await Promise.all([
      run(host, ['nvidia-smi', '--help-query-gpu'], left()).catch(helpless),
      run(host, queryGpu(INVENTORY_FIELDS), left()).catch(helpless),
    ]);
    const inventory = inventoryOf(listed?.stdout ?? '');
    const fields = usableFields(help?.stdout);
    const expected = inventory.indices.length > 0 ? inventory.indices.length : undefined;
    return {
      host,
      inventory,
      telemetry: new GpuTelemetry({ clock, random, host, fields, sampleMs, expected }),
    };
  }

  #drop(): void {
    const session = this.#session;
    this.#session = undefined;
    session?.telemetry.close();
    session?.host.close();
  }
}

/** A host whose nvidia-smi knows less is still read; one that does not answer at all is not. */
function helpless(error: unknown): undefined {
  if (error instanceof Fault && error.code === 'REMOTE_FAILED') return undefined;
  throw error;
}

function inventoryOf(text: string): Inventory {
  const rows = rowsOf(INVENTORY_FIELDS, text);
  const numbers = (field: string): number[] => {
    return rows.flatMap((row) => {
      const cell = cellOf(row[field]);
      return cell.ok ? [cell.value] : [];
    });
  };
  const mins = numbers('power.min_limit');
  const maxs = numbers('power.max_limit');
  return {
    name: rows[0]?.['name'] ?? '',
    driver: rows[0]?.['driver_version'] ?? '',
    indices: rows.flatMap((row) => indexOf(row) ?? []),
    minLimitW: mins.length > 0 ? Math.max(...mins) : undefined,
    maxLimitW: maxs.length > 0 ? Math.min(...maxs) : undefined,
  };
}

async function withDeadline<T>(promise: Promise<T>, clock: Clock, timeoutMs: number): Promise<T> {
  let cancel = (): void => {};
  const deadline = new Promise<never>((_resolve, reject) => {
    cancel = clock.after(timeoutMs, () => reject(new Fault('NET_TIMEOUT', 'no connection in time')));
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    cancel();
  }
}
