import { openUtilityTerminal } from '../agent/drivers/utility-terminal.ts';
import { openDevice, parseTarget } from '../agent/target.ts';
import type { Secrets } from '../agent/target.ts';
import type { DeviceIo } from '../agent/driver.ts';
import type { Site } from '../config/site.ts';
import { isVirtual } from '../protocols/metering/virtual.ts';
import { makeLog } from '../host/log.ts';
import { realEffects } from '../host/real.ts';
import { asFault, Fault, faultJson } from '../protocols/faults.ts';
import { changeText, judgeSetup, setupIn } from '../protocols/metering/setup.ts';
import type { DeclaredSetup } from '../protocols/metering/setup.ts';

/** What one device said when it was read once. `power`: W, when it told. */
export interface Probe {
  readonly id: string;
  readonly target: string;
  readonly ok: boolean;
  readonly ms: number;
  readonly mode?: string;
  readonly powerW?: number;
  readonly fault?: ReturnType<typeof faultJson>;
}

const TIMEOUT_MS = 10_000;
const AT_A_TIME = 32;

/** Reads every machine, meter and the utility's terminal once, changes nothing. In the order of the site file. */
export async function probeSite(
  site: Site,
  secrets: Secrets,
  { timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
): Promise<readonly Probe[]> {
  const effects = realEffects();
  const io: DeviceIo = { ...effects, log: makeLog({ name: 'probe', level: 'silent' }) };
  const utility = site.config.utility?.target;
  const declared = new Map(site.meters.map((meter) => [meter.id, meter.declared]));
  const jobs: (() => Promise<Probe>)[] = [
    ...[...site.meters.filter(({ target }) => !isVirtual(target)), ...site.machines].map(
      ({ id, target }) =>
        () =>
          timed({ id, target, io }, () => readDevice(target, { secrets, io, timeoutMs }, declared.get(id))),
    ),
    ...(utility === undefined
      ? []
      : [
          () =>
            timed({ id: 'utility', target: utility, io }, () =>
              readUtility(utility, { secrets, io, timeoutMs }),
            ),
        ]),
  ];
  const probes: Probe[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < jobs.length; index = next++) {
      const probe = await jobs[index]?.();
      if (probe) probes[index] = probe;
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(AT_A_TIME, jobs.length) }, work));
  } finally {
    effects.lines.close();
  }
  return probes;
}

type Found = Pick<Probe, 'mode' | 'powerW'>;

async function timed(
  { id, target, io }: { readonly id: string; readonly target: string; readonly io: DeviceIo },
  read: () => Promise<Found>,
): Promise<Probe> {
  const startedMs = io.clock.monoMs();
  const ms = (): number => Math.round(io.clock.monoMs() - startedMs);
  try {
    const found = await read();
    return { id, target, ok: true, ms: ms(), ...found };
  } catch (error) {
    return { id, target, ok: false, ms: ms(), fault: faultJson(asFault(error)) };
  }
}

interface Means {
  readonly secrets: Secrets;
  readonly io: DeviceIo;
  readonly timeoutMs: number;
}

async function readDevice(
  target: string,
  { secrets, io, timeoutMs }: Means,
  declared: DeclaredSetup | undefined,
): Promise<Found> {
  const device = openDevice(parseTarget(target, secrets), io);
  try {
    const readings = await device.read(declared === undefined ? 'fast' : 'full', timeoutMs);
    const { doubts } = judgeSetup(undefined, setupIn(readings) ?? { parameters: {} }, declared);
    if (doubts.length > 0) throw new Fault('METER_SETUP', doubts.map(changeText).join('; '));
    const power = readings['power'] ?? readings['power.active.total'];
    const mode = readings['mode'];
    return {
      ...(power?.ok && typeof power.value === 'number' && { powerW: power.value }),
      ...(mode?.ok && { mode: String(mode.value) }),
    };
  } finally {
    device.close();
  }
}

async function readUtility(target: string, { secrets, io, timeoutMs }: Means): Promise<Found> {
  await openUtilityTerminal(parseTarget(target, secrets), io).read(timeoutMs);
  return {};
}
