import { parseArgs } from 'node:util';
import type { Verb } from '../agent/driver.ts';
import { actAndVerify } from '../agent/verify.ts';
import { realClock } from '../host/clock.ts';
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

const help = `Usage: ./switchyard act TARGET VERB [NUMBER] [--force] [--json] [--timeout SECONDS]

Commands one device once and reads back whether it obeyed. VERB is one of
  ${VERBS.join(', ')}
as far as the device has it. NUMBER is watts for power-limit and cap, 1 or 0 for locate.
Outlets are those of a PDU whose profile says how they are switched: TARGET names one by ?channel=N. 'outlet-off' is
refused while its meter shows a draw, or none can tell; --force cuts whatever is behind it.
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
  const verb = VERBS.find((one) => one === word);
  if (url === undefined || word === undefined || rest.length > 0)
    throw new Fault('USAGE', 'act takes a TARGET and a VERB');
  if (verb === undefined)
    throw new Fault('USAGE', `there is no verb '${word}'; there are ${VERBS.join(', ')}`);
  const argument = argumentOf(verb, number, values.force === true);
  const { target, device, withPassword, close } = openTarget(url);
  try {
    if (target.password === undefined && !device.verbs[verb] && withPassword().verbs[verb])
      throw new Fault(
        'TARGET_INVALID',
        `${target.url}: ${verb} needs the device’s password; name it by passwordEnv or passwordFile`,
      );
    const outcome = await actAndVerify(device, verb, argument, {
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
