/** A box on the map: how an address writes it, and what is in it. */
import type { Box, Numbers } from "./frame";

/** The box of two corners in any order. */
export function boxOf([ax, ay]: [number, number], [bx, by]: [number, number]): Box {
  return { x0: Math.min(ax, bx), y0: Math.min(ay, by), x1: Math.max(ax, bx), y1: Math.max(ay, by) };
}

/** "x0,y0,x1,y1"; null if it is none. */
export function readBox(text: string | null): Box | null {
  const numbers = (text ?? "").split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (numbers.length !== 4 || !numbers.every(Number.isFinite)) return null;
  const [ax, ay, bx, by] = numbers as [number, number, number, number];
  return boxOf([ax, ay], [bx, by]);
}

/** The box of four texts; null where they make none. */
export function boxOfText(text: Record<keyof Box, string>): Box | null {
  const box = readBox([text.x0, text.y0, text.x1, text.y1].join(","));
  return box && Number(text.x0) < Number(text.x1) && Number(text.y0) < Number(text.y1) ? box : null;
}

/** As exact as a screen is. */
export function writeBox(box: Box): string {
  const size = Math.max(box.x1 - box.x0, box.y1 - box.y0, 1e-9);
  const digits = Math.min(9, Math.max(0, 3 - Math.floor(Math.log10(size))));
  return [box.x0, box.y0, box.x1, box.y1].map((value) => Number(value.toFixed(digits))).join(",");
}

export function isIn(box: Box, x: number, y: number): boolean {
  return x >= box.x0 && x <= box.x1 && y >= box.y0 && y <= box.y1;
}

/** Indices of the points in a box, `most` of them; and how many there are. */
export function inBox(box: Box, x: Numbers, y: Numbers, most: number): { first: number[]; n: number } {
  const first: number[] = [];
  let n = 0;
  for (let i = 0; i < x.length; i++) {
    if (!isIn(box, x[i] as number, y[i] as number)) continue;
    n += 1;
    if (first.length < most) first.push(i);
  }
  return { first, n };
}
