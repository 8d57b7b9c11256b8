/**
 * A simulated miner with Braiins OS 24.09: GraphQL on its web port, and `version` on the API port. What changes something,
 * and the configuration, need a session that ends by itself. Stopped, its mining service tells nothing of itself.
 * Written from published clients of such machines, apart from the driver, so that an error in one shows against the other.
 */
import type {
  Answer,
  DeviceHttpRequest,
  HttpAnswer,
  HttpDevice,
  SimulatedEndpoint,
  StreamDevice,
} from '../device.ts';
import { answerGraphql, GraphqlError } from '../graphql.ts';
import type { Type } from '../graphql.ts';
import { apiAnswer, BRAIINS_PAGE, HTML, objectOf, requestText } from './miner.ts';
import type { MinerAddress } from './miner.ts';
import { MinerBody, whenS } from './miner-body.ts';
import type { MinerOptions } from './miner-body.ts';

const SESSION_LIFE_MS = 3_600_000;
/** The tuner comes to a new target in this time, step by step. */
const SETTLE = { ms: 180_000, steps: 9 };
const BOARDS = 3;
const CHIPS = 126;
const FANS = 4;
const DONE: Type = { __typename: 'VoidResult', void: 'void' };

export class SimulatedBraiinsGraphql extends MinerBody implements HttpDevice, StreamDevice {
  blinking = false;
  tunerMode = 'POWER_TARGET';
  /** Logins that were right. */
  logins = 0;
  readonly #user: string;
  #targetW: number;
  readonly #sessions = new Map<string, number>();

  constructor(options: MinerOptions) {
    super(options);
    this.#user = options.user ?? 'root';
    this.#targetW = this.power.limitW;
  }

