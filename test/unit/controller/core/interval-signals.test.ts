import { expect, test } from 'vitest';
import { viewOf } from '../../../../controller/core/view.ts';
import { statusSchema } from '../../../../protocols/mqtt/status.ts';
import { screenLines } from '../../../../console/cli/screen.ts';
import { Plant } from './plant.ts';

const now = { wallMs: 1_145_000, monoMs: 0 };

/** What the consoles have of the interval under way, once the agent has said it. */
function shown(plant: Plant, interval: object, online = true) {
  const status = statusSchema.parse({
    v: 1,
    site: 'small',
    agent: 'a1',
    boot: 1,
    seq: 1,
    atMs: now.wallMs,
    online,
    nonce: 'n',
    phase: 'live',
    epoch: 1,
    racks: {},
    guarding: [],
    intervals: [{ meter: 'm-main', startMs: 1_000_000, endMs: 1_300_000, intervalMin: 5, ...interval }],
    spooled: 0,
    thinned: 0,
    dropped: 0,
    damaged: 0,
    keptFrom: { messages: 0, meters: 0, machines: 0 },
  });
  plant.take({ kind: 'status', status });
  const view = viewOf(plant.state, now);
  const screen = {
    columns: 200,
    rows: 30,
    nowMs: now.wallMs,
    state: '',
    stale: false,
    messages: [],
    prompt: '',
  };
  return {
    signal: view.signals.find(({ kind }) => kind === 'energy'),
    line: screenLines(view, screen).find(({ text }) => text.includes('m-main')),
  };
}

test('the interval under way is shown with its energy so far, at its end, and the time left', () => {
  const good = { quality: 'good', importWh: 241_666.7, endImportWh: 500_000 };
  const { signal, line } = shown(new Plant(), good);
  expect(signal).toMatchObject({
    source: 'm-main',
    text: 'interval of 5 min: 241.7 kWh so far, 500.0 kWh at its end if nothing changes (mean 6000.0 kW in)',
    quality: 'good',
    untilMs: 1_300_000,
  });
  expect(line?.style).toBe('normal');
  expect(line?.text).toContain('left');
});

test('what is not counted whole asks for attention, and what is not known has no number', () => {
  const plant = new Plant();
  const estimated = shown(plant, { quality: 'estimated', importWh: 1_000, exportWh: 0 });
  expect(estimated.signal).toMatchObject({
    text: 'interval of 5 min: 1.0 kWh in, 0.0 kWh out so far, what it comes to is not known; estimated',
    quality: 'held',
  });
  expect(estimated.line).toMatchObject({ style: 'warn' });
  expect(shown(plant, { quality: 'missing' }).signal?.text).toBe(
    'interval of 5 min: energy not known (missing)',
  );
});

test('of an agent that is off line it is what was heard last', () => {
  const plant = new Plant();
  shown(plant, { quality: 'good', importWh: 1_000, endImportWh: 2_000 });
  expect(shown(plant, { quality: 'good' }, false).signal).toMatchObject({
    text: expect.stringMatching(/1\.0 kWh so far.*when its agent was heard last$/u),
    quality: 'held',
  });
});
