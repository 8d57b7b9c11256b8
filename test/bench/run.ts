import { parseArgs } from 'node:util';

import { allocatorFigure, controllerFigures, simFigure } from './deciding.ts';
import { deviceFigures } from './devices.ts';
import { floorFigures } from './floor.ts';
import { frameFigures } from './frames.ts';
import { cpuUs, figure } from './measure.ts';
import { fleetFigures } from './meters.ts';
import { lineFigures } from './rtu.ts';
import type { Figure } from './measure.ts';

/** The same small work on every machine: what it costs more than elsewhere, the other figures cost more too. */
async function yardstick(): Promise<Figure> {
  const text = JSON.stringify({
    stats: Array.from({ length: 60 }, (_, at) => ({ [`key_${at}`]: at * 1.37 })),
  });
  const operations = 20_000;
  const us = await cpuUs({
    operations,
    run: () => {
      for (let done = 0; done < operations; done += 1) JSON.parse(text);
    },
  });
  return figure(`yardstick: JSON.parse of ${text.length} bytes`, 'us', us);
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    machines: { type: 'string', default: '20000' },
    warm: { type: 'string', default: '75' },
    seconds: { type: 'string', default: '60' },
  },
});
/** By the name that `--only` knows. */
const parts: Readonly<Record<string, () => Promise<readonly Figure[]>>> = {
  frames: frameFigures,
  devices: deviceFigures,
  meters: fleetFigures,
  lines: lineFigures,
  poller: () =>
    floorFigures({
      machines: Number(values.machines),
      warmS: Number(values.warm),
      measuredS: Number(values.seconds),
    }),
  deciding: async () => [await allocatorFigure(), ...(await controllerFigures()), await simFigure()],
};
if (values.only !== undefined && parts[values.only] === undefined) {
  process.stderr.write(`--only knows ${Object.keys(parts).join(', ')}\n`);
  process.exit(2);
}
const figures: Figure[] = [await yardstick()];
for (const [name, part] of Object.entries(parts))
  if (values.only === undefined || values.only === name) figures.push(...(await part()));
if (values.json) process.stdout.write(`${JSON.stringify(figures, undefined, 2)}\n`);
else {
  const cell = (value: number | null): string => (value === null ? '' : String(value));
  for (const { name, value, unit, goal, baseline, ratio } of figures) {
    const aims = goal === null ? '' : ` (goal ${goal}: ${value <= goal ? 'met' : 'missed'})`;
    const beside = baseline === null ? '' : `, baseline ${cell(baseline)}, ratio ${cell(ratio)}`;
    process.stdout.write(`${name}: ${value} ${unit}${aims}${beside}\n`);
  }
}
