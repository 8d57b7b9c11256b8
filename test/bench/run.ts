import { allocatorFigure, controllerFigures, simFigure } from './deciding.ts';
import { deviceFigures } from './devices.ts';
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

const figures: Figure[] = [
  await yardstick(),
  ...(await frameFigures()),
  ...(await deviceFigures()),
  ...(await fleetFigures()),
  ...(await lineFigures()),
  await allocatorFigure(),
  ...(await controllerFigures()),
  await simFigure(),
];
if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(figures, undefined, 2)}\n`);
else {
  const cell = (value: number | null): string => (value === null ? '' : String(value));
  for (const { name, value, unit, goal, baseline, ratio } of figures) {
    const aims = goal === null ? '' : ` (goal ${goal}: ${value <= goal ? 'met' : 'missed'})`;
    const beside = baseline === null ? '' : `, baseline ${cell(baseline)}, ratio ${cell(ratio)}`;
    process.stdout.write(`${name}: ${value} ${unit}${aims}${beside}\n`);
  }
}
