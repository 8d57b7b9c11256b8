import { existsSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bounded,
  cellOf,
  computeApps,
  FrameAssembler,
  helpFields,
  HOT_FIELDS,
  loopGpu,
  PLAIN_FIELDS,
  powerOf,
  queryApps,
  rowOf,
  rowsOf,
  setLimit,
  usableFields,
} from '../../../../protocols/gpu/nvidia-smi.ts';
import type { Frame } from '../../../../protocols/gpu/nvidia-smi.ts';

describe('cells', () => {
  it.each([
    ['627.40', 627.4],
    ['627.40 W', 627.4],
    [' 40 % ', 40],
    ['0', 0],
    ['81559 MiB', 81_559],
    ['0x0000000000000004', 4],
  ])('%s is a number', (text, value) => expect(cellOf(text)).toEqual({ ok: true, value }));

  it.each([
    ['[N/A]', 'VALUE_MISSING'],
    ['N/A', 'VALUE_MISSING'],
    ['', 'VALUE_MISSING'],
    [undefined, 'VALUE_MISSING'],
    ['[Not Supported]', 'VALUE_MISSING'],
    ['[Function Not Found]', 'VALUE_MISSING'],
    ['[Requested functionality has been deprecated]', 'VALUE_MISSING'],
    ['[GPU is lost]', 'DEVICE_LOST'],
    ['[Unknown Error]', 'VALUE_INVALID'],
    ['ERR!', 'VALUE_INVALID'],
    ['[Insufficient Permissions]', 'VALUE_INVALID'],
    ['1e999', 'VALUE_INVALID'],
    ['NaN', 'VALUE_INVALID'],
    ['Infinity', 'VALUE_INVALID'],
    ['12 apples', 'VALUE_INVALID'],
  ])('%s is none: %s', (text, why) => expect(cellOf(text)).toMatchObject({ ok: false, why }));

  it('never throws and never makes a number of no digits', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const cell = cellOf(text);
        if (cell.ok) expect(text).toMatch(/\d/);
      }),
    );
  });

  it('takes power from instant, else average, else draw, and refuses the impossible', () => {
    expect(powerOf({ 'power.draw.instant': '70.1', 'power.draw.average': '80', 'power.draw': '90' })).toEqual(
      { ok: true, value: 70.1 },
    );
    expect(
      powerOf({ 'power.draw.instant': '[N/A]', 'power.draw.average': '80', 'power.draw': '90' }),
    ).toEqual({ ok: true, value: 80 });
    expect(
      powerOf({ 'power.draw.instant': '-3', 'power.draw.average': '[N/A]', 'power.draw': '90' }),
    ).toEqual({ ok: true, value: 90 });
    expect(powerOf({ 'power.draw': '627400' })).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
    expect(powerOf({})).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    expect(bounded({ ok: true, value: 5 }, 0, 4)).toMatchObject({ ok: false });
  });
});

describe('rows and lists', () => {
  it('refuses lines with another number of cells, such as messages', () => {
    expect(rowOf(['index', 'name'], '0, NVIDIA H100 80GB HBM3')).toEqual({
      index: '0',
      name: 'NVIDIA H100 80GB HBM3',
    });
    expect(rowOf(['index', 'name'], 'Unable to determine the device handle')).toBeUndefined();
    expect(rowOf(['index'], 'x'.repeat(10_000))).toBeUndefined();
    expect(rowsOf(['index', 'x'], '0, 1\nnoise\n\n-1, 2\n99, 3\n1, 4\n')).toHaveLength(2);
  });

  it('reads the list of known fields with aliases and asks only those', () => {
    const help =
      'List of valid properties:\n\n"index"\nText with "quotes" in it.\n\n"uuid" or "gpu_uuid"\n\n"power.draw"\n';
    expect([...helpFields(help)]).toEqual(['index', 'uuid', 'gpu_uuid', 'power.draw']);
    expect(usableFields(help)).toEqual(['index', 'uuid', 'power.draw']);
    expect(usableFields(undefined)).toBe(PLAIN_FIELDS);
    expect(usableFields('command not found')).toBe(PLAIN_FIELDS);
  });

  it('reads compute processes with commas in their names; one bad line makes the list unknown', () => {
    const apps = computeApps('GPU-1, 4711, 2566, C:\\a, b.exe\nGPU-2, 4712, [N/A], python3\n\n');
    expect(apps).toEqual([
      { gpuUuid: 'GPU-1', pid: 4_711, memoryMib: 2_566, name: 'C:\\a, b.exe' },
      { gpuUuid: 'GPU-2', pid: 4_712, memoryMib: undefined, name: 'python3' },
    ]);
    expect(computeApps('')).toEqual([]);
    expect(computeApps('GPU-1, [Insufficient Permissions], 1, x')).toBeUndefined();
    expect(computeApps('Failed to initialize NVML: Driver/library version mismatch')).toBeUndefined();
  });

  it('makes commands of plain words', () => {
    expect(loopGpu(['index'], 1_000)).toEqual([
      'nvidia-smi',
      '--query-gpu=index',
      '--format=csv,noheader,nounits',
      '--loop-ms=1000',
    ]);
    expect(setLimit(3, 249.6)).toEqual(['nvidia-smi', '-i', '3', '-pl', '250']);
    for (const word of [...loopGpu(HOT_FIELDS, 1), ...queryApps()])
      expect(word).toMatch(/^[A-Za-z0-9=,.:_/@%+-]+$/);
  });
});

