import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { run as audit } from '../../../commands/audit.ts';
import { run as energy, newest, reportOf } from '../../../commands/energy.ts';
import { encodeRecord } from '../../../host/disklog-format.ts';
import type { IntervalEnergy } from '../../../protocols/mqtt/energy.ts';

const QUARTER_MS = 15 * 60_000;
/** The first quarter of the day on which Chicago's clocks go forward. */
const DAY_MS = Date.UTC(2026, 2, 8, 6);

const interval = (place: number, more: Partial<IntervalEnergy> = {}): IntervalEnergy => ({
  meter: 'm-main',
  revision: 1,
  startMs: DAY_MS + place * QUARTER_MS,
  endMs: DAY_MS + (place + 1) * QUARTER_MS,
  intervalMin: 15,
  timeZone: 'America/Chicago',
  quality: 'good',
  method: 'counter',
  importWh: 250_000,
  exportWh: 0,
  estimatedWh: 0,
  boundWh: 80,
  clock: { offsetMs: 20, boundMs: 30, errorWh: 28 },
  ...more,
});

/** A ledger with these lines, as a controller writes it. */
function ledgerOf(lines: readonly object[]): Uint8Array {
  const encoder = new TextEncoder();
  let head: Uint8Array = new Uint8Array(32);
  const parts = lines.map((line) => {
    const { bytes, hash } = encodeRecord(head, encoder.encode(JSON.stringify(line)));
    head = hash;
    return bytes;
  });
  return Buffer.concat([...parts, encodeRecord(head, new Uint8Array()).bytes]);
}

const lineOf = (one: IntervalEnergy): object => ({
  t: 'energy',
  atMs: one.endMs,
  agent: 'a1',
  interval: one,
});

describe('the last word on every interval', () => {
  it('is its newest revision, whatever came last; what stands nowhere is missing, not nothing', () => {
    const found = newest([
      interval(3),
      interval(0, { revision: 2, importWh: 240_000 }),
      interval(0, { importWh: 9 }),
      interval(0, { meter: 'm-2' }),
    ]);
    expect(
      found.map(({ meter, startMs, revision }) => [meter, (startMs - DAY_MS) / QUARTER_MS, revision]),
    ).toEqual([
      ['m-main', 0, 2],
      ['m-main', 1, 0],
      ['m-main', 2, 0],
      ['m-main', 3, 1],
      ['m-2', 0, 1],
    ]);
    expect(found[1]).toMatchObject({ quality: 'missing', endMs: DAY_MS + 2 * QUARTER_MS });
    expect(found[1]).not.toHaveProperty('importWh');
  });

  it('of a day on which the clocks go forward are 92', () => {
    const day = newest([interval(-1), interval(92)]).filter(({ startMs }) => startMs >= DAY_MS);
    expect(day).toHaveLength(93);
  });
});

describe('./switchyard energy', () => {
  const ledger = ledgerOf([
    { t: 'start', schema: 1, atMs: 0, site: 's', epoch: 1 },
    lineOf(interval(-1, { settledImportWh: 252_500 })),
    lineOf(interval(0, { quality: 'missing', why: 'its end is not counted, yet' })),
    lineOf(interval(0, { revision: 2, quality: 'estimated', estimatedWh: 5_000 })),
    lineOf(interval(1)),
  ]);

  it('gives a day of the market as JSON, with its sums', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'energy-')), 'ledger.log');
    writeFileSync(path, ledger);
    const { stdout, status } = spawnSync(
      process.execPath,
      ['switchyard.ts', 'energy', path, '--from', '2026-03-08', '--to', '2026-03-09', '--json'],
      { encoding: 'utf8' },
    );
    expect(status).toBe(0);
    const { intervals, sums } = JSON.parse(stdout) as { intervals: IntervalEnergy[]; sums: object };
    expect(intervals).toEqual([
      interval(0, { revision: 2, quality: 'estimated', estimatedWh: 5_000 }),
      interval(1),
    ]);
    expect(sums).toMatchObject({
      'm-main': { intervals: 2, missing: 0, importWh: 500_000, estimatedWh: 5_000 },
    });
  });

  it('counts an interval once in its sums, also where every revision of it is shown', () => {
    const { intervals, sums } = JSON.parse(reportOf(ledger, { json: true, revisions: true })) as {
      intervals: IntervalEnergy[];
      sums: object;
    };
    expect(intervals).toHaveLength(4);
    expect(sums).toMatchObject({ 'm-main': { intervals: 3, missing: 0, importWh: 750_000 } });
    expect(reportOf(ledger, { revisions: true })).toContain('m-main: 3 intervals, 0 missing; import 750.000');
  });

  it('gives CSV and a table with local times', () => {
    const lines = reportOf(ledger, { csv: true, revisions: true }).trim().split('\n');
    expect(lines).toHaveLength(5);
    expect(lines[1]).toContain(
      '2026-03-08T05:45:00.000Z,2026-03-08T06:00:00.000Z,2026-03-07T23:45-06:00,1,good',
    );
    expect(lines[2]).toContain('"its end is not counted, yet"');
    expect(reportOf(ledger, {})).toMatch(
      /2026-03-08T00:00-06:00 +250\.000 +0\.000 +250\.000 +± 0\.108 +estimated, revision 2/,
    );
  });

  it('refuses a ledger that was changed, one without a revenue meter, and a time it does not understand', () => {
    const changed = Buffer.from(ledger);
    changed.write('7', changed.indexOf('250000'));
    expect(() => reportOf(changed, {})).toThrow('LEDGER_BROKEN');
    expect(() => reportOf(ledger, { from: 'monday' })).toThrow('USAGE');
    expect(() => reportOf(ledgerOf([{ t: 'start' }]), {})).toThrow('no intervals');
    expect(() => reportOf(Buffer.from('# Switchyard\n'.repeat(9)), {})).toThrow('it is no ledger');
  });

  it('a file that is not there, or is something else, is said to be so: by audit too', async () => {
    for (const run of [(file: string) => energy([file]), (file: string) => audit(['verify', file])]) {
      await expect(run(join(tmpdir(), 'no-such-ledger.log'))).rejects.toThrow('USAGE');
      await expect(run(fileURLToPath(import.meta.url))).rejects.toThrow('LEDGER_BROKEN');
    }
  });
});
