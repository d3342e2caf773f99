/** Which words of a text are marked, and which stretch of it is shown: pure counting in code points. */
import type { Shape } from "../api/client";

export type Word = Shape<"Word">;

/** Words below this part of the strongest one are not marked. */
export const MARKED_FROM = 0.42;

export interface Stretch {
  text: string;
  /** Of the strongest word; null: not marked. */
  share: number | null;
}

/** The marked words of a text, in its order; places count from `skip` code points on, as of a title before it. */
export function strongest(words: readonly Word[], skip: number, length: number): Word[] {
  return words
    .filter((word) => word.share >= MARKED_FROM && word.start >= skip && word.end - skip <= length)
    .map((word) => ({ ...word, start: word.start - skip, end: word.end - skip }))
    .sort((a, b) => a.start - b.start);
}

/** A text cut into marked and unmarked stretches, from one place to another. */
export function stretches(points: readonly string[], marked: readonly Word[], from: number, to: number): Stretch[] {
  const found: Stretch[] = [];
  let at = from;
  const push = (end: number, share: number | null) => {
    if (end > at) found.push({ text: points.slice(at, end).join(""), share });
    at = Math.max(at, end);
  };
  for (const word of marked) {
    if (word.start < at || word.end > to) continue;
    push(word.start, null);
    push(word.end, word.share);
  }
  push(to, null);
  return found;
}

/** Where a snippet of `length` begins and ends: around the words that weigh most, at a sentence's begin if one is near. */
export function snippet(
  points: readonly string[],
  marked: readonly Word[],
  length: number,
): [from: number, to: number] {
  const end = (from: number) =>
    from + length >= points.length ? points.length : lastBlank(points, from, from + length);
  if (points.length <= length || marked.length === 0) return [0, end(0)];
  const weight = (from: number) =>
    marked.reduce((sum, w) => sum + (w.start >= from && w.end <= from + length ? w.share : 0), 0);
  const begins = [0, ...marked.map((word) => sentenceBegin(points, word.start, 0.7 * length))];
  // The first of the best: a later begin has to earn its place.
  const best = begins.reduce((old, from) => (weight(from) > weight(old) + 1e-9 ? from : old), 0);
  // What begins late begins earlier, so that the snippet is full.
  const latest = lastBegin(points, points.length - length);
  return best > latest ? [latest, points.length] : [best, end(best)];
}

const isBlank = (point: string | undefined) => point !== undefined && /\s/u.test(point);

function sentenceBegin(points: readonly string[], word: number, most: number): number {
  for (let i = word; i > 1 && word - i < most; i--)
    if (isBlank(points[i - 1]) && /[.!?。؟]/u.test(points[i - 2] ?? "")) return i;
  for (let i = Math.max(0, word - 24); i < word; i++) if (isBlank(points[i])) return i + 1;
  return word;
}

function lastBegin(points: readonly string[], from: number): number {
  for (let i = Math.max(1, from); i < points.length && i < from + 30; i++) if (isBlank(points[i - 1])) return i;
  return Math.max(0, from);
}

function lastBlank(points: readonly string[], from: number, to: number): number {
  for (let i = to; i > from + (to - from) / 2; i--) if (isBlank(points[i])) return i;
  return to;
}