describe('frames', () => {
  const feed = (expected: number | undefined, lines: readonly string[]): Frame[] => {
    const assembler = new FrameAssembler(['index', 'uuid'], expected);
    return lines.flatMap((line) => assembler.push(line) ?? []);
  };

  it('ends a frame at its last GPU when the number is known, else at the turn of the index', () => {
    expect(
      feed(2, ['0, a', '1, b', '0, a', '1, b']).map((frame) => [frame.rows.size, frame.complete]),
    ).toEqual([
      [2, true],
      [2, true],
    ]);
    expect(
      feed(undefined, ['0, a', '1, b', '0, a']).map((frame) => [frame.rows.size, frame.complete]),
    ).toEqual([[2, true]]);
    expect(feed(1, ['0, a', '0, a'])).toHaveLength(2);
  });

  it('shows a frame that lacks a GPU as incomplete, and passes over noise', () => {
    const frames = feed(3, ['0, a', 'GPU is lost.', '2, c', '0, a', '1, b', '', '2, c']);
    expect(frames.map((frame) => [[...frame.rows.keys()], frame.complete])).toEqual([
      [[0, 2], false],
      [[0, 1, 2], true],
    ]);
  });

  it('holds no more than the GPUs of one host whatever comes', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string(),
            fc.nat(300).map((index) => `${index}, x`),
          ),
          { maxLength: 300 },
        ),
        (lines) => {
          for (const frame of feed(8, lines)) expect(frame.rows.size).toBeLessThanOrEqual(64);
        },
      ),
    );
  });
});

/** A capture of a whole nvidia-smi run to check against, where one is at hand. */
const CAPTURE = process.env['SWITCHYARD_GPU_CAPTURE'] ?? '';

describe.skipIf(!existsSync(CAPTURE))('a captured H100', () => {
  const text = existsSync(CAPTURE) ? readFileSync(CAPTURE, 'utf8') : '';
  const lines = text.split('\n');

  it('knows every hot field, and its row reads as it was', () => {
    const from = text.indexOf('List of valid properties to query for the switch "--query-gpu"');
    const help = text.slice(from, text.indexOf('####', from));
    expect(usableFields(help)).toEqual(HOT_FIELDS);
    const at = lines.findIndex((line) => line.startsWith('# $ nvidia-smi --query-gpu='));
    const fields = (lines[at + 2] ?? '').split(', ').map((field) => field.replace(/ \[.*\]$/, ''));
    const row = rowOf(fields, lines[at + 3] ?? '');
    expect(row).toBeDefined();
    expect(powerOf(row ?? {})).toEqual({ ok: true, value: 69.62 });
    expect(cellOf(row?.['memory.used'])).toEqual({ ok: true, value: 0 });
    expect(cellOf(row?.['enforced.power.limit'])).toEqual({ ok: true, value: 700 });
    expect(cellOf(row?.['power.management'])).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
  });
});
