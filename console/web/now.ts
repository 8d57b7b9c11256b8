import type { ConsoleView, SignalView, SiteView } from '../../protocols/console/view.ts';
import { UNKNOWN, durationText, excessOf, hashrateText, kwText, powerText, usdText } from '../format.ts';
import { make, part, say } from './dom.ts';

/** Share of the limit from which the bar asks for attention. */
const NEAR = 0.95;
const STALE_MS = 3_000;

const PRICE_QUALITY = {
  good: '',
  held: 'held: feed is late',
  fallback: 'fallback in force',
  none: 'no price',
} as const;
const POWER_FROM = { meter: 'measured', sum: 'sum of machines, no meter', unknown: 'unknown' } as const;

/** The top of the page: site power against its limit, money, split, coverage. */
export function drawNow(view: ConsoleView, nowMs: number): void {
  const { site } = view;
  say(part('site-name', HTMLElement), site.name);
  document.title = `${powerText(site.powerW)} · ${site.name}`;
  say(part('authority', HTMLElement), `authority: ${site.authority}`);
  const control = part('control', HTMLElement);
  say(control, site.underControl ? 'under control' : 'not under control');
  control.classList.toggle('warn', !site.underControl);
  drawPower(site, excessOf(view, nowMs));
  drawFigures(site);
}

function drawPower(site: SiteView, excess: ReturnType<typeof excessOf>): void {
  const powerKw = site.powerW === null ? null : site.powerW / 1_000;
  // Until its deadline a new limit is work to do, not a breach.
  const over = excess?.leftMs === 0;
  const near = powerKw !== null && !over && site.limitKw > 0 && powerKw > NEAR * site.limitKw;
  const power = part('power', HTMLElement);
  say(power, powerText(site.powerW));
  power.parentElement?.classList.toggle('over', over);
  say(part('power-from', HTMLElement), POWER_FROM[site.powerFrom]);
  const scaleKw = Math.max(site.capKw, powerKw ?? 0, site.limitKw, 1) * 1.02;
  const at = (valueKw: number): string =>
    `${Math.min(100, Math.max(0, (100 * valueKw) / scaleKw)).toFixed(2)}%`;
  const bar = part('bar', HTMLElement);
  bar.classList.toggle('over', over);
  bar.classList.toggle('near', near);
  part('bar-fill', HTMLElement).style.width = at(powerKw ?? 0);
  part('bar-limit', HTMLElement).style.left = at(site.limitKw);
  const plan = part('bar-plan', HTMLElement);
  plan.hidden = site.planKw === null;
  plan.style.left = at(site.planKw ?? 0);
  const text = part('bar-text', HTMLElement);
  const room =
    powerKw === null
      ? 'power unknown'
      : excess !== undefined
        ? over
          ? `▲ over the limit by ${kwText(excess.excessKw)}`
          : `${kwText(excess.excessKw)} to shed in ${durationText(excess.leftMs)}`
        : `${kwText(site.limitKw - powerKw)} below the limit${near ? ' (near)' : ''}`;
  say(text, room);
  text.classList.toggle('over', over);
  say(
    part('bar-cap', HTMLElement),
    `limit ${kwText(site.limitKw)} (${site.limitFrom}) · cap ${kwText(site.capKw)} · plan ${kwText(site.planKw)}`,
  );
  bar.setAttribute('aria-label', `${powerText(site.powerW)} of ${kwText(site.limitKw)}: ${room}`);
}

function drawFigures(site: SiteView): void {
  const price = site.priceUsdPerMwh === null ? UNKNOWN : usdText(site.priceUsdPerMwh);
  const missing = site.expected - site.reporting;
  const rows: readonly (readonly [label: string, value: string, note: string, attention: boolean])[] = [
    [
      'Price',
      price,
      site.priceQuality === 'good' ? '/MWh' : `/MWh · ${PRICE_QUALITY[site.priceQuality]}`,
      site.priceQuality !== 'good',
    ],
    ['Earning', usdText(site.usdPerHour), '/h', false],
    ['ASICs', kwText(site.asicKw), '', false],
    ['GPUs', kwText(site.gpuKw), '', false],
    ['Solar', kwText(site.solarKw), '', false],
    ['Hashrate', hashrateText(site.hashrateHs), '', false],
    ['Hashprice', usdText(site.hashpriceUsdPerPhDay), '/PH·day', false],
    [
      'Reporting',
      `${site.reporting}/${site.expected}`,
      missing > 0 ? `▲ ${missing} silent` : 'all',
      missing > 0,
    ],
  ];
  const list = part('figures', HTMLElement);
  rows.forEach(([label, value, note, attention], at) => {
    let row = list.children[at];
    if (row === undefined) {
      row = make('div', {}, make('dt', {}, label), make('dd', {}, make('span'), make('small')));
      list.append(row);
    }
    const shown = row.querySelector('dd');
    if (
      !(shown instanceof HTMLElement) ||
      !(shown.firstElementChild instanceof HTMLElement) ||
      !(shown.lastElementChild instanceof HTMLElement)
    )
      return;
    shown.classList.toggle('warn', attention);
    say(shown.firstElementChild, value);
    say(shown.lastElementChild, note);
  });
}

