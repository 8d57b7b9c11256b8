import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';

import { MODELS } from '../config/models.ts';
import { siteSchema } from '../config/schema/site.ts';
import { resolveSite } from '../config/site.ts';
import type { Site } from '../config/site.ts';
import { tellParent } from '../host/child.ts';
import { realClock } from '../host/clock.ts';
import { systemRandom } from '../host/random.ts';
import { Fault } from '../protocols/faults.ts';
import { makeSshKeys } from '../simulator/fronts/ssh.ts';
import type { SshKeys } from '../simulator/fronts/ssh.ts';
import { startSimulator } from '../simulator/main.ts';
import type { Simulator } from '../simulator/main.ts';
import { runScenario } from '../simulator/run-scenario.ts';
import { defaultMisbehaviour, fitScenario, SCENARIOS } from '../simulator/scenarios.ts';
import type { WorldChange } from '../simulator/scenarios.ts';
import { SIMULATED_ENV, simulatedSite } from '../simulator/site.ts';
import { runMeter } from './simulate-meter.ts';
import { numberOf, told } from './simulate-options.ts';

const SCENARIO_NAMES = SCENARIOS.map(({ name }) => name).join(', ');
const help = `Usage: ./switchyard simulate [--octet N] [--machines N] [--all-families] [--scenario NAME] [--data DIR] [--json]
       ./switchyard simulate meter --profile ID [...]   (meters alone: simulate meter --help)

Serves a simulated site on loopback addresses until it is stopped: miners, GPU hosts, meters, the utility, price feeds.
N machines (272) are ASICs and GPU hosts together; with --all-families every family of miners has racks of its own.
DIR (data/simulator) gets the keys of its SSH hosts and site.yaml, which 'agent' and 'controller' take by --site.
Scenarios: ${SCENARIO_NAMES}
`;

/** `./switchyard simulate`. */
export async function run(argv: string[]): Promise<number> {
  if (argv[0] === 'meter') return runMeter(argv.slice(1));
  const { values } = parseArgs({
    args: argv,
    options: {
      octet: { type: 'string' },
      machines: { type: 'string' },
      'all-families': { type: 'boolean' },
      scenario: { type: 'string' },
      data: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const octet = numberOf(values.octet, 'octet', 1, 200) ?? 20;
  const machines = numberOf(values.machines, 'machines', 14, 5_000);
  const dataDir = values.data ?? 'data/simulator';
  await mkdir(dataDir, { recursive: true });
  const keyFile = `${dataDir}/agent-key`;
  const [client, host] = [await keysAt(keyFile), await keysAt(`${dataDir}/host-key`)];
  const input = simulatedSite({
    loopbackOctet: octet,
    hostKey: host.fingerprint,
    keyFile,
    ...(machines !== undefined && { machines }),
    ...(values['all-families'] === true && { allFamilies: true }),
  });
  const site = resolveSite(siteSchema.parse(input), MODELS);
  const scenario = values.scenario === undefined ? undefined : fitScenario(values.scenario, site);
  if (values.scenario !== undefined && scenario === undefined)
    throw new Fault('USAGE', `there is no scenario '${values.scenario}'; there are ${SCENARIO_NAMES}`);
  await writeFile(`${dataDir}/site.yaml`, stringify(input));
  const simulator = await startSimulator({
    site,
    clock: realClock,
    random: systemRandom,
    hostKey: host.privateKey,
    authorizedKey: client.publicKey,
  });
  const say = (fields: object, text: string): void =>
    void process.stdout.write(values.json === true ? `${JSON.stringify(fields)}\n` : `${text}\n`);
  for (const line of describe(octet, site, simulator.world.endpoints.length, dataDir))
    say({ event: 'listening', text: line }, line);
  for (const { machine, behaviour } of defaultMisbehaviour(site))
    say({ event: 'misbehaves', machine, behaviour }, `Misbehaves: ${machine} (${behaviour})`);
  const running =
    scenario &&
    runScenario(scenario, {
      clock: realClock,
      act: (change) => {
        say(
          { event: 'change', change },
          `${new Date(realClock.wallMs()).toISOString()} ${JSON.stringify(change)}`,
        );
        simulator.apply(change);
      },
    });
  obeyParent(simulator);
  tellParent({ type: 'ready', detail: { site: `${dataDir}/site.yaml` } });
  await told();
  running?.stop();
  await simulator.close();
  process.exit(0);
}

/** Carries out the changes that the parent asks for, and answers what is really so. */
function obeyParent(simulator: Simulator): void {
  process.on('message', (message: { type?: string; change?: WorldChange }) => {
    if (message.type === 'apply' && message.change !== undefined) simulator.apply(message.change);
    if (message.type !== 'truth') return;
    const { nodeW, modes, stateCalls, doubleOwned } = simulator.world.truth(realClock.monoMs());
    tellParent({ type: 'truth', nodeW, modes, stateCalls, doubleOwned });
  });
}

function describe(octet: number, site: Site, count: number, dataDir: string): string[] {
  const racks = (kind: Site['machines'][number]['model']['kind']): string => {
    const numbers = site.machines
      .filter(({ model }) => model.kind === kind)
      .map(({ target }) => Number(/127\.\d+\.(\d+)\./.exec(target)?.[1] ?? 0));
    return `127.${octet}.${Math.min(...numbers)}–${Math.max(...numbers)}.*`;
  };
  const [password] = Object.entries(SIMULATED_ENV);
  return [
    `${count} endpoints: ASICs at ${racks('asic')} (API :4028, web :8180), GPU hosts at ${racks('gpu-host')} (SSH :2222)`,
    `Meters 127.${octet}.0.1–6:1502, utility 127.${octet}.0.10:1502, feeds http://127.${octet}.0.20:8190/{price,hashprice,ai/demand}`,
    `Site file ${dataDir}/site.yaml; set ${password?.join('=')} for whoever reads the miners`,
  ];
}

/** The key pair kept at `path`, made when there is none. */
async function keysAt(path: string): Promise<SshKeys> {
  try {
    const [privateKey, publicKey, fingerprint] = await Promise.all([
      readFile(path, 'utf8'),
      readFile(`${path}.pub`, 'utf8'),
      readFile(`${path}.sha256`, 'utf8'),
    ]);
    return { privateKey, publicKey: publicKey.trim(), fingerprint: fingerprint.trim() };
  } catch {
    const keys = makeSshKeys();
    await writeFile(path, keys.privateKey, { mode: 0o600 });
    await chmod(path, 0o600);
    await writeFile(`${path}.pub`, `${keys.publicKey}\n`);
    await writeFile(`${path}.sha256`, `${keys.fingerprint}\n`);
    return keys;
  }
}
