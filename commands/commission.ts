import { appendFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { loadSite } from '../config/load.ts';
import { MODELS } from '../config/models.ts';
import type { Site } from '../config/site.ts';
import { realClock } from '../host/clock.ts';
import { realEffects } from '../host/real.ts';
import { Fault } from '../protocols/faults.ts';
import { connectProduct } from './commission-link.ts';
import { commission } from './commission-run.ts';
import type { Question, RackReport } from './commission-run.ts';

const HELP = `Proves at the meters of a running site that machines hang where the site file says.

Usage: ./switchyard commission --site FILE [options]

  --site FILE        the site file that the running controller was started with
  --rack ID          only this rack; may be given several times (default: all)
  --url URL          address of the console, as 'up' prints it (default http://127.0.0.1:8080)
  --code CODE        one-time code; one behind #code= in the address serves too; also from SWITCHYARD_CODE
  --name NAME        who you are, for the ledger (default: the login name of this machine)
  --window SECONDS   how long the meters are watched before, in between and after (default 20)
  --cycles N         how often a change that hides in the noise is repeated at most (default 3)
  --yes              switches every rack without asking
  --json             one JSON object at the end
  --report FILE      writes that object into a file
  --help

One rack at a time is put to rest (or woken, when it rests) and comes back, by orders of the operator's console: every
limit, ramp and guard stays in force, what mines elsewhere is held as it is meanwhile, and everything is given back at
the end, at Ctrl-C and at any error. Hosts that run AI are left alone. It refuses while the utility limits the site,
while a cap is exceeded and while a meter above the rack gives no value.
Exit code 0 when every rack is confirmed.
`;

const WINDOW_S = 20;
const CYCLES = 3;

interface Options {
  readonly rack?: string[] | undefined;
  readonly url: string;
  readonly code?: string | undefined;
  readonly name?: string | undefined;
  readonly window?: string | undefined;
  readonly cycles?: string | undefined;
  readonly yes: boolean;
  readonly json: boolean;
  readonly report?: string | undefined;
}

/** `./switchyard commission`. */
export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      site: { type: 'string' },
      rack: { type: 'string', multiple: true },
      url: { type: 'string', default: 'http://127.0.0.1:8080' },
      code: { type: 'string' },
      name: { type: 'string' },
      window: { type: 'string' },
      cycles: { type: 'string' },
      yes: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      report: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.site === undefined) throw new Fault('USAGE', 'commission takes --site FILE');
  if (values.report !== undefined) mustTake(values.report);
  const { disk } = realEffects();
  const { site } = await loadSite(values.site, (path) => disk.read(path), MODELS);
  const reports = await prove(site, values);
  const answer = {
    site: site.id,
    at: new Date(realClock.wallMs()).toISOString(),
    by: nameOf(values) ?? 'operator',
    ok: reports.every(({ verdict }) => verdict === 'confirmed'),
    racks: reports,
  };
  process.stdout.write(values.json ? `${JSON.stringify(answer)}\n` : table(reports));
  if (values.report !== undefined) writeFileSync(values.report, `${JSON.stringify(answer, undefined, 2)}\n`);
  return answer.ok ? 0 : 1;
}

/** A path that cannot be written is said before anything is switched, not hours later. */
function mustTake(path: string): void {
  try {
    appendFileSync(path, '');
  } catch (error) {
    throw new Fault('USAGE', `--report: ${String(error)}`);
  }
}

const nameOf = ({ name }: Options): string | undefined => name ?? process.env['USER'];

async function prove(site: Site, values: Options): Promise<RackReport[]> {
  const racks = racksOf(site, values.rack);
  const windowMs = 1_000 * numberOf('--window', values.window, { fallback: WINDOW_S, least: 10, most: 600 });
  const cycles = Math.round(numberOf('--cycles', values.cycles, { fallback: CYCLES, least: 1, most: 20 }));
  const product = await connectProduct({
    url: values.url,
    code: values.code ?? process.env['SWITCHYARD_CODE'],
    name: nameOf(values),
    clock: realClock,
  });
  const stop = new AbortController();
  const end = (): void => {
    process.stderr.write('giving everything back …\n');
    stop.abort();
  };
  for (const name of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) process.once(name, end);
  const asker = values.yes ? undefined : makeAsker(stop);
  try {
    return await commission({
      site,
      product,
      clock: realClock,
      signal: stop.signal,
      racks,
      windowMs,
      cycles,
      confirm: async (question) => {
        process.stderr.write(`${questionText(question)}\n`);
        return asker === undefined || asker.ask(`Switch ${question.rack}? [y/N] `);
      },
      say: (line) => void process.stderr.write(`${line}\n`),
    });
  } finally {
    asker?.close();
    product.close();
  }
}

function racksOf(site: Site, asked: readonly string[] | undefined): string[] {
  const known = site.racks.map(({ id }) => id);
  const unknown = asked?.find((id) => !known.includes(id));
  if (unknown !== undefined)
    throw new Fault('USAGE', `there is no rack '${unknown}' with machines in this site`);
  return [...new Set(asked ?? known)];
}

function numberOf(
  option: string,
  text: string | undefined,
  { fallback, least, most }: { readonly fallback: number; readonly least: number; readonly most: number },
): number {
  const value = text === undefined ? fallback : Number(text);
  if (!(value >= least && value <= most))
    throw new Fault('USAGE', `${option} takes a number from ${least} to ${most}, not '${text ?? ''}'`);
  return value;
}

/** Asks a person yes or no; what is no clear yes is a no, and so is the end of the input. */
function makeAsker(stop: AbortController): { ask(text: string): Promise<boolean>; close(): void } {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const ended = new AbortController();
  lines.on('SIGINT', () => process.emit('SIGINT', 'SIGINT'));
  lines.on('close', () => ended.abort());
  return {
    ask: async (text) => {
      if (ended.signal.aborted) return false;
      const signal = AbortSignal.any([ended.signal, stop.signal]);
      const answer = await lines.question(text, { signal }).catch(() => '');
      return /^y(es)?$/i.test(answer.trim());
    },
    close: () => lines.close(),
  };
}

function questionText({ rack, machines, from, kw, minutes, warnings }: Question): string {
  const what = from === 'mine' ? 'are put to rest and come back' : 'are woken and put to rest again';
  const lines = [
    `${rack}: ${machines.length} machines ${what}: about ${kw.toFixed(1)} kW for about ${minutes} min; other miners are held as they are meanwhile`,
    ...warnings.map((warning) => `!! ${warning}`),
  ];
  return lines.join('\n');
}

/** One line a rack, and below it what each meter showed of it. */
function table(reports: readonly RackReport[]): string {
  const kw = (watts: number | null): string => (watts === null ? '–' : `${(watts / 1_000).toFixed(2)} kW`);
  return reports
    .flatMap(({ rack, verdict, text, findings, tested, left }) => [
      `${rack.padEnd(12)} ${verdict.padEnd(18)} ${text}`,
      ...findings
        .filter(({ onPath, is }) => onPath || is === 'stray')
        .map(
          ({ meter, is, expectedW, fellW, errorW }) =>
            `  ${meter.padEnd(16)} ${is.padEnd(12)} ${kw(fellW)} of ${kw(expectedW)}, ± ${kw(errorW)}`,
        ),
      ...(tested.length > 0 && left.length > 0 ? [`  not switched: ${left.join(', ')}`] : []),
    ])
    .map((line) => `${line}\n`)
    .join('');
}