/** How old the data is: grey and said in words when nothing came for 3 s. `lost`: why there is no connection. */
export function drawAge(ageMs: number | undefined, lost: string | undefined): void {
  const stale = ageMs === undefined || ageMs > STALE_MS;
  document.body.classList.toggle('stale', stale || lost !== undefined);
  const age =
    ageMs === undefined ? 'no data yet' : stale ? `stale: data is ${durationText(ageMs)} old` : 'live';
  say(part('age-text', HTMLElement), lost === undefined ? age : `${lost} · ${age}`);
}

/** The limits that others set, and what stands against them; `nowMs`: the site's clock. */
export function drawBanner(view: ConsoleView, nowMs: number): void {
  const banner = part('banner', HTMLElement);
  const shown = view.signals.filter((signal) => signal.kind in MARKS || signal.quality === 'lost');
  const wanted = new Set(shown.map((signal) => signal.id));
  for (const child of banner.querySelectorAll('.signal'))
    if (!wanted.has(child.getAttribute('data-id') ?? '')) child.remove();
  for (const signal of shown) drawSignal(banner, signal, view, nowMs);
}

/** What stands in the banner even when all is well. */
const MARKS: Readonly<Partial<Record<SignalView['kind'], string>>> = {
  limit: '▲ LIMIT',
  notice: '● CHANGE',
  manual: '■ MANUAL',
  lockout: '■ LOCKED OUT',
};

function drawSignal(banner: HTMLElement, signal: SignalView, view: ConsoleView, nowMs: number): void {
  const { site } = view;
  let row = [...banner.children].find((child) => child.getAttribute('data-id') === signal.id);
  if (row === undefined) {
    row = make(
      'div',
      { class: 'signal', attrs: { 'data-id': signal.id } },
      make('span', { class: 'mark' }),
      make('div', {}, make('b'), make('span', { class: 'how' })),
      // A countdown that speaks every second would drown everything else.
      make('div', { class: 'left', attrs: { 'aria-live': 'off' } }, make('span'), make('small')),
    );
    banner.append(row);
  }
  const [mark, middle, left] = [...row.children];
  const powerKw = site.powerW === null ? null : site.powerW / 1_000;
  const isLimit = signal.kind === 'limit';
  const excess = isLimit ? excessOf(view, nowMs) : undefined;
  const over = excess?.leftMs === 0;
  row.classList.toggle('over', over || signal.quality === 'lost');
  const delivered =
    powerKw === null
      ? 'delivered: unknown'
      : `${kwText(powerKw)} of ${kwText(site.limitKw)}: ${excess === undefined ? 'limit kept' : `▲ ${kwText(excess.excessKw)} to shed`}`;
  const quality = signal.quality === 'good' ? '' : ` · source ${signal.quality}`;
  sayAll(mark, [signal.quality === 'lost' ? '✕ LOST' : (MARKS[signal.kind] ?? '')]);
  sayAll(middle, [signal.text, `from ${signal.source}${quality}${isLimit ? ` · ${delivered}` : ''}`]);
  sayAll(
    left,
    signal.untilMs === null
      ? ['', isLimit ? 'no end given' : 'until a person ends it']
      : signal.untilMs <= nowMs
        ? ['over', '']
        : [durationText(signal.untilMs - nowMs), 'left'],
  );
}

function sayAll(element: Element | undefined, texts: readonly string[]): void {
  if (!(element instanceof HTMLElement)) return;
  const [first] = texts;
  if (element.children.length === 0) say(element, first ?? '');
  else
    texts.forEach((text, at) => {
      const child = element.children[at];
      if (child instanceof HTMLElement) say(child, text);
    });
}
