/** Concepts on the canvas: a shape for each mark, larger for those that more passages have, and their names. */
import type { Shape } from "../../api/client";
import type { Trust } from "../../parts/mark";
import { type Frame, toScreen } from "./frame";
import { type Labelled, placeLabels, shortened } from "./labels";
import type { Palette } from "./palette";

type Concepts = Shape<"ConceptMap">;
type Context = CanvasRenderingContext2D;

const SMALLEST = 2;
const LARGEST = 7;
/** Pixels of the map for each name, so that a small map has few. */
const ROOM = 11_000;

/** Of the map in pixels, below which its points get smaller, down to the half. */
const WIDE = 900;

export function radiusOf(documentFrequency: number, most: number, width = WIDE): number {
  const size = Math.min(1, Math.max(0.5, width / WIDE));
  return size * (SMALLEST + (LARGEST - SMALLEST) * Math.sqrt(documentFrequency / Math.max(1, most)));
}

/** Shapes are drawn once each and copied: thousands of points take a few milliseconds. */
export class Shapes {
  private drawn = new Map<string, HTMLCanvasElement>();

  constructor(private readonly ratio: number) {}

  of(trust: Trust, radius: number, colour: string): HTMLCanvasElement {
    const r = Math.round(radius * 2) / 2;
    const key = `${trust} ${r} ${colour}`;
    let shape = this.drawn.get(key);
    if (!shape) {
      shape = document.createElement("canvas");
      shape.width = shape.height = Math.ceil((2 * r + 8) * this.ratio);
      const context = shape.getContext("2d");
      if (context) {
        context.scale(this.ratio, this.ratio);
        context.translate(r + 4, r + 4);
        drawShape(context, trust, r, colour);
      }
      this.drawn.set(key, shape);
    }
    return shape;
  }
}

/** As `Mark` draws them: a disc in a ring, a disc, half a disc, a ring, a dashed ring. */
function drawShape(context: Context, trust: Trust, r: number, colour: string): void {
  context.fillStyle = context.strokeStyle = colour;
  context.lineWidth = 1.2;
  const circle = (radius: number, part = 1) => {
    context.beginPath();
    context.arc(0, 0, radius, Math.PI / 2, Math.PI / 2 + 2 * Math.PI * part);
  };
  if (trust === "unscored") context.setLineDash([1.6, 1.4]);
  circle(r);
  if (trust === "holds" || trust === "confirmed") context.fill();
  else context.stroke();
  if (trust === "vague") {
    circle(r, 0.5);
    context.fill();
  }
  if (trust === "confirmed") {
    circle(r + 2);
    context.stroke();
  }
}

export interface Drawn {
  map: Concepts;
  /** Rows that are drawn, the largest first. */
  rows: number[];
  picked: (row: number) => boolean;
  /** The row that is pointed out, by the address or by the table. */
  spot: number | null;
  shapes: Shapes;
  colours: Palette;
  /** Points themselves, or only names, where passages are the points. */
  points: boolean;
}

export function drawConcepts(context: Context, frame: Frame, of: Drawn): void {
  const { map, rows, colours } = of;
  const most = Math.max(1, ...rows.slice(0, 1).map((i) => map.document_frequency[i] as number));
  const placed: { row: number; at: [number, number]; radius: number }[] = [];
  for (const row of rows) {
    const at = toScreen(frame, map.x[row] as number, map.y[row] as number);
    if (at[0] < -9 || at[1] < -9 || at[0] > frame.width + 9 || at[1] > frame.height + 9) continue;
    placed.push({ row, at, radius: radiusOf(map.document_frequency[row] as number, most, frame.width) });
  }
  if (of.points)
    for (const picked of [false, true]) {
      context.globalAlpha = picked ? 1 : 0.75;
      for (const { row, at, radius } of placed)
        if (of.picked(row) === picked) drawPoint(context, of, row, at, radius, picked ? colours.accent : colours.point);
    }
  context.globalAlpha = 1;
  drawNames(context, frame, of, placed);
  const spot = placed.find(({ row }) => row === of.spot);
  if (spot) {
    drawPoint(context, of, spot.row, spot.at, spot.radius, colours.accent);
    context.strokeStyle = colours.accent;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(...spot.at, spot.radius + 5, 0, 2 * Math.PI);
    context.stroke();
  }
}

function drawPoint(context: Context, of: Drawn, row: number, at: [number, number], radius: number, colour: string) {
  const shape = of.shapes.of(of.map.trust[row] as Trust, radius, colour);
  const side = 2 * (Math.round(radius * 2) / 2) + 8;
  context.drawImage(shape, at[0] - side / 2, at[1] - side / 2, side, side);
}

function drawNames(
  context: Context,
  frame: Frame,
  { map, colours }: Drawn,
  placed: { row: number; at: [number, number]; radius: number }[],
): void {
  context.font = `11px ${colours.font}`;
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  function* named(): Generator<Labelled> {
    for (const { row, at, radius } of placed) {
      const name = map.trust[row] === "none" ? null : map.name[row];
      if (name) yield { text: shortened(name), x: at[0], y: at[1], radius };
    }
  }
  const most = Math.ceil((frame.width * frame.height) / ROOM);
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = colours.back;
  context.fillStyle = colours.ink;
  for (const { text, x, y } of placeLabels(named(), (of) => widthOf(context, of), frame, most)) {
    context.strokeText(text, x, y - 3);
    context.fillText(text, x, y - 3);
  }
}

/** Measuring takes longer than drawing, and names are measured anew at each move. */
const widths = new Map<string, number>();
const MOST_WIDTHS = 50_000;

function widthOf(context: Context, text: string): number {
  let width = widths.get(text);
  if (width === undefined) {
    if (widths.size > MOST_WIDTHS) widths.clear();
    width = context.measureText(text).width;
    widths.set(text, width);
  }
  return width;
}
