/** What the address of the evaluation holds, with what stands for what it does not hold. */
import type { Shape } from "../../api/client";
import { type Brush, read, within } from "./brush";

export interface State {
  a: string;
  b: string;
  measure: string;
  brush: Brush;
  /** The query that is open. */
  query: string | null;
  /** Words that a listed query has. */
  words: string;
  lossesFirst: boolean;
}

type Board = Shape<"Leaderboard">;

/** Systems by a measure, the best first. */
export function ranked(board: Board, measure: string): Shape<"SystemMeasures">[] {
  return [...board.rows].sort((x, y) => (y.measures[measure] ?? -1) - (x.measures[measure] ?? -1));
}

export function stateOf(params: URLSearchParams, board: Board): State {
  const names = board.rows.map((row) => row.system);
  const asked = params.get("measure");
  const measure = asked && board.measures.includes(asked) ? asked : (board.measures[0] ?? "nDCG@10");
  const rows = ranked(board, measure);
  const known = (name: string | null) => (name !== null && names.includes(name) ? name : undefined);
  const askedB = known(params.get("b"));
  const a = known(params.get("a")) ?? rows.find((row) => row.system !== askedB)?.system ?? "";
  const b = askedB ?? (a !== "dense" ? known("dense") : undefined) ?? nextTo(a, rows, measure);
  return {
    a,
    b,
    measure,
    brush: read(params.get("from"), params.get("to")),
    query: params.get("query"),
    words: params.get("words") ?? "",
    lossesFirst: params.get("order") === "losses",
  };
}

/** A system to compare another with: the best of those that differ from it at all. */
function nextTo(system: string, rows: Shape<"SystemMeasures">[], measure: string): string {
  const others = rows.filter((row) => row.system !== system);
  const value = rows.find((row) => row.system === system)?.measures[measure];
  return (others.find((row) => row.measures[measure] !== value) ?? others[0])?.system ?? system;
}

/** Both sides once a system is chosen for one of them: the one that stands on the other side changes places. */
export function withChosen({ a, b }: State, of: "a" | "b", system: string): { a: string; b: string } {
  if (of === "a") return { a: system, b: system === b ? a : b };
  return { a: system === a ? b : a, b: system };
}

/** The system that all others are compared with: the retriever's own, if it was measured. */
export function baselineOf(board: Board): string | null {
  const measured = board.rows.filter((row) => Object.keys(row.measures).length > 0).map((row) => row.system);
  return measured.includes("dense") ? "dense" : (measured[0] ?? null);
}

/** The best figure of a column: the highest of a measure, the lowest of what is paid. */
export function best(values: readonly (number | null | undefined)[], of: "highest" | "lowest"): number | undefined {
  const known = values.filter((value): value is number => typeof value === "number");
  if (known.length === 0) return undefined;
  return of === "highest" ? Math.max(...known) : Math.min(...known);
}

type Difference = Shape<"QueryDifference">;

/** The queries that are listed, in their order. */
export function listed(queries: readonly Difference[], state: State): Difference[] {
  const words = state.words.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const found = queries.filter((query) => {
    const text = query.text.toLocaleLowerCase();
    return within(query.first - query.second, state.brush) && words.every((word) => text.includes(word));
  });
  return state.lossesFirst ? found.reverse() : found;
}
