/** Passages on the canvas, as a density that is counted in pieces, so that a million of them do not hold up the page. */
import { cellFor, count, type Grid, gridOf, shade } from "./density";
import type { Frame, Numbers } from "./frame";
import { rgb } from "./palette";

type Context = CanvasRenderingContext2D;

/** Points that are counted before the page may draw and react: about four milliseconds. */
const PIECE = 100_000;

export class Cloud {
  private frame: Frame | null = null;
  private colour = "";
  private grid: Grid | null = null;
  private done = 0;
  private finished: { frame: Frame; picture: HTMLCanvasElement } | null = null;

  constructor(
    private readonly x: Numbers,
    private readonly y: Numbers,
  ) {}

  /** Draw what is counted so far; true if there is more to count. */
  draw(context: Context, frame: Frame, colour: string): boolean {
    if (this.frame !== frame || this.colour !== colour || !this.grid) {
      this.grid = gridOf(frame, cellFor(this.x.length));
      [this.frame, this.colour, this.done] = [frame, colour, 0];
    }
    const from = this.done;
    if (from < this.x.length || this.finished?.frame !== frame) {
      this.done = Math.min(this.x.length, from + PIECE);
      count(this.grid, frame, this.x, this.y, from, this.done);
      if (this.done === this.x.length) this.finished = { frame, picture: pictureOf(this.grid, colour) };
    }
    if (this.finished) this.copy(context, this.finished, frame);
    return this.done < this.x.length;
  }

  /** The last whole picture, where it stands now: it moves with the map until the next one is whole. */
  private copy(context: Context, { frame, picture }: { frame: Frame; picture: HTMLCanvasElement }, now: Frame): void {
    const by = now.scale / frame.scale;
    const cell = cellFor(this.x.length) * by;
    const left = now.width / 2 + (frame.x - now.x) * now.scale - (frame.width / 2) * by;
    const top = now.height / 2 - (frame.y - now.y) * now.scale - (frame.height / 2) * by;
    context.imageSmoothingEnabled = by !== 1;
    context.drawImage(picture, left, top, picture.width * cell, picture.height * cell);
  }
}

function pictureOf(grid: Grid, colour: string): HTMLCanvasElement {
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [grid.columns, grid.rows];
  const pixels = new ImageData(grid.columns, grid.rows);
  shade(grid, rgb(colour), pixels.data);
  picture.getContext("2d")?.putImageData(pixels, 0, 0);
  return picture;
}
