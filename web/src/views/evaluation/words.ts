/** The difference of two systems as sentences. */
import type { Shape } from "../../api/client";
import { counted, figure, signed } from "../../parts/figures";
import { type Brush, isTie, isWhole } from "./brush";

type Compared = Shape<"SystemsCompared">;

function p(value: number): string {
  return value < 0.001 ? "p < 0.001" : `p = ${figure(value)}`;
}

/** "Over 333 queries BM25 is behind dense by 0.171 …" */
export function difference(of: Compared): string {
  if (of.queries.every((query) => isTie(query.first - query.second)))
    return `${of.first} and ${of.second} have the same figure on each of ${counted(of.queries.length, "query", "queries")}.`;
  const mean = of.first_mean - of.second_mean;
  const clear = of.low > 0 || of.high < 0;
  const where = mean > 0 ? "ahead of" : mean < 0 ? "behind" : "level with";
  const by = mean === 0 ? "" : ` by ${figure(Math.abs(mean))}`;
  const queries = counted(of.queries.length, "query", "queries");
  const sure = clear
    ? "queries drawn anew leave it on this side of zero"
    : "queries drawn anew may turn it round: no difference was found";
  return (
    `Over ${queries}, ${of.first} with ${figure(of.first_mean)} is ${where} ${of.second} with ` +
    `${figure(of.second_mean)}${by}. The difference lies between ${signed(of.low)} and ${signed(of.high)} ` +
    `(95 % interval; sign-flip test, ${p(of.p)}): ${sure}.`
  );
}

/** "queries that BM25 wins by 0.30 to 0.60" */
export function brushed({ from, to }: Brush, a: string, b: string): string {
  if (isWhole({ from, to })) return "judged queries";
  if (from >= 0) return `queries that ${a} wins by ${figure(from, 2)} to ${figure(to, 2)}`;
  if (to <= 0) return `queries that ${b} wins by ${figure(-to, 2)} to ${figure(-from, 2)}`;
  return `queries whose difference is from ${signed(from, 2)} to ${signed(to, 2)}`;
}

/** What is claimed of a system beside the baseline. */
export const VERDICTS = {
  better: { sign: "▲", said: "better" },
  worse: { sign: "▼", said: "worse" },
  unclear: { sign: "=", said: "no difference found" },
} as const;
