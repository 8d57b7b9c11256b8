/** What a `gpu://` target says, checked; and whether power limits in force are those asked for. */
import type { GpuOwner } from '../core/handover-state.ts';
import type { Target } from '../driver.ts';
import type { RemoteTarget } from '../../host/deps.ts';
import { Fault } from '../../protocols/faults.ts';
import { cellOf } from '../../protocols/gpu/nvidia-smi.ts';
import type { Row } from '../../protocols/gpu/nvidia-smi.ts';

export interface GpuOptions {
  readonly remote: RemoteTarget;
  readonly units: Readonly<Record<GpuOwner, string | undefined>>;
  readonly aiHealth: string | undefined;
  readonly sudo: boolean;
  /** Host draw beside the GPUs, W; undefined when not declared. */
  readonly hostW: number | undefined;
  /** Plug watts for one GPU watt: supplies and fans take their share. */
  readonly hostFactor: number;
  /** How often the telemetry channel prints, ms. */
  readonly sampleMs: number;
}

const KNOWN = ['key', 'hostKey', 'mine', 'ai', 'aiHealth', 'sudo', 'hostW', 'hostFactor', 'sampleMs'];
const SSH_PORT = 22;

/** The options of a target; Fault TARGET_INVALID for what is missing, unknown or malformed. */
export function gpuOptions(target: Target): GpuOptions {
  const bad = (text: string): never => {
    throw new Fault('TARGET_INVALID', `${target.url}: ${text}`);
  };
  const { options } = target;
  for (const name of Object.keys(options))
    if (!KNOWN.includes(name)) bad(`unknown option ${name}; known: ${KNOWN.join(', ')}`);
  if (target.path !== '') bad('takes no path');
  if (target.host === '') bad('no host');
  const local = target.host === 'local';
  const number = (name: string, min: number, max: number): number | undefined => {
    const text = options[name];
    if (text === undefined) return undefined;
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : bad(`${name} must be ${min} to ${max}`);
  };
  const unit = (name: GpuOwner): string | undefined => {
    const text = options[name];
    if (text === undefined) return undefined;
    return /^[A-Za-z0-9_@][A-Za-z0-9_@.:-]{0,200}$/.test(text)
      ? text
      : bad(`${name} is no name of a systemd unit`);
  };
  // A plus sign in a query stands for a space to some who read URLs; a fingerprint holds none.
  const hostKey = (options['hostKey'] ?? '').replaceAll(' ', '+');
  const units = { mine: unit('mine'), ai: unit('ai') };
  if (units.mine !== undefined && units.mine === units.ai) bad('mine and ai name the same unit');
  if (!local) {
    if (target.user === undefined || target.user === '') bad('no user: gpu://user@host');
    if (options['key'] === undefined) bad('no key: name the private key file by key=FILE');
    if (!/^SHA256:[A-Za-z0-9+/]{43}$/.test(hostKey))
      bad('hostKey must pin the host: SHA256: and 43 characters, as ssh-keygen -lf prints it');
  }
  return {
    remote: {
      host: target.host,
      port: target.port ?? SSH_PORT,
      user: target.user ?? '',
      keyFile: options['key'] ?? '',
      hostKey,
    },
    units,
    aiHealth: healthUrl(options['aiHealth'], bad),
    sudo: options['sudo'] === 'yes',
    hostW: number('hostW', 0, 50_000),
    hostFactor: number('hostFactor', 1, 3) ?? 1,
    // Slower, and a frame would be stale before the next one comes.
    sampleMs: number('sampleMs', 200, 4_000) ?? 1_000,
  };
}

function healthUrl(text: string | undefined, bad: (text: string) => never): string | undefined {
  if (text === undefined) return undefined;
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    return bad('aiHealth must be an http URL');
  return text;
}

/** Undefined when every GPU has the asked limit and enforces no higher one; else what is wrong, for a message. */
export function capVerified(
  rows: readonly Row[],
  indices: readonly number[],
  limitW: number,
): string | undefined {
  for (const index of indices) {
    const row = rows.find((candidate) => candidate['index'] === String(index));
    const enforced = cellOf(row?.['enforced.power.limit']);
    const requested = cellOf(row?.['power.limit']);
    if (!enforced.ok) return `GPU ${index} does not tell its enforced power limit`;
    if (enforced.value > limitW + 1) return `GPU ${index} enforces ${enforced.value} W, not ${limitW} W`;
    // Another limiter may hold a GPU lower still, but then its own limit must show the request.
    const own = requested.ok ? requested.value : enforced.value;
    if (Math.abs(own - limitW) > 1) return `GPU ${index} shows a limit of ${own} W, not ${limitW} W`;
  }
  return undefined;
}
