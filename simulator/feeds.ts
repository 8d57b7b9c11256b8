/** The simulated site's price, hash and AI demand feeds: one HTTP device, its JSON built apart from the parsers that read it. */
import type { DeviceHttpRequest, HttpAnswer, HttpDevice } from './device.ts';
import type { FeedFault, FeedName } from './scenarios.ts';

const SLOT_MS = 5 * 60_000;
/** Price changes kept: those of the last two slots are told. */
const CHANGES_MAX = 100;
const JOBS_MAX = 500;

interface PriceChange {
  readonly atMs: number;
  readonly usdPerMwh: number;
  readonly nextUsdPerMwh: number;
}

interface Job {
  readonly id: string;
  readonly contract: string;
  readonly hosts: number;
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface FeedsOptions {
  /** UTC at time 0 of the simulation. */
  readonly startMs: number;
  readonly usdPerMwh: number;
  readonly usdPerPhDay: number;
}

const iso = (utcMs: number): string => new Date(utcMs).toISOString();
const ok = (body: string, type = 'application/json'): HttpAnswer => ({
  kind: 'response',
  status: 200,
  headers: { 'content-type': type },
  body,
  afterMs: 2,
});

/** What the outside world says about prices and AI work, and how it fails to. Times are the simulation's. */
export class SimulatedFeeds implements HttpDevice {
  readonly #startMs: number;
  #prices: PriceChange[];
  #usdPerPhDay: number;
  #jobs: Job[] = [];
  readonly #faults = new Map<FeedName, FeedFault>();
  /** What a stale feed goes on saying. */
  readonly #last = new Map<FeedName, string>();

  constructor({ startMs, usdPerMwh, usdPerPhDay }: FeedsOptions) {
    this.#startMs = startMs;
    this.#prices = [{ atMs: Number.NEGATIVE_INFINITY, usdPerMwh, nextUsdPerMwh: usdPerMwh }];
    this.#usdPerPhDay = usdPerPhDay;
  }

  /** The price in force, USD/MWh. */
  get usdPerMwh(): number {
    return this.#prices.at(-1)?.usdPerMwh ?? 0;
  }

  setPrice(usdPerMwh: number, nextUsdPerMwh: number, nowMs: number): void {
    const atMs = this.#startMs + nowMs;
    const earlier = this.#prices.filter((change) => change.atMs < atMs);
    this.#prices = [...earlier.slice(-CHANGES_MAX), { atMs, usdPerMwh, nextUsdPerMwh }];
  }

  setHashprice(usdPerPhDay: number): void {
    this.#usdPerPhDay = usdPerPhDay;
  }

  /** AI work from now on; the same id again replaces it. */
  startJob(
    job: {
      readonly id: string;
      readonly contract: string;
      readonly hosts: number;
      readonly durationS: number;
    },
    nowMs: number,
  ): void {
    const fromMs = this.#startMs + nowMs;
    const { id, contract, hosts, durationS } = job;
    const others = this.#jobs.filter((one) => one.id !== id && one.untilMs > fromMs);
    this.#jobs = [...others, { id, contract, hosts, fromMs, untilMs: fromMs + durationS * 1_000 }].slice(
      -JOBS_MAX,
    );
  }

  endJob(id: string): void {
    this.#jobs = this.#jobs.filter((job) => job.id !== id);
  }

