import { expect, test } from 'vitest';
import type { Effect } from '../../../controller/core/effects.ts';
import type { LedgerRecord } from '../../../controller/core/events.ts';
import { openLedger } from '../../../controller/ledger.ts';
import { Writing } from '../../../controller/writing.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { VirtualClock } from '../host/virtual-clock.ts';

test('lines of many records are written in pieces that a log takes: each once, in order, and none waits for ever', async () => {
  const clock = new VirtualClock();
  const disk = new MemoryDisk({ clock });
  const { ledger } = await openLedger(disk, 'ledger.log');
  const done: Effect[] = [];
  const writing = new Writing({
    ledger,
    clock,
    log: { error() {} },
    carryOut: (effects) => done.push(...effects),
    raise: () => [],
    clear: () => [],
  });
  // An agent's energy after an outage: fifty intervals a message. All that waits is more than a log takes at once.
  const word = (line: number, place: number): LedgerRecord => ({
    t: 'verified',
    atMs: line,
    commandId: `c-${line}-${place}`,
    node: 'main',
    expectedKw: 0,
    measuredKw: 0,
    ok: true,
  });
  const lines = Array.from({ length: 300 }, (_, line) =>
    Array.from({ length: 50 }, (_piece, place) => word(line, place)),
  );
  const told: Effect = { kind: 'report', event: { event: 'signal', signalId: 's', kind: 'k', source: 'a' } };
  disk.fail('sync', 'DISK_FAILED', 1e9);
  for (const records of lines) writing.write({ records, after: [told] });
  // What waits is told by its records: an agent keeps its next ones.
  expect(writing.isFull()).toBe(true);
  await clock.pass(3_000);
  expect(done).toEqual([]);
  disk.heal();
  for (let second = 0; second < 60; second += 1) await clock.pass(1_000);
  expect(done.length).toBe(lines.length);
  expect(writing.isFull()).toBe(false);
  const { records } = await openLedger(disk, 'ledger.log');
  expect(records).toEqual(lines.flat());
});
