/** What steering did to the ranks, in a sentence that is read out once. */
import type { Shape } from "../../api/client";
import { counted } from "../../parts/figures";

type Result = Shape<"SearchResult">;

/** Ranks that a hit gained; null: it was not steered, or it was not among the ranks that were looked at. */
export function gained(hit: Shape<"Hit">): number | null {
  return hit.unsteered?.rank ? hit.unsteered.rank - hit.rank : null;
}

export function movesOf(result: Result): string {
  const { hits, left } = result;
  const moved = hits.filter((hit) => hit.unsteered && hit.unsteered.rank !== hit.rank).length;
  const said = moved ? `${moved} of ${counted(hits.length, "hit")} moved` : "No hit moved";
  const fell = left.filter((one) => one.now !== null).map((one) => `${titleOf(one)} fell to ${one.now}`);
  const gone = left.filter((one) => one.now === null).map(titleOf);
  const parts = [...shortened(fell, "more fell"), ...(gone.length ? [`${listed(shortened(gone, "more"))} left`] : [])];
  return parts.length ? `${said}; ${listed(parts)}.` : `${said}.`;
}

const MOST_NAMED = 3;

function shortened(words: string[], rest: string): string[] {
  const more = words.length - MOST_NAMED;
  return more > 0 ? [...words.slice(0, MOST_NAMED), `${more} ${rest}`] : words;
}

/** What a passage is called: many have no title. */
export function titleOf(of: { title: string; passage_id: string }): string {
  return of.title.trim() || `Passage ${of.passage_id}`;
}

export function listed(words: string[], and = "and"): string {
  return words.length > 1 ? `${words.slice(0, -1).join(", ")} ${and} ${words.at(-1)}` : (words[0] ?? "");
}
