/** What a search found: the hits as bars on one scale, and beside them the concepts to steer by. */
import { useMemo, useRef, useState } from "preact/hooks";
import { address, changed, go } from "../../address";
import type { Shape } from "../../api/client";
import type { ProjectInfo } from "../../project";
import { Axis } from "../../score/axis";
import { carried } from "../../score/carried";
import { type Account, accountsOf, contributionsOf, type Explanation, type Slots, undivided } from "../../score/groups";
import { layoutOf } from "../../score/layout";
import { Legend } from "../../score/legend";
import { decimals, type Scale, scaleOf } from "../../score/scale";
import { keep, keptSlots, picked as pickedSlots, slotOf } from "../../score/slots";
import { useWidth } from "../../score/width";
import { Chips } from "./chips";
import { Compare } from "./compare";
import type { ConceptLine } from "./concepts";
import { Hit } from "./hit";
import { useSearchKeys } from "./keys";
import { isNamed, useNames, useWords } from "./known";
import { flipSum, foldsOf } from "./opened";
import { Panel } from "./panel";
import { useSliding } from "./sliding";
import { isSteered, MOST_HITS, PAGE, pairOf, type SearchState, searched } from "./state";
import type { Steer } from "./steering";
import { type Known, SelectedStrip, SteeredStrip } from "./strips";

type Result = Shape<"SearchResult">;

interface ResultProps {
  result: Result;
  state: SearchState;
  steer: Steer;
  project: ProjectInfo | undefined;
  /** Another result is on its way. */
  old: boolean;
}

export function Results({ result, state, steer, project, old }: ResultProps) {
  const explanations = useMemo(() => result.hits.flatMap((hit) => hit.explanation ?? []), [result]);
  const slots = slotsOf(result, explanations, state);
  const accounts = useMemo(
    () =>
      result.hits.map((hit) =>
        hit.explanation ? accountsOf(hit.explanation, slots, result.query) : undivided(result.system, hit.score),
      ),
    [result, slots.join(" ")],
  );
  const scale = useScale(result, accounts);
  const of = useMemo(() => carried(accounts), [accounts]);
  const [axis, width] = useWidth<SVGSVGElement>();
  const list = useRef<HTMLOListElement>(null);
  useSliding(list, `${result.system}\n${result.query}`);
  const [picked, setPicked] = useState<string | null>(null);

  const lines = useLines(slots, state, explanations);
  const shown = [...slots.flatMap((latent) => latent ?? []), ...(state.selected === null ? [] : [state.selected])];
  const wordsOf = useWords(project?.words ? result.hits.map((hit) => hit.passage_id) : null, [...new Set(shown)]);
  const known = (latent: number): Known =>
    lines.find((line) => line.concept.latent === latent) ?? {
      concept: { latent, name: null, trust: null },
      kind: "other",
      slot: null,
    };

  const select = (latent: number | null) => go(changed({ sel: latent === state.selected ? null : latent }), "replace");
  const pick = (passage: string) => {
    if (picked === null || picked === passage) return setPicked(picked === null ? passage : null);
    setPicked(null);
    go(changed({ compare: pairOf(picked, passage), steps: null }));
  };
  useSearchKeys({ state, steer, slots, select, pick, picked, unpick: () => setPicked(null) });

  const bent = isSteered(state);
  const steered = bent && steer.refused === null;
  const panel = {
    ...{ result, steered, of, slots, lines, steer, selected: state.selected, digits: decimals(scale) },
    onSelect: select,
    onAdd: (latent: number) => {
      keep(result.query, pickedSlots(slots, latent, explanations, [...state.boosts.keys(), ...state.bans]));
      if (latent !== state.selected) select(latent);
    },
    unnamed: whyUnnamed(explanations, project),
  };
  return (
    <>
      <Chips lines={lines} selected={state.selected} onSelect={select}>
        <Panel {...panel} />
      </Chips>
      <div class={old ? "two old" : "two"} aria-busy={old}>
        <section aria-label="Hits">
          {bent && <SteeredStrip {...{ state, known, steer, result }} />}
          {state.selected !== null && (
            <SelectedStrip of={known(state.selected)} onClear={() => select(state.selected)} />
          )}
          {state.compare && (
            <Compare
              {...{ query: result.query, system: result.system, slots }}
              {...(steer.refused === null ? { boosts: state.boosts } : {})}
              first={state.compare[0]}
              second={state.compare[1]}
              onClose={() => go(changed({ compare: null, steps: null }))}
            />
          )}
          <div class="scale">
            <Legend hits={accounts} />
            <Axis scale={scale} bars={axis} />
            <span class="h">Score</span>
          </div>
          <ol ref={list} class={state.selected === null ? "hits" : "hits has-focus"}>
            {result.hits.map((hit, i) => (
              <Hit
                key={hit.passage_id}
                {...{ hit, slots, scale, width, steered, wordsOf, selected: state.selected }}
                accounts={accounts[i] ?? []}
                picked={picked === hit.passage_id || (state.compare?.includes(hit.passage_id) ?? false)}
                to={address("/passage", { id: hit.passage_id, ...searched(state), sel: null })}
                onSelect={select}
                onPick={pick}
                folds={state.opened.has(hit.passage_id) ? foldsOf(state.opened, hit.passage_id) : null}
                onOpen={() => flipSum(hit.passage_id)}
              />
            ))}
          </ol>
          {result.hits.length >= state.k && state.k < Math.min(MOST_HITS, result.n_passages) && (
            <p class="more">
              <button class="btn" type="button" onClick={() => go(changed({ k: state.k + PAGE }), "replace")}>
                Show {PAGE} more
              </button>
            </p>
          )}
        </section>
        <aside class="panel" aria-label="Concepts of this result">
          <Panel {...panel} />
        </aside>
      </div>
    </>
  );
}

