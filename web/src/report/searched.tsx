/** One search of the report: its hits, each with its score as a bar and, opened, as a table. */
import { useState } from "preact/hooks";
import { figure } from "../parts/figures";
import { Axis } from "../score/axis";
import { Bar, Brackets } from "../score/bar";
import { carried } from "../score/carried";
import { type Account, accountsOf, type Explanation, type Slots } from "../score/groups";
import { layoutOf } from "../score/layout";
import { Ledger } from "../score/ledger";
import { Legend } from "../score/legend";
import { decimals, type Scale, scaleOf } from "../score/scale";
import { Share } from "../score/share";
import { filled, NO_SLOTS } from "../score/slots";
import { useWidth } from "../score/width";

interface Found {
  rank: number;
  score: number;
  passage_id: string;
  title: string;
  text: string;
  explanation: Explanation;
  dense_explanation?: Explanation;
}

export interface Search {
  query: string;
  system: string;
  hits: Found[];
}

/** The accounts of a search: by the system that found the hits and, where it is another, by the dense retriever. */
export function Searched({ of }: { of: Search }) {
  const dense = of.hits.flatMap((hit) => hit.dense_explanation ?? []);
  return (
    <>
      <Scored system={of.system} hits={of.hits.map((hit) => [hit, hit.explanation])} />
      {dense.length === of.hits.length && dense.length > 0 && (
        <details>
          <summary>The dense retriever's own scores of the same passages</summary>
          <Scored system="dense" hits={of.hits.map((hit, i) => [hit, dense[i] as Explanation])} />
        </details>
      )}
    </>
  );
}

function Scored({ system, hits }: { system: string; hits: [hit: Found, why: Explanation][] }) {
  const [bars, width] = useWidth<SVGSVGElement>();
  const slots = filled(
    NO_SLOTS,
    hits.map(([, why]) => why),
  );
  const accounts = hits.map(([, why]) => accountsOf(why, slots));
  const layouts = accounts.map(layoutOf);
  const scale = scaleOf(
    layouts.map((layout) => layout.end),
    layouts.map((layout) => layout.score),
  );
  return (
    <section aria-label={`Hits by ${system}`}>
      <Share of={carried(accounts)} slots={slots} />
      <div class="scale in-report">
        <Legend hits={accounts} />
        <Axis scale={scale} bars={bars} />
        <span class="h">{system} score</span>
      </div>
      <ol class="hits">
        {hits.map(([hit, why], i) => (
          <Hit
            key={hit.passage_id}
            {...{ hit, slots, scale, width, score: why.score }}
            accounts={accounts[i] as Account[]}
          />
        ))}
      </ol>
    </section>
  );
}

interface HitProps {
  hit: Found;
  score: number;
  accounts: Account[];
  slots: Slots;
  scale: Scale;
  width: number;
}

function Hit({ hit, score, accounts, slots, scale, width }: HitProps) {
  const [open, setOpen] = useState(false);
  const layout = layoutOf(accounts);
  const title = hit.title || hit.passage_id;
  return (
    <li class={open ? "hit open" : "hit"}>
      <span class="rank">{hit.rank}</span>
      <div class="body">
        <h3>
          <bdi>{title}</bdi>{" "}
          <button class="btn quiet s" type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? "Hide the sum" : "Show the sum"}
          </button>
        </h3>
        <p class="snip" dir="auto">
          {hit.text}
        </p>
        <div class="bar-row">
          <div>
            {layout.brackets.length > 0 && <Brackets layout={layout} scale={scale} width={width} />}
            <Bar layout={layout} scale={scale} width={width} />
          </div>
          <span class="score">{figure(score, decimals(scale))}</span>
        </div>
      </div>
      {open && (
        <div class="sum">
          <Ledger accounts={accounts} slots={slots} of={title} score={score} />
        </div>
      )}
    </li>
  );
}
