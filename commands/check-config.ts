import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import type { Target } from '../agent/driver.ts';
import { pointsOf } from '../agent/drivers/modbus-points.ts';
import { openDevice, parseTarget } from '../agent/target.ts';
import type { Secrets } from '../agent/target.ts';
import { loadSite, SiteFileInvalid } from '../config/load.ts';
import type { ConfigProblem, LoadedSite } from '../config/load.ts';
import { ProfileInvalid, profileIds, profilesOf, steersBy, SUNSPEC } from '../config/meters.ts';
import { MODELS } from '../config/models.ts';
import type { Site } from '../config/site.ts';
import { isVirtual } from '../protocols/metering/virtual.ts';
import { makeLog } from '../host/log.ts';
import { realEffects } from '../host/real.ts';
import { asFault, Fault, FAULTS, sentence } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';
import { planCapW } from '../protocols/loading.ts';
import { probeSite } from './probe.ts';
import type { Probe } from './probe.ts';

const help = `Usage: ./switchyard check-config FILE [--probe] [--json]

Reads a site file and explains what is wrong with it: FILE:LINE:COLUMN CODE MESSAGE (what was meant).
Without errors it prints a summary. Exit code 1 when the file cannot be used.
  --probe   also reads every device once; changes nothing
  --json    one object
`;

interface Finding extends ConfigProblem {
  readonly code: FaultCode;
  /** The meter profile it stands in, when it is not the site file. */
  readonly file?: string;
}

interface Outcome {
  readonly file: string;
  readonly ok: boolean;
  readonly problems: readonly Finding[];
  readonly warnings: readonly ConfigProblem[];
  readonly summary?: Summary;
  readonly probes?: readonly Probe[];
}

/** `./switchyard check-config`. */
export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: { json: { type: 'boolean' }, probe: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0) throw new Fault('USAGE', 'check-config takes one FILE');
  const outcome = await check(file, values.probe === true);
  process.stdout.write(values.json === true ? `${JSON.stringify(outcome)}\n` : textOf(outcome));
  return outcome.ok ? 0 : 1;
}