  settings(): Readonly<Record<string, string | number>> {
    return { powerLimit: this.#targetW, tunerMode: this.tunerMode };
  }

  endpoints({ host, http, api }: MinerAddress): readonly SimulatedEndpoint[] {
    return [
      { kind: 'http', host, port: http, device: this },
      { kind: 'stream', host, port: api, device: this },
    ];
  }

  protected override forget(nowMs: number): void {
    this.#sessions.clear();
    this.blinking = false;
    this.power.limit(nowMs, this.#targetW);
    // The mining service starts with the control board, whoever had stopped it.
    if (this.asleep) this.wakeUp(nowMs);
  }

  respond(bytes: Uint8Array, nowMs: number): Answer {
    const gate = this.streamGate(nowMs);
    if (gate) return gate;
    const text = requestText(bytes);
    if (text === undefined) return { kind: 'wait' };
    const isVersion = objectOf(text)?.['command'] === 'version';
    const description = 'BOSer boser-buildroot 0.1.0-75912fc7';
    const status = { When: whenS(nowMs), Description: description };
    return apiAnswer(
      JSON.stringify(
        isVersion
          ? {
              STATUS: [{ STATUS: 'S', Code: 22, Msg: 'BOSer versions', ...status }],
              VERSION: [{ API: '3.7', BOSer: 'boser-buildroot 0.1.0-75912fc7' }],
              id: 1,
            }
          : { STATUS: [{ STATUS: 'E', Code: 14, Msg: 'Invalid command', ...status }], id: 1 },
      ),
      this.afterMs,
    );
  }

  respondHttp(request: DeviceHttpRequest, nowMs: number): HttpAnswer {
    const gate = this.httpGate(nowMs);
    if (gate) return gate;
    if (request.method === 'GET' && request.path === '/') return this.page(200, BRAIINS_PAGE, HTML);
    if (request.path !== '/graphql' || request.method !== 'POST') return this.page(404, '');
    const asked = objectOf(request.body);
    if (typeof asked?.['query'] !== 'string') return this.page(400, '');
    const given = /(?:^|;\s*)session_id=(\w+)/.exec(request.headers['cookie'] ?? '')?.[1] ?? '';
    const inSession = (this.#sessions.get(given) ?? 0) > nowMs;
    const opened: string[] = [];
    const answer = answerGraphql(
      { query: asked['query'], variables: asked['variables'] },
      { query: this.#query(inSession, nowMs), mutation: this.#mutation(inSession, nowMs, opened) },
    );
    const [session] = opened;
    return this.page(
      200,
      JSON.stringify(answer),
      session === undefined ? {} : { 'set-cookie': `session_id=${session}; HttpOnly; Path=/; Max-Age=3600` },
    );
  }

  #query(inSession: boolean, nowMs: number): Type {
    const running = (value: () => Type | Type[]) => () => {
      if (this.asleep) throw new GraphqlError('Service unavailable', 'UNAVAILABLE');
      return value();
    };
    const uptime = (durationS: number): Type => ({ since: null, durationS });
    return {
      __typename: 'Query',
      bos: {
        __typename: 'Bos',
        hostname: 'Antminer',
        faultLight: this.blinking,
        uptime: uptime(this.upS(nowMs)),
        info: { version: { full: '2024-10-17-0-75912fc7-24.09-plus' } },
      },
      bosminer: {
        __typename: 'Bosminer',
        uptime: this.asleep ? null : uptime(this.elapsedS(nowMs)),
        config: () => {
          if (!inSession) throw new GraphqlError('Unauthorized', 'UNAUTHORIZED');
          return this.#config();
        },
        info: {
          modelName: this.#modelName(),
          workSolver: running(() => this.#solver(nowMs)),
          fans: running(() =>
            Array.from({ length: FANS }, (_, n) => ({ name: String(n), rpm: 5_880 + n * 6, speed: 100 })),
          ),
          summary: running(() => ({
            tunerStatus: 'RUNNING',
            realHashrate: this.#rate(this.ratesHs(nowMs)),
            power: this.#draw(nowMs),
          })),
          poolGroups: [{ name: 'Default', pools: this.#pools() }],
        },
      },
    };
  }

  #pools(): Type[] {
    return ['pool1', 'pool2'].map((pool, n) => ({
      url: `stratum+tcp://${pool}.example:3333`,
      user: `site.${this.id}`,
      status: 'ALIVE',
      active: n === 0 && !this.asleep,
      shares: { acceptedSolutions: 100, rejectedSolutions: 0 },
    }));
  }

  #config(): Type {
    return {
      __typename: 'BosminerConfig',
      autotuning: {
        enabled: true,
        mode: this.tunerMode,
        powerTarget: this.#targetW,
        hashrateTarget: null,
      },
      groups: [{ id: '0', strategy: { __typename: 'QuotaStrategy', quota: 1 } }],
    };
  }

  #mutation(inSession: boolean, nowMs: number, opened: string[]): Type {
    const change =
      (act: (args: Readonly<Record<string, unknown>>) => Type) =>
      (args: Readonly<Record<string, unknown>>): Type => {
        if (!inSession) throw new GraphqlError('Unauthorized', 'UNAUTHORIZED');
        return act(args);
      };
    const plain = (act: () => void) =>
      change(() => {
        act();
        this.#changed();
        return DONE;
      });
    return {
      __typename: 'Mutation',
      auth: { __typename: 'AuthMutation', login: (args) => this.#login(args, nowMs, opened) },
      bos: {
        __typename: 'BosMutation',
        reboot: plain(() => this.reboot(nowMs)),
        setFaultLight: change(({ enable }) => {
          this.blinking = enable === true;
          this.#changed();
          return { __typename: 'FaultLight', enabled: this.blinking };
        }),
      },
      bosminer: {
        __typename: 'BosminerMutation',
        stop: plain(() => this.fallAsleep(nowMs)),
        start: plain(() => this.wakeUp(nowMs)),
        config: {
          __typename: 'ConfigMutation',
          updateAutotuning: change(({ input, apply }) => this.#tune(input, apply === true, nowMs)),
        },
      },
    };
  }

  #changed(): void {
    this.changes += 1;
    if (this.fault === 'disturbs') this.tunerMode = 'HASHRATE_TARGET';
  }

  #login(args: Readonly<Record<string, unknown>>, nowMs: number, opened: string[]): Type {
    if (args['username'] !== this.#user || args['password'] !== this.password)
      return { __typename: 'AuthError', message: 'Incorrect username or password' };
    this.logins += 1;
    const session = Array.from({ length: 32 }, () => Math.floor(this.random.next() * 16).toString(16)).join(
      '',
    );
    this.#sessions.set(session, nowMs + SESSION_LIFE_MS);
    opened.push(session);
    return DONE;
  }

  #tune(input: unknown, apply: boolean, nowMs: number): Type {
    const { powerTarget: watts, mode } = input as { powerTarget?: unknown; mode?: unknown };
    const { rungs, ratedW } = this.power.model;
    if (typeof watts !== 'number' || watts < (rungs[0]?.powerW ?? 0) || watts > ratedW)
      return { __typename: 'AutotuningError', message: 'power target is out of range', powerTarget: 'range' };
    if (apply && this.fault !== 'ignores') {
      if (typeof mode === 'string') this.tunerMode = mode;
      this.#targetW = watts;
      this.settle(watts, nowMs, SETTLE);
    }
    this.#changed();
    return { __typename: 'AutotuningOut', autotuning: { enabled: true, powerTarget: watts } };
  }

  #modelName(): string {
    const name = this.power.model.id.replace(/^antminer-(.*?)(-braiins(-graphql)?)?$/, '$1');
    return `Antminer ${name.replaceAll('-', ' ').toUpperCase()}`;
  }

  #rate(rateHs: number): Type {
    const mhs = rateHs / 1e6;
    return { mhs5S: mhs, mhs1M: mhs, mhs15M: mhs, mhsAv: mhs };
  }

  #draw(nowMs: number): Type {
    return { approxConsumptionW: Math.round(this.saysW(nowMs)), limitW: this.#targetW };
  }

  /** Its draw too, and of each board the minute's rate and its tuner, as pyasic asks for them. */
  #solver(nowMs: number): Type {
    const boardC = this.power.boardC(nowMs);
    const sixteenth = (value: number): number => Math.round(value * 16) / 16;
    const left = this.power.boardsLeft(BOARDS);
    return {
      nominalMhs: this.factoryThs() * 1e6,
      realHashrate: this.#rate(this.ratesHs(nowMs)),
      power: this.#draw(nowMs),
      childSolvers: Array.from({ length: left }, (_, n) => ({
        name: String(n + 1),
        nominalMhs: (this.factoryThs() * 1e6) / BOARDS,
        realHashrate: this.#rate(this.ratesHs(nowMs) / left),
        tuner: { statusMessages: [] },
        hwDetails: { chips: this.power.chipsPerBoard(BOARDS) ?? CHIPS, frequencyMhz: 525, voltageV: 13.2 },
        temperatures: [
          { name: 'Board', degreesC: sixteenth(boardC + n - 1) },
          { name: 'Chip', degreesC: sixteenth(boardC + n + 14) },
        ],
      })),
    };
  }
}
