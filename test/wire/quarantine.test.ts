/** From a console's socket through the controller to an agent and back: who ignores commands, and a person's word on it. */
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { startController } from '../../controller/main.ts';
import { makeOperatorPort } from '../../controller/operator/port.ts';
import { startOperatorServer } from '../../controller/operator/server.ts';
import { realClock } from '../../host/clock.ts';
import { silentLog } from '../../host/log.ts';
import { MemoryDisk } from '../../host/memory-disk.ts';
import { seededRandom } from '../../host/random.ts';
import { Fault } from '../../protocols/faults.ts';
import { applyDelta } from '../../protocols/console/delta.ts';
import type { ViewDelta } from '../../protocols/console/delta.ts';
import type { ConsoleView } from '../../protocols/console/view.ts';
import { makeBench } from '../unit/agent/bench.ts';
import { RawClient } from './operator-rig.ts';
import type { Heard } from './operator-rig.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Agent and controller in virtual time on one bus; the console's server on a socket. */
async function makeSite() {
  const bench = makeBench({ count: 4 });
  closing.push(() => bench.stop());
  // A real controller speaks here.
  bench.voice.speaking = false;
  bench.voice.acks = false;
  const { clock } = bench;
  /** Lets the site's time go on until something that a socket or a disk brings is there. */
  const during = async <T>(work: Promise<T>): Promise<T> => {
    const goesOn = turn().then(() => 'goes on' as const);
    const first = await Promise.race([work, goesOn]);
    if (first !== 'goes on') return first;
    await clock.advance(20);
    return during(work);
  };
  const starting = startController({
    site: bench.site,
    dataDir: '/c',
    onStepDown: (fault) => {
      throw fault;
    },
    deps: {
      clock,
      disk: new MemoryDisk({ clock }),
      bus: bench.broker.client('controller-2'),
      http: { request: () => Promise.reject(new Fault('NET_REFUSED')) },
      log: silentLog,
      report: () => undefined,
    },
  });
  const controller = await during(starting);
  closing.push(() => controller.stop());
  const random = seededRandom(5);
  const operator = makeOperatorPort(controller, { clock, random });
  closing.push(() => operator.close());
  const server = await startOperatorServer({
    operator,
    host: '127.0.0.1',
    port: 0,
    login: 'prompt',
    clock: realClock,
    random,
    log: silentLog,
    assets: new Map(),
  });
  closing.push(() => server.close());
  const client = new RawClient(server.port);
  closing.push(() => client.socket.terminate());
  await during(client.subscribed(server.code));
  return { bench, client, during };
}

/** What the console shows by all that came over its socket. */
function shown(client: RawClient): ConsoleView {
  let view: ConsoleView | undefined;
  for (const { method, params } of client.heard as readonly Heard[])
    if (method === 'snapshot') view = params?.view;
    else if (method === 'ev' && view !== undefined) view = applyDelta(view, params?.d as ViewDelta);
  if (view === undefined) throw new Error('no snapshot came');
  return view;
}

test('a machine that ignores is named on the console, and a person who has looked after it takes the name off', async () => {
  const { bench, client, during } = await makeSite();
  const { clock } = bench;
  const liar = bench.miners.get('r1-02');
  if (liar === undefined) throw new Error('no such miner');
  liar.behaviour = 'ignores';
  liar.identify = () => Promise.resolve({ vendor: 'Acme', model: 'M1', firmware: '3.1' });
  let keys = 10_000_000;
  const order = async (request: object): Promise<void> => {
    const { result: preview } = await during(
      client.call('cmd.preview', { reason: 'looked after', ...request }),
    );
    const { previewId, hash } = preview ?? {};
    const done = await during(client.call('cmd.execute', { previewId, hash, key: `key-${(keys += 1)}` }));
    expect(done.result?.['commandId']).toMatch(/^op-/);
  };
  const pass = async (ms: number): Promise<void> => {
    // The console's last half second may be waiting for the next one to be told.
    await clock.advance(ms + 1_000);
    const atMs = clock.wallMs() - 1_000;
    await client.until(() => shown(client).site.atMs >= atMs);
  };
  const alarms = (): string[] =>
    shown(client)
      .alarms.filter(({ code }) => code === 'QUARANTINED' || code === 'COMMAND_IGNORED')
      .map(({ code, subject }) => `${code} ${subject}`)
      .toSorted();
  await pass(40_000);
  await order({ scope: ['r1'], action: 'sleep', minutes: 60 });
  await pass(60_000);
  expect([...bench.miners.values()].map(({ mode }) => mode)).toEqual(['sleep', 'mine', 'sleep', 'sleep']);
  expect(alarms()).toEqual(['COMMAND_IGNORED r1-02', 'QUARANTINED r1-02']);
  expect(shown(client).alarms.find(({ code }) => code === 'QUARANTINED')?.text).toBe(
    'Acme M1, firmware 3.1, ignores sleep: it counts as not controllable',
  );
  await order({ scope: ['r1'], action: 'release' });
  await pass(60_000);
  // Nothing is wanted of it any more: it does not ignore anything, and is not to be counted on all the same.
  await order({ scope: ['r1-02'], action: 'manual' });
  await pass(10_000);
  expect(alarms()).toEqual(['QUARANTINED r1-02']);
  await order({ scope: ['r1-02'], action: 'automatic' });
  await pass(10_000);
  expect(alarms()).toEqual([]);
  expect(bench.voice.status?.quarantined).toBe(undefined);
});
