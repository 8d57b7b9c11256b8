import type { ConsoleView, MachineView } from '../../protocols/console/view.ts';
import type { Mode } from '../../protocols/reading.ts';
import { MODE_NAMES, byRack, isOnTheWay, powerText, shownMode } from '../format.ts';
import { drawCell } from './cells.ts';
import { brushOf, make, part, say, themeColours } from './dom.ts';

const MODES_SHOWN: readonly (Mode | 'unknown')[] = ['mine', 'ai', 'idle', 'sleep', 'off', 'unknown'];
const SIZES = [26, 22, 19, 16, 14, 12, 10, 8, 7, 6, 5, 4];

interface Placed {
  readonly machine: MachineView;
  readonly x: number;
  readonly y: number;
}

interface RackBox {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

interface Layout {
  readonly size: number;
  readonly label: number;
  readonly height: number;
  readonly racks: readonly RackBox[];
  readonly cells: readonly Placed[];
}

/** Every machine as a cell, by rack. */
export interface Floor {
  draw(view: ConsoleView): void;
  readonly selected: string | undefined;
  select(id: string | undefined): void;
}

/** `onSelect`: a machine was chosen by pointer, key or name. */
export function makeFloor(onSelect: (id: string) => void): Floor {
  const canvas = part('cells', HTMLCanvasElement);
  let selected: string | undefined;
  let hovered: string | undefined;
  let view: ConsoleView | undefined;
  let layout: Layout | undefined;
  const draw = (): void => {
    if (view === undefined) return;
    layout = layOut(view.machines, canvas.clientWidth);
    canvas.style.height = `${layout.height}px`;
    paint(canvas, layout, selected);
    read(view.machines.find((machine) => machine.id === (hovered ?? selected)));
    drawLegend(view.machines);
  };
  const choose = (id: string): void => {
    selected = id;
    draw();
    onSelect(id);
  };
  const at = (event: MouseEvent): Placed | undefined => cellAt(layout, event);
  canvas.addEventListener('pointermove', (event) => {
    const over = at(event)?.machine.id;
    if (over === hovered) return;
    hovered = over;
    read(view?.machines.find((machine) => machine.id === (hovered ?? selected)));
  });
  canvas.addEventListener('pointerleave', () => {
    hovered = undefined;
  });
  canvas.addEventListener('click', (event) => {
    const hit = at(event);
    if (hit !== undefined) choose(hit.machine.id);
  });
  canvas.addEventListener('keydown', (event) => {
    if (layout === undefined) return;
    const next =
      event.key === 'Enter' || event.key === ' ' ? selected : neighbour(layout.cells, selected, event.key);
    if (next === undefined) return;
    event.preventDefault();
    choose(next);
  });
  const find = part('find', HTMLInputElement);
  find.addEventListener('input', () => {
    const found = findMachine(view?.machines ?? [], find.value.trim().toLowerCase());
    if (found !== undefined) choose(found.id);
  });
  return {
    draw: (next) => {
      view = next;
      draw();
    },
    get selected() {
      return selected;
    },
    select: (id) => {
      selected = id;
      draw();
    },
  };
}

function cellAt(layout: Layout | undefined, event: MouseEvent): Placed | undefined {
  if (layout === undefined) return undefined;
  const { offsetX, offsetY } = event;
  const { size } = layout;
  return layout.cells.find(
    ({ x, y }) => offsetX >= x && offsetX < x + size && offsetY >= y && offsetY < y + size,
  );
}

/** By whole name, else the first whose name begins so or whose rack is called so. */
function findMachine(machines: readonly MachineView[], wanted: string): MachineView | undefined {
  if (wanted === '') return undefined;
  const exact = machines.find((machine) => machine.id.toLowerCase() === wanted);
  const begins = (machine: MachineView): boolean =>
    machine.id.toLowerCase().startsWith(wanted) || machine.rack.toLowerCase() === wanted;
  return exact ?? machines.find(begins);
}

function read(machine: MachineView | undefined): void {
  const text =
    machine === undefined
      ? 'Point at a machine, or use the arrow keys.'
      : `${machine.id} · ${machine.model} · ${MODE_NAMES[shownMode(machine)].name}${machine.wanted !== null && machine.wanted !== machine.mode ? ` → ${MODE_NAMES[machine.wanted].name} (${machine.stage})` : ''} · ${powerText(machine.powerW)} · owner ${machine.owner}`;
  say(part('cell-read', HTMLElement), text);
}

/** The largest cells that keep the floor within about one screen. */
function layOut(machines: readonly MachineView[], width: number): Layout {
  const wide = Math.max(width, 200);
  const heightMax = Math.max(260, window.innerHeight * 0.62);
  const biggest = wide > 1_500 ? 34 : 26;
  const sizes = [biggest, ...SIZES.filter((size) => size < biggest)];
  let layout = placeAll(machines, wide, sizes[0] ?? 26);
  for (const size of sizes.slice(1)) {
    if (layout.height <= heightMax) break;
    layout = placeAll(machines, wide, size);
  }
  return layout;
}

interface Box {
  readonly id: string;
  readonly members: readonly MachineView[];
  readonly columns: number;
  readonly width: number;
  readonly height: number;
}

function placeAll(machines: readonly MachineView[], width: number, size: number): Layout {
  const label = Math.max(11, Math.min(16, size * 0.8));
  const gap = Math.max(6, size * 0.6);
  const most = Math.max(1, Math.floor(width / size));
  const boxes = [...byRack(machines)].map(([id, members]): Box => {
    const wanted = Math.max(Math.ceil(Math.sqrt(members.length * 2.2)), Math.ceil((label * 3.2) / size));
    const columns = Math.min(most, wanted);
    return {
      id,
      members,
      columns,
      width: columns * size,
      height: label + 4 + Math.ceil(members.length / columns) * size,
    };
  });
  const widest = boxes.reduce((max, box) => Math.max(max, box.width), size);
  const perRow = Math.max(1, Math.min(boxes.length, Math.floor((width + gap) / (widest + gap))));
  // Columns of racks line up and use the whole width.
  const pitch = perRow === 1 ? 0 : Math.min(widest * 1.6, (width - widest) / (perRow - 1));
  const racks: RackBox[] = [];
  const cells: Placed[] = [];
  let y = 0;
  for (let first = 0; first < boxes.length; first += perRow) {
    const row = boxes.slice(first, first + perRow);
    row.forEach((box, at) => {
      const x = Math.floor(at * pitch);
      racks.push({ id: box.id, x, y, width: box.width });
      box.members.forEach((machine, place) => {
        const down = Math.floor(place / box.columns);
        cells.push({ machine, x: x + (place % box.columns) * size, y: y + label + 4 + down * size });
      });
    });
    y += row.reduce((max, box) => Math.max(max, box.height), 0) + gap;
  }
  return { size, label, height: Math.ceil(Math.max(0, y - gap) + 2), racks, cells };
}

function paint(canvas: HTMLCanvasElement, layout: Layout, selected: string | undefined): void {
  const brush = brushOf(canvas);
  if (brush === undefined) return;
  const { context } = brush;
  const colour = themeColours();
  context.font = `${layout.label}px system-ui, sans-serif`;
  context.textBaseline = 'top';
  context.fillStyle = colour('muted');
  for (const rack of layout.racks) context.fillText(rack.id, rack.x + 1, rack.y, rack.width);
  for (const { machine, x, y } of layout.cells) {
    drawCell(
      context,
      { x, y, size: layout.size },
      { mode: shownMode(machine), stage: machine.stage, colour },
    );
    if (machine.id !== selected) continue;
    context.strokeStyle = colour('focus');
    context.lineWidth = Math.max(2, layout.size * 0.12);
    context.strokeRect(x, y, layout.size, layout.size);
  }
}

/** Left and right along the list; up and down to the nearest cell in that direction. */
function neighbour(cells: readonly Placed[], selected: string | undefined, key: string): string | undefined {
  const at = cells.findIndex(({ machine }) => machine.id === selected);
  const now = cells[at];
  if (!['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End'].includes(key)) return undefined;
  if (now === undefined || key === 'Home') return cells[0]?.machine.id;
  if (key === 'End') return cells.at(-1)?.machine.id;
  if (key === 'ArrowLeft') return cells[at - 1]?.machine.id ?? now.machine.id;
  if (key === 'ArrowRight') return cells[at + 1]?.machine.id ?? now.machine.id;
  const down = key === 'ArrowDown';
  let best = now;
  let bestCost = Number.POSITIVE_INFINITY;
  for (const cell of cells) {
    const dy = down ? cell.y - now.y : now.y - cell.y;
    if (dy <= 0) continue;
    const cost = dy * 4 + Math.abs(cell.x - now.x);
    if (cost < bestCost) {
      best = cell;
      bestCost = cost;
    }
  }
  return best.machine.id;
}

function drawLegend(machines: readonly MachineView[]): void {
  const legend = part('legend', HTMLElement);
  const counts = new Map<string, number>();
  const add = (name: string): void => {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  };
  for (const machine of machines) {
    add(shownMode(machine));
    if (machine.stage === 'failed') add('failed');
    else if (isOnTheWay(machine.stage)) add('on the way');
  }
  const entries = [...MODES_SHOWN, 'on the way', 'failed'] as const;
  const colour = themeColours();
  entries.forEach((entry, at) => {
    let item = legend.children[at];
    if (item === undefined) {
      item = make(
        'span',
        {},
        make('canvas', { attrs: { 'aria-hidden': 'true' } }),
        make('b'),
        entry === 'on the way' || entry === 'failed' ? entry : MODE_NAMES[entry].name,
      );
      legend.append(item);
    }
    const [swatch, count] = [...item.children];
    if (count instanceof HTMLElement) say(count, String(counts.get(entry) ?? 0));
    item.classList.toggle(
      'warn',
      (entry === 'failed' || entry === 'unknown') && (counts.get(entry) ?? 0) > 0,
    );
    const brush = swatch instanceof HTMLCanvasElement ? brushOf(swatch) : undefined;
    if (brush === undefined) return;
    drawCell(
      brush.context,
      { x: 0, y: 0, size: Math.min(brush.width, brush.height) },
      {
        mode: entry === 'on the way' || entry === 'failed' ? 'mine' : entry,
        stage: entry === 'on the way' ? 'sent' : entry === 'failed' ? 'failed' : 'steady',
        colour,
      },
    );
  });
}
