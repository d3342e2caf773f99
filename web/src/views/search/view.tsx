/** Search and explain: a query, its hits as sums that end at their scores, and what bends them. */
import { useEffect } from "preact/hooks";
import { changed, go, useAddress } from "../../address";
import { api, asked } from "../../api/client";
import { useLoaded } from "../../api/use";
import { CopyAs } from "../../parts/copy";
import { count } from "../../parts/figures";
import { calledSystem } from "../../parts/systems";
import { useProject } from "../../project";
import { Ask } from "./ask";
import { BeforeTheFirst, NoHit, NotSearched, Searching } from "./blanks";
import { copied } from "./command";
import { Filter } from "./filter";
import { listed } from "./moves";
import { Results } from "./result";
import { asksOf, isSteered, type SearchState, stateOf } from "./state";
import { useSteer } from "./steering";
import { SteeredAlone } from "./strips";
import { isSteerable, sumOf } from "./sums";
import { SideBySide } from "./systems";

export function SearchView() {
  const { params } = useAddress();
  const { data: project } = useProject();
  const systems = project?.systems;
  const state = stateOf(params, !systems || systems.includes("dense") ? "dense" : (systems[0] ?? "dense"));
  const steerable = project?.steerable;
  const refused = !steerable || isSteerable(state.system, steerable) ? null : whyNot(state.system, steerable);
  const steer = useSteer(state, refused);
  const { q, k, where } = state;
  const asks = { ...asksOf(state, refused === null), k };
  const ready = q && !state.sideBySide && project;
  const found = useLoaded(ready ? JSON.stringify(asks) : null, (signal) =>
    asked(api.GET("/api/search", { params: { query: asks }, signal })),
  );
  useEffect(() => {
    document.title = q ? `${q} · unweave` : "Search · unweave";
  }, [q]);

  const result = found.data;
  return (
    <>
      <h1 class="vh">Search and explain</h1>
      <Ask state={state} project={project} />
      {!q && <BeforeTheFirst state={state} project={project} />}
      {q && state.sideBySide && (
        <SideBySide query={q} onPick={(picked) => go(changed({ view: null, systems: null, system: picked }))} />
      )}
      {found.error && !found.loading && <NotSearched error={found.error} onRetry={found.reload} />}
      {ready && !result && found.loading && found.slow && <Searching n={project.n_passages} />}
      {ready && result && !(found.error && !found.loading) && (
        <>
          <div class="sum-line">
            <span>
              <b>{result.hits.length}</b> of {count(result.n_passages)} passages
            </span>
            <SumSaid system={result.system} />
            <Filter where={where} metadata={project.metadata} />
            <CopyAs of={copied(state, project.path)} />
          </div>
          {result.hits.length === 0 ? (
            <>
              {isSteered(state) && <SteeredAlone state={state} steer={steer} />}
              <NoHit state={state} project={project} />
            </>
          ) : (
            <Results {...{ result, state, steer, project }} old={found.loading && found.slow} />
          )}
        </>
      )}
    </>
  );
}

function whyNot(system: SearchState["system"], steerable: Record<string, string[]>): string {
  const others = Object.keys(steerable).filter((other) => steerable[other]?.includes("boosts"));
  const kept = ["dense", "CL-SR", "codes"].filter((other) => others.includes(other)).map(calledSystem);
  const use = kept.length ? ` ${listed(kept)} ${kept.length === 1 ? "can" : "can"}.` : "";
  return `${calledSystem(system)} cannot be steered by concepts.${use}`;
}

/** What a sum adds up, in a sentence. */
function SumSaid({ system }: { system: string }) {
  const sum = sumOf(system);
  if (!sum) return null;
  const all = [...sum.weights.values()].reduce((total, weight) => total + weight, 0);
  const parts = [...sum.weights].map(([name, weight]) => `${calledSystem(name)} ${Math.round((100 * weight) / all)} %`);
  return (
    <span class="only-wide">
      {listed(parts)}, {sum.byRank ? "by what their ranks are worth" : "each scaled from 0 to 1"}.
    </span>
  );
}
