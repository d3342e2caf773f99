/** Which names stand on the map: the largest concepts' first, and none over another. */

export interface Labelled {
  text: string;
  /** Of its point, in pixels. */
  x: number;
  y: number;
  radius: number;
}

export interface Placed {
  text: string;
  /** The middle of its foot. */
  x: number;
  y: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export const LINE = 14;
const GAP = 3;
const LONGEST = 32;

export function shortened(text: string): string {
  const letters = [...text];
  return letters.length > LONGEST ? `${letters.slice(0, LONGEST - 1).join("")}…` : text;
}

/**
 * @param candidates the most important first.
 * @param widthOf how wide a text is drawn.
 * @param most labels at most.
 */
export function placeLabels(
  candidates: Iterable<Labelled>,
  widthOf: (text: string) => number,
  size: { width: number; height: number },
  most: number,
): Placed[] {
  const placed: Placed[] = [];
  for (const { text, x, y, radius } of candidates) {
    if (placed.length >= most) break;
    const half = widthOf(text) / 2;
    const foot = y - radius - GAP;
    const box = { left: x - half, right: x + half, top: foot - LINE, bottom: foot };
    if (box.left < 0 || box.right > size.width || box.top < 0 || box.bottom > size.height) continue;
    if (placed.some((other) => overlap(box, other))) continue;
    placed.push({ text, x, y: foot, ...box });
  }
  return placed;
}

type Area = Pick<Placed, "left" | "right" | "top" | "bottom">;

export function overlap(a: Area, b: Area): boolean {
  return a.left < b.right + GAP && b.left < a.right + GAP && a.top < b.bottom && b.top < a.bottom;
}
