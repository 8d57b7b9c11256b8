import { mkdir } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { MODELS } from '../config/models.ts';
import { loadSite } from '../config/load.ts';
import { startController } from '../controller/main.ts';
import { buildAssets } from '../controller/operator/assets.ts';
import { makeOperatorPort } from '../controller/operator/port.ts';
import { startOperatorServer } from '../controller/operator/server.ts';
import { endWithParent, tellParent } from '../host/child.ts';
import { lockFolder } from '../host/lock.ts';
import { makeLog } from '../host/log.ts';
import type { LogLevel } from '../host/log.ts';
import { realBus, realEffects } from '../host/real.ts';
import { Fault } from '../protocols/faults.ts';

const help = `Usage: ./switchyard controller --site FILE [--data DIR] [--host HOST] [--port PORT] [--log LEVEL]

The controller of a site on its own: decides, commands, keeps the ledger, serves the console.
The broker is the one of the site file. SIGUSR2 prints one more one-time code for the console.
`;

/** `./switchyard controller`. */
export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      site: { type: 'string' },
      data: { type: 'string' },
      host: { type: 'string' },
      port: { type: 'string' },
      log: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  if (values.site === undefined) throw new Fault('USAGE', '--site FILE is missing');
  const log = makeLog({ name: 'controller', level: (values.log ?? 'info') as LogLevel });
  const effects = realEffects();
  const { site } = await loadSite(values.site, (path) => effects.disk.read(path), MODELS);
  const dataDir = values.data ?? `data/${site.id}`;
  await mkdir(dataDir, { recursive: true });
  lockFolder(dataDir);
  // A name of its own: a broker ends the connection of whoever has the same, and two controllers would never hear each other.
  const name = `switchyard-${site.id}-controller-${process.pid}-${Math.floor(effects.random.next() * 1e9)}`;
  const bus = await realBus(site.config, name, log);
  const superseded = Promise.withResolvers<Fault>();
  const report = (event: Parameters<Parameters<typeof startController>[0]['deps']['report']>[0]): void =>
    tellParent({ type: 'event', atMs: effects.clock.wallMs(), event });
  const controller = await startController({
    site,
    dataDir,
    deps: { ...effects, bus, log, report },
    onStepDown: superseded.resolve,
  });
  const operator = makeOperatorPort(controller, effects);
  const server = await startOperatorServer({
    operator,
    host: values.host ?? site.config.console.host,
    port: values.port === undefined ? site.config.console.port : Number(values.port),
    login: site.config.console.login,
    clock: effects.clock,
    random: effects.random,
    log,
    assets: await buildAssets(),
  });
  if (process.send === undefined) process.stdout.write(`${server.url}\n${codeLine(server.code)}`);
  giveCodes(() => server.newCode());
  tellParent({ type: 'ready', detail: { url: server.url, code: server.code, port: server.port } });
  let said = '';
  operator.onChange(() => {
    const { status } = operator.health();
    const { lost, duplicates: duplicated } = controller.counts;
    const now = `${status} ${lost} ${duplicated}`;
    if (now === said) return;
    said = now;
    tellParent({ type: 'health', status });
    tellParent({ type: 'counts', lost, duplicated });
  });
  const stop = async (): Promise<void> => {
    operator.close();
    await server.close();
    await controller.stop();
    await bus.close();
  };
  endWithParent(stop);
  const fault = await superseded.promise;
  await stop();
  throw fault;
}

const codeLine = (code: string): string => `One-time code: ${code}\n`;

/** Who may signal this process runs the box: a code for whoever has used theirs, or came too late for it. */
function giveCodes(newCode: () => string): void {
  process.on('SIGUSR2', () => {
    const code = newCode();
    if (process.send === undefined) process.stdout.write(codeLine(code));
    else tellParent({ type: 'code', code });
  });
}
