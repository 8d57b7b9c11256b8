import { mkdir } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { nextBoot } from '../agent/boot.ts';
import { willOf } from '../agent/link.ts';
import { startAgent } from '../agent/main.ts';
import { MODELS } from '../config/models.ts';
import { loadSite } from '../config/load.ts';
import { endWithParent, tellParent } from '../host/child.ts';
import { lockFolder } from '../host/lock.ts';
import { makeLog } from '../host/log.ts';
import type { LogLevel } from '../host/log.ts';
import { realBus, realEffects } from '../host/real.ts';
import { makeHostReader } from '../host/self.ts';
import { asFault, Fault } from '../protocols/faults.ts';

const help = `Usage: ./switchyard agent --site FILE [--agent ID] [--data DIR] [--log LEVEL]

One agent of a site on its own: reads its meters and machines, publishes, obeys. Without --agent, the first one.
The broker is the one of the site file.
`;

/** `./switchyard agent`. */
export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      site: { type: 'string' },
      agent: { type: 'string' },
      data: { type: 'string' },
      log: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  if (values.site === undefined) throw new Fault('USAGE', '--site FILE is missing');
  // Of 20,000 machines most of what is read is rubbish ten seconds later: it is looked for when two fifths have come
  // to what is kept, not when it has trebled. An engine that does not know the word says so and goes on.
  setFlagsFromString('--heap-growing-percent=40');
  const log = makeLog({ name: 'agent', level: (values.log ?? 'info') as LogLevel });
  const effects = realEffects();
  const { site } = await loadSite(values.site, (path) => effects.disk.read(path), MODELS);
  const agent = values.agent ?? site.agents[0];
  if (agent === undefined || !site.agents.includes(agent))
    throw new Fault('USAGE', `the site has no agent '${agent}'; it has ${site.agents.join(', ')}`);
  const dataDir = `${values.data ?? `data/${site.id}`}/agent-${agent}`;
  await mkdir(dataDir, { recursive: true });
  lockFolder(dataDir);
  const wallMs = effects.clock.wallMs();
  const boot = await nextBoot(effects.disk, `${dataDir}/agent-${agent}.boot.json`, wallMs).catch(
    (error: unknown) => {
      log.error({ why: asFault(error).message }, 'the number of this start cannot be kept');
      return Math.floor(wallMs / 1_000);
    },
  );
  const bus = await realBus(
    site.config,
    `switchyard-${site.id}-agent-${agent}`,
    log,
    willOf(site.id, agent, boot),
  );
  const report = (event: Parameters<Parameters<typeof startAgent>[0]['deps']['report']>[0]): void =>
    tellParent({ type: 'event', atMs: effects.clock.wallMs(), event });
  const host = makeHostReader(effects.clock);
  const running = startAgent({
    site,
    agent,
    dataDir,
    boot,
    deps: { ...effects, bus, log, report },
    io: { ...effects, log },
    readHost: () => host.readHost(),
    secrets: { env: process.env, readFile: (path) => readFileSync(path, 'utf8') },
  });
  tellParent({ type: 'ready', detail: { agent } });
  endWithParent(async () => {
    await running.stop();
    effects.lines.close();
    await bus.close();
  });
  return new Promise(() => undefined);
}
