import type { Outlet } from '../../../config/schema/plant.ts';
import { makePlc } from '../../../simulator/devices/plc.ts';
import { makeBench as openBench } from './bench.ts';
import type { Bench } from './bench.ts';

/** A rack behind a contactor that drops out with its supply, its auxiliary contact, and a breaker above it. */
export function openRig(
  options: Parameters<typeof openBench>[0] = {},
  contactPeriodMs = 1_000,
  cutsIgnored: Outlet['cutsIgnored'] = 'never',
) {
  const target = 'modbus://127.0.0.1/7';
  const plant = {
    supply: true,
    output: 1,
    stuck: false,
    isWelded: false,
    isBroken: false,
    byHand: false,
    tripped: 0,
  };
  const writes: number[] = [];
  const isIn = (): boolean => plant.supply && (plant.byHand || (plant.output === 1 && !plant.stuck));
  /** Of a welded contact the auxiliary one stays too, with or without supply; its wire may break. */
  const shows = (): boolean => !plant.isBroken && (plant.isWelded || isIn());
  let wasIn = true;
  /** Firmware that starts by itself when its power is back. */
  const settle = (): void => {
    if (isIn() === wasIn) return;
    wasIn = isIn();
    for (const miner of bench.miners.values()) {
      miner.hasPower = wasIn;
      miner.behaviour = wasIn ? 'good' : 'dead';
      miner.mode = wasIn ? 'mine' : 'sleep';
    }
  };
  const plc = makePlc({
    unit: 7,
    inputs: [
      { area: 'discrete', address: 1, words: () => [Number(shows())] },
      { area: 'discrete', address: 2, words: () => [plant.tripped] },
    ],
    onWrite: (_area, _address, value) => {
      plant.output = value;
      writes.push(value);
      settle();
    },
  });
  const bench = openBench({
    mode: 'mine',
    plc,
    plant: {
      points: [
        { id: 'k1-in', target, kind: 'discrete', address: 1, periodMs: contactPeriodMs },
        { id: 'q0-open', target, kind: 'discrete', address: 2 },
      ],
      protections: [
        { id: 'q0', node: 'main', input: 'q0-open', kind: 'breaker', autoRelease: true, releaseS: 5 },
      ],
      outlets: [
        { id: 'k1', node: 'r1', target, kind: 'coil', address: 9, input: 'k1-in', bootS: 10, cutsIgnored },
      ],
    },
    ...options,
  });
  const power = (supply: boolean): void => {
    plant.supply = supply;
    plant.tripped = Number(!supply);
    settle();
  };
  const want = (generation: number, wanted: Parameters<Bench['voice']['want']>[2]): void =>
    bench.voice.want('r1', generation, wanted, { expiresAtMs: bench.clock.wallMs() + 3_600_000 });
  return { bench, plc, plant, writes, power, want, settle };
}

export const open = (bench: Bench): readonly string[] => bench.voice.status?.openOutlets ?? [];
export const events = (bench: Bench): string[] =>
  bench.voice.events.map(({ code, subject, state }) => `${code} ${subject} ${state}`);

/** The supply of contacts and network fails: contacts read open, nobody answers, and everything goes on working. */
export const loseSupplyOfNetwork = ({ plant, bench }: ReturnType<typeof openRig>): void => {
  plant.isBroken = true;
  for (const miner of bench.miners.values()) miner.behaviour = 'dead';
};