async function check(file: string, probing: boolean): Promise<Outcome> {
  let loaded: LoadedSite;
  try {
    loaded = await loadSite(file, readIfThere, MODELS, [...profileIds(), SUNSPEC]);
  } catch (error) {
    const fault = asFault(error);
    const problems =
      fault instanceof SiteFileInvalid
        ? fault.problems
        : [
            {
              line: 1,
              column: 1,
              path: '',
              message: fault.detail === '' ? FAULTS[fault.code].cause : fault.detail,
            },
          ];
    return {
      file,
      ok: false,
      problems: problems.map((problem) => ({ code: fault.code, ...problem })),
      warnings: [],
    };
  }
  const problems = targetProblems(loaded);
  const { site, warnings } = loaded;
  if (problems.length > 0) return { file, ok: false, problems, warnings };
  const summary = summaryOf(site);
  if (!probing) return { file, ok: true, problems, warnings, summary };
  const probes = await probeSite(site, secrets());
  return { file, ok: probes.every(({ ok }) => ok), problems, warnings, summary, probes };
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

const secrets = (): Secrets => ({ env: process.env, readFile: (path) => readFileSync(path, 'utf8') });

/** Targets that no driver takes. Secrets are not looked up: a file is checked where they need not be. */
function targetProblems({ site, problemAt }: LoadedSite): Finding[] {
  const anySecret: Secrets = { env: new Proxy({}, { get: () => 'secret' }), readFile: () => 'secret' };
  const effects = realEffects();
  const io = { ...effects, log: makeLog({ name: 'check', level: 'silent' }) };
  const found: Finding[] = [];
  const tryTarget = (target: string, path: readonly PropertyKey[], open: boolean): Target | undefined => {
    try {
      const parsed = parseTarget(target, anySecret);
      if (open) openDevice(parsed, io).close();
      return parsed;
    } catch (error) {
      const { code, detail } = asFault(error);
      if (error instanceof ProfileInvalid) addProfile(error);
      else found.push({ code, ...problemAt(path, detail) });
      return undefined;
    }
  };
  // Several meters have one profile: what is wrong with it is said once.
  const addProfile = ({ code, file, problems }: ProfileInvalid): void => {
    if (!found.some((finding) => finding.file === file))
      found.push(...problems.map((problem) => ({ code, file, ...problem })));
  };
  let first = 0;
  for (const [index, group] of site.config.machines.entries()) {
    const machine = site.machines[first];
    if (machine !== undefined) tryTarget(machine.target, ['machines', index, 'target'], true);
    first += group.hosts?.length ?? group.count ?? 0;
  }
  for (const [index, meter] of site.config.meters.entries()) {
    if (isVirtual(meter.target)) continue;
    const target = tryTarget(meter.target, ['meters', index, 'target'], true);
    const detail = target && unsteerable(target.options);
    if (detail === undefined) continue;
    found.push({ code: 'CONFIG_INVALID', ...problemAt(['meters', index, 'target'], detail) });
  }
  if (site.config.utility) tryTarget(site.config.utility.target, ['utility', 'target'], false);
  effects.lines.close();
  return found;
}

/** Why a meter with this target cannot be steered by; undefined: it can. */
function unsteerable({ profile: name = SUNSPEC, channel }: Target['options']): string | undefined {
  const profiles = profilesOf(name);
  const steersWith = (number: number | undefined): boolean =>
    profiles.every((profile) => pointsOf(profile, number, 0).some(steersBy));
  if (steersWith(channel === undefined ? undefined : Number(channel))) return undefined;
  if (channel === undefined && profiles.some(({ channels }) => channels) && steersWith(1))
    return `profile ${name} measures circuits and no total: &channel= says which of them stands for the node`;
  const powers = profiles.flatMap(({ points }) => points).filter(({ q }) => q === 'power.active.total');
  if (powers.length === 0) return `profile ${name}: has no point power.active.total to steer by`;
  if (powers.every(({ agree }) => agree !== 'no'))
    return `profile ${name}: power.active.total is not of class 'fast': it can be shown, not steered by`;
  return `profile ${name}: its power is disputed: it can be shown, not steered by. Compare it with the meter's display, then write a profile of your own with agree "yes"`;
}

interface Summary {
  readonly site: string;
  readonly authority: string;
  readonly agents: readonly string[];
  readonly nodes: number;
  readonly racks: number;
  readonly machines: Readonly<Record<string, number>>;
  readonly meters: number;
  readonly signals: readonly string[];
  /** Every node but racks: what hangs on it at its rated draw, against its cap, and whether a meter watches it. */
  readonly load: readonly {
    readonly node: string;
    readonly kind: string;
    readonly ratedKw: number;
    readonly capKw: number;
    readonly metered: boolean;
  }[];
}

function summaryOf(site: Site): Summary {
  const machines: Record<string, number> = {};
  const ratedW = new Float64Array(site.nodes.length);
  for (const machine of site.machines) {
    machines[machine.model.id] = (machines[machine.model.id] ?? 0) + 1;
    for (const node of site.nodes[machine.nodeIndex]?.path ?? [])
      ratedW[node] = (ratedW[node] ?? 0) + machine.model.ratedW;
  }
  const { prices, utility, ai } = site.config;
  const signals = [
    ...(prices.energy ? [`energy price ${prices.energy.url}`] : []),
    `hashprice ${prices.hash.url}`,
    ...(utility ? [`utility terminal ${utility.target}`] : []),
    ...(ai?.demand ? [`AI demand ${ai.demand.url}`] : []),
    ...(ai?.contracts.map(({ id, firm }) => `AI contract ${id}${firm ? ' (firm)' : ''}`) ?? []),
  ];
  return {
    site: site.id,
    authority: site.config.authority,
    agents: site.agents,
    nodes: site.nodes.length,
    racks: site.racks.length,
    machines,
    meters: site.meters.length,
    signals,
    load: site.nodes
      .filter(({ kind }) => kind !== 'rack')
      .map((node) => ({
        node: node.id,
        kind: node.kind,
        ratedKw: Math.round((ratedW[node.index] ?? 0) / 100) / 10,
        capKw: planCapW(node, undefined) / 1_000,
        metered: site.meters.some(({ nodeIndex, role }) => nodeIndex === node.index && role === 'node'),
      })),
  };
}

const hint = ({ suggestion }: ConfigProblem): string =>
  suggestion === undefined ? '' : ` (did you mean ${suggestion}?)`;

function textOf({ file, problems, warnings, summary, probes }: Outcome): string {
  const lines = problems.map(
    (problem) =>
      `${problem.file ?? file}:${problem.line}:${problem.column} ${problem.code} ${problem.message}${hint(problem)}`,
  );
  for (const warning of warnings)
    lines.push(`${file}:${warning.line}:${warning.column} warning ${warning.message}`);
  for (const code of new Set(problems.map((problem) => problem.code)))
    lines.push(`Next: ${sentence(FAULTS[code].next)}`);
  if (summary) lines.push(...summaryLines(summary));
  if (probes) lines.push(...probeLines(probes));
  return `${lines.join('\n')}\n`;
}

function summaryLines(summary: Summary): string[] {
  const machines = Object.entries(summary.machines).map(([model, count]) => `${count} × ${model}`);
  return [
    `Site ${summary.site}: ${summary.nodes} nodes, ${summary.racks} racks, ${summary.meters} meters, authority ${summary.authority}, agents ${summary.agents.join(', ')}`,
    `Machines: ${machines.length > 0 ? machines.join(', ') : 'none'}`,
    ...summary.signals.map((signal) => `Signal: ${signal}`),
    `${'node'.padEnd(20)} ${'rated kW'.padStart(10)} ${'cap kW'.padStart(10)}  share`,
    ...summary.load.map(({ node, ratedKw, capKw, metered }) => {
      const share = `${Math.round((ratedKw / capKw) * 100)} %`;
      return `${node.padEnd(20)} ${ratedKw.toFixed(1).padStart(10)} ${capKw.toFixed(1).padStart(10)}  ${share}${metered ? '' : ', no meter'}`;
    }),
  ];
}

function probeLines(probes: readonly Probe[]): string[] {
  const failed = probes.filter(({ ok }) => !ok);
  const lines = failed.map(
    ({ id, target, fault }) =>
      `${id} ${fault?.code ?? 'INTERNAL'} ${fault?.detail ?? ''} [${target}]${fault ? ` Next: ${sentence(fault.next)}` : ''}`,
  );
  return [
    ...lines,
    `Probed ${probes.length} devices: ${probes.length - failed.length} answered, ${failed.length} did not`,
  ];
}
