import { readFile } from 'node:fs/promises';
import type { SiteConfig } from '../config/schema/site.ts';
import { Fault } from '../protocols/faults.ts';
import { makeBus } from './bus.ts';
import { realClock } from './clock.ts';
import type { Bus, Log } from './deps.ts';
import { makeDisk } from './disk.ts';
import { makeHttp } from './http.ts';
import { makeLines } from './line.ts';
import { makeNet } from './net.ts';
import { systemRandom } from './random.ts';
import { makeRemote } from './remote.ts';

/** The real effects except the bus, built once by a process's `main`. */
export function realEffects() {
  const clock = realClock;
  const random = systemRandom;
  const net = makeNet(clock);
  return {
    clock,
    random,
    net,
    http: makeHttp(clock),
    remote: makeRemote({ clock, readFile: (path) => readFile(path, 'utf8') }),
    disk: makeDisk(),
    lines: makeLines({ net, clock, random }),
  };
}

/** Where the supervisor tells its children to find the embedded broker. */
export const BROKER_ENV = {
  url: 'SWITCHYARD_BROKER_URL',
  user: 'SWITCHYARD_BROKER_USER',
  password: 'SWITCHYARD_BROKER_PASSWORD',
} as const;

type Will = NonNullable<Parameters<typeof makeBus>[0]['will']>;

/** The site's bus: the broker of the site file, else the embedded one named by the environment. */
export async function realBus(config: SiteConfig, clientId: string, log: Log, will?: Will): Promise<Bus> {
  const broker = config.broker;
  const env = process.env;
  const common = { clientId, clock: realClock, log, ...(will === undefined ? {} : { will }) };
  if (broker === undefined) {
    const url = env[BROKER_ENV.url];
    if (url === undefined)
      throw new Fault(
        'CONFIG_INVALID',
        `the site file names no broker and ${BROKER_ENV.url} is not set; 'up' starts the embedded one`,
      );
    const username = env[BROKER_ENV.user];
    const password = env[BROKER_ENV.password];
    return makeBus({
      ...common,
      url,
      protocolVersion: 4,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    });
  }
  const password = broker.passwordEnv === undefined ? undefined : env[broker.passwordEnv];
  if (broker.passwordEnv !== undefined && password === undefined)
    throw new Fault('CONFIG_INVALID', `broker.passwordEnv: ${broker.passwordEnv} is not set`);
  const pem = async (path: string | undefined): Promise<string | undefined> =>
    path === undefined ? undefined : readFile(path, 'utf8');
  const [ca, cert, key] = await Promise.all([pem(broker.caFile), pem(broker.certFile), pem(broker.keyFile)]);
  return makeBus({
    ...common,
    url: broker.url,
    protocolVersion: broker.protocol,
    ...(broker.username === undefined ? {} : { username: broker.username }),
    ...(password === undefined ? {} : { password }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  });
}
