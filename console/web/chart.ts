import type { HistoryColumns } from '../../protocols/console/rpc.ts';
import type { SiteView } from '../../protocols/console/view.ts';
import { kwText, sitePowerKw, usdText } from '../format.ts';
import { brushOf, button, make, part, say, themeColours } from './dom.ts';

const POINTS = 600;
const SPANS = [
  { name: '10 min', spanMs: 600_000 },
  { name: '1 h', spanMs: 3_600_000 },
  { name: '24 h', spanMs: 86_400_000 },
] as const;

interface Row {
  readonly atMs: number;
  readonly powerKw: number | null;
  readonly limitKw: number;
  readonly planKw: number | null;
  readonly priceUsdPerMwh: number | null;
}

/** Power, limit, plan and price over time on one canvas. */
export interface Chart {
  /** A moment of the live view. */
  add(site: SiteView): void;
  /** What the controller remembers of the span shown. */
  fill(columns: HistoryColumns): void;
  draw(): void;
  readonly spanMs: number;
}

/** `onSpan`: another span was chosen and its history is wanted. */
export function makeChart(
  onSpan: (ask: { readonly spanMs: number; readonly points: number }) => void,
): Chart {
  const canvas = part('chart', HTMLCanvasElement);
  let rows: Row[] = [];
  let spanMs: number = SPANS[0].spanMs;
  let pointerX: number | undefined;
  const buttons = SPANS.map((span) => {
    const choose = button(span.name, () => {
      spanMs = span.spanMs;
      press();
      onSpan({ spanMs, points: POINTS });
    });
    return { span, choose };
  });
  const press = (): void => {
    for (const { span, choose } of buttons)
      choose.setAttribute('aria-pressed', String(span.spanMs === spanMs));
  };
  press();
  part('spans', HTMLElement).append(...buttons.map(({ choose }) => choose));
  part('trend-key', HTMLElement).append(
    ...(['power', 'limit', 'plan', 'price'] as const).map((name) =>
      make('span', {}, make('i', { class: name }), name),
    ),
  );
  const draw = (): void => drawChart(canvas, { rows, spanMs, pointerX });
  canvas.addEventListener('pointermove', (event) => {
    pointerX = event.offsetX;
    draw();
  });
  canvas.addEventListener('pointerleave', () => {
    pointerX = undefined;
    draw();
  });
  return {
    add: (site) => {
      const last = rows.at(-1);
      // As dense as the history of this span, so that both join without a seam.
      if (last !== undefined && site.atMs - last.atMs < spanMs / POINTS) return;
      if (last !== undefined && site.atMs < last.atMs) rows = [];
      rows.push({
        atMs: site.atMs,
        powerKw: sitePowerKw(site),
        limitKw: site.limitKw,
        planKw: site.planKw,
        priceUsdPerMwh: site.priceUsdPerMwh,
      });
      if (rows.length > 2 * POINTS) rows = rows.slice(-POINTS - 1);
    },
    fill: (columns) => {
      rows = columns.atMs.map((atMs, at) => ({
        atMs,
        powerKw: columns.powerKw[at] ?? null,
        limitKw: columns.limitKw[at] ?? 0,
        planKw: columns.planKw[at] ?? null,
        priceUsdPerMwh: columns.priceUsdPerMwh[at] ?? null,
      }));
      draw();
    },
    draw,
    get spanMs() {
      return spanMs;
    },
  };
}

interface Drawing {
  readonly rows: readonly Row[];
  readonly spanMs: number;
  readonly pointerX: number | undefined;
}

/** Where values stand on the canvas, CSS pixels. */
interface Scales {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly topKw: number;
  readonly topPrice: number;
  readonly lowPrice: number;
  readonly x: (atMs: number) => number;
  readonly y: (valueKw: number) => number;
  readonly yPrice: (price: number) => number;
}

/** A young site fills the width with what there is, from three minutes on. */
const SHOWN_MIN_MS = 180_000;

