import { expect, test } from 'vitest';
import type { Planned } from '../../proof/faults.ts';
import { runSeed } from '../../proof/harness.ts';
import { harnessSite } from '../../proof/site.ts';
import { defaultMisbehaviour } from '../../simulator/scenarios.ts';
import type { WorldChange } from '../../simulator/scenarios.ts';

const site = harnessSite(14, { outlets: true });
const [sound, welded] = site.outlets;

const world = (s: number, change: WorldChange): Planned => ({
  atMs: s * 1_000,
  happening: { kind: 'world', change },
  fault: undefined,
});
const price = (s: number, usdPerMwh: number): Planned => world(s, { kind: 'price', usdPerMwh });
const fails = (s: number, part: string | undefined, failed: boolean): Planned =>
  world(s, { kind: 'plant', part: part ?? '', failed });

/** Nobody misbehaves: in so small a site one machine is a rack. */
const calm = defaultMisbehaviour(site).map(({ machine }) =>
  world(0, { kind: 'machine', machine, behaviour: 'none' }),
);

test('racks that start by themselves lose their power: a contactor keeps one at rest, a welded one cannot', async () => {
  const mined: { readonly sound: boolean; readonly welded: boolean }[] = [];
  const run = await runSeed({
    seed: 3,
    hours: 0.15,
    machines: site.machines.length,
    site,
    timeline: [
      ...calm,
      price(0, 20),
      fails(110, welded?.id, true),
      fails(120, `q-${sound?.node}`, true),
      fails(120, `q-${welded?.node}`, true),
      price(125, 400),
      fails(180, `q-${sound?.node}`, false),
      fails(180, `q-${welded?.node}`, false),
      fails(300, welded?.id, false),
      price(380, 20),
    ],
    react: ({ modes }) => {
      const all = (machines: readonly number[] = []) => machines.every((one) => modes[one] === 'mine');
      mined.push({ sound: all(sound?.machines), welded: all(welded?.machines) });
      return [];
    },
  });
  expect(run.violations).toEqual([]);
  expect(mined[115]).toEqual({ sound: true, welded: true });
  // Power is back and nobody wants their work: one is not given it, the other one starts, is found and put to rest.
  const back = mined.slice(180, 380);
  expect(back.filter((one) => one.sound)).toEqual([]);
  expect(back.some((one) => one.welded)).toBe(true);
  expect(back.at(-1)?.welded).toBe(false);
  expect(mined.at(-1)).toEqual({ sound: true, welded: true });
});
