/** What the patterns of the bars mean: those that are there. */
import type { Account, Kind } from "./groups";
import { Pattern } from "./swatch";

const ORDER: [kind: Kind, said: string][] = [
  ["word", "Words"],
  ["system", "A system, by rank"],
  ["other", "Other named"],
  ["unnamed", "Unnamed"],
  ["traces", "Traces"],
  ["bias", "Bias"],
  ["residual", "Residual"],
];

export function Legend({ hits }: { hits: Account[][] }) {
  const pieces = hits.flat().flatMap((account) => account.pieces);
  const scaled = hits.flat().some((account) => account.system !== null);
  return (
    <div class="legend">
      <span class="only-wide">Adds to the right, then takes back to the left; the tick is the score.</span>
      {ORDER.filter(([kind]) => pieces.some((piece) => piece.kind === kind)).map(([kind, said]) => (
        <span key={kind}>
          <Pattern kind={kind} />
          {kind === "bias" && scaled ? "Bias and scaling" : said}
        </span>
      ))}
    </div>
  );
}