/** Slots by the first page, kept by query; a concept that is selected or steered takes one if it has none. */
function slotsOf(result: Result, explanations: Explanation[], state: SearchState): Slots {
  const fixed = [...state.boosts.keys(), ...state.bans];
  const wanted = [...fixed, ...(state.selected === null ? [] : [state.selected])];
  const first = explanations.slice(0, PAGE);
  const slots = wanted.reduce((all, latent) => pickedSlots(all, latent, first, fixed), keptSlots(result.query, first));
  keep(result.query, slots);
  return slots;
}

/** Grows with steering and paging; another query or system begins anew. */
function useScale(result: Result, accounts: Account[][]): Scale {
  const kept = useRef<{ key: string; scale: Scale } | null>(null);
  const key = `${result.system}\n${result.query}`;
  const layouts = accounts.map(layoutOf);
  const was = result.hits.flatMap((hit) => hit.unsteered?.score ?? []);
  const ends = layouts.map((layout) => layout.end);
  const scores = [...layouts.map((layout) => layout.score), ...was];
  const scale = scaleOf(ends, scores, kept.current?.key === key ? kept.current.scale : null);
  kept.current = { key, scale };
  return scale;
}

/** The concepts of the panel: those with a colour, then others that are steered. */
function useLines(slots: Slots, state: SearchState, explanations: Explanation[]): ConceptLine[] {
  const all = explanations.flatMap(contributionsOf).filter((c) => c.group !== null && c.latent >= 0);
  const steered = [...state.boosts.keys(), ...state.bans];
  const kept = slots.flatMap((latent) =>
    latent !== null && (all.length > 0 || steered.includes(latent)) ? latent : [],
  );
  const selected = state.selected === null ? [] : [state.selected];
  const latents = [...new Set([...kept, ...steered, ...selected])];
  const nameOf = useNames(latents, explanations);
  return latents.map((latent) => ({
    concept: nameOf(latent),
    slot: slotOf(slots, latent),
    kind: !isNamed(latent) ? "unnamed" : slots.includes(latent) ? "slot" : "other",
    adds: all.reduce((sum, c) => sum + (c.latent === latent ? c.value : 0), 0),
    factor: state.boosts.get(latent) ?? 1,
    banned: state.bans.includes(latent),
  }));
}

function whyUnnamed(explanations: Explanation[], project: ProjectInfo | undefined): string | null {
  const path = project?.path ?? "PROJECT";
  const concepts = explanations.flatMap(contributionsOf).filter((c) => c.group !== null);
  if (concepts.length === 0) return null;
  if (concepts.every((c) => c.name === null)) return `No concept has a name yet; run: unweave name ${path}`;
  const judged = concepts.some((c) => c.trust !== null && c.trust !== "unscored");
  return judged ? null : `No name was judged yet, so none is known to hold; run: unweave judge ${path}`;
}