function drawChart(canvas: HTMLCanvasElement, drawing: Drawing): void {
  const { rows, pointerX } = drawing;
  const brush = brushOf(canvas);
  if (brush === undefined) return;
  const { context, width, height } = brush;
  const colour = themeColours();
  const fontPx = Math.max(11, Math.min(18, width / 80));
  context.font = `${fontPx}px system-ui, sans-serif`;
  const last = rows.at(-1);
  if (last === undefined) {
    context.fillStyle = colour('muted');
    context.fillText('no history yet', fontPx, height / 2);
    return;
  }
  const oldMs = last.atMs - (rows[0]?.atMs ?? last.atMs);
  const spanMs = Math.min(drawing.spanMs, Math.max(SHOWN_MIN_MS, oldMs));
  const shown = rows.filter((row) => row.atMs > last.atMs - spanMs);
  const scales = scalesFor(shown, { width, height, fontPx, lastMs: last.atMs, spanMs });
  drawGrid(context, scales, { colour, spanMs, lastMs: last.atMs });
  drawLines(context, shown, { scales, colour, gapMs: Math.max(5_000, (drawing.spanMs / POINTS) * 4) });
  const near =
    pointerX === undefined ? undefined : nearest(shown, (row) => Math.abs(scales.x(row.atMs) - pointerX));
  if (near !== undefined) {
    context.fillStyle = colour('muted');
    context.fillRect(scales.x(near.atMs), scales.top, 1, scales.bottom - scales.top);
  }
  const row = near ?? last;
  const when = near === undefined ? 'now' : clockText(row.atMs, true);
  say(
    part('chart-read', HTMLElement),
    `${when}: ${kwText(row.powerKw)} · limit ${kwText(row.limitKw)} · plan ${kwText(row.planKw)} · price ${usdText(row.priceUsdPerMwh)}/MWh`,
  );
}

function scalesFor(
  shown: readonly Row[],
  box: {
    readonly width: number;
    readonly height: number;
    readonly fontPx: number;
    readonly lastMs: number;
    readonly spanMs: number;
  },
): Scales {
  const left = box.fontPx * 4.8;
  const right = box.width - box.fontPx * 3.6;
  const top = box.fontPx * 0.8;
  const bottom = box.height - box.fontPx * 1.9;
  const highest = shown.reduce(
    (max, row) => Math.max(max, row.powerKw ?? 0, row.limitKw, row.planKw ?? 0),
    1,
  );
  const prices = shown.map((row) => row.priceUsdPerMwh).filter((price) => price !== null);
  const lowest = prices.reduce((min, price) => Math.min(min, price), 0);
  const topKw = niceTop(highest * 1.05);
  const topPrice = niceTop(prices.reduce((max, price) => Math.max(max, price), 10) * 1.1);
  const lowPrice = lowest < 0 ? -niceTop(-lowest) : 0;
  return {
    left,
    right,
    top,
    bottom,
    topKw,
    topPrice,
    lowPrice,
    x: (atMs) => right - ((box.lastMs - atMs) / box.spanMs) * (right - left),
    y: (valueKw) => bottom - (bottom - top) * (valueKw / topKw),
    yPrice: (price) => bottom - (bottom - top) * ((price - lowPrice) / (topPrice - lowPrice)),
  };
}

interface Line {
  readonly value: (row: Row) => number | null;
  readonly colour: string;
  readonly dash: readonly number[];
  readonly widthPx: number;
  readonly step: boolean;
}

