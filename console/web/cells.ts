import { isOnTheWay } from '../format.ts';
import type { Stage } from '../../protocols/console/view.ts';
import type { Mode } from '../../protocols/reading.ts';

/** Where one machine is drawn, CSS pixels. */
export interface Cell {
  readonly x: number;
  readonly y: number;
  readonly size: number;
}

interface Look {
  readonly mode: Mode | 'unknown';
  readonly stage: Stage;
  readonly colour: (name: string) => string;
}

/**
 * One machine as a shape: full square mining, full disc AI, ring idle, frame asleep, crossed frame off, hatched
 * unknown; a frame around it while it is on the way, a thick one when it failed. Colour only adds to that.
 */
export function drawCell(context: CanvasRenderingContext2D, cell: Cell, { mode, stage, colour }: Look): void {
  const inset = cell.size < 8 ? 0.5 : cell.size * 0.16;
  const box = { x: cell.x + inset, y: cell.y + inset, size: cell.size - 2 * inset };
  drawMode(context, box, mode, colour);
  const failed = stage === 'failed';
  if (!failed && !isOnTheWay(stage)) return;
  context.strokeStyle = colour(failed ? 'alarm' : 'info');
  context.lineWidth = failed ? Math.max(2, cell.size * 0.14) : Math.max(1, cell.size * 0.09);
  context.strokeRect(cell.x + 1, cell.y + 1, cell.size - 2, cell.size - 2);
  if (!failed) return;
  context.beginPath();
  context.moveTo(cell.x + 2, cell.y + 2);
  context.lineTo(cell.x + cell.size - 2, cell.y + cell.size - 2);
  context.stroke();
}

function drawMode(
  context: CanvasRenderingContext2D,
  box: Cell,
  mode: Mode | 'unknown',
  colour: (name: string) => string,
): void {
  const { x, y, size } = box;
  context.lineWidth = Math.max(1, size * 0.12);
  if (mode === 'mine') {
    context.fillStyle = colour('fill');
    context.fillRect(x, y, size, size);
  } else if (mode === 'ai' || mode === 'idle') {
    context.beginPath();
    context.arc(
      x + size / 2,
      y + size / 2,
      size / 2 - (mode === 'idle' ? context.lineWidth / 2 : 0),
      0,
      2 * Math.PI,
    );
    context.fillStyle = colour('plan');
    context.strokeStyle = colour('fill');
    if (mode === 'ai') context.fill();
    else context.stroke();
  } else if (mode === 'unknown') hatch(context, box, colour('warn'));
  else {
    const half = context.lineWidth / 2;
    context.strokeStyle = colour('fill2');
    context.strokeRect(x + half, y + half, size - 2 * half, size - 2 * half);
    if (mode === 'sleep') {
      context.fillStyle = colour('fill2');
      context.fillRect(x + size * 0.36, y + size * 0.36, size * 0.28, size * 0.28);
    } else
      strokes(context, [
        [x, y, x + size, y + size],
        [x + size, y, x, y + size],
      ]);
  }
}

function hatch(context: CanvasRenderingContext2D, { x, y, size }: Cell, colour: string): void {
  context.strokeStyle = colour;
  context.lineWidth = Math.max(1, size * 0.08);
  strokes(context, [
    [x, y + size, x + size, y],
    [x, y + size / 2, x + size / 2, y],
    [x + size / 2, y + size, x + size, y + size / 2],
  ]);
  context.strokeRect(x, y, size, size);
}

function strokes(
  context: CanvasRenderingContext2D,
  lines: readonly (readonly [number, number, number, number])[],
): void {
  context.beginPath();
  for (const [fromX, fromY, toX, toY] of lines) {
    context.moveTo(fromX, fromY);
    context.lineTo(toX, toY);
  }
  context.stroke();
}
