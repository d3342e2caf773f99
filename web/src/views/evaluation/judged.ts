/** Judged passages among the hits of a system, in words. */
import type { Shape } from "../../api/client";

/** A grade: 1 is all that most collections have. */
export function graded(grade: number): string {
  if (grade <= 0) return "not relevant";
  return grade === 1 ? "relevant" : `grade ${grade}`;
}

export function ranksOf(hits: Pick<Shape<"Hit">, "passage_id" | "rank">[] | undefined): Ranks | undefined {
  return hits && { of: new Map(hits.map((hit) => [hit.passage_id, hit.rank])), deep: hits.length };
}

export interface Ranks {
  of: Map<string, number>;
  /** How many hits were looked at. */
  deep: number;
}

/** Its rank, or that it is further down than was looked. */
export function saidRank(ranks: Ranks | undefined, passage: string): string {
  if (!ranks) return "–";
  const rank = ranks.of.get(passage);
  return rank === undefined ? `beyond ${ranks.deep}` : String(rank);
}

type Found = Pick<Shape<"Hit">, "passage_id" | "title" | "text">;

/** A first hit that nobody judged relevant, above the best relevant one: what asks to be explained. Null if there is none. */
export function puzzle(hits: Found[] | undefined, grades: ReadonlyMap<string, number>): [Found, Found] | null {
  const first = hits?.[0];
  const relevant = hits?.find((hit) => (grades.get(hit.passage_id) ?? 0) > 0);
  return first && relevant && first !== relevant ? [first, relevant] : null;
}

export function titleOf(hit: Found): string {
  return hit.title || hit.text.slice(0, 60) || hit.passage_id;
}
