/** One agent with its real drivers over simulated miners that outlive it: it can be killed at any moment and started again. */
import { startAgent } from '../../../agent/main.ts';
import { MODELS } from '../../../config/models.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import { makeLines } from '../../../host/line.ts';
import { silentLog } from '../../../host/log.ts';
import { MemoryBroker } from '../../../host/memory-bus.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { seededRandom } from '../../../host/random.ts';
import { Life } from '../../../proof/life.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { SimulatedAntminer } from '../../../simulator/devices/antminer.ts';
import { SimulatedLuxos } from '../../../simulator/devices/luxos.ts';
import { SimulatedWhatsminer } from '../../../simulator/devices/whatsminer.ts';
import { makeMemoryFront } from '../../../simulator/fronts/memory.ts';
import type { Desired } from '../../../protocols/mqtt/desired.ts';
import type { Mode } from '../../../protocols/reading.ts';
import { START_MS, Voice } from './bench.ts';

const group = (model: string, scheme: string, net: number) => ({
  rack: 'r1',
  model,
  target: `${scheme}://127.0.${net}.{n}${scheme === 'luxos' ? '' : '?passwordEnv=P'}`,
  count: 1,
  periodMs: 5_000,
});
const siteOf = (machines: readonly ReturnType<typeof group>[]) =>
  resolveSite(
    siteSchema.parse({
      schema: 1,
      site: 'toy',
      authority: 'automatic',
      lease: { t1S: 5, t2S: 300, failSafe: 'hold' },
      control: { minOnS: 0, minOffS: 0 },
      nodes: [
        { id: 'main', kind: 'site', capKw: 100 },
        { id: 'r1', parent: 'main', kind: 'rack', capKw: 100 },
      ],
      machines,
      pools: {
        main: [
          { url: 'stratum+tcp://new.example:3333', user: 'acct.{machine}', passwordEnv: 'POOL' },
          { url: 'stratum+tcp://spare.example:3333', user: 'acct.{rack}' },
        ],
      },
      prices: {
        hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 },
      },
    }),
    MODELS,
  );
const two = [group('antminer-s21', 'antminer', 1), group('whatsminer-m60', 'whatsminer', 2)];
const three = siteOf([...two, group('antminer-s19k-pro-luxos', 'luxos', 3)]);
const [ant, whats, lux] = three.machines;

export class SettingsRig {
  readonly clock = new VirtualClock({ startWallMs: START_MS });
  readonly broker = new MemoryBroker({ clock: this.clock, latencyMs: () => 2 });
  readonly voice = new Voice(this.broker.client('controller'), this.clock);
  readonly disk = new MemoryDisk({ clock: this.clock, syncMs: () => 3 });
  readonly antminer: SimulatedAntminer;
  readonly whatsminer: SimulatedWhatsminer;
  readonly luxos: SimulatedLuxos;
  /** The way to both miners is cut. */
  isCut = false;
  readonly #front;
  #boot = 0;
  #generation = 0;
  #running: { life: Life; bus: ReturnType<MemoryBroker['client']> } | undefined;

  readonly #site;

  /** `luxos`: a third miner, with LuxOS, is among them; the device where it is one of the test's own. */
  constructor({ luxos = false }: { readonly luxos?: boolean | typeof SimulatedLuxos } = {}) {
    this.#site = luxos === false ? siteOf(two) : three;
    if (ant?.model.kind !== 'asic' || whats?.model.kind !== 'asic' || lux?.model.kind !== 'asic')
      throw new Error('three miners');
    const common = { random: seededRandom(3), startMs: 0, password: 'secret' };
    this.antminer = new SimulatedAntminer({ id: ant.id, model: ant.model, ...common });
    this.whatsminer = new SimulatedWhatsminer({ id: whats.id, model: whats.model, ...common });
    const Luxos = typeof luxos === 'boolean' ? SimulatedLuxos : luxos;
    this.luxos = new Luxos({ id: lux.id, model: lux.model, ...common });
    this.#front = makeMemoryFront({
      endpoints: [
        ...this.antminer.endpoints({ host: '127.0.1.1', api: 4_028, http: 80 }),
        ...this.whatsminer.endpoints({ host: '127.0.2.1', api: 4_028, http: 80 }),
        ...this.luxos.endpoints({ host: '127.0.3.1', api: 4_028, http: 80 }),
      ],
      clock: this.clock,
      random: seededRandom(4),
      latencyMs: () => 2,
      fault: () => (this.isCut ? { down: true } : undefined),
    });
    this.start();
  }

  start(): void {
    const report = (): void => undefined;
    const life = new Life({ clock: this.clock, ...this.#front, report });
    const bus = this.broker.client('agent');
    const random = seededRandom(5);
    const effects = { clock: life.clock, random, net: life.net, http: life.http, remote: life.remote };
    startAgent({
      site: this.#site,
      agent: 'a1',
      boot: ++this.#boot,
      dataDir: '/data',
      deps: { ...effects, disk: this.disk, bus, log: silentLog, report },
      io: { ...effects, lines: makeLines(effects), log: silentLog },
      secrets: { env: { P: 'secret', POOL: 'pool-secret' } },
    });
    this.#running = { life, bus };
  }

  /** As `kill -9`: nothing it awaited goes on, what was not synced may be lost. */
  kill(): void {
    this.#running?.life.end();
    this.#running?.bus.kill();
    this.disk.crash('power', seededRandom(this.#boot));
  }

  /** `powerW`: of the Whatsminer; `luxosW`: of the LuxOS, which is told nothing without. */
  want(mode: Mode, powerW?: number, urgent = false, luxosW?: number): void {
    const because = { owner: 'price' as const, rule: 'test', text: 'test' };
    const machines: Desired['machines'] = {
      [ant?.id ?? '']: { mode, because },
      [whats?.id ?? '']: { mode, because, ...(powerW === undefined ? {} : { powerW }) },
      ...(luxosW !== undefined && { [lux?.id ?? '']: { mode, because, powerW: luxosW } }),
    };
    this.voice.want(
      'r1',
      ++this.#generation,
      {},
      { machines, urgent, expiresAtMs: this.clock.wallMs() + 3_600_000 },
    );
  }

  /** Of the LuxOS alone. */
  wantLuxos(mode: Mode): void {
    const because = { owner: 'price' as const, rule: 'test', text: 'test' };
    const machines = { [lux?.id ?? '']: { mode, because } };
    this.voice.want('r1', ++this.#generation, {}, { machines, expiresAtMs: this.clock.wallMs() + 3_600_000 });
  }

  /** A person's order, as the controller says it to each machine. */
  setPools(id: string, name = 'main'): void {
    for (const machine of [ant?.id ?? '', whats?.id ?? ''])
      this.voice.act(`${id}-${machine}`, machine, 'pools', { pools: name });
  }

  alarms(code: string): string[] {
    return this.voice.events
      .filter((event) => event.code === code && event.state === 'raised')
      .map((event) => `${event.subject}: ${event.text}`);
  }
}
