/** The part of the map that is on the screen. Screens count downwards, maps upwards. */

export interface Frame {
  /** The point of the map in the middle. */
  x: number;
  y: number;
  /** Pixels that one unit of the map takes. */
  scale: number;
  /** Of the canvas, in CSS pixels. */
  width: number;
  height: number;
}

export interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export type Numbers = ArrayLike<number>;

/** How many times closer than all of it, and how much further away, a map may be looked at. */
const CLOSEST = 200;
const FURTHEST = 0.5;

export function boundsOf(x: Numbers, y: Numbers): Box {
  const box = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
  for (let i = 0; i < x.length; i++) {
    const [px, py] = [x[i] as number, y[i] as number];
    if (px < box.x0) box.x0 = px;
    if (px > box.x1) box.x1 = px;
    if (py < box.y0) box.y0 = py;
    if (py > box.y1) box.y1 = py;
  }
  return x.length === 0 ? { x0: 0, y0: 0, x1: 1, y1: 1 } : box;
}

/** All of a box, with an edge around it. */
export function fitted(box: Box, width: number, height: number, edge = 24): Frame {
  const across = Math.max(box.x1 - box.x0, 1e-9);
  const up = Math.max(box.y1 - box.y0, 1e-9);
  const scale = Math.min(Math.max(width - 2 * edge, 1) / across, Math.max(height - 2 * edge, 1) / up);
  return { x: (box.x0 + box.x1) / 2, y: (box.y0 + box.y1) / 2, scale, width, height };
}

export function toScreen(frame: Frame, x: number, y: number): [number, number] {
  return [frame.width / 2 + (x - frame.x) * frame.scale, frame.height / 2 - (y - frame.y) * frame.scale];
}

export function toMap(frame: Frame, sx: number, sy: number): [number, number] {
  return [frame.x + (sx - frame.width / 2) / frame.scale, frame.y - (sy - frame.height / 2) / frame.scale];
}

/** The map moves with the pointer, by so many pixels. */
export function pan(frame: Frame, dx: number, dy: number): Frame {
  return { ...frame, x: frame.x - dx / frame.scale, y: frame.y + dy / frame.scale };
}

/** Closer by a factor; what is under the pointer stays under it. */
export function zoom(frame: Frame, sx: number, sy: number, factor: number, whole: Frame): Frame {
  const scale = Math.min(CLOSEST * whole.scale, Math.max(FURTHEST * whole.scale, frame.scale * factor));
  const [x, y] = toMap(frame, sx, sy);
  return {
    ...frame,
    scale,
    x: x - (sx - frame.width / 2) / scale,
    y: y + (sy - frame.height / 2) / scale,
  };
}

/** The same middle on a canvas of another size. */
export function resized(frame: Frame, width: number, height: number): Frame {
  const grown = Math.min(width / frame.width, height / frame.height);
  return { ...frame, width, height, scale: frame.scale * (Number.isFinite(grown) && grown > 0 ? grown : 1) };
}

/** The point nearest to a place on the screen, of those that are `shown`; null if none is so near. */
export function nearest(
  frame: Frame,
  x: Numbers,
  y: Numbers,
  shown: ArrayLike<number>,
  [sx, sy]: [number, number],
  within: number,
): number | null {
  let best: number | null = null;
  let least = within * within;
  for (let k = 0; k < shown.length; k++) {
    const i = shown[k] as number;
    const [px, py] = toScreen(frame, x[i] as number, y[i] as number);
    const far = (px - sx) ** 2 + (py - sy) ** 2;
    if (far < least) {
      least = far;
      best = i;
    }
  }
  return best;
}
