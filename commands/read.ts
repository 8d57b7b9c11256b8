import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { factsOf } from '../agent/driver.ts';
import type { Device, Target } from '../agent/driver.ts';
import { foundTarget, identifyAddress } from '../agent/identify.ts';
import { openDevice, parseTarget } from '../agent/target.ts';
import type { Secrets } from '../agent/target.ts';
import { realClock } from '../host/clock.ts';
import { makeLog } from '../host/log.ts';
import { realEffects } from '../host/real.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Identity, Readings } from '../protocols/reading.ts';
import { verbText } from '../protocols/verb-facts.ts';
import type { VerbFacts } from '../protocols/verb-facts.ts';

const help = `Usage: ./switchyard read TARGET [--json] [--timeout SECONDS]

Reads one device once, and says what it can be told and what each of its verbs truly does. TARGET is a URL; secrets are named, never written into it:
  auto://HOST[:PORT]         finds out what miner is there, reading alone, and says its target for the site file
  antminer://HOST?http=80&api=4028&user=root&passwordEnv=NAME
  whatsminer://HOST?api=4028&passwordEnv=NAME        cgminer://HOST?api=4028
  whatsminer-v3://HOST?api=4433&passwordEnv=NAME     braiins://HOST?http=80&user=root&passwordEnv=NAME
  braiins-graphql://HOST?http=80&user=root&passwordEnv=NAME (Braiins OS up to 25.05)
  avalon://HOST?api=4028&dialect=json                luxos://HOST?api=4028
  bitaxe://HOST?http=80                              proto-rig://HOST?http=80&passwordEnv=NAME
  auradine://HOST?http=8080&api=4028&passwordEnv=NAME
  vnish://HOST?http=80&passwordEnv=NAME              epic://HOST?api=4028&passwordEnv=NAME
  modbus://HOST:PORT/UNIT?profile=ID                 modbus+rtu://HOST:PORT/UNIT?profile=ID
  modbus+serial:///dev/ttyUSB0/UNIT?profile=ID&baud=9600
  gpu://USER@HOST?key=FILE&hostKey=SHA256:…
`;

const SECRETS: Secrets = { env: process.env, readFile: (path) => readFileSync(path, 'utf8') };

/** Opens the device a URL names, with this process's effects. */
export function openTarget(url: string): {
  target: Target;
  device: Device;
  /** The same device as if a password were given: says what it could then do. */
  withPassword: () => Device;
  close: () => void;
} {
  const target = parseTarget(url, SECRETS);
  const effects = realEffects();
  const io = { ...effects, log: makeLog({ name: 'device', level: 'error' }) };
  const device = openDevice(target, io);
  return {
    target,
    device,
    withPassword: () => openDevice({ ...target, password: '' }, io),
    close: () => {
      device.close();
      effects.lines.close();
    },
  };
}

/** A positive number of seconds from the command line, as ms. */
export function timeoutOf(text: string | undefined, fallbackMs: number): number {
  if (text === undefined) return fallbackMs;
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 600))
    throw new Fault('USAGE', `--timeout takes seconds up to 600, not '${text}'`);
  return seconds * 1_000;
}

/** `./switchyard read`. */
export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      timeout: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const [url, ...rest] = positionals;
  if (url === undefined || rest.length > 0) throw new Fault('USAGE', 'read takes one TARGET');
  const answer = await readTarget(url, timeoutOf(values.timeout, 15_000));
  if (values.json === true) process.stdout.write(`${JSON.stringify(answerJson(answer))}\n`);
  else print(answer);
  return 0;
}

interface Answer extends Identity {
  readonly target: string;
  readonly driver: string;
  readonly at: string;
  readonly readings: Readings;
  /** What it can be told, as this target opens it; absent at a meter. */
  readonly verbs?: Readonly<Record<string, VerbFacts>>;
  /** Of an address without a name: by which answer it was told. */
  readonly found?: string;
}

/** What `read --json` prints. */
export const answerJson = (answer: Answer) => ({ ...answer, readings: readingsJson(answer.readings) });

