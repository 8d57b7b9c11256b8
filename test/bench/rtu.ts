import { fork } from 'node:child_process';

import { modbusMeter } from '../../agent/drivers/modbus-meter.ts';
import { silentLog } from '../../host/log.ts';
import { realEffects } from '../../host/real.ts';
import { freePort } from './devices.ts';
import { figure } from './measure.ts';
import type { Figure } from './measure.ts';

const METERS = 32;
const BAUD = 38_400;
const ANSWER_MS = 10;
const DEAD = 9;
/** What control needs of an SDM630, 54 registers in one read: question, answer, 3.5 characters of silence behind each. */
const READ_MS = ((8 + 5 + 2 * 54 + 7) * 10 * 1_000) / BAUD + ANSWER_MS;
const FINDING_MS = 10_000;
const MEASURED_MS = 60_000;
const AGAIN_MS = 500;

/** How well 32 meters on one serial line behind a gateway use it, over real sockets, and what a dead one takes of it. */
export async function lineFigures(): Promise<Figure[]> {
  const well = await readsOf(0);
  const withDead = await readsOf(DEAD);
  // The time that the dead one no longer has goes to the others: both counts are of a line that is never idle.
  const lostPct = 100 * (1 - withDead / well);
  const sweep = `fast sweep of ${METERS} meters at ${BAUD} baud`;
  return [
    figure(sweep, 'x wire time', MEASURED_MS / (well * READ_MS), { goal: 1.2 }),
    figure(`${sweep}, one of them dead: what it takes`, '% of the line', lostPct, { goal: 5 }),
  ];
}

/** How many reads the others had in the time measured, each asked again as soon as it has answered. */
async function readsOf(dead: number): Promise<number> {
  const port = await freePort();
  const options = [port, METERS, BAUD, ANSWER_MS, dead].map(String);
  const peer = fork(new URL('rtu-peer.ts', import.meta.url), options);
  const effects = realEffects();
  try {
    await new Promise<void>((resolve, reject) => {
      peer.once('message', () => resolve());
      peer.once('exit', (code) => reject(new Error(`the peer ended with ${code}`)));
    });
    const { clock } = effects;
    const startMs = clock.monoMs() + FINDING_MS;
    let reads = 0;
    const lane = async (unit: number): Promise<void> => {
      const path = String(unit);
      const url = `modbus+rtu://127.0.0.1:${port}/${path}?profile=eastron-sdm630`;
      const place = { url, scheme: 'modbus+rtu', host: '127.0.0.1', port, path };
      const target = {
        ...place,
        user: undefined,
        password: undefined,
        options: { profile: 'eastron-sdm630' },
      };
      const meter = modbusMeter.open(target, { ...effects, log: silentLog });
      while (clock.monoMs() < startMs + MEASURED_MS) {
        const isRead = await meter.read('fast', 10_000).then(
          () => true,
          () => false,
        );
        const nowMs = clock.monoMs();
        if (isRead && unit !== dead && nowMs >= startMs && nowMs < startMs + MEASURED_MS) reads += 1;
        if (!isRead) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    };
    await Promise.all(Array.from({ length: METERS }, (_, index) => lane(index + 1)));
    return reads;
  } finally {
    effects.lines.close();
    peer.kill();
  }
}
