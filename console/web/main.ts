import type { Method, Params, Results } from '../../protocols/console/rpc.ts';
import type { MeterKind } from '../../protocols/console/protocol.ts';
import type { AlarmView, ConsoleView, SignalView } from '../../protocols/console/view.ts';
import type { ConsoleLink } from '../link.ts';
import { makeChart } from './chart.ts';
import { after, everyFrameAtMost, monoMs } from './clock.ts';
import { part } from './dom.ts';
import { makeFloor } from './floor.ts';
import { drawAgents, drawAlarms, drawCommands, drawNodes, drawSignals } from './lists.ts';
import { askCode, codeFromAddress } from './login.ts';
import { makeMachinePanel } from './machine.ts';
import { drawAge, drawBanner, drawNow } from './now.ts';
import { makeOrderDialog } from './order.ts';
import { keepConnected, login } from './socket.ts';

const TICK_MS = 500;

let link: ConsoleLink | undefined;
let lost: string | undefined = 'connecting';
let view: ConsoleView | undefined;
let freshMs: number | undefined;

function ask<M extends Method>(method: M, params: Params<M>): Promise<Results[M]> {
  return link === undefined
    ? Promise.reject(new Error('not connected: try again when the page is live'))
    : link.request(method, params);
}

/** The site's clock, carried on from its last word. */
const siteNowMs = (): number => (view?.site.atMs ?? 0) + (freshMs === undefined ? 0 : monoMs() - freshMs);

const chart = makeChart((span) => {
  ask('history', span)
    .then((columns) => chart.fill(columns))
    .catch(() => undefined);
});
const order = makeOrderDialog({
  preview: (request) => ask('cmd.preview', request as Params<'cmd.preview'>),
  execute: (input) => ask('cmd.execute', input),
});
const machine = makeMachinePanel({
  why: (id) => ask('why', { machine: id }),
  order: (scope, action) => order.open(scope, action),
  onClose: () => floor.select(undefined),
});
const floor = makeFloor((id) => {
  machine.show(id);
  if (view !== undefined) machine.draw(view, siteNowMs());
});
part('new-command', HTMLButtonElement).addEventListener('click', () => order.open('', 'sleep'));

const agree = ({ kind, waits }: SignalView): void => {
  if (waits === null || (kind !== 'price' && kind !== 'hashprice' && kind !== 'limit')) return;
  // When it has changed meanwhile the view says so.
  void ask('input.agree', { input: kind, value: waits.value }).catch(() => undefined);
};

const agreeMeter = ({ code, subject, text }: AlarmView, kind: MeterKind): void => {
  const reason = globalThis.prompt(`${code} ${subject}: ${text}\n\nReason:`)?.trim() ?? '';
  if (reason === '') return;
  // What is refused stands on as its alarm.
  void ask('meter.agree', { meter: subject, kind, seen: text.slice(0, 400), reason }).catch(() => undefined);
};

let drawn: ConsoleView | undefined;
let slowMs = 0;

/** Draws what changed; lists with ages in them also every few seconds. */
const draw = everyFrameAtMost(() => {
  if (view === undefined) return;
  const nowMs = siteNowMs();
  const before = drawn;
  drawn = view;
  const aged = monoMs() - slowMs > 5_000;
  if (aged) slowMs = monoMs();
  drawNow(view, nowMs);
  drawBanner(view, nowMs);
  chart.draw();
  if (before?.machines !== view.machines) floor.draw(view);
  if (aged || before?.alarms !== view.alarms)
    drawAlarms(
      view.alarms,
      nowMs,
      (alarmId) => void ask('alarm.ack', { alarmId }).catch(() => undefined),
      agreeMeter,
    );
  if (aged || before?.commands !== view.commands) drawCommands(view.commands, nowMs);
  if (aged || before?.signals !== view.signals) drawSignals(view.signals, nowMs, agree);
  if (before?.nodes !== view.nodes) drawNodes(view.nodes, (scope) => order.open(scope, 'sleep'));
  if (aged || before?.agents !== view.agents) drawAgents(view.agents, nowMs);
  machine.draw(view, nowMs);
  order.draw(view, nowMs);
});

function tick(): void {
  drawAge(freshMs === undefined ? undefined : monoMs() - freshMs, lost);
  if (view !== undefined) drawBanner(view, siteNowMs());
  after(TICK_MS, tick);
}

function redrawAll(): void {
  if (view === undefined) return;
  floor.draw(view);
  chart.draw();
}

async function start(): Promise<void> {
  const code = codeFromAddress();
  const refused = code === undefined ? undefined : await login(code);
  if (refused !== undefined) lost = refused;
  const connection = keepConnected({
    onView: (next) => {
      if (view?.site.atMs !== next.site.atMs) freshMs = monoMs();
      view = next;
      chart.add(next.site);
      draw();
    },
    onReady: (ready) => {
      link = ready;
      lost = undefined;
      ask('history', { spanMs: chart.spanMs, points: 600 })
        .then((columns) => chart.fill(columns))
        .catch(() => undefined);
    },
    onLost: (why) => {
      link = undefined;
      lost = why;
    },
    onLogin: () => askCode(() => connection.retryNow()),
  });
}

window.addEventListener('resize', redrawAll);
window.matchMedia('(prefers-color-scheme: light)').addEventListener('change', redrawAll);
tick();
void start();