function drawLines(
  context: CanvasRenderingContext2D,
  shown: readonly Row[],
  {
    scales,
    colour,
    gapMs,
  }: { readonly scales: Scales; readonly colour: (name: string) => string; readonly gapMs: number },
): void {
  const { x, y, yPrice } = scales;
  const known = (value: number | null, scale: (value: number) => number): number | null =>
    value === null ? null : scale(value);
  const lines: readonly Line[] = [
    {
      value: (row) => known(row.priceUsdPerMwh, yPrice),
      colour: colour('price'),
      dash: [2, 3],
      widthPx: 1.5,
      step: true,
    },
    { value: (row) => known(row.planKw, y), colour: colour('plan'), dash: [7, 4], widthPx: 1.5, step: true },
    { value: (row) => y(row.limitKw) - 1.5, colour: colour('warn'), dash: [], widthPx: 1, step: true },
    { value: (row) => y(row.limitKw) + 1.5, colour: colour('warn'), dash: [], widthPx: 1, step: true },
    { value: (row) => known(row.powerKw, y), colour: colour('text'), dash: [], widthPx: 2, step: false },
  ];
  for (const line of lines) {
    context.strokeStyle = line.colour;
    context.lineWidth = line.widthPx;
    context.setLineDash([...line.dash]);
    context.beginPath();
    let before: { readonly atMs: number; readonly y: number } | undefined;
    for (const row of shown) {
      const at = line.value(row);
      // What is not known is a gap, not a line across it.
      if (at === null) before = undefined;
      else {
        if (before === undefined || row.atMs - before.atMs > gapMs) context.moveTo(x(row.atMs), at);
        else {
          if (line.step) context.lineTo(x(row.atMs), before.y);
          context.lineTo(x(row.atMs), at);
        }
        before = { atMs: row.atMs, y: at };
      }
    }
    context.stroke();
  }
  context.setLineDash([]);
}

function drawGrid(
  context: CanvasRenderingContext2D,
  scales: Scales,
  {
    colour,
    spanMs,
    lastMs,
  }: { readonly colour: (name: string) => string; readonly spanMs: number; readonly lastMs: number },
): void {
  const { left, right, bottom, topKw, topPrice, lowPrice } = scales;
  context.lineWidth = 1;
  context.strokeStyle = colour('line');
  context.fillStyle = colour('muted');
  context.textBaseline = 'middle';
  const mega = topKw >= 10_000;
  for (let step = 0; step <= 4; step += 1) {
    const valueKw = (topKw * step) / 4;
    const at = Math.round(scales.y(valueKw)) + 0.5;
    context.beginPath();
    context.moveTo(left, at);
    context.lineTo(right, at);
    context.stroke();
    context.textAlign = 'right';
    const value = mega
      ? (valueKw / 1_000).toFixed(topKw < 80_000 ? 1 : 0)
      : valueKw.toFixed(topKw < 8 ? 1 : 0);
    context.fillText(step === 4 ? `${value} ${mega ? 'MW' : 'kW'}` : value, left - 6, at);
    context.textAlign = 'left';
    const price = lowPrice + ((topPrice - lowPrice) * step) / 4;
    context.fillText(`${price < 0 ? '−' : ''}$${Math.abs(price).toFixed(0)}`, right + 6, at);
  }
  const narrow = right - left < 450;
  const marks = narrow ? 2 : 6;
  context.textBaseline = 'top';
  for (let step = 0; step <= marks; step += 1) {
    const atMs = lastMs - spanMs * (1 - step / marks);
    context.textAlign = step === 0 ? 'left' : step === marks ? 'right' : 'center';
    context.fillText(clockText(atMs, spanMs <= 600_000 && !narrow), scales.x(atMs), bottom + 6);
  }
}

/** The next of 1, 2, 2.5, 5 × 10ⁿ × 4 steps above a value. */
function niceTop(value: number): number {
  const size = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return ([1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10].find((step) => step * size >= value) ?? 10) * size;
}

function nearest<T>(list: readonly T[], distance: (entry: T) => number): T | undefined {
  let best: T | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const entry of list) {
    const d = distance(entry);
    if (d < bestDistance) {
      best = entry;
      bestDistance = d;
    }
  }
  return best;
}

const clockText = (atMs: number, withSeconds: boolean): string =>
  new Date(atMs).toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    ...(withSeconds && { second: '2-digit' }),
  });
