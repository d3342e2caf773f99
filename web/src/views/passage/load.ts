/** What the reader asks for beside the passage: where it stands for the query, and the words that carry a concept. */
import { api, asked, Refused, type Shape } from "../../api/client";
import { asksOf } from "../search/state";
import type { State } from "./state";

export interface Found {
  /** The passage's score as a sum, or why the system gives it none, in a sentence. */
  standing: Shape<"Standing"> | string;
  /** Explanations of the first page, by which concepts have their colours, as in the search. */
  page: Shape<"Explanation">[];
}

const PAGE = 10;

export async function whereItStands(state: State, steers: boolean, signal: AbortSignal): Promise<Found> {
  const asks = asksOf(state, steers);
  const search = asked(api.GET("/api/search", { params: { query: { ...asks, k: PAGE } }, signal }));
  const explain = asked(api.GET("/api/explain", { params: { query: { ...asks, passage: state.id } }, signal }));
  const [first, standing] = await Promise.all([search, explain.catch(saidIfNotFound)]);
  return { standing, page: first.hits.flatMap((hit) => hit.explanation ?? []) };
}

function saidIfNotFound(error: unknown): string {
  if (error instanceof Refused && error.status === 404) return error.message;
  throw error;
}

export async function wordsOf(id: string, latent: number, signal: AbortSignal): Promise<Shape<"Word">[]> {
  const query = { passage: [id], latent: [latent] };
  const { marked } = await asked(api.GET("/api/words", { params: { query }, signal }));
  return marked[0]?.words ?? [];
}
