/** Which differences of two systems are looked at: bins of a histogram, and a brush over them. */

/** From and to, ends included, on the scale of differences, −1 to 1. */
export interface Brush {
  from: number;
  to: number;
}

export interface Bin {
  from: number;
  to: number;
  n: number;
}

export const WHOLE: Brush = { from: -1, to: 1 };
export const STEP = 0.05;
/** Smaller differences are those of rounding, not of rankings. */
const TIE = 1e-9;

export function isTie(difference: number): boolean {
  return Math.abs(difference) < TIE;
}

function rounded(value: number): number {
  return Math.round(value * 1e4) / 1e4 || 0; // not −0
}

/** The nearest edge of a bin, within the scale. */
export function snapped(value: number): number {
  return rounded(Math.min(1, Math.max(-1, Math.round(value / STEP) * STEP)));
}

/** The brush of two ends in any order. */
export function between(one: number, other: number): Brush {
  return { from: Math.min(one, other), to: Math.max(one, other) };
}

/** The brush that an address holds; what is no number is the end of the scale. */
export function read(from: string | null, to: string | null): Brush {
  const end = (text: string | null, otherwise: number) => {
    const value = text === null || text.trim() === "" ? Number.NaN : Number(text);
    return Number.isFinite(value) ? rounded(Math.min(1, Math.max(-1, value))) : otherwise;
  };
  return between(end(from, -1), end(to, 1));
}

export function isWhole({ from, to }: Brush): boolean {
  return from <= -1 && to >= 1;
}

/** For the address: null where an end is that of the scale. */
export function written({ from, to }: Brush): { from: number | null; to: number | null } {
  return { from: from <= -1 ? null : from, to: to >= 1 ? null : to };
}

export function within(difference: number, { from, to }: Brush): boolean {
  return difference >= from - TIE && difference <= to + TIE;
}

/** Moved by a distance, as far as the scale goes, and as wide as before. */
export function moved({ from, to }: Brush, by: number): Brush {
  const far = Math.max(-1 - from, Math.min(1 - to, by));
  return { from: rounded(from + far), to: rounded(to + far) };
}

/** Bins of one step each, ties left out: there are so many that nothing else would be seen. */
export function bins(differences: readonly number[]): Bin[] {
  const n = Math.round(2 / STEP);
  const all = Array.from({ length: n }, (_, i) => ({
    from: rounded(-1 + i * STEP),
    to: rounded(-1 + (i + 1) * STEP),
    n: 0,
  }));
  for (const value of differences) {
    if (isTie(value)) continue;
    const at = (Math.min(1, Math.max(-1, value)) + 1) / STEP;
    // A bin holds its end that is nearer to zero no more than the other: −0.05 and +0.05 mirror each other.
    const i = value < 0 ? Math.floor(at + TIE) : Math.ceil(at - TIE) - 1;
    (all[Math.min(n - 1, Math.max(0, i))] as Bin).n += 1;
  }
  return all;
}

export interface Counts {
  wins: number;
  ties: number;
  losses: number;
}

export function counts(differences: readonly number[]): Counts {
  const ties = differences.filter(isTie).length;
  const wins = differences.filter((value) => !isTie(value) && value > 0).length;
  return { wins, ties, losses: differences.length - wins - ties };
}
