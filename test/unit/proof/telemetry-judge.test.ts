import { describe, expect, test } from 'vitest';
import { TelemetryJudge } from '../../../proof/telemetry-judge.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { WallClocks } from '../../../proof/wall-clocks.ts';
import type { Frame } from '../../../protocols/mqtt/frame.ts';

const frame = (seq: number, tickMs = seq * 1_000): Frame => ({
  site: 's',
  agent: 'a1',
  boot: 1,
  seq,
  tickMs,
  group: 'meters',
  rows: [],
  cells: [],
});

class Bench {
  readonly clock = new VirtualClock({ startWallMs: 0 });
  readonly found: string[] = [];
  readonly judge = new TelemetryJudge(
    this.clock,
    new WallClocks(0, () => this.clock.monoMs()),
    (invariant, _atMs, text) => this.found.push(`${invariant}: ${text}`),
    () => undefined,
  );

  constructor() {
    this.judge.started('a1', 1);
  }

  /** Each frame at its time, as new. */
  async say(seqs: readonly number[], store = this.judge.store(() => true)): Promise<void> {
    for (const seq of seqs) {
      void store.put([frame(seq)], false);
      await this.clock.advance(1_000);
    }
  }

  end(): string[] {
    this.judge.end(this.clock.monoMs());
    return this.found;
  }
}

const upTo = (most: number): number[] => Array.from({ length: most }, (_, seq) => seq);

describe('the judge of telemetry', () => {
  test('is content when everything came once and in order', async () => {
    const bench = new Bench();
    await bench.say(upTo(60));
    expect(bench.end()).toEqual([]);
  });

  test('sees a number that never came, and forgives one that is announced', async () => {
    const bench = new Bench();
    await bench.say(upTo(60).filter((seq) => seq !== 20));
    expect(bench.end()).toEqual(['telemetry: meters 20 of start a1 1 never came']);
    const honest = new Bench();
    await honest.say(upTo(60).filter((seq) => seq !== 20));
    honest.judge.status({
      v: 1,
      site: 's',
      agent: 'a1',
      boot: 1,
      seq: 1,
      atMs: 0,
      online: true,
      nonce: '',
      phase: 'live',
      epoch: 1,
      racks: {},
      guarding: [],
      spooled: 0,
      thinned: 0,
      dropped: 1,
      damaged: 0,
      keptFrom: { messages: 0, meters: 0, machines: 0 },
    });
    expect(honest.end()).toEqual([]);
  });

  test('sees what is stored twice, changed, or out of its order', async () => {
    const bench = new Bench();
    const store = bench.judge.store(() => true);
    await bench.say([0, 1, 3, 2], store);
    await bench.say([1], store);
    void bench.judge.store(() => true).put([frame(2, 2_001)], true);
    await bench.clock.advance(10);
    expect(bench.found).toEqual([
      'telemetry: a1 1 meters 2 came out of its order',
      'telemetry: a1 1 meters 1 was stored twice',
      'telemetry: a1 1 meters 2 came again and is another',
    ]);
  });

  test('lets another controller store again what a dead one had; a dead one stores nothing', async () => {
    const bench = new Bench();
    await bench.say(upTo(10));
    let alive = true;
    void bench.judge.store(() => alive).put([frame(10)], false);
    alive = false;
    await bench.clock.advance(1_000);
    await bench.say([8, 9, 11, 12]);
    expect(bench.end()).toEqual(['telemetry: meters 10 of start a1 1 never came']);
  });

  test('forgives a killed agent its last moment, not what it had for longer', async () => {
    const bench = new Bench();
    await bench.say(upTo(40));
    await bench.clock.advance(10_000);
    bench.judge.killed('a1', 1);
    expect(bench.end()).toEqual([]);
    const late = new Bench();
    await late.say(upTo(40));
    await late.clock.advance(25_000);
    late.judge.killed('a1', 1);
    expect(late.end()).toEqual(['telemetry: of start a1 1 nothing came of its last 26 s']);
  });

  test('sees that nothing comes any more', async () => {
    const bench = new Bench();
    await bench.say(upTo(10));
    await bench.clock.advance(60_000);
    expect(bench.end()).toEqual(['telemetry: nothing came of a1 for 61 s']);
  });

  test('knows two agents apart whose starts have the same number', async () => {
    const bench = new Bench();
    bench.judge.started('a2', 1);
    const store = bench.judge.store(() => true);
    for (const seq of upTo(60)) {
      void store.put([frame(seq)], false);
      // The other one's numbers are its own: what it lacks, the first one does not have for it.
      if (seq !== 30) void store.put([{ ...frame(seq), agent: 'a2' }], false);
      await bench.clock.advance(1_000);
    }
    expect(bench.end()).toEqual(['telemetry: meters 30 of start a2 1 never came']);
  });

  test('sees that nothing comes any more of one of two agents', async () => {
    const bench = new Bench();
    bench.judge.started('a2', 1);
    await bench.say(upTo(60));
    expect(bench.end()).toEqual(['telemetry: nothing came of a2 for 60 s']);
  });
});
