import { allocatorFigure, controllerFigures, simFigure } from './deciding.ts';
import { deviceFigures } from './devices.ts';
import { frameFigures } from './frames.ts';
import type { Figure } from './measure.ts';

const figures: Figure[] = [
  ...(await frameFigures()),
  ...(await deviceFigures()),
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
