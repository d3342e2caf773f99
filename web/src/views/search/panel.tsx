/** Beside the hits: how much of their scores can be relied on, the concepts to steer by, and what is folded. */
import type { ComponentChildren } from "preact";
import type { Shape } from "../../api/client";
import { count, share } from "../../parts/figures";
import type { Carried } from "../../score/carried";
import type { Kind, Slots } from "../../score/groups";
import { Share } from "../../score/share";
import { Swatch } from "../../score/swatch";
import { AddConcept } from "./add";
import { type ConceptLine, Concepts } from "./concepts";
import { Slope } from "./slope";
import type { Steer } from "./steering";

export interface PanelProps {
  result: Shape<"SearchResult">;
  steered: boolean;
  of: Carried;
  slots: Slots;
  lines: ConceptLine[];
  steer: Steer;
  selected: number | null;
  onSelect: (latent: number) => void;
  onAdd: (latent: number) => void;
  digits: number;
  /** Why nothing is named, if nothing is. */
  unnamed: ComponentChildren;
}

export function Panel(props: PanelProps) {
  const { result, steered, of, slots, lines, steer, selected, onSelect, onAdd, digits, unnamed } = props;
  return (
    <>
      {steered && result.hits.length > 0 && (
        <section>
          <h2>Ranks before and after</h2>
          <Slope result={result} />
        </section>
      )}
      <section>
        <Share of={of} slots={slots}>
          {unnamed && <p class="small mute">{unnamed}</p>}
        </Share>
      </section>
      <section>
        <h2>
          Concepts <span class="small faint">added to these scores</span>
        </h2>
        {steer.refused && <p class="small mute refused">{steer.refused}</p>}
        <Concepts lines={lines} steer={steer} selected={selected} onSelect={onSelect} digits={digits} />
        {!steer.refused && <AddConcept onAdd={onAdd} />}
      </section>
      <Folds of={of} isSum={result.hits.some((hit) => hit.explanation?.of === "sum")} />
    </>
  );
}

const FOLDS: [kind: Kind, said: (n: number) => string][] = [
  ["word", (n) => (n === 1 ? "One word" : `${count(n)} words`)],
  ["system", () => "Systems of which only the rank counts"],
  ["other", (n) => (n === 1 ? "One other named concept" : `${count(n)} other named concepts`)],
  [
    "unnamed",
    (n) => (n === 1 ? "One concept whose name does not hold" : `${count(n)} concepts whose names do not hold`),
  ],
  [
    "traces",
    (n) => (n === 1 ? "One trace, below where its name holds" : `${count(n)} traces, below where their names hold`),
  ],
  ["bias", () => "Bias, the same for every passage"],
  ["residual", () => "Residual, what the concepts leave over"],
];

function Folds({ of, isSum }: { of: Carried; isSum: boolean }) {
  const there = FOLDS.filter(([kind]) => (of.of.get(kind) ?? 0) > 0);
  if (there.length === 0) return null;
  return (
    <section>
      <ul class="fold-list">
        {there.map(([kind, said]) => (
          <li key={kind}>
            <Swatch kind={kind} />
            <span>
              {kind === "bias" && isSum ? "Bias and scaling, the same for every passage" : said(of.n.get(kind) ?? 0)}
            </span>
            <span class="num">{share(of.of.get(kind) ?? 0)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
