/** How many passages are where: counted into a grid of cells, and shaded by how many a cell has. */
import type { Frame, Numbers } from "./frame";

export interface Grid {
  counts: Uint32Array;
  columns: number;
  rows: number;
  /** Side of a cell in CSS pixels. */
  cell: number;
  most: number;
}

export function gridOf(frame: Frame, cell: number): Grid {
  const columns = Math.max(1, Math.ceil(frame.width / cell));
  const rows = Math.max(1, Math.ceil(frame.height / cell));
  return { counts: new Uint32Array(columns * rows), columns, rows, cell, most: 0 };
}

/** Few points need large cells to be seen, many small ones to be told apart. */
export function cellFor(n: number): number {
  return n < 20_000 ? 3 : 2;
}

/** Count the points `from` up to `to`; those outside of the frame are left out. */
export function count(grid: Grid, frame: Frame, x: Numbers, y: Numbers, from: number, to: number): void {
  const { counts, columns, rows, cell } = grid;
  const scale = frame.scale / cell;
  const left = frame.width / 2 / cell - frame.x * scale;
  const top = frame.height / 2 / cell + frame.y * scale;
  let most = grid.most;
  for (let i = from; i < to; i++) {
    const column = Math.floor(left + (x[i] as number) * scale);
    const row = Math.floor(top - (y[i] as number) * scale);
    if (column < 0 || row < 0 || column >= columns || row >= rows) continue;
    const at = row * columns + column;
    const n = (counts[at] as number) + 1;
    counts[at] = n;
    if (n > most) most = n;
  }
  grid.most = most;
}

export type Colour = [red: number, green: number, blue: number];

/** How much a cell with one passage is covered at least: seen where cells have few, light where some have many. */
function faintest(most: number): number {
  return Math.max(30, 150 / Math.sqrt(most));
}

/** One colour, the more covering the more there are: by the logarithm, since a few cells have most. */
export function shade(grid: Grid, [red, green, blue]: Colour, into: Uint8ClampedArray): void {
  const alpha = new Uint8ClampedArray(Math.min(grid.most, 4096) + 1);
  for (let n = 1; n < alpha.length; n++) alpha[n] = covering(n, grid.most);
  for (let i = 0; i < grid.counts.length; i++) {
    const n = grid.counts[i] as number;
    into[4 * i] = red;
    into[4 * i + 1] = green;
    into[4 * i + 2] = blue;
    into[4 * i + 3] = n < alpha.length ? (alpha[n] as number) : covering(n, grid.most);
  }
}

function covering(n: number, most: number): number {
  const least = faintest(most);
  return least + ((255 - least) * Math.log(1 + n)) / Math.log(1 + most);
}
