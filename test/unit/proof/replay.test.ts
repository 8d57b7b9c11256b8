import { expect, test } from 'vitest';
import type { Planned } from '../../../proof/faults.ts';
import { runSeed } from '../../../proof/harness.ts';
import { Recorder } from '../../../proof/recorder.ts';
import { lineText, parseTimeline, replay } from '../../../proof/replay.ts';

/** A limit that no site can hold, because something always draws: a violation by arrangement. */
const IMPOSSIBLE: readonly Planned[] = [
  {
    atMs: 20_000,
    happening: {
      kind: 'world',
      change: { kind: 'utility-limit', limitKw: 1, deadlineS: 0, event: 'emergency' },
    },
    fault: undefined,
  },
];

test('what was violated is written down, and the file shows it again, step by step', async () => {
  const found = await runSeed({
    seed: 9,
    hours: 0.1,
    machines: 10,
    timeline: IMPOSSIBLE,
    stopAtViolation: true,
  });
  expect(found.violations.map((one) => one.invariant)).toEqual(['limit']);
  const text = (found.timeline ?? []).map((line) => JSON.stringify(line)).join('\n');
  const timeline = parseTimeline(`${text}\n`);
  expect(timeline.found).toEqual({ t: 'violation', ...found.violations[0] });

  const lines: string[] = [];
  const again = await replay(timeline, (line) => lines.push(lineText(line)));
  expect(again.violations).toEqual(found.violations);
  expect(again.hash).toBe(found.hash);
  expect(lines.at(-1)).toMatch(/VIOLATED {3}limit/u);
  for (const kind of ['HAPPENS    world', 'truth', 'signal', 'acknowledged'])
    expect(
      lines.some((line) => line.includes(kind)),
      kind,
    ).toBe(true);
});

test('only the last minutes are kept, everything planned is', () => {
  const recorder = new Recorder();
  for (let s = 0; s <= 1_000; s += 1) recorder.add({ t: 'truth', atMs: s * 1_000, nodeKw: [] });
  const lines = recorder.timeline({ t: 'run', v: 1, seed: 1, hours: 1, machines: 1 }, IMPOSSIBLE, []);
  expect(lines.map((line) => line.t).slice(0, 3)).toEqual(['run', 'planned', 'truth']);
  expect(lines[2]).toMatchObject({ atMs: 700_000 });
  expect(lines.at(-1)).toMatchObject({ atMs: 1_000_000 });
  for (let place = 0; place < 50_000; place += 1) recorder.add({ t: 'truth', atMs: 1_000_001, nodeKw: [] });
  const many = recorder.timeline({ t: 'run', v: 1, seed: 1, hours: 1, machines: 1 }, [], []);
  expect(many).toHaveLength(20_001);
});

test('what is no timeline is refused', () => {
  expect(() => parseTimeline('{"t":"event"}\n')).toThrow(/no timeline/u);
  expect(() => parseTimeline('<html>\n')).toThrow(/line 1 is no JSON/u);
});
