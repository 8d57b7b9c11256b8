/**
 * `npm run soak:outage`: a real Mosquitto is killed (-9) and stays away for minutes, and is killed three times more while
 * the backlog drains; a real agent reads its devices meanwhile and is killed once too. A store that is no part of the
 * product judges what came. Exits 1 on a loss.
 */
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { loadSite } from '../../config/load.ts';
import { MODELS } from '../../config/models.ts';
import { startController } from '../../controller/main.ts';
import { makeBus } from '../../host/bus.ts';
import { realClock } from '../../host/clock.ts';
import type { Bus } from '../../host/deps.ts';
import { silentLog } from '../../host/log.ts';
import { realEffects } from '../../host/real.ts';
import { Consumer } from '../../proof/consumer.ts';
import type { Status } from '../../protocols/mqtt/status.ts';
import { closeAll, until } from '../wire/site-rigs.ts';
import { bodies, makeYard } from './rigs.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, kills: { type: 'string', default: '3' } },
});
const outageMs = Number(values.minutes) * 60_000;
const SETTLE_MS = 30_000;
const AGENT_DOWN_MS = 5_000;
const BROKER_DOWN_MS = 3_000;
const MOST_DRAIN_MS = 20 * 60_000;

const say = (text: string): void => void process.stderr.write(`${new Date().toISOString()} ${text}\n`);

/** Lets the consumer see every message as it reaches the controller. */
const tapped = (bus: Bus, consumer: Consumer): Bus => ({
  get connected() {
    return bus.connected;
  },
  publish: (topic, payload, how) => bus.publish(topic, payload, how),
  subscribe: (filter, handler) =>
    bus.subscribe(filter, (message) => {
      consumer.arrives(message);
      handler(message);
    }),
  onState: (handler) => bus.onState(handler),
  close: () => bus.close(),
});

const yard = await makeYard();
const effects = realEffects();
const { site } = await loadSite(yard.site.siteFile, (path) => effects.disk.read(path), MODELS);
const consumer = new Consumer(realClock, site);
const url = `mqtt://127.0.0.1:${yard.broker.port}`;
const bus = makeBus({ url, clientId: 'judged', protocolVersion: 5, clock: realClock, log: silentLog });
mkdirSync(yard.data, { recursive: true });
const controller = await startController({
  site,
  dataDir: yard.data,
  store: consumer,
  deps: { ...effects, bus: tapped(bus, consumer), log: silentLog, report: () => undefined },
  onStepDown: (fault) => {
    throw fault;
  },
});
const statuses = (): Status[] =>
  bodies(yard.said, 'status').filter((body) => body['online'] === true) as unknown as Status[];
const spooledBytes = (): number => {
  const folder = join(yard.data, 'agent-a1');
  return readdirSync(folder)
    .filter((name) => name.includes('.spool-'))
    .reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
};

let agent = yard.agent();
await until('the agent is heard', 60_000, () => statuses().length > 0);
await pause(SETTLE_MS);
const before = consumer.verdict(0);
await yard.broker.kill();
say(`Mosquitto is dead; ${before.frames} frames so far`);
await pause(outageMs / 2);
consumer.killed(statuses().at(-1)?.boot ?? 0, Date.now());
await agent.kill('SIGKILL');
await pause(AGENT_DOWN_MS);
agent = yard.agent();
await pause(outageMs / 2);
const diskBytes = spooledBytes();
const backMs = realClock.monoMs();
await yard.broker.start();
say(`Mosquitto is back; ${diskBytes} bytes wait on the agent's disk`);

let kills = 1;
while (kills <= Number(values.kills)) {
  const { late } = consumer.verdict(0);
  await until(
    'some of the backlog came',
    120_000,
    () => consumer.verdict(0).late > late || statuses().at(-1)?.spooled === 0,
  );
  await yard.broker.kill();
  kills += 1;
  await pause(BROKER_DOWN_MS);
  await yard.broker.start();
}
// Drained when the agent says that nothing is kept any more, in statuses that came after all this.
const heard = statuses().length;
await until('the backlog has drained', MOST_DRAIN_MS, () => {
  const [last] = statuses()
    .slice(heard + 5)
    .slice(-1);
  return last !== undefined && last.spooled === 0 && spooledBytes() === 0;
});
const drainedS = (realClock.monoMs() - backMs) / 1_000;
const firstLiveS = ((consumer.firstLiveAfter(backMs) ?? Infinity) - backMs) / 1_000;
const { wrong: _, ...verdict } = consumer.verdict(controller.counts.lost);
const last = statuses().at(-1);
const announced = (last?.thinned ?? 0) + (last?.dropped ?? 0) + (last?.damaged ?? 0);
const { lost, lostByController, duplicated, disordered, worstKillGapS, late } = verdict;
const ok =
  [lost, lostByController, duplicated, disordered, worstKillGapS, announced].every((count) => count === 0) &&
  late > 0;
await controller.stop();
await bus.close();
effects.lines.close();
await closeAll();
process.stdout.write(
  `${JSON.stringify({ ok, minutes: Number(values.minutes), ...verdict, announced, brokerKills: kills, agentKills: 1, diskBytes, firstLiveS, drainedS })}\n`,
);
process.exit(ok ? 0 : 1);
