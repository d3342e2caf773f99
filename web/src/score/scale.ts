/** One scale for all hits of a result. It grows with steering and paging and never shrinks; a new query sets it anew. */

export interface Scale {
  /** 0, or below it if a score is. */
  from: number;
  to: number;
}

const STEPS = [1, 1.2, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** The next of 1, 1.2, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten. */
export function roundUp(value: number): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const power = Math.floor(Math.log10(value));
  const whole = value / 10 ** power;
  const step = STEPS.find((known) => whole <= known * (1 + 1e-9)) ?? 10;
  return Number((step * 10 ** power).toPrecision(6));
}

/**
 * @param ends of what adds, and any score that is marked, of every hit.
 * @param scores of every hit.
 */
export function scaleOf(ends: number[], scores: number[], old?: Scale | null): Scale {
  const to = Math.max(roundUp(Math.max(0, ...ends, ...scores)), old?.to ?? 0);
  const lowest = Math.min(0, ...scores, old?.from ?? 0);
  const step = stepOf(to - lowest);
  return { from: lowest < 0 ? Number((Math.floor(lowest / step - 1e-9) * step).toPrecision(6)) : 0, to };
}

/** Where a value stands, 0 to 1. */
export function place(scale: Scale, value: number): number {
  return (value - scale.from) / (scale.to - scale.from);
}

function stepOf(length: number): number {
  const power = 10 ** Math.floor(Math.log10(length));
  return [0.1, 0.2, 0.5, 1, 2].map((step) => step * power).find((step) => length / step <= 7) ?? power;
}

/** The numbers below the axis. */
export function ticks(scale: Scale): number[] {
  const step = stepOf(scale.to - scale.from);
  const first = Math.ceil(scale.from / step - 1e-9);
  const last = Math.floor(scale.to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}

/** Decimals that a score of this scale is shown with: three figures or so. */
export function decimals(scale: Scale): number {
  const largest = Math.max(scale.to, -scale.from);
  return Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(largest / 1.6))));
}
