import { harnessSite } from '../../../proof/site.ts';
import { Judge } from '../../../proof/invariants.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { WallClocks } from '../../../proof/wall-clocks.ts';
import type { Desired } from '../../../protocols/mqtt/desired.ts';
import type { Result } from '../../../protocols/mqtt/status.ts';
import type { Truth } from '../../../simulator/world.ts';

export const site = harnessSite(50);
export const capW = (site.nodes[0]?.capKw ?? 0) * 1_000;

export const truth = (rootW: number, changes: Partial<Truth> = {}): Truth => ({
  nodeW: site.nodes.map((node) => (node.index === 0 ? rootW : 0)),
  auxiliaryW: site.nodes.map(() => 0),
  machineW: site.machines.map(() => 0),
  modes: site.machines.map(() => 'mine'),
  stateCalls: site.machines.map(() => 0),
  doubleOwned: 0,
  generationW: 0,
  ...changes,
});

export const BECAUSE = { owner: 'price', rule: '', text: '' } as const;
export const fail = (): never => {
  throw new Error('there is none');
};

export const desired = (generation: number, expiresAtMs: number): Desired => ({
  v: 1,
  site: site.id,
  rack: 'r1',
  epoch: 1,
  generation,
  commandId: `c-${generation}`,
  issuedAtMs: 0,
  expiresAtMs,
  urgent: false,
  machines: {},
});

export const result = (generation: number, atMs: number, ms = 0): Result => ({
  v: 1,
  site: site.id,
  agent: 'a1',
  boot: 1,
  seq: 1,
  rack: 'r1',
  results: [
    {
      commandId: `c-${generation}`,
      epoch: 1,
      generation,
      machine: 'r1-01',
      verb: 'sleep',
      stage: 'acknowledged',
      ms,
      atMs,
    },
  ],
});

/** A judge whose clocks are right and stand at an hour after the start; `unreachable`: since when. */
export const judgeOf = (
  unreachable: ReadonlyMap<number, number> = new Map(),
  settings: Readonly<Record<number, Readonly<Record<string, string | number>>>> = {},
  of = site,
): Judge =>
  new Judge(of, new WallClocks(0, () => 3_600_000), {
    unreachable,
    misbehaves: () => false,
    powered: () => true,
    settings: (machine) => settings[machine] ?? {},
    clock: new VirtualClock({ startWallMs: 0 }),
  });

/** Published and received. */
export function given(judge: Judge, document: Desired): void {
  judge.desired(document, true, 0);
  judge.received(document);
}

export const names = (judge: Judge): string[] => judge.violations.map((violation) => violation.invariant);
