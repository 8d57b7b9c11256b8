import { parseArgs } from 'node:util';
import type { Verb } from '../agent/driver.ts';
import { actAndVerify } from '../agent/verify.ts';
import type { Told } from '../agent/verify.ts';
import { loadSite } from '../config/load.ts';
import { MODELS } from '../config/models.ts';
import { poolsOf } from '../config/pools.ts';
import { realClock } from '../host/clock.ts';
import { realEffects } from '../host/real.ts';
import { Fault, faultJson, FAULTS } from '../protocols/faults.ts';
import { openTarget, readingsJson, timeoutOf } from './read.ts';

const VERBS: readonly Verb[] = [
  'sleep',
  'wake',
  'power-limit',
  'reboot',
  'locate',
  'mine-start',
  'mine-stop',
  'ai-start',
  'ai-stop',
  'cap',
  'outlet-on',
  'outlet-off',
];
type Word = Verb | 'pools';
const WORDS: readonly Word[] = [...VERBS, 'pools'];

const help = `Usage: ./switchyard act TARGET VERB [NUMBER] [--force] [--json] [--timeout SECONDS]
       ./switchyard act TARGET pools NAME --site FILE [--machine ID] [--json] [--timeout SECONDS]

Commands one device once and reads back whether it obeyed. VERB is one of
  ${WORDS.join(', ')}
as far as the device has it. NUMBER is watts for power-limit and cap, 1 or 0 for locate.
Outlets are those of a PDU whose profile says how they are switched: TARGET names one by ?channel=N. 'outlet-off' is
refused while its meter shows a draw, or none can tell; --force cuts whatever is behind it.
'pools' sets all pools of a machine to the set NAME of the site file FILE: the first is mined at, the others stand by.
{machine} and {rack} in a name at a pool are those of the machine whose target TARGET is, or of ID. It counts as observed
once the machine's own settings show these pools and every other setting is as it was.
TARGET as for 'read'. Exit code 0 when the change was observed (for locate, which no reading shows: acknowledged).
`;

/** What NUMBER is for verbs that mean nothing without one. */
const NEEDS: Partial<Record<Verb, string>> = { 'power-limit': 'watts', cap: 'watts per GPU' };

/** `./switchyard act`. */
export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      force: { type: 'boolean' },
      site: { type: 'string' },
      machine: { type: 'string' },
      json: { type: 'boolean' },
      timeout: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const [url, word, number, ...rest] = positionals;
  const verb = WORDS.find((one) => one === word);
  if (url === undefined || word === undefined || rest.length > 0)
    throw new Fault('USAGE', 'act takes a TARGET and a VERB');
  if (verb === undefined)
    throw new Fault('USAGE', `there is no verb '${word}'; there are ${WORDS.join(', ')}`);
  const told = await toldOf(verb, number, url, values);
  const { target, device, withPassword, close } = openTarget(url);
  try {
    if (target.password === undefined && !device.verbs[verb] && withPassword().verbs[verb])
      throw new Fault(
        'TARGET_INVALID',
        `${target.url}: ${verb} needs the device’s password; name it by passwordEnv or passwordFile`,
      );
    const outcome = await actAndVerify(device, ...told, {
      clock: realClock,
      timeoutMs: timeoutOf(values.timeout, 180_000),
      pollMs: 1_000,
    });
    const { stage, ms, before, after, fault } = outcome;
    const answer = {
      target: target.url,
      verb,
      stage,
      ms,
      before: before === undefined ? null : readingsJson(before),
      after: after === undefined ? null : readingsJson(after),
      ...(fault && { why: fault.message, error: faultJson(fault) }),
    };
    if (values.json === true) process.stdout.write(`${JSON.stringify(answer)}\n`);
    else process.stdout.write(`${target.url}: ${verb} ${stage} after ${Math.round(ms)} ms\n`);
    if (fault) process.stderr.write(`${fault.message}\nNext: ${FAULTS[fault.code].next}\n`);
    return stage === 'failed' ? 1 : 0;
  } finally {
    close();
  }
}

interface Flags {
  readonly force?: boolean | undefined;
  readonly site?: string | undefined;
  readonly machine?: string | undefined;
}

async function toldOf(verb: Word, word: string | undefined, url: string, flags: Flags): Promise<Told> {
  if (verb !== 'pools') {
    if (flags.site !== undefined || flags.machine !== undefined)
      throw new Fault('USAGE', '--site and --machine go with pools alone');
    return [verb, argumentOf(verb, word, flags.force === true)];
  }
  const { site: file, machine: id } = flags;
  if (word === undefined || file === undefined || flags.force === true)
    throw new Fault('USAGE', 'pools takes the NAME of a set and --site FILE, where it is declared');
  const { site } = await loadSite(file, (path) => realEffects().disk.read(path), MODELS);
  const front = (target: string): string => target.split('?', 1)[0] ?? '';
  const found = site.machines.filter((one) =>
    id === undefined ? front(one.target) === front(url) : one.id === id,
  );
  if (found.length === 0 && id !== undefined) throw new Fault('USAGE', `${file} has no machine '${id}'`);
  const machine = found.find(({ target }) => target === url) ?? (found.length === 1 ? found[0] : undefined);
  if (machine === undefined)
    throw new Fault('USAGE', `${file} has not one machine with this target: --machine ID says which it is`);
  return [verb, poolsOf(site.config.pools, word, machine, process.env)];
}

function argumentOf(verb: Verb, number: string | undefined, force: boolean): number | undefined {
  if (force && verb !== 'outlet-off') throw new Fault('USAGE', '--force goes with outlet-off alone');
  if (verb === 'outlet-on' || verb === 'outlet-off') {
    if (number !== undefined)
      throw new Fault('USAGE', `${verb} takes no number: ?channel=N names the outlet`);
    return force ? 1 : undefined;
  }
  const argument = number === undefined ? undefined : Number(number);
  if (argument !== undefined && !Number.isFinite(argument))
    throw new Fault('USAGE', `'${number}' is not a number`);
  if (argument === undefined && NEEDS[verb] !== undefined)
    throw new Fault('USAGE', `${verb} takes a number of ${NEEDS[verb]}`);
  return argument;
}
