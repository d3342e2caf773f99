/** Ranks before and after steering: nothing that the list does not say, seen at once. */
import type { Shape } from "../../api/client";
import { listed, titleOf } from "./moves";

const ROW = 20;
const MOST = 10;

interface Line {
  title: string;
  before: number | null;
  after: number | null;
}

/** Hits that are on the first page before or after, with their ranks where they are on it. */
export function linesOf(result: Shape<"SearchResult">): Line[] {
  const n = Math.min(MOST, result.hits.length);
  const on = (rank: number | null | undefined) => (rank && rank <= n ? rank : null);
  const hits = result.hits.map((hit) => ({
    title: titleOf(hit),
    before: on(hit.unsteered?.rank),
    after: on(hit.rank),
  }));
  const left = result.left.map((one) => ({ title: titleOf(one), before: on(one.rank), after: null }));
  return [...hits, ...left].filter((line) => line.before !== null || line.after !== null);
}

export function Slope({ result }: { result: Shape<"SearchResult"> }) {
  const lines = linesOf(result);
  const last = Math.max(...lines.map((line) => Math.max(line.before ?? 0, line.after ?? 0)));
  const y = (rank: number) => ROW * rank - 6;
  const said = lines
    .filter((line) => line.before !== line.after)
    .map((line) => `${line.title} ${line.before ?? "from below"} to ${line.after ?? "below"}`);
  return (
    <svg
      class="slope"
      viewBox={`0 0 340 ${last * ROW + 2}`}
      role="img"
      aria-label={`Ranks before and after steering: ${listed(said) || "none moved"}.`}
    >
      {lines.map(({ title, before, after }) => (
        <g key={`${title} ${before} ${after}`}>
          {before !== null && (
            <text x="142" y={y(before)} text-anchor="end">
              {cut(title)}
            </text>
          )}
          {after !== null && (
            <text x="216" y={y(after)}>
              {after} {cut(title)}
            </text>
          )}
          {before !== null && after !== null && (
            <path
              class={after < before ? "up" : "down"}
              d={`M150 ${y(before)}C179 ${y(before)} 179 ${y(after)} 208 ${y(after)}`}
            />
          )}
          {before !== null && after === null && (
            <path class="down" stroke-dasharray="2 2" d={`M150 ${y(before)}l16 7`} />
          )}
          {before === null && after !== null && (
            <path class="up" stroke-dasharray="2 2" d={`M192 ${y(after) + 7}L208 ${y(after)}`} />
          )}
        </g>
      ))}
    </svg>
  );
}

function cut(title: string): string {
  const points = [...title];
  return points.length > 19 ? `${points.slice(0, 17).join("").trimEnd()}…` : title;
}