  /** How many GPU hosts are wanted for AI at `nowMs`. */
  hostsWanted(nowMs: number): number {
    const utcMs = this.#startMs + nowMs;
    return this.#jobs.reduce(
      (sum, job) => sum + (job.fromMs <= utcMs && utcMs < job.untilMs ? job.hosts : 0),
      0,
    );
  }

  setFault(feed: FeedName, fault: FeedFault, nowMs: number): void {
    this.#last.set(feed, this.#body(feed, this.#startMs + nowMs, 1));
    this.#faults.set(feed, fault);
  }

  respondHttp(request: DeviceHttpRequest, nowMs: number): HttpAnswer {
    const [path = ''] = request.path.split('?');
    const feed =
      path === '/price'
        ? 'price'
        : path === '/hashprice'
          ? 'hashprice'
          : path === '/ai/demand'
            ? 'ai'
            : undefined;
    if (feed === undefined || request.method !== 'GET')
      return { kind: 'response', status: feed === undefined ? 404 : 405, headers: {}, body: '', afterMs: 1 };
    const utcMs = this.#startMs + nowMs;
    switch (this.#faults.get(feed) ?? 'none') {
      case 'down':
        return { kind: 'reset' };
      case 'html':
        return ok(
          '<!doctype html><html><title>Scheduled maintenance</title><h1>We will be back soon</h1></html>',
          'text/html',
        );
      case 'stale':
        return ok(this.#last.get(feed) ?? '');
      case 'x1000':
        return ok(this.#body(feed, utcMs, 1_000));
      case 'nan':
        return ok(this.#body(feed, utcMs, Number.NaN));
      default:
        return ok(this.#body(feed, utcMs, 1));
    }
  }

  /** `factor`: 1 when all is well; NaN gives the text that a careless server prints for no number. */
  #body(feed: FeedName, utcMs: number, factor: number): string {
    const figure = (value: number): string => (Number.isNaN(factor) ? 'NaN' : String(value * factor));
    if (feed === 'hashprice')
      return `{"data":{"priceUSD":${figure(this.#usdPerPhDay)},"timestamp":"${iso(utcMs)}"}}`;
    if (feed === 'ai') return this.#demand(utcMs, figure);
    const intervals = this.#intervals(utcMs).map(
      ({ fromMs, toMs, usdPerMwh, kind }) =>
        `{"start":"${iso(fromMs)}","end":"${iso(toMs)}","value":${figure(usdPerMwh)},"kind":"${kind}"}`,
    );
    return `{"market":"SIM","location":"DEMO_HUB","unit":"USD/MWh","intervals":[${intervals.join(',')}],"publishedAt":"${iso(utcMs)}"}`;
  }

  #demand(utcMs: number, figure: (value: number) => string): string {
    const jobs = this.#jobs
      .filter((job) => job.untilMs > utcMs)
      .map(
        (job) =>
          `{"id":${JSON.stringify(job.id)},"contract":${JSON.stringify(job.contract)},"hosts":${figure(job.hosts)},` +
          `"from":"${iso(job.fromMs)}","until":"${iso(job.untilMs)}"}`,
      );
    return `{"jobs":[${jobs.join(',')}]}`;
  }

  /** The slot before, the present one cut where the price changed, and the indicative price of the next. */
  #intervals(utcMs: number): { fromMs: number; toMs: number; usdPerMwh: number; kind: string }[] {
    const slotMs = Math.floor(utcMs / SLOT_MS) * SLOT_MS;
    const changes = this.#prices
      .map(({ atMs }) => atMs)
      .filter((atMs) => atMs > slotMs - SLOT_MS && atMs <= utcMs);
    const cuts = [...new Set([slotMs - SLOT_MS, slotMs, ...changes])].sort((a, b) => a - b);
    const inForce = (atMs: number): PriceChange | undefined =>
      this.#prices.findLast((change) => change.atMs <= atMs);
    const past = cuts.map((fromMs, place) => ({
      fromMs,
      toMs: cuts[place + 1] ?? slotMs + SLOT_MS,
      usdPerMwh: inForce(fromMs)?.usdPerMwh ?? 0,
      kind: 'actual',
    }));
    const next = inForce(utcMs)?.nextUsdPerMwh ?? 0;
    return [
      ...past,
      { fromMs: slotMs + SLOT_MS, toMs: slotMs + 2 * SLOT_MS, usdPerMwh: next, kind: 'indicative' },
    ];
  }
}
