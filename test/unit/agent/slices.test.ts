/** A rack below a node that another agent guards: what holds while that one is not heard. */
import { afterEach, expect, test } from 'vitest';
import { all, makeBench, modes } from './bench.ts';
import type { Bench } from './bench.ts';

let bench: Bench | undefined;
afterEach(() => bench?.stop());

const MAIN = { id: 'main', kind: 'site' as const, capKw: 100, slices: { a1: 16 } };
const below = (): Bench =>
  makeBench({
    mode: 'sleep',
    count: 12,
    site: {
      agents: [
        { id: 'owner', nodes: ['main'] },
        { id: 'a1', nodes: ['r1'] },
      ],
      nodes: [MAIN, { id: 'r1', parent: 'main', kind: 'rack', capKw: 100 }],
    },
  });
/** The owner says a new nonce every second, and the controller passes it on. */
const heard = async (of: Bench, seconds: number): Promise<void> => {
  for (let s = 0; s < seconds; s += 1) {
    of.voice.others = { owner: `n${of.clock.monoMs()}` };
    await of.clock.advance(1_000);
  }
};
const awake = (of: Bench): number => modes(of).replaceAll('s', '').length;

test('while its owner is not heard, raises fit the slice; heard, they fit all', async () => {
  bench = below();
  await bench.clock.advance(8_000);
  bench.voice.want('r1', 1, all(bench, 'mine'));
  await bench.clock.advance(30_000);
  // 16 kW less half the margin, machines of 3.2 kW and those at rest.
  expect(awake(bench)).toBe(4);
  const refused = bench.voice.results.find(({ why }) => why === 'ENVELOPE_REFUSED');
  expect(refused?.detail).toMatch(
    /^main \(slice of it while 'owner' is not heard\): needs 3170 W, room \d+ W$/,
  );
  await heard(bench, 40);
  expect(awake(bench)).toBe(12);
  // Its last nonce said again and again is nobody's voice; past T2 the slice holds what is drawn too.
  await bench.clock.advance(25_000);
  expect(awake(bench)).toBe(12);
  await bench.clock.advance(30_000);
  expect(awake(bench)).toBeLessThanOrEqual(4);
  const said = bench.voice.events.find(({ code }) => code === 'CAP_EXCEEDED');
  expect(said?.text).toMatch(/by machines, 16 kW as long as 'owner', who guards it, is not heard/);
  bench.voice.want('r1', 2, all(bench, 'mine'));
  await heard(bench, 60);
  expect(awake(bench)).toBe(12);
});