/** Reads the device of a URL once, in full. */
export async function readTarget(url: string, timeoutMs: number): Promise<Answer> {
  if (url.startsWith('auto:')) return readUnknown(url, timeoutMs);
  const { target, device, close } = openTarget(url);
  try {
    const identity = await device.identify(timeoutMs);
    const readings = await device.read('full', timeoutMs);
    return {
      target: target.url,
      driver: device.driver,
      ...identity,
      at: new Date(realClock.wallMs()).toISOString(),
      readings,
      ...(isMeter(device) ? {} : { verbs: factsOf(device) }),
    };
  } finally {
    close();
  }
}

/** Nobody asks what a meter can be told; a PDU's outlet is one that can. */
const isMeter = ({ driver, verbs }: Device): boolean =>
  driver === 'modbus-meter' && Object.keys(verbs).length === 0;

/** Finds out what stands at an address and reads that. What fails behind the finding says it too. */
async function readUnknown(url: string, timeoutMs: number): Promise<Answer> {
  const asked = parseTarget(url, SECRETS);
  const effects = realEffects();
  const finding = await identifyAddress(asked, effects, timeoutMs).finally(() => effects.lines.close());
  const target = foundTarget(asked, finding);
  try {
    return { ...(await readTarget(target, timeoutMs)), found: finding.why };
  } catch (error) {
    const fault = asFault(error);
    const isClosed = fault.code === 'AUTH_FAILED' && asked.password === undefined;
    const more = isClosed ? 'it is not read without its password: name it by passwordEnv=NAME' : fault.detail;
    throw new Fault(fault.code, `found ${target} (${finding.why}): ${more}`, { cause: error });
  }
}

type ReadingJson = {
  value: number | string | null;
  unit: string | null;
  quality: string;
  at: string;
  measured?: boolean;
  why?: string;
};

/** Readings in the shape that programs rely on. */
export function readingsJson(readings: Readings): Record<string, ReadingJson> {
  return Object.fromEntries(
    Object.entries(readings).map(([quantity, reading]): [string, ReadingJson] => {
      const at = new Date(reading.atMs).toISOString();
      if (!reading.ok) return [quantity, { value: null, unit: null, quality: 'bad', at, why: reading.why }];
      return [
        quantity,
        {
          value: reading.value,
          unit: reading.unit,
          quality: reading.quality,
          at,
          ...(reading.measured === undefined ? {} : { measured: reading.measured }),
          ...(reading.why === undefined ? {} : { why: reading.why }),
        },
      ];
    }),
  );
}

function print({ target, vendor, model, firmware, driver, readings, verbs, found }: Answer): void {
  const version = firmware === '' ? '' : `, firmware ${firmware}`;
  const lines = Object.entries(readings).map(([quantity, reading]) => {
    if (!reading.ok) {
      const { why, detail = '' } = reading;
      return `  ${quantity.padEnd(24)} — ${why}${detail === '' ? '' : `: ${detail}`}\n`;
    }
    const unit = reading.unit === 'text' || reading.unit === '1' ? '' : ` ${reading.unit}`;
    const estimated = reading.measured === false ? ' (estimated)' : '';
    const doubt = reading.quality === 'uncertain' ? ` [uncertain: ${reading.why ?? ''}]` : '';
    const value = reading.value === '' ? 'none' : shown(reading.value);
    return `  ${quantity.padEnd(24)} ${value}${unit}${estimated}${doubt}\n`;
  });
  process.stdout.write(
    `${[vendor, model].filter((word) => word !== '').join(' ')}${version} (driver ${driver})\n${lines.join('')}`,
  );
  if (verbs !== undefined) process.stdout.write(`What it can be told:\n${toldText(verbs)}`);
  if (found !== undefined) process.stdout.write(`\nFound by ${found}\ntarget: ${target}\n`);
}

function toldText(verbs: Readonly<Record<string, VerbFacts>>): string {
  const lines = Object.entries(verbs).map(([verb, facts]) => `  ${verbText(verb, facts)}\n`);
  return lines.length === 0 ? '  nothing, as this target opens it\n' : lines.join('');
}

/** More digits than any meter has are only the binary tail of a division. */
function shown(value: string | number): string | number {
  return typeof value === 'string' || Number.isInteger(value) ? value : Number(value.toPrecision(7));
}
