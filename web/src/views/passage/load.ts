/** What the reader asks for beside the passage: where it stands for the query, and the words that carry a concept. */
import { api, asked, type Shape } from "../../api/client";

export interface Found {
  /** The passage among the hits; null: not among so many. */
  hit: Shape<"Hit"> | null;
  /** Explanations of the first page, by which concepts have their colours, as in the search. */
  page: Shape<"Explanation">[];
}

const PAGE = 10;
export const DEEPEST = 100;

interface Asked {
  id: string;
  query: string;
  system: string;
  boost: string[];
}

export async function whereItStands({ id, query, system, boost }: Asked, signal: AbortSignal): Promise<Found> {
  const search = (k: number) => {
    const steered = boost.length > 0 ? { boost } : {};
    return asked(api.GET("/api/search", { params: { query: { q: query, system, k, ...steered } }, signal }));
  };
  const first = await search(PAGE);
  const page = first.hits.flatMap((hit) => hit.explanation ?? []);
  const mine = (result: Shape<"SearchResult">) => result.hits.find((hit) => hit.passage_id === id) ?? null;
  return { hit: mine(first) ?? mine(await search(DEEPEST)), page };
}

export async function wordsOf(id: string, latent: number, signal: AbortSignal): Promise<Shape<"Word">[]> {
  const query = { passage: [id], latent: [latent] };
  const { marked } = await asked(api.GET("/api/words", { params: { query }, signal }));
  return marked[0]?.words ?? [];
}
